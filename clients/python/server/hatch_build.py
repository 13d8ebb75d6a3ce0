"""Puts the program `scotoma` into the wheel: the one that SCOTOMA_SERVER_BINARY names, or what cargo builds here."""

from __future__ import annotations

import os
import subprocess
import sysconfig
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class BuildHook(BuildHookInterface):
    """Hatchling's hook of this package."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Adds the program and tags the wheel for this machine; `make wheel` finds out how old a system may be."""
        if self.target_name != "wheel":
            raise RuntimeError("there is no source distribution: the sources are the whole repository; build a wheel")
        ready = os.environ.get("SCOTOMA_SERVER_BINARY")
        binary = Path(ready).resolve() if ready else built(Path(self.root).parents[2])
        if not os.access(binary, os.X_OK):
            raise RuntimeError(f"{binary} is no program")
        build_data["pure_python"] = False
        build_data["tag"] = f"py3-none-{sysconfig.get_platform().replace('-', '_').replace('.', '_')}"
        build_data["shared_scripts"][str(binary)] = "scotoma"


def built(root: Path) -> Path:
    """Builds the server as it is handed out."""
    command = ["cargo", "build", "--profile", "dist", "--locked", "--package", "scotoma", "--bin", "scotoma"]
    try:
        subprocess.run(command, cwd=root, check=True)
    except FileNotFoundError as error:
        raise RuntimeError(
            "cargo is missing (https://rustup.rs); SCOTOMA_SERVER_BINARY names a ready program"
        ) from error
    return Path(os.environ.get("CARGO_TARGET_DIR", root / "target")) / "dist/scotoma"
