"""What the parts of the check share: a server of the binary, pictures, and results that are written as they come."""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

ROOT = Path(__file__).resolve().parent.parent.parent
# Whoever imports this finds the client, too.
sys.path.insert(0, str(ROOT / "clients" / "python" / "src"))

if TYPE_CHECKING:
    from scotoma import Client

BINARY = ROOT / "target" / "release" / "scotoma"


def arguments_of(doc: str) -> argparse.ArgumentParser:
    """The flags that every part takes."""
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", type=Path, default=BINARY)
    parser.add_argument("--device", default="cuda:0")
    parser.add_argument("--out", type=Path, default=ROOT / "target" / "gpu-check", help="folder of results")
    parser.add_argument("--quick", action="store_true", help="the same with small numbers, to try it on a machine without a card")
    return parser


def picture(seed: int, side: int = 84) -> bytes:
    """A PNG of blocks under noise, another for each seed."""
    rng = np.random.default_rng(seed)
    blocks = rng.integers(0, 256, (7, 7, 3), dtype=np.uint8)
    pixels = np.asarray(Image.fromarray(blocks).resize((side, side), Image.Resampling.NEAREST), dtype=int)
    pixels = np.clip(pixels + rng.integers(-20, 21, pixels.shape), 0, 255).astype(np.uint8)
    png = io.BytesIO()
    Image.fromarray(pixels).save(png, "PNG")
    return png.getvalue()


class Results:
    """A JSON file that is whole after every change, beside text on standard output."""

    def __init__(self, out: Path, part: str) -> None:
        out.mkdir(parents=True, exist_ok=True)
        self.path, self.start = out / f"{part}.json", time.perf_counter()
        self.values: dict[str, object] = {"part": part, "complete": False, "passed": None}
        self.write()

    def write(self, **values: object) -> None:
        self.values.update(values, seconds=round(time.perf_counter() - self.start, 1))
        whole = self.path.with_suffix(".part")
        whole.write_text(json.dumps(self.values, indent=1))
        whole.replace(self.path)

    def finish(self, passed: bool) -> None:
        """Ends the process with what the part came to."""
        self.write(complete=True, passed=passed)
        print("PASSED" if passed else "FAILED", flush=True)
        sys.exit(0 if passed else 1)


class Server:
    """`scotoma serve` on a port of its own, ready to answer; its log goes to standard error."""

    def __init__(self, binary: Path, device: str, *flags: str, patience: float = 120) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.address = f"127.0.0.1:{free.getsockname()[1]}"
        command = [str(binary), "serve", "--listen", self.address, "--device", device, "--log", "warn", *flags]
        start = time.perf_counter()
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=sys.stderr, env=os.environ | {"NO_COLOR": "1"})  # noqa: S603
        while True:
            if self.process.poll() is not None:
                raise RuntimeError(f"the server ended with {self.process.returncode}: {' '.join(command)}")
            if time.perf_counter() - start > patience:
                self.close()
                raise RuntimeError(f"the server is not ready after {patience:.0f} s: {' '.join(command)}")
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", int(self.address.rpartition(":")[2])), 1):
                break
            time.sleep(0.05)
        self.seconds = time.perf_counter() - start

    def client(self) -> Client:
        """A connection of its own."""
        from scotoma import Client

        return Client(self.address)

    def close(self) -> None:
        """Ends the server, in peace if it can."""
        self.process.terminate()
        try:
            self.process.wait(15)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


@contextlib.contextmanager
def serving(binary: Path, device: str, *flags: str) -> Iterator[Server]:
    """A server that ends with the block."""
    server = Server(binary, device, *flags)
    try:
        yield server
    finally:
        server.close()
