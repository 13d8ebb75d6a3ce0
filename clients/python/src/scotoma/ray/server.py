"""A server process that does not outlive its owner, however that ends."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

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
    """The program `scotoma`: `binary`, or SCOTOMA_BINARY, or what the PATH has."""
    named = str(binary or os.environ.get("SCOTOMA_BINARY") or "scotoma")
    found = shutil.which(named)
    if found is None:
        raise FileNotFoundError(
            f"no program {named}: every machine of the cluster needs it; say where with binary= or SCOTOMA_BINARY"
        )
    return str(Path(found).resolve())


@dataclass(frozen=True)
class ServerSpec:
    """How a replica starts its server."""

    model: str
    """As `scotoma serve --model` takes it: a folder, an id of the hub, `shapes`."""
    binary: str
    """The program, on every machine."""
    cpus: int
    """Threads of a forward pass on the CPU."""
    gpus: int
    """Cards that the model is on; 0: the CPU."""
    flags: tuple[str, ...] = ()
    """Further flags of `scotoma serve`."""

    def command(self) -> list[str]:
        """The command line; the cards are those that Ray leaves visible."""
        device = "+".join(f"cuda:{i}" for i in range(self.gpus)) or "cpu"
        common = ["serve", "--listen", "127.0.0.1:0", "--model", self.model, "--device", device]
        threads = [] if self.gpus else ["--threads", str(self.cpus)]
        return [self.binary, *common, *threads, *self.flags]


class Server:
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
