"""Starts what compose.yaml starts, without containers: replicas, HAProxy before them, Prometheus with our rules.

    make stack                       two replicas of the embedded model
    make stack ARGS='--replicas 4 -- --model /models/llava-1.5-7b-hf'

Everything listens on this machine only. Ctrl-C ends all of it: first the proxy, so that nobody is sent to a server that
is gone, then the replicas, which finish their answers.
"""

from __future__ import annotations

import argparse
import signal
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import programs
from programs import BINARY, Program, Replica


def arguments() -> argparse.Namespace:
    """Reads the command line."""
    about, _, _ = (__doc__ or "").partition("\n\n")
    parser = argparse.ArgumentParser(description=about)
    parser.add_argument("--replicas", type=int, default=2, choices=range(1, 65), metavar="N", help="default: 2")
    parser.add_argument("--port", type=int, default=7878, help="of the proxy, for clients; 0: one that is free")
    parser.add_argument("--prometheus-port", type=int, default=9090, help="0: one that is free")
    parser.add_argument("--binary", default=BINARY, help="the server; default: %(default)s")
    parser.add_argument("--folder", type=Path, help="for logs and Prometheus' data; default: one that is removed")
    parser.add_argument("--check", action="store_true", help="ask what was started, then end it")
    parser.add_argument("flags", nargs="*", help="flags of `scotoma serve`, after --")
    return parser.parse_args()


def missing(binary: str) -> list[str]:
    """Lists what has to be installed first."""
    lacking = [name for name in ("haproxy", "prometheus") if not programs.find(name)]
    return lacking if Path(binary).is_file() else [*lacking, f"{binary} (cargo build --release)"]


def start(asked: argparse.Namespace, folder: Path, running: list[Program]) -> list[str]:
    """Starts everything, each program noted in `running` at once, and returns what to print."""
    port, watch = asked.port or programs.free_port(), asked.prometheus_port or programs.free_port()
    for taken in (port, watch):
        if programs.listens(taken):
            raise RuntimeError(f"port {taken} is taken; --port and --prometheus-port choose others")
    replicas = []
    for i in range(asked.replicas):
        replica = Replica(f"replica-{i}", folder, *asked.flags, binary=asked.binary)
        replicas.append(replica)
        running.append(replica)
    for replica in replicas:
        # A model of real size is read from disk first.
        replica.serving(1800)
    addresses = [replica.address for replica in replicas]
    proxy = programs.haproxy(addresses, folder, port)
    running.append(proxy)
    proxy.ready(port)
    prometheus = programs.prometheus(addresses, folder, watch)
    running.append(prometheus)
    prometheus.ready(watch, 60)
    return [
        f"clients     http://127.0.0.1:{port}",
        *(f"{replica.name:<11} http://{replica.address} (metrics: /metrics)" for replica in replicas),
        f"prometheus  http://127.0.0.1:{watch}",
        f"logs        {folder}",
    ]


def check(asked: argparse.Namespace, lines: list[str]) -> int:
    """Asks a question through the proxy, and Prometheus for all replicas."""
    proxy, watch = (
        next(line for line in lines if line.startswith(name)).split()[-1] for name in ("clients", "prometheus")
    )
    for command in ("health", "models"):
        subprocess.run([asked.binary, command, "--server", proxy], check=True, stdout=subprocess.DEVNULL)
    port = int(watch.rpartition(":")[2])
    up = 'sum(up{job="scotoma"})'
    programs.wait_for(
        "all replicas in Prometheus",
        lambda: [row["value"][1] for row in programs.query(port, up)] == [str(asked.replicas)],
        60,
    )
    print(f"{asked.replicas} replicas answer through HAProxy and are seen by Prometheus")
    return 0


def main() -> int:
    """Runs until a signal, or until one of the programs ends."""
    asked = arguments()
    if lacking := missing(asked.binary):
        print(f"error: missing: {', '.join(lacking)}", file=sys.stderr)
        return 2
    stop = threading.Event()
    for which in (signal.SIGINT, signal.SIGTERM):
        signal.signal(which, lambda *_: stop.set())
    running: list[Program] = []
    with tempfile.TemporaryDirectory(prefix="scotoma-stack-") as temporary:
        folder = asked.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        try:
            lines = start(asked, folder, running)
            if asked.check:
                return check(asked, lines)
            print("\n".join(lines), flush=True)
            while not stop.wait(0.5):
                if ended := [program for program in running if program.process.poll() is not None]:
                    for program in ended:
                        print(f"error: {program.name} ended:\n{program.log.read_text()[-4000:]}", file=sys.stderr)
                    return 1
            return 0
        except (RuntimeError, TimeoutError) as error:
            print(f"error: {error}", file=sys.stderr)
            return 1
        finally:
            for program in sorted(running, key=lambda program: isinstance(program, Replica)):
                program.stop(90)


if __name__ == "__main__":
    sys.exit(main())
