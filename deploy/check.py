"""Checks everything under deploy/ with the tools that are there, and says which are missing.

    make deploy-tools deploy-check
    python deploy/check.py [--quick] [PART...]

`--quick` leaves out the parts that start servers. `make faults ARGS='-k proxies'` tries the proxies.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import programs
from programs import DEPLOY

OVERLAYS = sorted(folder.name for folder in (DEPLOY / "kubernetes/overlays").iterdir())


class MissingError(Exception):
    """A tool that is not installed; its name."""


def tool(name: str) -> str:
    """Returns the path of a tool."""
    if found := programs.find(name):
        return found
    raise MissingError(name)


def run(*command: str | Path, **environment: str) -> str:
    """Runs a command; CalledProcessError, with what it printed, where it fails."""
    asked = [str(word) for word in command]
    done = subprocess.run(
        asked, cwd=DEPLOY, env=os.environ | environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    if done.returncode:
        raise subprocess.CalledProcessError(done.returncode, asked, done.stdout)
    return done.stdout


def prometheus() -> str:
    """Tests recordings and alerts."""
    promtool = tool("promtool")
    for config in ("prometheus.yml", "compose.yml"):
        run(promtool, "check", "config", f"prometheus/{config}")
    run(promtool, "test", "rules", "prometheus/rules_test.yml")
    return "configurations, recordings, alerts"


def alertmanager() -> str:
    """Checks the routes, and where a page and a ticket go."""
    amtool = tool("amtool")
    run(amtool, "check-config", "alertmanager/alertmanager.yml")
    for severity, receiver in (("page", "pages"), ("ticket", "tickets")):
        routes = ("config", "routes", "test", "--config.file", "alertmanager/alertmanager.yml")
        run(amtool, *routes, f"--verify.receivers={receiver}", f"severity={severity}")
    return "configuration, routes"


def compose() -> str:
    """Has Docker Compose read its file."""
    run(tool("docker-compose"), "-f", "compose.yaml", "config", "--quiet", GRAFANA_PASSWORD="check")
    return "compose.yaml"


def dashboard() -> str:
    """Builds the dashboard anew and compares."""
    try:
        run(sys.executable, "-c", "import grafana_foundation_sdk")
    except subprocess.CalledProcessError:
        raise MissingError("grafana-foundation-sdk") from None
    run(sys.executable, "grafana/dashboard.py", "--check")
    return "scotoma.json is what dashboard.py writes"


def haproxy() -> str:
    """Has HAProxy read its configuration."""
    run(tool("haproxy"), "-c", "-f", "haproxy/haproxy.cfg")
    return "haproxy.cfg"


def nginx() -> str:
    """Has nginx read its configuration, with names of files that exist."""
    with tempfile.TemporaryDirectory() as folder:
        text = (DEPLOY / "nginx/nginx.conf").read_text().replace("/run/nginx.pid", f"{folder}/pid")
        (Path(folder) / "nginx.conf").write_text(text)
        (Path(folder) / "scotoma.locations").write_text((DEPLOY / "nginx/scotoma.locations").read_text())
        run(tool("nginx"), "-t", "-q", "-e", "stderr", "-p", folder, "-c", f"{folder}/nginx.conf")
    return "nginx.conf"


def envoy() -> str:
    """Has Envoy read its configuration."""
    run(tool("envoy"), "--mode", "validate", "-c", "envoy/envoy.yaml")
    return "envoy.yaml"


def kubernetes() -> str:
    """Renders every overlay and checks each object against Kubernetes' schemas, unknown fields among them."""
    kustomize, validate = tool("kustomize"), tool("kubernetes-validate")
    with tempfile.TemporaryDirectory() as folder:
        for overlay in OVERLAYS:
            rendered = Path(folder) / f"{overlay}.yaml"
            rendered.write_text(run(kustomize, "build", f"kubernetes/overlays/{overlay}"))
            run(validate, "--strict", "--quiet", rendered)
    return f"overlays {', '.join(OVERLAYS)}"


def systemd() -> str:
    """Verifies the unit, and that it is exposed as little as it was: 2.0 of 10 at most."""
    analyze = tool("systemd-analyze")
    with tempfile.TemporaryDirectory() as folder:
        unit = Path(folder) / "scotoma.service"
        # The program need not be installed for the check.
        unit.write_text((DEPLOY / "systemd/scotoma.service").read_text().replace("/usr/local/bin/scotoma", "/bin/true"))
        run(analyze, "verify", unit)
        score = run(analyze, "security", "--no-pager", "--offline=true", "--threshold=20", unit)
    return score.strip().splitlines()[-1].lstrip("→ ")


def server() -> str:
    """Returns the server's binary."""
    if not Path(programs.BINARY).is_file():
        raise MissingError(f"{programs.BINARY} (cargo build, or SCOTOMA_BINARY)")
    return programs.BINARY


def alert() -> str:
    """Fires an alert."""
    for name in ("prometheus", "alertmanager"):
        tool(name)
    return run(sys.executable, "fire_alert.py", "--binary", server()).strip().replace("\n", "; ")


def queries() -> str:
    """Asks every query of the dashboard."""
    tool("prometheus")
    return run(sys.executable, "check_dashboard.py", "--binary", server()).strip()


def stack() -> str:
    """Starts the stack, asks it, and ends it."""
    for name in ("prometheus", "haproxy"):
        tool(name)
    return run(
        sys.executable, "stack.py", "--binary", server(), "--check", "--port", "0", "--prometheus-port", "0"
    ).strip()


PARTS = (
    prometheus,
    alertmanager,
    compose,
    dashboard,
    haproxy,
    nginx,
    envoy,
    kubernetes,
    systemd,
    alert,
    queries,
    stack,
)
SLOW = (alert, queries, stack)


def check(parts: Sequence[Callable[[], str]]) -> int:
    """Runs the parts; 1 where one fails."""
    failed = 0
    for part in parts:
        try:
            print(f"{part.__name__:<13} {part()}", flush=True)
        except MissingError as missing:
            print(f"{part.__name__:<13} NOT CHECKED: no {missing}", flush=True)
        except subprocess.CalledProcessError as error:
            failed = 1
            print(f"{part.__name__:<13} FAILED: {' '.join(error.cmd)}\n{error.output}", flush=True)
    return failed


def main() -> int:
    """Checks what is asked for."""
    about, _, _ = (__doc__ or "").partition("\n\n")
    parser = argparse.ArgumentParser(description=about)
    parser.add_argument("--quick", action="store_true", help="start no servers")
    names = [part.__name__ for part in PARTS]
    parser.add_argument("part", nargs="*", metavar="PART", help=f"of {', '.join(names)}; default: all")
    asked = parser.parse_args()
    if unknown := set(asked.part) - set(names):
        parser.error(f"{', '.join(sorted(unknown))}: not among {', '.join(names)}")
    parts = [part for part in PARTS if part.__name__ in asked.part] if asked.part else list(PARTS)
    return check([part for part in parts if not (asked.quick and part in SLOW)])


if __name__ == "__main__":
    sys.exit(main())
