"""Fires an alert for real: a server, Prometheus with our rules, Alertmanager with our routes, and a receiver.

    python deploy/fire_alert.py

The server is killed, and ScotomaDown has to arrive at the receiver of pages; the server comes back, and the end of the
alert has to arrive, too. Minutes of the configurations are made seconds, so that it takes less than one.
"""

from __future__ import annotations

import argparse
import json
import queue
import re
import sys
import tempfile
import threading
import time
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import programs
from programs import DEPLOY, Program, Replica


def receiver(port: int, received: queue.Queue[tuple[str, dict[str, Any]]]) -> HTTPServer:
    """Starts what stands for a pager: each message is put into a queue with its path."""

    class Pager(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            received.put((self.path, json.loads(body)))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Says nothing."""

    server = HTTPServer(("127.0.0.1", port), Pager)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


def hurried(text: str) -> str:
    """Makes the times of a configuration seconds: pending, grouping, repeating."""
    return re.sub(r"(for|group_wait|group_interval|repeat_interval): \d+[smh]", r"\1: 2s", text)


def next_of(
    received: queue.Queue[tuple[str, dict[str, Any]]], status: str, seconds: float
) -> tuple[str, dict[str, Any]]:
    """Waits for a message about ScotomaDown."""
    end = time.monotonic() + seconds
    while True:
        path, message = received.get(timeout=max(0.1, end - time.monotonic()))
        alerts = [alert for alert in message["alerts"] if alert["labels"]["alertname"] == "ScotomaDown"]
        if alerts and message["status"] == status:
            return path, alerts[0]


def fire(folder: Path, binary: str, running: list[Program]) -> None:
    """Starts everything, kills the server and brings it back."""
    received: queue.Queue[tuple[str, dict[str, Any]]] = queue.Queue()
    pager, alerts, watch = programs.free_port(), programs.free_port(), programs.free_port()
    receiver(pager, received)
    server = Replica("server", folder, binary=binary)
    running.append(server)
    config = hurried((DEPLOY / "alertmanager/alertmanager.yml").read_text())
    (folder / "alertmanager.yml").write_text(config.replace("127.0.0.1:9094", f"127.0.0.1:{pager}"))
    command = [programs.find("alertmanager") or "", "--config.file", str(folder / "alertmanager.yml"), "--storage.path"]
    command += [str(folder / "alerts"), "--web.listen-address", f"127.0.0.1:{alerts}", "--cluster.listen-address", ""]
    alertmanager = Program("alertmanager", command, folder)
    running.append(alertmanager)
    rules = folder / "rules.yml"
    rules.write_text(hurried((DEPLOY / "prometheus/rules.yml").read_text()))
    prometheus = programs.prometheus([server.address], folder, watch, alerts, "1s", rules)
    running.append(prometheus)
    server.serving()
    alertmanager.ready(alerts)
    prometheus.ready(watch)
    programs.wait_for("the first scrape", lambda: programs.query(watch, 'up{job="scotoma"} == 1'), 30)
    server.kill()
    killed = time.monotonic()
    path, alert = next_of(received, "firing", 60)
    print(f"fired {time.monotonic() - killed:.1f} s after the kill, to {path}: {alert['annotations']['summary']}")
    assert path == "/page", path
    assert alert["labels"]["severity"] == "page"
    again = Replica("server", folder, port=server.port, binary=binary)
    running.append(again)
    path, alert = next_of(received, "resolved", 90)
    print(f"resolved, to {path}: {alert['labels']['instance']}")


def main() -> int:
    """Fires; 2 where a program is missing."""
    parser = argparse.ArgumentParser(description="Fires an alert through Prometheus and Alertmanager.")
    parser.add_argument("--binary", default=programs.BINARY)
    binary = parser.parse_args().binary
    if lacking := [name for name in ("prometheus", "alertmanager") if not programs.find(name)]:
        print(f"missing: {', '.join(lacking)}", file=sys.stderr)
        return 2
    running: list[Program] = []
    with tempfile.TemporaryDirectory() as folder:
        try:
            fire(Path(folder), binary, running)
        finally:
            for program in running:
                program.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main())
