"""Starts the programs of deploy/ with the configurations of deploy/, on ports that are free.

Used by stack.py, by the checks beside it and by tests/faults/test_proxies.py. Needs no package.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import textwrap
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

DEPLOY = Path(__file__).parent
ROOT = DEPLOY.parent
Found = TypeVar("Found")

BINARY = os.environ.get("SCOTOMA_BINARY", str(ROOT / "target/release/scotoma"))

# Debian calls it by another name than its makers.
NAMES = {"alertmanager": ("prometheus-alertmanager", "alertmanager")}
# Where programs are that a user's PATH may lack; the last is what `make deploy-tools` fills.
PLACES = ("/usr/sbin", "/sbin", str(Path(sys.executable).parent), str(ROOT / "target/deploy-venv/bin"))


def find(program: str) -> str | None:
    """Returns the path of a program; None where it is not installed."""
    path = os.pathsep.join([os.environ.get("PATH", ""), *PLACES])
    found = (shutil.which(name, path=path) for name in NAMES.get(program, (program,)))
    return next((path for path in found if path), None)


def free_port() -> int:
    """Returns a port that nobody listens on just now."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def wait_for(what: str, done: Callable[[], Found], seconds: float = 20) -> Found:
    """Calls `done` until it returns something true, which is returned; TimeoutError after `seconds`."""
    end = time.monotonic() + seconds
    while True:
        if found := done():
            return found
        if time.monotonic() > end:
            raise TimeoutError(f"{what}: not within {seconds:.0f} s")
        time.sleep(0.05)


def listens(port: int) -> bool:
    """Returns whether somebody takes connections on a port of this machine."""
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0


class Program:
    """A program that runs; what it prints goes to a file beside its configuration."""

    def __init__(self, name: str, command: Sequence[str], folder: Path, **environment: str) -> None:
        """Starts the program in a session of its own, so that Ctrl-C reaches only the one who ends it in order."""
        self.name = name
        self.log = folder / f"{name}.log"
        with self.log.open("a") as log:
            self.process = subprocess.Popen(
                command, stdout=log, stderr=log, env=os.environ | environment, start_new_session=True
            )

    def ready(self, port: int, seconds: float = 20) -> None:
        """Waits until the program listens; RuntimeError with its log where it ended instead."""

        def listening() -> bool:
            if self.process.poll() is not None:
                raise RuntimeError(f"{self.name} ended with {self.process.returncode}:\n{self.log.read_text()}")
            return listens(port)

        wait_for(f"{self.name} on port {port}", listening, seconds)

    def stop(self, seconds: float = 10) -> None:
        """Ends the program, at once where it does not end in time."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(seconds)
            except subprocess.TimeoutExpired:
                self.kill()

    def kill(self) -> None:
        """Ends the program as a lost machine would, with what it started: nginx's workers outlive their master."""
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(10)


class Replica(Program):
    """A server on a port of its own, which can be started again on the same."""

    def __init__(self, name: str, folder: Path, *flags: str, port: int | None = None, binary: str = BINARY) -> None:
        """Starts the server; `ready` waits for it."""
        self.port = port or free_port()
        self.address = f"127.0.0.1:{self.port}"
        super().__init__(name, [binary, "serve", "--listen", self.address, *flags], folder)

    def serving(self, seconds: float = 60) -> None:
        """Waits until the server answers."""
        self.ready(self.port, seconds)

    def metric(self, name: str) -> float:
        """Returns the sum of a metric over its labels; 0 where it was not recorded yet."""
        with urllib.request.urlopen(f"http://{self.address}/metrics", timeout=10) as page:
            text = page.read().decode()
        return sum(float(value) for value in re.findall(rf"^{name}(?:{{.*}})? (\S+)$", text, re.MULTILINE))


def haproxy(addresses: Sequence[str], folder: Path, port: int, **environment: str) -> Program:
    """Starts HAProxy before the replicas; with SCOTOMA_PROXY_PEM and SCOTOMA_PROXY_TLS_LISTEN it speaks TLS, too."""
    text = (DEPLOY / "haproxy/haproxy.cfg").read_text()
    servers = "\n".join(f"    server r{i} {address}" for i, address in enumerate(addresses))
    text = re.sub(r"(?:^    server .*\n?)+", lambda _: servers + "\n", text, count=1, flags=re.MULTILINE)
    config = folder / "haproxy.cfg"
    config.write_text(text)
    command = [find("haproxy") or "haproxy", "-db", "-f", str(config)]
    return Program("haproxy", command, folder, SCOTOMA_PROXY_LISTEN=f"127.0.0.1:{port}", **environment)


def nginx(addresses: Sequence[str], folder: Path, port: int, tls: tuple[int, Path, Path] | None = None) -> Program:
    """Starts nginx before the replicas; `tls` is a port, a certificate and its key."""
    text = (DEPLOY / "nginx/nginx.conf").read_text()
    servers = "\n".join(f"        server {address} max_fails=1 fail_timeout=5s;" for address in addresses)
    text = re.sub(r"(?:^        server .*\n)+", lambda _: servers + "\n", text, flags=re.MULTILINE)
    text = text.replace("listen 7878 http2", f"listen 127.0.0.1:{port} http2")
    text = text.replace("pid /run/nginx.pid;", f"pid {folder}/nginx.pid;\ndaemon off;")
    text = text.replace("worker_processes auto;", "worker_processes 1;")
    # Folders that the packaged program may not write to where it is not run by root.
    paths = "".join(
        f"    {kind}_temp_path {folder}/{kind};\n" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    text = text.replace("    access_log off;\n", "    access_log off;\n" + paths)
    (folder / "nginx.conf").write_text(text)
    shutil.copy(DEPLOY / "nginx/scotoma.locations", folder)
    if tls:
        secured = (DEPLOY / "nginx/tls.conf").read_text().replace("listen 7879", f"listen 127.0.0.1:{tls[0]}")
        secured = secured.replace("/etc/scotoma/certificates/server.pem", str(tls[1]))
        (folder / "tls.conf").write_text(secured.replace("/etc/scotoma/certificates/server.key", str(tls[2])))
    command = [find("nginx") or "nginx", "-e", str(folder / "nginx.log"), "-p", str(folder), "-c", "nginx.conf"]
    return Program("nginx", command, folder)


def envoy(addresses: Sequence[str], folder: Path, port: int, tls: tuple[Path, Path] | None = None) -> Program:
    """Starts Envoy before the replicas; with `tls`, a certificate and its key, the port speaks TLS only."""
    text = (DEPLOY / "envoy/envoy.yaml").read_text()
    text = text.replace("address: 0.0.0.0, port_value: 7878", f"address: 127.0.0.1, port_value: {port}")
    text = text.replace("port_value: 9901", f"port_value: {free_port()}")
    line = next(line for line in text.splitlines(keepends=True) if "scotoma-replicas" in line)
    hosts = (address.rpartition(":") for address in addresses)
    endpoints = (line.replace("scotoma-replicas", host).replace("7878", of) for host, _, of in hosts)
    text = text.replace(line, "".join(endpoints))
    if tls:
        secured = (DEPLOY / "envoy/tls.yaml").read_text()
        secured = secured.replace("/etc/scotoma/certificates/server.pem", str(tls[0]))
        secured = textwrap.indent(secured.replace("/etc/scotoma/certificates/server.key", str(tls[1])), " " * 10)
        text = text.replace("        - filters:\n", f"        -\n{secured}          filters:\n")
    (folder / "envoy.yaml").write_text(text)
    command = [find("envoy") or "envoy", "--use-dynamic-base-id", "--concurrency", "1", "-l", "warning"]
    return Program("envoy", [*command, "-c", str(folder / "envoy.yaml")], folder)


class Prometheus(Program):
    """A Prometheus; it listens a while before it answers."""

    def ready(self, port: int, seconds: float = 60) -> None:
        """Waits until it answers queries."""
        super().ready(port, seconds)
        wait_for("an answer of Prometheus", lambda: answers(f"http://127.0.0.1:{port}/-/ready"), seconds)


def answers(url: str) -> bool:
    """Returns whether an address is answered with 200."""
    try:
        with urllib.request.urlopen(url, timeout=10):
            return True
    except OSError:
        return False


def prometheus(
    addresses: Sequence[str],
    folder: Path,
    port: int,
    alertmanager: int = 9093,
    interval: str = "15s",
    rules: Path = DEPLOY / "prometheus/rules.yml",
    encrypted: tuple[str, Path] | None = None,
) -> Prometheus:
    """Starts Prometheus with the rules of deploy/, scraping the replicas; `encrypted` is one more and its authority."""
    text = (DEPLOY / "prometheus/prometheus.yml").read_text()
    text = text.replace('"127.0.0.1:7878"', ", ".join(json.dumps(address) for address in addresses))
    text = text.replace("127.0.0.1:9093", f"127.0.0.1:{alertmanager}").replace("- rules.yml", f"- {rules}")
    text = text.replace("interval: 15s", f"interval: {interval}")
    if encrypted:
        address, authority = encrypted
        text += f"  - job_name: scotoma-tls\n    scheme: https\n    tls_config: {{ca_file: {authority}}}\n"
        text += f"    static_configs: [{{targets: ['{address}']}}]\n"
    config = folder / "prometheus.yml"
    config.write_text(text)
    command = [find("prometheus") or "prometheus", "--config.file", str(config), "--storage.tsdb.path"]
    command += [str(folder / "prometheus"), "--web.listen-address", f"127.0.0.1:{port}", "--log.level", "warn"]
    return Prometheus("prometheus", command, folder)


def query(port: int, expression: str) -> list[dict[str, Any]]:
    """Returns what a Prometheus on this machine answers to an expression, now."""
    url = f"http://127.0.0.1:{port}/api/v1/query?" + urllib.parse.urlencode({"query": expression})
    with urllib.request.urlopen(url, timeout=10) as response:
        answer: list[dict[str, Any]] = json.load(response)["data"]["result"]
    return answer
