"""A real server on a free port, and a picture."""

from __future__ import annotations

import io
import os
import re
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from PIL import Image, ImageDraw

ROOT = Path(__file__).parents[3]
# The program that the tests of Rust built, too.
BINARY = os.environ.get("SCOTOMA_BINARY", str(ROOT / "target/quick/scotoma"))


@contextmanager
def serving(
    *flags: str, listen: str = "127.0.0.1:0", ends: signal.Signals = signal.SIGTERM
) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A server and its address; it has to end well on SIGTERM, unless a test kills it."""
    process = subprocess.Popen([BINARY, "serve", "--listen", listen, *flags], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    with process:
        address = re.search(r"http://(\S+) ", process.stdout.readline())
        assert address, "the server says where it serves"
        try:
            yield process, address[1]
        finally:
            process.send_signal(signal.SIGTERM)
            code = process.wait(60)
        assert code == (0 if ends is signal.SIGTERM else -ends)


@pytest.fixture(scope="session")
def server() -> Iterator[str]:
    with serving() as (_, address):
        yield address


@pytest.fixture(scope="session")
def pillow() -> Image.Image:
    image = Image.new("RGB", (84, 84), (235, 235, 235))
    ImageDraw.Draw(image).ellipse((16, 30, 26, 40), fill=(214, 40, 40))
    return image


@pytest.fixture(scope="session")
def png(pillow: Image.Image) -> bytes:
    out = io.BytesIO()
    pillow.save(out, "PNG")
    return out.getvalue()
