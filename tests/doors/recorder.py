"""Stands between a program and the server, and keeps what the program sends."""

from __future__ import annotations

import http.client
import json
import threading
from contextlib import AbstractContextManager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

# Say who asks, or how the connection is made, and change from run to run.
DROPPED = {"authorization", "api-key", "connection", "content-length", "cookie", "host", "traceparent", "x-request-id"}
Request = dict[str, Any]


class Recorder(AbstractContextManager["Recorder"]):
    """Forwards to `server`, and lists the requests that came with the status of their answers."""

    def __init__(self, server: str) -> None:
        self.requests: list[Request] = []
        recorder, lock = self, threading.Lock()

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def forward(self) -> None:
                body = self.rfile.read(int(self.headers.get("content-length") or 0))
                upstream = http.client.HTTPConnection(server, timeout=600)
                headers = {name: value for name, value in self.headers.items() if name.lower() != "host"}
                upstream.request(self.command, self.path, body, headers)
                answer = upstream.getresponse()
                whole = answer.read()
                kept = {name.lower(): value for name, value in self.headers.items() if name.lower() not in DROPPED}
                request = {"method": self.command, "path": self.path, "headers": kept, "status": answer.status}
                with lock:
                    recorder.requests.append(request | ({"body": json.loads(body)} if body else {}))
                self.send_response(answer.status)
                self.send_header("content-type", answer.headers.get("content-type", "application/json"))
                self.send_header("content-length", str(len(whole)))
                self.end_headers()
                self.wfile.write(whole)
                upstream.close()

            do_GET = do_POST = forward

            def log_message(self, *_: object) -> None:
                """Says nothing."""

        self.listener = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.listener.daemon_threads = True
        threading.Thread(target=self.listener.serve_forever, daemon=True).start()

    @property
    def base(self) -> str:
        """The address that a program is given."""
        return f"http://127.0.0.1:{self.listener.server_address[1]}/v1"

    def __exit__(self, *_: object) -> None:
        self.listener.shutdown()
        self.listener.server_close()

    def save(self, path: Path, program: str) -> None:
        """Writes one request of each form: the same path, fields, status and kind of model."""
        forms: dict[str, Request] = {}
        for request in self.requests:
            body = request.get("body", {})
            form = [request["path"], request["status"], sorted(body), ":" in body.get("model", "")]
            forms.setdefault(json.dumps(form), request)
        fixture = {"program": program, "requests": [forms[form] for form in sorted(forms)]}
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps(fixture, indent=1, sort_keys=True) + "\n")
