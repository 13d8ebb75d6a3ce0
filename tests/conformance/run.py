"""Runs cases.json through every client against real servers, compares what they say, and prints the table.

    clients/python/.venv/bin/python tests/conformance/run.py [LANGUAGE ...]

A client's runner gets the path of a script (addresses, certificates, cases with pictures filled in) and of a file to which it writes what
it observed, by the name of the case. Observations have to be as `expect` says, and the same in all languages, whatever has no reason to
differ: times, names of requests, and what caches saved are left out.
"""

from __future__ import annotations

import base64
import ctypes
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import trustme

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
CLIENTS = ROOT / "clients"
BUILT = ROOT / "target" / os.environ.get("SCOTOMA_PROFILE", "quick")
BINARY = os.environ.get("SCOTOMA_BINARY", str(BUILT / "scotoma"))
RUNNERS: dict[str, list[str]] = {
    "rust": [str(BUILT / "examples/conformance")],
    "python": [sys.executable, str(CLIENTS / "python/tests/conformance.py")],
    "asyncio": [sys.executable, str(CLIENTS / "python/tests/conformance.py"), "--asyncio"],
    "typescript": ["node", str(CLIENTS / "typescript/test/build/test/conformance.js")],
    "browser": ["node", str(CLIENTS / "typescript/test/build/test/browser.js")],
    "go": [str(ROOT / "target/conformance-go")],
}
# Differs from run to run: times, names, and what caches saved.
VOLATILE = {"requestId", "rowsComputed", "rowsReused", "flops", "retryDelay"}
QUESTION = "Is there a red circle?"


class Server:
    """A server that can be killed and started anew at its address."""

    def __init__(self, *flags: str) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.flags, self.lock = flags, threading.Lock()
        self.start()

    def start(self) -> None:
        command = [BINARY, "serve", "--listen", f"127.0.0.1:{self.port}", "--log", "error", "--cors-origin", "*", *self.flags]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert "serves on" in line, line

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def revive(self) -> None:
        if self.process.poll() is not None:
            self.start()

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait()


def cancelled(server: Server) -> int:
    with urllib.request.urlopen(f"http://127.0.0.1:{server.port}/metrics") as response:
        text = response.read().decode()
    counts = re.findall(r'^scotoma_requests_total\{(?=[^}]*method="Generate")(?=[^}]*code="Cancelled")[^}]*\} (\d+)', text, re.M)
    return sum(map(int, counts))


class Relay:
    """A way to a server that can lose everything on it without a word, as a network does."""

    def __init__(self, server: Server) -> None:
        self.server, self.lost = server, threading.Event()
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self) -> None:
        while True:
            client, _ = self.listener.accept()
            server = socket.create_connection(("127.0.0.1", self.server.port))
            for ends in ((client, server), (server, client)):
                threading.Thread(target=self.carry, args=(*ends, self.lost), daemon=True).start()

    @staticmethod
    def carry(source: socket.socket, target: socket.socket, lost: threading.Event) -> None:
        with suppress(OSError):
            while data := source.recv(1 << 16):
                if not lost.is_set():
                    target.sendall(data)
            target.shutdown(socket.SHUT_WR)

    def lose(self) -> None:
        """Connections that are there, not those that come."""
        self.lost.set()
        self.lost = threading.Event()


class Page:
    """A proxy that has no server: whatever is asked over HTTP/2, it answers 502 with a page for people."""

    # :status 502, content-type text/html: literals whose names are in HPACK's static table.
    HEADERS = b"\x08\x03502\x0f\x10\x09text/html"

    def __init__(self) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self) -> None:
        while True:
            client, _ = self.listener.accept()
            threading.Thread(target=self.answer, args=(client,), daemon=True).start()

    def answer(self, client: socket.socket) -> None:
        def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
            return len(payload).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big") + payload

        with suppress(OSError), client, client.makefile("rb") as source:
            source.read(24)  # the preface
            client.sendall(frame(4, 0, 0))
            while head := source.read(9):
                kind, flags, stream = head[3], head[4], int.from_bytes(head[5:], "big")
                payload = source.read(int.from_bytes(head[:3], "big"))
                if kind == 4 and not flags & 1:
                    client.sendall(frame(4, 1, 0))
                elif kind == 6 and not flags & 1:
                    client.sendall(frame(6, 1, 0, payload))
                elif kind == 1:
                    page = b"<html><h1>502 Bad Gateway</h1></html>"
                    client.sendall(frame(1, 4, stream, self.HEADERS) + frame(0, 1, stream, page))


@contextmanager
def control(server: Server, relay: Relay, second: Server) -> Iterator[str]:
    """What runners ask of the servers' keeper.

    /restart, /down (it comes back after half a second), /cancelled, /lose; of the second server /kill and /revive.
    """

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:  # noqa: N802
            with server.lock:
                text = ""
                if self.path == "/restart":
                    server.kill()
                    server.start()
                elif self.path == "/down":
                    server.kill()
                    threading.Timer(0.5, server.start).start()
                elif self.path == "/cancelled":
                    text = str(cancelled(server))
                elif self.path == "/lose":
                    relay.lose()
                elif self.path == "/kill":
                    second.kill()
                elif self.path == "/revive":
                    second.revive()
            self.send_response(200)
            self.send_header("access-control-allow-origin", "*")
            self.send_header("content-length", str(len(text)))
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, *_: object) -> None:
            pass

    keeper = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=keeper.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{keeper.server_port}"
    keeper.shutdown()


def write_data(folder: Path, pictures: dict[str, str]) -> dict[str, str]:
    """Questions in files: ordinary, quoted, by the index of another row, by a picture's name, and wrong."""
    (folder / "square.png").write_bytes(base64.b64decode(pictures["square"]))
    rows = [f"{i}\t{pictures['square']}\t{QUESTION}\t\t\tyes\t{note}" for i, note in ((1, "first"), (2, '"two\nlines, ""quoted"""'))]
    rows += [f"3\tsquare.png\t{QUESTION}\t\t\tyes\té", f"4\t1\t{QUESTION}\t\t\tno\t", f"5\t2\t{QUESTION}\tyes\tno\tA\t"]
    rows += [f"6\t1\t{QUESTION}\tyes\tno\tC\tan answer that is no option"]
    table = folder / "items.tsv"
    # As spreadsheets write them: with a byte order mark.
    table.write_text("\n".join(["index\timage\tquestion\tA\tB\tanswer\tnote", *rows]) + "\n", encoding="utf-8-sig")
    options = {"question": QUESTION, "options": ["yes", "no"], "answer": "A"}
    images = ("square.png", pictures["tall"], ["square.png"])
    manifest = folder / "items.jsonl"
    lines = [json.dumps({"index": i, "image": image, **options}) for i, image in enumerate(images)]
    manifest.write_text("\n".join(lines), encoding="utf-8-sig")
    tables = {path.name: str(path) for path in (ROOT / "tests/tables").glob("*.parquet")}
    # A picture that is beside the table, and one that is not.
    commas = folder / "items.csv"
    commas.write_text(f'index,images,question,choices,answer\n1,"[\'square.png\', \'square.png\']","{QUESTION}","[\'yes\', \'no\']",(b)\n2,gone.png,{QUESTION},"A. yes B. no",1\n')
    return tables | {"items.tsv": str(table), "items.jsonl": str(manifest), "items.csv": str(commas), "benchmark.tsv": str(ROOT / "models/shapes/benchmark.tsv")}


def filled(value: Any, known: dict[str, Any]) -> Any:
    """`value` with what `@name` stands for."""
    if isinstance(value, str) and value.startswith("@"):
        return known[value[1:]]
    if isinstance(value, list):
        return [filled(v, known) for v in value]
    if isinstance(value, dict):
        return {k: filled(v, known) for k, v in value.items()}
    return value


def cleaned(value: Any) -> Any:
    """Without what may differ, and without what is there only for one way of writing defaults."""
    if isinstance(value, dict):
        kept = {k: cleaned(v) for k, v in value.items() if k not in VOLATILE and not k.endswith(("Seconds", "seconds"))}
        # `identity` is a choice, though there is nothing in it.
        return {k: v for k, v in kept.items() if v not in ("", [], {}, None) or k in ("text", "answer", "identity")}
    if isinstance(value, list):
        return [cleaned(v) for v in value]
    return value


def misses(expected: Any, found: Any, path: str = "") -> str | None:
    """Where `found` lacks what is expected, if it does."""
    if isinstance(expected, dict):
        if not isinstance(found, dict):
            return f"{path}: {found!r} is no object"
        return next((m for k, v in expected.items() if (m := misses(v, found.get(k), f"{path}.{k}"))), None)
    if isinstance(expected, list) and isinstance(found, list) and len(found) >= len(expected):
        return next((m for i, v in enumerate(expected) if (m := misses(v, found[i], f"{path}[{i}]"))), None)
    said = found.strip() if isinstance(found, str) else found
    return None if said == expected else f"{path}: {found!r}, expected {expected!r}"


def differs(first: Any, other: Any, path: str = "") -> str | None:
    """Where two observations differ, if they do."""
    if isinstance(first, dict) and isinstance(other, dict):
        keys = sorted(first.keys() | other.keys())
        return next((d for k in keys if (d := differs(first.get(k), other.get(k), f"{path}.{k}"))), None)
    if isinstance(first, list) and isinstance(other, list) and len(first) == len(other):
        return next((d for i, (a, b) in enumerate(zip(first, other, strict=True)) if (d := differs(a, b, f"{path}[{i}]"))), None)
    # Some languages write a number of 32 bits with all the digits that it has in 64.
    if isinstance(first, float) and isinstance(other, float) and single(first) == single(other) in (first, other):
        return None
    return None if first == other else f"{path}: {str(first)[:90]} / {str(other)[:90]}"


def single(value: float) -> float:
    """The number of 32 bits that is nearest."""
    return ctypes.c_float(value).value


def main() -> int:
    languages = sys.argv[1:] or list(RUNNERS)
    pictures = {p.stem: base64.b64encode(p.read_bytes()).decode() for p in (ROOT / "models/shapes/goldens/pictures").glob("*.png")}
    vectors = json.loads((ROOT / "tests/vectors/random.json").read_text())
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        known = {**pictures, **write_data(folder, pictures), "permutation_of_36": vectors[0]["permutation_of_36"]}
        cases = filled(json.loads((HERE / "cases.json").read_text()), known)
        authority = trustme.CA()
        authority.cert_pem.write_to_path(str(folder / "ca.pem"))
        for name, certificate in (("server", authority.issue_cert("127.0.0.1", "localhost")), ("client", authority.issue_cert("client"))):
            certificate.private_key_pem.write_to_path(str(folder / f"{name}.key"))
            certificate.cert_chain_pems[0].write_to_path(str(folder / f"{name}.pem"))
        drawn = subprocess.run([BINARY, "key", "conformance"], capture_output=True, text=True, check=True).stdout.splitlines()
        (folder / "keys").write_text(drawn[-1])
        server, second = Server("--allow-load"), Server()
        keyed = Server("--api-keys", str(folder / "keys"))
        secure = Server(
            "--tls-cert", str(folder / "server.pem"), "--tls-key", str(folder / "server.key"),
            "--tls-client-ca", str(folder / "ca.pem"), "--api-keys", str(folder / "keys"),
        )  # fmt: skip
        begun = folder / "begun.jsonl"
        permuted = 'permuted=[{"permuteTokens": {"seed": "1"}}]'
        command = [BINARY, "eval", "shapes", "--server", f"http://127.0.0.1:{server.port}", "--limit", "50", "--variant", permuted]
        subprocess.run([*command, "--out", str(begun)], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        observed: dict[str, dict[str, Any]] = {}
        try:
            relay, page = Relay(server), Page()
            with control(server, relay, second) as keeper:
                for language in languages:
                    own = folder / language
                    own.mkdir()
                    for suffix in ("", ".run.json"):
                        shutil.copy(f"{begun}{suffix}", own / f"begun.jsonl{suffix}")
                    script = {
                        "address": f"127.0.0.1:{server.port}", "secure": f"https://127.0.0.1:{secure.port}",
                        "keyed": f"127.0.0.1:{keyed.port}", "control": keeper,
                        "relay": f"127.0.0.1:{relay.port}", "second": f"127.0.0.1:{second.port}",
                        "page": f"127.0.0.1:{page.port}",
                        "ca": str(folder / "ca.pem"), "cert": str(folder / "client.pem"), "key": str(folder / "client.key"),
                        "apiKey": drawn[1], "folder": str(own), "pictures": pictures, "question": QUESTION,
                        "place": str(ROOT / "tests/goldens/tiny-next-llama"), "benchmark": known["benchmark.tsv"], "cases": cases,
                    }  # fmt: skip
                    (own / "script.json").write_text(json.dumps(script))
                    start = time.monotonic()
                    command = [*RUNNERS[language], str(own / "script.json"), str(own / "observed.json")]
                    try:
                        run = subprocess.run(command, timeout=300, env={**os.environ, "GRPC_VERBOSITY": "NONE"})
                        end = f"exit {run.returncode}"
                    except subprocess.TimeoutExpired:
                        end = "killed"
                    print(f"{language}: {time.monotonic() - start:.1f} s, {end}", flush=True)
                    written = own / "observed.json"
                    observed[language] = cleaned(json.loads(written.read_text())) if written.exists() else {}
        finally:
            server.stop()
            second.stop()
            secure.stop()
            keyed.stop()
    return report(cases, languages, observed)


def report(cases: list[dict[str, Any]], languages: list[str], observed: dict[str, dict[str, Any]]) -> int:
    passed, failed, lines = 0, 0, []
    width = max(len(case["name"]) for case in cases)
    print("\n" + " " * width + "".join(f"{language:>12}" for language in languages))
    for case in cases:
        name, cells, first = case["name"], [], None
        for language in languages:
            if language == "browser" and case.get("browser") is False:
                cells.append("-")
                continue
            found = observed[language].get(name)
            wrong = "no observation" if found is None else misses(case.get("expect", {}), found)
            first = found if first is None else first
            # Who sees first that a deadline has passed, the server or the client, is open.
            wrong = wrong or (None if case.get("only") else differs(first, found))
            cells.append("differs" if wrong else "equal")
            passed, failed = passed + (not wrong), failed + bool(wrong)
            if wrong:
                lines.append(f"{language}, {name}: {wrong}")
        print(f"{name:<{width}}" + "".join(f"{cell:>12}" for cell in cells))
    print("\n".join(["", *lines]))
    print(f"conformance: {passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
