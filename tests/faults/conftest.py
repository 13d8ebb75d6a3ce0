"""Starts real servers, and looks at them from outside: exit codes, memory, lines of the log."""

from __future__ import annotations

import io
import os
import re
import signal
import ssl
import subprocess
import tempfile
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from PIL import Image, ImageDraw

ROOT = Path(__file__).parents[2]
BINARY = os.environ.get("SCOTOMA_BINARY", str(ROOT / "target/quick/scotoma"))


class Server:
    """A server of its own for a test, on a free port of this machine."""

    def __init__(self, *flags: str, listen: str = "127.0.0.1:0", **environment: str) -> None:
        """Starts the server and waits until it says where it serves."""
        self.log = tempfile.TemporaryFile("w+")  # noqa: SIM115 (closed by close)
        self.process = subprocess.Popen(
            [BINARY, "serve", "--listen", listen, *flags],
            stdout=subprocess.PIPE,
            stderr=self.log,
            text=True,
            env=os.environ | environment,
        )
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        found = re.search(r"(https?)://(\S+) ", line)
        if not found:
            self.process.kill()
            raise AssertionError(f"the server does not say where it serves: {line}{self.lines()}")
        self.scheme, self.address = found[1], found[2]
        self.port = int(self.address.rsplit(":", 1)[1])

    def signal(self, which: signal.Signals = signal.SIGTERM) -> None:
        """Sends a signal to the process."""
        self.process.send_signal(which)

    def wait(self, seconds: float) -> int:
        """Waits for the end and returns the exit code; TimeoutExpired where it takes longer."""
        return self.process.wait(seconds)

    def kill(self) -> None:
        """Ends the process as a lost machine would."""
        self.process.kill()
        self.process.wait(10)

    def close(self) -> None:
        """Ends the process if it still runs, and closes what it has written to."""
        if self.process.poll() is None:
            self.kill()
        self.log.close()
        if self.process.stdout is not None:
            self.process.stdout.close()

    def memory(self) -> int:
        """Returns the resident bytes of the process."""
        pages = int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")

    def peak(self) -> int:
        """Returns the most resident bytes that the process had."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        found = re.search(r"VmHWM:\s+(\d+) kB", status)
        assert found
        return int(found[1]) * 1024

    def descriptors(self) -> int:
        """Returns how many files and sockets the process holds."""
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))

    def metrics(self) -> dict[str, float]:
        """Returns the samples of /metrics by name and labels; a certificate is taken as it is."""
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        url = f"{self.scheme}://{self.address}/metrics"
        with urllib.request.urlopen(url, timeout=30, context=context) as page:
            lines = page.read().decode().splitlines()
        samples = (line.rsplit(" ", 1) for line in lines if line and not line.startswith("#"))
        return {name: float(value) for name, value in samples}

    def __del__(self) -> None:
        """Closes the files of a server that a test has ended itself."""
        for file in (self.log, self.process.stdout):
            if file is not None:
                file.close()

    def lines(self) -> list[str]:
        """Returns what the server has logged so far."""
        self.log.seek(0)
        return self.log.read().splitlines()


@contextmanager
def serving(*flags: str, **environment: str) -> Iterator[Server]:
    """Runs a server for the length of a block and ends it, however the block ends."""
    server = Server(*flags, **environment)
    try:
        yield server
    finally:
        server.close()


def picture(seed: int = 0, side: int = 84) -> bytes:
    """Draws a picture of one red disc, whose bytes differ with the seed."""
    image = Image.new("RGB", (side, side), (235, 235, 235 - seed % 200))
    ImageDraw.Draw(image).ellipse((side // 5, side // 3, side // 3, side // 2), fill=(214, 40, 40))
    out = io.BytesIO()
    image.save(out, "PNG")
    return out.getvalue()


@pytest.fixture
def server() -> Iterator[Server]:
    """A server with the defaults."""
    with serving() as started:
        yield started
