"""Asks a Prometheus every query of the dashboard, and every recording, after it has scraped servers under load.

    python deploy/check_dashboard.py

Two replicas, a third with TLS, Prometheus with our rules, and what `scotoma` can ask of them: answers, sweeps of a
benchmark, a parity check, a call without a key; in the end one goes down and waits for a request that does not end. A
query that is answered with nothing fails, but for those of EMPTY.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import programs
from programs import DEPLOY, Program, Replica

# Panels that a load on this machine cannot fill, by title; each with its reason.
EMPTY: dict[str, str] = {
    "Memory of cards": "there is no GPU where this runs",
    "Work of cards": "there is no GPU where this runs",
}
# Those that a server without --metrics-by-key (0.2.0) has no metrics for.
BY_KEY = ("Requests by key", "Rows by key", "Processor", "Memory", "Files and sockets", "Threads", "Up since")
LOAD_SECONDS = 20
VARIANT = 'shuffled=[{"permuteTokens":{}}]'


def expressions() -> Iterator[tuple[str, str]]:
    """Yields the queries of the dashboard by the titles of their panels, and the names of our recordings."""
    board = json.loads((DEPLOY / "grafana/scotoma.json").read_text())
    for panel in board["panels"]:
        for target in panel.get("targets", []):
            text = target["expr"].replace("$instance", ".*").replace("$__rate_interval", "1m")
            yield panel["title"], text.replace("[1h]", "[1m]")
    for name in re.findall(r"- record: (\S+)", (DEPLOY / "prometheus/rules.yml").read_text()):
        yield "recordings", name


def load(replicas: list[Replica], folder: Path, binary: str, key: str) -> None:
    """Asks the replicas for a while, each in turn."""
    environment = os.environ | {"SCOTOMA_API_KEY": key, "SCOTOMA_THREADS": "1"}

    def run(*command: str) -> None:
        subprocess.run([binary, *command], env=environment, check=True, capture_output=True)

    picture = folder / "picture.ppm"
    picture.write_bytes(b"P6 64 64 255\n" + bytes(range(256)) * 48)
    end, turn = time.monotonic() + LOAD_SECONDS, 0
    while time.monotonic() < end or turn < 4:
        replica = replicas[turn % len(replicas)]
        server = ("--server", f"http://{replica.address}")
        run("generate", str(picture), "What is it?", *server)
        run("eval", "shapes", "--limit", "24", "--variant", VARIANT, *server)
        if turn < len(replicas):
            run("parity", "--model", "shapes", *server)
            refused = {name: value for name, value in environment.items() if name != "SCOTOMA_API_KEY"}
            subprocess.run([binary, "models", *server], env=refused, check=False, capture_output=True)
        turn += 1


def go_down(replica: Replica, key: str) -> socket.socket:
    """Has a replica go down that waits for a request, of which half a message has come."""
    half = socket.create_connection(("127.0.0.1", replica.port))
    half.sendall(
        b"POST /scotoma.v1.InferenceService/Generate HTTP/1.1\r\nhost: a\r\n"
        b"authorization: Bearer " + key.encode() + b"\r\n"
        b"content-type: application/grpc-web+proto\r\ncontent-length: 100\r\n\r\n\0\0\0\0\x5f"
    )
    time.sleep(0.5)
    replica.process.send_signal(signal.SIGTERM)
    return half


def check(folder: Path, binary: str, running: list[Program]) -> int:
    """Starts everything, asks, and returns how many queries were answered with nothing."""
    drawn = subprocess.run(
        [binary, "key", "dashboard", "--admin"], check=True, capture_output=True, text=True
    ).stdout.split("\n")
    (folder / "keys.txt").write_text(drawn[4] + "\n")
    flags = ["--api-keys", str(folder / "keys.txt"), "--threads", "1"]
    empty_by_right = dict(EMPTY)
    if "--metrics-by-key" in subprocess.run([binary, "serve", "--help"], capture_output=True, text=True).stdout:
        flags.append("--metrics-by-key")
    else:
        empty_by_right |= dict.fromkeys(BY_KEY, "the server is an older one")
    replicas = [Replica(f"replica-{i}", folder, *flags, binary=binary) for i in range(2)]
    running.extend(replicas)
    made = folder / "certificates"
    subprocess.run([binary, "certificate", "127.0.0.1", "--out", str(made)], check=True, capture_output=True)
    flags += ["--tls-cert", str(made / "server.pem"), "--tls-key", str(made / "server.key")]
    encrypted = Replica("encrypted", folder, *flags, binary=binary)
    running.append(encrypted)
    for replica in (*replicas, encrypted):
        replica.serving()
    port = programs.free_port()
    addresses = [replica.address for replica in replicas]
    prometheus = programs.prometheus(
        addresses, folder, port, interval="1s", encrypted=(encrypted.address, made / "ca.pem")
    )
    running.append(prometheus)
    prometheus.ready(port)
    # Counters are there before they grow; else their first growth is not seen.
    time.sleep(2)
    load(replicas, folder, binary, drawn[1])
    half = go_down(replicas[-1], drawn[1])
    time.sleep(3)
    asked = empty = 0
    for title, expression in expressions():
        # Recordings look back five minutes, of which a fraction has passed; a number is an answer all the same.
        found = [row for row in programs.query(port, expression) if row["value"][1] != "NaN"]
        asked += 1
        if not found and title not in empty_by_right:
            empty += 1
            print(f"nothing: {title}: {expression}")
    half.close()
    print(f"{asked} queries, {empty} answered with nothing, {len(empty_by_right)} panels excepted")
    return empty


def main() -> int:
    """Checks; 2 where a program is missing."""
    parser = argparse.ArgumentParser(description="Asks a Prometheus every query of the dashboard.")
    parser.add_argument("--binary", default=programs.BINARY)
    binary = parser.parse_args().binary
    if not programs.find("prometheus"):
        print("missing: prometheus", file=sys.stderr)
        return 2
    running: list[Program] = []
    with tempfile.TemporaryDirectory() as folder:
        try:
            return min(check(Path(folder), binary, running), 1)
        finally:
            for program in running:
                program.stop()


if __name__ == "__main__":
    sys.exit(main())
