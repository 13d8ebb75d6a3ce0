"""Measures replicas behind HAProxy: what they bring, what keeping a picture on one is worth, what losing one costs.

    SCOTOMA_BINARY=target/release/scotoma clients/python/.venv/bin/python benches/replicas.py

Replicas run with --threads 1. Eight callers ask about 96 pictures, eight questions each in an order that is shuffled
once, so that a picture is asked about again much later. Prints what BENCHMARKS.md reports.
"""

from __future__ import annotations

import random
import sys
import tempfile
import time
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import grpc
from scotoma.v1 import inference_service_pb2 as pb
from scotoma.v1.inference_service_pb2_grpc import InferenceServiceStub

sys.path.insert(0, str(Path(__file__).parents[1] / "deploy"))
import programs
from programs import Program, Replica

PICTURES, QUESTIONS, CALLERS, SIDE = 96, 8, 8, 224
OPTIONS = [("grpc.use_local_subchannel_pool", 1), ("grpc.enable_retries", 0)]


def picture(seed: int) -> bytes:
    """Draws noise, as a PNG that is not compressed further."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        check = zlib.crc32(kind + data).to_bytes(4, "big")
        return len(data).to_bytes(4, "big") + kind + data + check

    noise = random.Random(seed)
    rows = b"".join(b"\0" + noise.randbytes(3 * SIDE) for _ in range(SIDE))
    header = SIDE.to_bytes(4, "big") * 2 + bytes([8, 2, 0, 0, 0])
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows, 1)) + chunk(b"IEND", b"")


@contextmanager
def fleet(count: int) -> Iterator[tuple[int, list[Replica], Path]]:
    """Runs replicas behind HAProxy."""
    running: list[Program] = []
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        try:
            replicas = [Replica(f"replica-{i}", folder, "--threads", "1") for i in range(count)]
            running.extend(replicas)
            for replica in replicas:
                replica.serving()
            port = programs.free_port()
            running.append(programs.haproxy([replica.address for replica in replicas], folder, port))
            running[-1].ready(port)
            # The health checks have to pass first.
            time.sleep(3)
            yield port, replicas, folder
        finally:
            for program in running:
                program.kill()


def ask(stub: InferenceServiceStub, message: pb.GenerateRequest, key: str | None) -> tuple[float, int]:
    """Asks until an answer is whole; returns the seconds that it took and the tries that were cut off."""
    metadata = (("x-scotoma-picture", key),) if key else ()
    start = time.monotonic()
    for cut in range(200):
        try:
            for _ in stub.Generate(message, metadata=metadata, timeout=60):
                pass
            return time.monotonic() - start, cut
        except grpc.RpcError:
            time.sleep(0.05)
    raise RuntimeError("no answer in 200 tries")


def load(port: int, affinity: bool, halfway: list[Replica]) -> tuple[float, list[tuple[float, float, int]]]:
    """Asks all questions; a replica of `halfway` is killed in the middle. Returns seconds, and what each call took."""
    questions = [(turn, which) for turn in range(QUESTIONS) for which in range(PICTURES)]
    random.Random(1).shuffle(questions)
    pictures = [picture(seed) for seed in range(PICTURES)]

    def work(first: int) -> list[tuple[float, float, int]]:
        found = []
        with grpc.insecure_channel(f"127.0.0.1:{port}", options=OPTIONS) as channel:
            stub = InferenceServiceStub(channel)
            for i in range(first, len(questions), CALLERS):
                if halfway and i >= len(questions) // 2 and first == 0:
                    halfway.pop().kill()
                turn, which = questions[i]
                message = pb.GenerateRequest(max_tokens=8)
                message.prompt.text = f"What is in picture {turn}?"
                message.prompt.images.add().data = pictures[which]
                begun = time.monotonic()
                found.append((begun, *ask(stub, message, f"{which:064x}" if affinity else None)))
        return found

    start = time.monotonic()
    with ThreadPoolExecutor(CALLERS) as pool:
        rows = [row for done in pool.map(work, range(CALLERS)) for row in done]
    return time.monotonic() - start, rows


def hits(replicas: list[Replica]) -> float:
    """Returns the share of pictures that were at hand, over the replicas that still run."""
    alive = [replica for replica in replicas if replica.process.poll() is None]
    found = sum(replica.metric("scotoma_image_cache_hits_total") for replica in alive)
    missed = sum(replica.metric("scotoma_image_cache_misses_total") for replica in alive)
    return found / (found + missed)


def quantile(values: list[float], q: float) -> float:
    """Returns a quantile of values, in milliseconds."""
    return 1000 * sorted(values)[min(int(q * len(values)), len(values) - 1)]


def main() -> None:
    """Prints both tables."""
    total = PICTURES * QUESTIONS
    print("| replicas | by picture | answers a second | pictures at hand | p50, p99 (ms) |\n|---|---|---|---|---|")
    for count in (1, 2, 4):
        for affinity in (True, False) if count > 1 else (True,):
            with fleet(count) as (port, replicas, _):
                seconds, rows = load(port, affinity, [])
                took = [row[1] for row in rows]
                by_picture = "yes" if affinity else "no"
                shares = f"{total / seconds:.0f} | {100 * hits(replicas):.0f} %"
                print(
                    f"| {count} | {by_picture} | {shares} | {quantile(took, 0.5):.0f}, {quantile(took, 0.99):.0f} |",
                    flush=True,
                )
    with fleet(2) as (port, replicas, _):
        _, rows = load(port, True, [replicas[1]])
        took = [row[1] for row in rows]
        print(
            f"\none of two killed halfway: {len(rows)} of {total} answered, {sum(row[2] for row in rows)} tries cut, "
            f"p50 {quantile(took, 0.5):.0f} ms, slowest {quantile(took, 1):.0f} ms"
        )


if __name__ == "__main__":
    main()
