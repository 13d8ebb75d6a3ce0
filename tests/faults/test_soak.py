"""An hour of all that clients do at once: nothing grows, nothing panics, no answer is INTERNAL.

Runs where SCOTOMA_SOAK_SECONDS says for how long (`make soak SECONDS=3600`). SCOTOMA_SOAK_RATE is how many calls a
second the clients together begin, SCOTOMA_SOAK_OUT a file for the samples, a line of JSON each.
"""

from __future__ import annotations

import base64
import io
import json
import os
import random
import re
import signal
import ssl
import subprocess
import threading
import time
import urllib.error
import urllib.request
import uuid
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf.json_format import ParseDict
from PIL import Image
from scotoma import (
    Client,
    ScotomaError,
    drop_layers,
    hooks,
    intervention,
    occlude_random,
    permute_tokens,
    sample,
    tokens,
)
from scotoma.v1 import inference_service_pb2 as pb

from asks import eventually
from conftest import BINARY, ROOT, Server, picture, serving

SECONDS = float(os.environ.get("SCOTOMA_SOAK_SECONDS", "0"))
RATE = float(os.environ.get("SCOTOMA_SOAK_RATE", "8"))
OUT = os.environ.get("SCOTOMA_SOAK_OUT")
CLIENTS = 6
TINY = ROOT / "tests/goldens/tiny-gqa-tied/model"
POINT = "language_model.blocks.0.hook_resid_post"
QUESTION = "Is there a red circle?"

# What each sample may grow by over the last three quarters, as the line through the samples says.
BOUNDS = {
    "memory_mib": 24.0,
    "unaccounted_mib": 16.0,
    "descriptors": 4.0,
    "threads": 2.0,
    "series": 10.0,
    "state_mib": 2.0,
}
# Held by requests alone: nothing of it is left when all clients have gone.
TRANSIENT = ("queue", "message_bytes", "picture_pixels", "unread_bytes")
# Caches are small and fill up in the first quarter, so that what grows afterwards is not one of them.
FLAGS = (
    "--kv-cache-mib", "16", "--image-cache-mib", "4", "--checkpoint-mib", "8", "--keep-mib", "2", "--upload-mib", "1",
    "--replay-mib", "1", "--queue", "64", "--keepalive", "5", "--metrics-by-key", "--allow-load",
    "--log-format", "json",
)  # fmt: skip


class Clients:
    """What the clients do, each call by its own name; a call returns nothing or raises what the server said."""

    def __init__(self, server: Server, folder: Path, keys: dict[str, str], name: str, number: int) -> None:
        self.server, self.folder, self.keys = server, folder, keys
        self.random = random.Random(number)
        self.ca = folder / "certificates/ca.pem"
        self.key = keys[name]
        self.client = self.connect(self.key)
        self.number = number

    def connect(self, key: str) -> Client:
        return Client(f"https://localhost:{self.server.port}", api_key=key, ca=self.ca, patience=0)

    def picture(self) -> bytes:
        return picture(self.random.randrange(200), self.random.choice((84, 120, 336)))

    def changes(self) -> list[Any]:
        seed = self.random.randrange(1 << 30)
        all_of_them = [permute_tokens(seed), occlude_random(0.5, seed=seed), drop_layers([seed % 8])]
        return self.random.sample(all_of_them, self.random.randrange(3))

    def generate(self) -> None:
        self.client.generate(QUESTION, self.picture(), max_tokens=8, interventions=self.changes()).finish()

    def generate_again(self) -> None:
        name, asked, seen = uuid.uuid4().hex, self.picture(), []
        for _ in range(2):
            answer = self.client.generate(QUESTION, asked, max_tokens=8, idempotency_key=name)
            seen.append(answer.finish().provenance.digest)
        assert seen[0] == seen[1]

    def cancel(self) -> None:
        sampling = {"temperature": 100.0, "seed": 96}
        for _ in self.client.generate(QUESTION, self.picture(), max_tokens=1000, sampling=sampling):
            break

    def deadline(self) -> None:
        self.client.generate(QUESTION, self.picture(), max_tokens=1000, timeout=0.01).finish()

    def score(self) -> None:
        assert len(self.client.score(QUESTION, [" yes", " no"], self.picture()).scores) == 2

    def sweep(self) -> None:
        variants = [[permute_tokens(self.random.randrange(1000))] for _ in range(8)]
        assert len(list(self.client.sweep(QUESTION, self.picture(), variants=variants, max_tokens=2))) == 8

    def sweep_and_leave(self) -> None:
        for _ in self.client.sweep(QUESTION, self.picture(), variants=[[drop_layers([i % 8])] for i in range(64)]):
            break

    def capture(self) -> None:
        where = {"point": POINT, "tokens": {"anyOf": [{"named": "NAMED_ALL"}]}, "steps": {"last": 0}}
        target = ParseDict({"target": where, "keep": True}, pb.CaptureTarget())
        capture = self.client.capture(QUESTION, [target], self.picture())
        list(capture)
        patch = intervention(
            "patch", target={"point": POINT, "steps": {"last": 0}}, handle=capture.finished.kept[0].handle
        )
        self.client.generate(QUESTION, self.picture(), max_tokens=2, interventions=[patch]).finish()

    def trace(self) -> None:
        asked, places = (QUESTION, self.picture()), {"picture": tokens.visual, "last": tokens.last}
        changes = [occlude_random(0.5, seed=self.random.randrange(1000))]
        where = hooks.blocks[:2].hook_resid_pre
        assert len(list(self.client.trace(asked, changes, " yes", " no", hook=where, positions=places))) == 4

    def attribute(self) -> None:
        method = self.random.choice(("gradient", "gradient_times_input", "integrated_gradients"))
        steps = {"steps": 4} if method == "integrated_gradients" else {}
        assert list(self.client.attribute(QUESTION, " yes", self.picture(), method=method, **steps))

    def verify(self) -> None:
        asked = self.picture()
        record = self.client.generate(QUESTION, asked, max_tokens=4, interventions=self.changes()).finish().provenance
        assert self.client.verify(record, [asked]).agrees

    def upload(self) -> None:
        # Of 20 KB, and none like another: the store of uploads is full within minutes. Small pictures fill it for half
        # an hour, and memory rises with it.
        noise = Image.frombytes("RGB", (84, 84), self.random.randbytes(3 * 84 * 84))
        file = io.BytesIO()
        noise.save(file, "PNG")
        handle = self.client.upload_image(file.getvalue())
        self.client.generate(QUESTION, handle, max_tokens=2).finish()

    def evaluate(self) -> None:
        asked = [
            sample(str(i), QUESTION, self.picture(), answer="yes", category="existence")
            for i in range(self.random.randrange(1, 12))
        ]
        variants = {"original": [], "permuted": [permute_tokens(7)]}
        answers = list(self.client.evaluate("shapes", asked, variants=variants))
        assert len(answers) == 2 * len(asked), f"{len(answers)} of {2 * len(asked)} answers"

    def preview_and_list(self) -> None:
        self.client.preview(self.picture(), interventions=[occlude_random(0.5, seed=7)])
        self.client.list_models()
        self.client.list_hook_points()

    def new_connection(self) -> None:
        with self.connect(self.key) as client:
            client.generate(QUESTION, self.picture(), max_tokens=2).finish()

    def openai(self) -> None:
        url = "data:image/png;base64," + base64.b64encode(self.picture()).decode()
        content = [{"type": "image_url", "image_url": {"url": url}}, {"type": "text", "text": QUESTION}]
        stream, messages = self.random.random() < 0.5, [{"role": "user", "content": content}]
        body = {"model": "shapes", "max_tokens": 6, "stream": stream, "messages": messages}
        answer = self.http("/v1/chat/completions", json.dumps(body).encode(), self.key)
        assert (b"[DONE]" if stream else b'"choices"') in answer

    def http(self, path: str, body: bytes | None, key: str) -> bytes:
        headers = {"authorization": f"Bearer {key}", "content-type": "application/json"}
        url = f"https://localhost:{self.server.port}{path}"
        request = urllib.request.Request(url, body, headers)
        context = ssl.create_default_context(cafile=str(self.ca))
        with urllib.request.urlopen(request, timeout=120, context=context) as response:
            return bytes(response.read())

    def mistakes(self) -> None:
        wrong = self.random.randrange(5)
        if wrong == 0:
            with self.connect(uuid.uuid4().hex) as stranger:
                stranger.list_models()
        elif wrong == 1:
            self.client.generate(QUESTION, self.picture()[:-40], max_tokens=2).finish()
        elif wrong == 2:
            self.client.generate(QUESTION, self.picture(), model=uuid.uuid4().hex).finish()
        elif wrong == 3:
            self.client.generate(QUESTION, self.picture(), interventions=[drop_layers([99])]).finish()
        else:
            with suppress(urllib.error.HTTPError):
                self.http("/v1/chat/completions", b'{"model": "shapes", "messages": [{"role":', self.key)

    def load_and_unload(self) -> None:
        name = f"mine-{self.number}"
        with self.connect(self.keys["root"]) as root:
            list(root.load_model(str(TINY), name=name))
            root.unload_model(name)

    def reload(self) -> None:
        """Draws the key of one more user anew, and has the server read keys and certificates again."""
        file = self.folder / "keys.txt"
        lines = [line for line in file.read_text().splitlines() if not line.startswith("guest")]
        file.write_text("\n".join([*lines, draw("guest")[1]]) + "\n")
        self.server.signal(signal.SIGHUP)


def draw(name: str, *flags: str) -> tuple[str, str]:
    """Returns a key and its line for the server's file."""
    out = subprocess.run([BINARY, "key", name, *flags], check=True, capture_output=True, text=True).stdout.splitlines()
    return out[1], out[4]


# How often each is done, and the codes it may end with beside OK.
CALLS: dict[str, tuple[int, set[str]]] = {
    "generate": (30, set()), "generate_again": (5, set()), "cancel": (5, set()), "deadline": (4, {"DEADLINE_EXCEEDED"}),
    "score": (6, set()), "trace": (2, set()), "attribute": (2, set()), "verify": (2, set()),
    "sweep": (5, set()), "sweep_and_leave": (2, set()), "capture": (4, {"NOT_FOUND"}),
    "upload": (6, {"NOT_FOUND"}), "evaluate": (3, set()), "preview_and_list": (4, set()), "new_connection": (6, set()),
    "openai": (8, set()), "load_and_unload": (1, set()),
    "mistakes": (8, {"UNAUTHENTICATED", "INVALID_ARGUMENT", "NOT_FOUND"}),
}  # fmt: skip


class Traffic:
    """Clients that go on until they are told to stop, and what became of their calls."""

    def __init__(self, clients: list[Clients]) -> None:
        self.over, self.lock = threading.Event(), threading.Lock()
        self.codes: Counter[str] = Counter()
        self.wrong: list[str] = []
        self.threads = [threading.Thread(target=self._go_on, args=(one,)) for one in clients]
        for thread in self.threads:
            thread.start()

    def _go_on(self, clients: Clients) -> None:
        names = list(CALLS)
        weights = [CALLS[name][0] for name in names]
        while not self.over.is_set():
            name = clients.random.choices(names, weights)[0]
            begun = time.monotonic()
            code, detail = outcome(getattr(clients, name))
            with self.lock:
                self.codes[f"{name} {code}"] += 1
                # A refusal with a delay is an answer under load.
                if code not in CALLS[name][1] | {"OK", "RESOURCE_EXHAUSTED"}:
                    self.wrong.append(f"{name}: {code}: {detail}")
            self.over.wait(max(0.0, CLIENTS / RATE - (time.monotonic() - begun)))

    @property
    def calls(self) -> int:
        """How many have ended."""
        with self.lock:
            return sum(self.codes.values())

    def stop(self) -> None:
        self.over.set()
        for thread in self.threads:
            thread.join(180)


def outcome(call: Callable[[], None]) -> tuple[str, str]:
    """Makes a call and returns its code."""
    try:
        call()
    except ScotomaError as error:
        return error.code.name, str(error)
    except grpc.RpcError as error:
        return error.code().name, str(error.details())
    except urllib.error.HTTPError as error:
        code = "RESOURCE_EXHAUSTED" if error.code in (429, 503) else f"HTTP {error.code}"
        return code, error.read().decode(errors="replace")[:500]
    except Exception as error:
        return type(error).__name__, str(error)[:500]
    return "OK", ""


def metrics_page(server: Server, ca: Path) -> str:
    context = ssl.create_default_context(cafile=str(ca))
    url = f"https://localhost:{server.port}/metrics"
    with urllib.request.urlopen(url, timeout=60, context=context) as page:
        return str(page.read().decode())


def budgets(page: str) -> dict[str, float]:
    found = re.findall(r'^scotoma_budget_used\{budget="(\w+)"\} (\S+)$', page, re.MULTILINE)
    return {name: float(value) for name, value in found}


def accounted(page: str) -> float:
    """Returns the bytes that the server says it keeps."""
    kept = r"^scotoma_(?:kv_cache|image_cache|checkpoint)_bytes (\S+)$"
    stores = ("uploads", "kept_activations", "replays", "message_bytes", "unread_bytes")
    caches = sum(float(value) for value in re.findall(kept, page, re.MULTILINE))
    return caches + sum(budgets(page).get(name, 0) for name in stores)


def look(server: Server, folder: Path, begun: float, calls: int) -> dict[str, Any]:
    """Takes one sample."""
    page = metrics_page(server, folder / "certificates/ca.pem")
    kept = sum(path.stat().st_size for path in (folder / "state").rglob("*") if path.is_file())
    memory = server.memory()
    return {
        "seconds": round(time.monotonic() - begun, 1),
        "calls": calls,
        "memory_mib": memory / (1 << 20),
        # What is no cache and no store, whose bounds the flags say.
        "unaccounted_mib": (memory - accounted(page)) / (1 << 20),
        "descriptors": server.descriptors(),
        "threads": len(os.listdir(f"/proc/{server.process.pid}/task")),
        "series": sum(line.startswith("scotoma_") and "_bucket{" not in line for line in page.splitlines()),
        "state_mib": kept / (1 << 20),
        "budgets": budgets(page),
    }


def growth(samples: list[dict[str, Any]], name: str) -> float:
    """Returns by how much the line through the samples of the last three quarters rises (least squares)."""
    late = samples[len(samples) // 4 :]
    times, values = [one["seconds"] for one in late], [float(one[name]) for one in late]
    middle, mean = sum(times) / len(times), sum(values) / len(values)
    spread = sum((time - middle) ** 2 for time in times)
    slope = sum((time - middle) * (value - mean) for time, value in zip(times, values, strict=True)) / spread
    return slope * (times[-1] - times[0])


def watched(server: Server, folder: Path, traffic: Traffic, reload: Callable[[], None]) -> list[dict[str, Any]]:
    """Samples the server every five seconds, and has it read its files again every minute, until the time is over."""
    samples: list[dict[str, Any]] = []
    begun, reloads = time.monotonic(), 0
    while (passed := time.monotonic() - begun) < SECONDS:
        samples.append(look(server, folder, begun, traffic.calls))
        if OUT:
            with Path(OUT).open("a") as file:
                file.write(json.dumps(samples[-1]) + "\n")
        if passed // 60 > reloads:
            reload()
            reloads += 1
        time.sleep(5)
        assert server.process.poll() is None, server.lines()[-20:]
    return samples


@pytest.mark.skipif(not SECONDS, reason="make soak SECONDS=3600")
def test_nothing_grows(tmp_path: Path) -> None:
    """Reports the figures and holds their bounds."""
    drawn = {"root": draw("root", "--admin"), "alice": draw("alice"), "bob": draw("bob", "--upload", "256KiB")}
    (tmp_path / "keys.txt").write_text("\n".join(line for _, line in drawn.values()) + "\n")
    keys = {name: key for name, (key, _) in drawn.items()}
    made = [BINARY, "certificate", "localhost", "--out", str(tmp_path / "certificates")]
    subprocess.run(made, check=True, capture_output=True)
    flags = (
        *FLAGS, "--api-keys", str(tmp_path / "keys.txt"), "--state", str(tmp_path / "state"),
        "--audit-log", str(tmp_path / "audit.jsonl"),
        "--tls-cert", str(tmp_path / "certificates/server.pem"), "--tls-key", str(tmp_path / "certificates/server.key"),
    )  # fmt: skip
    with serving(*flags) as server:
        clients = [Clients(server, tmp_path, keys, ("alice", "bob")[i % 2], i) for i in range(CLIENTS)]
        traffic = Traffic(clients)
        try:
            samples = watched(server, tmp_path, traffic, clients[0].reload)
        finally:
            traffic.stop()
            for one in clients:
                one.client.close()
        told = {name: (samples[len(samples) // 4][name], samples[-1][name], growth(samples, name)) for name in BOUNDS}
        rate = traffic.calls / SECONDS
        print(f"\n{traffic.calls} calls in {SECONDS:.0f} s, {rate:.1f} a second: {dict(sorted(traffic.codes.items()))}")
        for name, (quarter, last, rise) in told.items():
            print(f"{name}: {quarter:.1f} after a quarter, {last:.1f} at the end; the line rises by {rise:+.1f}")
        ca = tmp_path / "certificates/ca.pem"

        def is_given_back() -> bool:
            used = budgets(metrics_page(server, ca))
            return not any(used[name] for name in TRANSIENT)

        eventually("what requests held is given back", is_given_back, 30)
        lines = server.lines()
        panics = [line for line in lines if "panic" in line.lower()]
        internal = [line for line in lines if '"code":"Internal"' in line]
        assert not traffic.wrong, traffic.wrong[:5]
        assert not panics + internal, (panics + internal)[:5]
        assert rate >= RATE / 2, f"{rate:.1f} calls a second, not {RATE}: this machine is too busy to show anything"
        for name, (_, _, rise) in told.items():
            assert rise <= BOUNDS[name], f"{name} rises by {rise:.1f}, more than {BOUNDS[name]}"
        server.signal()
        assert server.wait(30) == 0
