"""The server as a process of this machine, which does not outlive its owner, however that ends."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable
from importlib import metadata
from pathlib import Path

from typing_extensions import Self

# Runs between an owner and the server. The owner holds the other end of its standard input and never writes; when the
# owner is gone, killed or not, the kernel closes it. Linux also ends the server with this process.
_GUARD = """
import ctypes, signal, subprocess, sys, threading
def tied():
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)
server = subprocess.Popen(sys.argv[1:], stdin=subprocess.DEVNULL, preexec_fn=tied)
def watch():
    sys.stdin.buffer.read()
    server.kill()
threading.Thread(target=watch, daemon=True).start()
sys.stdout.close()
sys.exit(server.wait() & 255)
"""


def find_binary(binary: str | os.PathLike[str] | None = None) -> str:
    """The program `scotoma`: `binary`, or SCOTOMA_BINARY, or that of scotoma-server, or what the PATH has."""
    named = binary or os.environ.get("SCOTOMA_BINARY")
    found = shutil.which(str(named)) if named else _installed() or shutil.which("scotoma")
    if found is None:
        what = (
            f"no program {named}"
            if named
            else "no program scotoma: neither scotoma-server is installed nor has the PATH one"
        )
        raise FileNotFoundError(
            f"{what}; pip install scotoma-server brings it, SCOTOMA_BINARY and binary= say where it is"
        )
    return str(Path(found).resolve())


def _installed() -> str | None:
    """The program that the package scotoma-server has put somewhere."""
    try:
        files = metadata.files("scotoma-server") or []
    except metadata.PackageNotFoundError:
        return None
    return next((str(file.locate()) for file in files if file.name in ("scotoma", "scotoma.exe")), None)


class ServerProcess:
    """A running server; `address` is where it answers."""

    def __init__(self, command: Iterable[str]) -> None:
        """Starts it, and waits until its model is loaded."""
        guarded = [sys.executable, "-S", "-E", "-c", _GUARD, *command]
        environment = {"SCOTOMA_LOG": "warn", **os.environ}
        self._process = subprocess.Popen(
            guarded, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
        )
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        found = re.search(r"https?://(\S+) ", line)
        if found is None:
            self.close()
            raise RuntimeError(f"{' '.join(guarded[5:])}: the server did not start; its log says why: {line}")
        self.address = found[1]

    def __enter__(self) -> Self:
        """The server itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Ends it."""
        self.close()

    @property
    def alive(self) -> bool:
        """Whether the process runs."""
        return self._process.poll() is None

    def close(self) -> None:
        """Ends the process."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()


class LocalServer(ServerProcess):
    """A server on a free port of this machine, for as long as a block lasts.

    with LocalServer("--preset", 'blind=[{"blankImage":{}}]') as server, Client(server.address) as client:
        print(client.generate("Is there a red circle?", "picture.png").finish().text)
    """

    def __init__(self, *flags: str, model: str = "shapes", binary: str | os.PathLike[str] | None = None) -> None:
        """Starts `scotoma serve --model MODEL FLAGS`; `binary` is the program, where it is not found by itself."""
        super().__init__([find_binary(binary), "serve", "--listen", "127.0.0.1:0", "--model", model, *flags])
