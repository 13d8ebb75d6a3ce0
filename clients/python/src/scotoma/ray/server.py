"""How a replica starts its server."""

from __future__ import annotations

from dataclasses import dataclass


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
