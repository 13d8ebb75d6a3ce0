"""10,000 questions with 1 GB of pictures through Evaluate: throughput and memory of both sides, against one request per question.

    python benches/evaluate.py [--items 10000]

Needs the release binary and the Python client. Pictures are noise (PNG, about 100 KB each, all different), the model is `shapes`.
"""

from __future__ import annotations

import argparse
import base64
import io
import re
import socket
import subprocess
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from PIL import Image

from scotoma import Client

ROOT = Path(__file__).parent.parent
BINARY = str(ROOT / "target" / "release" / "scotoma")
SIDE = 184


def picture(seed: int) -> bytes:
    png = io.BytesIO()
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)).save(png, "PNG")
    return png.getvalue()


def peak(pid: int) -> float:
    """The most memory that a process has had, in MB."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(re.search(r"VmHWM:\s+(\d+)", status)[1]) / 1e3  # type: ignore[index]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--items", type=int, default=10_000)
    items = parser.parse_args().items
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    server = subprocess.Popen([BINARY, "serve", "--listen", address, "--log", "error"], stdout=subprocess.DEVNULL)  # noqa: S603
    with tempfile.TemporaryDirectory() as scratch:
        table = Path(scratch) / "items.tsv"
        with table.open("w") as file:
            file.write("index\timage\tquestion\tA\tB\tanswer\tcategory\n")
            for i in range(items):
                file.write(f"{i}\t{base64.b64encode(picture(i)).decode()}\tIs there a red circle?\tyes\tno\tA\tx\n")
        print(f"{items} questions, {table.stat().st_size / 1e9:.2f} GB")
        command = [BINARY, "eval", "shapes", "--data", str(table), "--server", f"http://{address}", "--max-tokens", "2"]
        start, most = time.perf_counter(), 0.0
        client = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)  # noqa: S603
        while client.poll() is None:
            try:
                most = max(most, peak(client.pid))
            except (FileNotFoundError, TypeError):
                break
            time.sleep(0.05)
        seconds = time.perf_counter() - start
        print(f"Evaluate: {items / seconds:.0f} a second; client {most:.0f} MB, server {peak(server.pid):.0f} MB, exit {client.wait()}")
        count = items // 10
        with Client(address) as python, ThreadPoolExecutor(32) as pool:
            ask = lambda i: python.generate("Is there a red circle?\nA. yes\nB. no\nAnswer with the letter.", picture(i), max_tokens=2)  # noqa: E731
            start = time.perf_counter()
            list(pool.map(lambda i: list(ask(items + i)), range(count)))
            alone = count / (time.perf_counter() - start)
        print(f"one request per question, 32 at once, from Python: {alone:.0f} a second")
    server.terminate()
    server.wait()


if __name__ == "__main__":
    main()
