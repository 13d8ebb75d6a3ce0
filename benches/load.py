"""Many clients on one server: does anybody starve, does memory stay within its budget, does a long sweep stream steadily?

    python benches/load.py PICTURE [--threads 2]     with the Python client installed and the release binary built

Half of 64 clients sweep (8 layers x 20 seeds), half ask the same kind of question one after the other; then half of all leave at once;
then one client sweeps over 10,000 variants. Last, 32 clients and 8 ask as fast as they can where two
requests run at once: without keys, and with a key for each side.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import re
import socket
import statistics
import subprocess
import tempfile
import threading
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from scotoma import Client, drop_layers, permute_tokens
from scotoma.v1.inference_service_pb2 import Sampling

ROOT = Path(__file__).parent.parent
BINARY = str(ROOT / "target/release/scotoma")
MANY, FEW, SECONDS = 32, 8, 10
GRID = [drop_layers([0]), permute_tokens(0)]
LAYERS, SEEDS = "interventions[0].drop_layers.layers[0]", "interventions[1].permute_tokens.seed"
KV_MIB, IMAGE_MIB, CHECKPOINT_MIB = 256, 64, 64


class Server:
    def __init__(self, threads: int, *flags: str, api_key: str | None = None) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.address = f"127.0.0.1:{free.getsockname()[1]}"
        budgets = ["--kv-cache-mib", str(KV_MIB), "--image-cache-mib", str(IMAGE_MIB), "--checkpoint-mib", str(CHECKPOINT_MIB)]
        command = [BINARY, "--threads", str(threads), "serve", "--listen", self.address, *budgets, *flags]
        self.process = subprocess.Popen([*command, "--log", "warn"], stdout=subprocess.DEVNULL)
        for _ in range(100):
            with contextlib.suppress(Exception), Client(self.address, api_key=api_key) as client:
                client.list_models(timeout=1)
                return
            time.sleep(0.1)

    def memory(self, name: str = "VmRSS") -> float:
        return int(re.search(rf"{name}:\s+(\d+)", Path(f"/proc/{self.process.pid}/status").read_text())[1]) / 1e3

    def metric(self, name: str) -> float:
        with urllib.request.urlopen(f"http://{self.address}/metrics") as response:
            lines = response.read().decode().splitlines()
        return float(next((line.split()[-1] for line in lines if line.startswith(name + " ")), 0))


def crowd(server: Server, picture: bytes) -> None:
    latencies: list[float] = []
    stop = threading.Event()

    def sweeper() -> None:
        with Client(server.address) as client:
            while not stop.is_set():
                axes = {LAYERS: range(8), SEEDS: range(20)}
                for _ in client.sweep("Is there a red circle?", picture, grid=GRID, axes=axes, max_tokens=4):
                    if stop.is_set():
                        return

    def asker(number: int) -> None:
        with Client(server.address) as client:
            for i in range(8):
                start = time.perf_counter()
                client.generate(f"Question {number} {i}?", picture, max_tokens=4).finish()
                latencies.append(time.perf_counter() - start)

    before = server.metric("scotoma_rows_reused_total")
    sweepers = [threading.Thread(target=sweeper) for _ in range(32)]
    askers = [threading.Thread(target=asker, args=(i,)) for i in range(32)]
    for thread in sweepers + askers:
        thread.start()
    held = []
    while any(thread.is_alive() for thread in askers):
        held.append(server.metric("scotoma_kv_cache_bytes") / 1e6)
        time.sleep(0.2)
    stop.set()
    for thread in sweepers:
        thread.join()
    middle = statistics.median(latencies)
    print(f"equal requests beside 32 sweeps: median {middle:.2f} s, most {max(latencies):.2f} s, ratio {max(latencies) / middle:.2f}")
    print(f"keys and values at most {max(held):.0f} MB of {KV_MIB} MiB; resident {server.memory():.0f} MB")
    print(f"rows reused: {server.metric('scotoma_rows_reused_total') - before:,.0f}")
    for _ in range(100):
        if server.metric("scotoma_requests_running") + server.metric("scotoma_requests_waiting") == 0:
            break
        time.sleep(0.1)
    left = server.metric("scotoma_requests_running"), server.metric("scotoma_checkpoint_bytes")
    print(f"after they left: {left[0]:.0f} requests run, {left[1]:.0f} bytes of checkpoints are held")


def long_sweep(server: Server, picture: bytes) -> None:
    with Client(server.address) as client:
        axes = {LAYERS: range(8), SEEDS: range(1250)}
        start, times, resident = time.perf_counter(), [], []
        for result in client.sweep("Is there a red circle?", picture, grid=GRID, axes=axes, max_tokens=1):
            assert result.HasField("generated")
            times.append(time.perf_counter() - start)
            if len(times) % 500 == 0:
                resident.append(server.memory())
    tenths = [times[(i + 1) * len(times) // 10 - 1] - times[i * len(times) // 10] for i in range(10)]
    gaps = [b - a for a, b in zip(times, times[1:])]
    print(f"{len(times)} variants in {times[-1]:.1f} s; each tenth takes {min(tenths):.1f} to {max(tenths):.1f} s; longest pause {max(gaps):.2f} s")
    print(f"resident: {min(resident):.0f} to {max(resident):.0f} MB on the way, {server.memory('VmHWM'):.0f} MB at most")


def answered(server: Server, keys: list[str | None], picture: bytes) -> list[int]:
    """How many answers each client gets, the first MANY with one key, the others with the other."""
    until = time.monotonic() + SECONDS

    def ask(number: int) -> int:
        with Client(server.address, api_key=keys[number // MANY]) as client:
            for count in itertools.count():
                # Long answers, so that the clients are not what limits.
                anything = Sampling(temperature=100, seed=count)
                client.generate(f"Question {number}?", picture, max_tokens=64, sampling=anything).finish()
                if time.monotonic() > until:
                    return count
        raise AssertionError

    with ThreadPoolExecutor(MANY + FEW) as pool:
        return list(pool.map(ask, range(MANY + FEW)))


def shares(threads: int, picture: bytes) -> None:
    drawn = [subprocess.run([BINARY, "key", name], capture_output=True, text=True, check=True).stdout.splitlines() for name in ("many", "few")]
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as file:
        file.write("\n".join(lines[-1] for lines in drawn))
        file.flush()
        with_keys = ["--api-keys", file.name], [lines[1] for lines in drawn]
        for what, (flags, keys) in {"without keys": ([], [None, None]), "with a key for each side": with_keys}.items():
            server = Server(threads, "--max-running", "2", *flags, api_key=keys[0])
            try:
                counts = answered(server, keys, picture)
            finally:
                server.process.terminate()
            print(f"{what}: {MANY} clients have {sum(counts[:MANY])} answers in {SECONDS} s, {FEW} clients {sum(counts[MANY:])}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("picture", type=Path)
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    server = Server(arguments.threads)
    try:
        crowd(server, arguments.picture.read_bytes())
        long_sweep(server, arguments.picture.read_bytes())
    finally:
        server.process.terminate()
    shares(arguments.threads, arguments.picture.read_bytes())


if __name__ == "__main__":
    main()
