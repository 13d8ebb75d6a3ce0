"""Runs the server: `python -m scotoma.serve FLAGS` is `scotoma serve FLAGS`."""

from __future__ import annotations

import os
import subprocess
import sys

from scotoma.local import find_binary


def main() -> int:
    """Becomes the server, so that signals and the exit code are its own."""
    try:
        command = [find_binary(), "serve", *sys.argv[1:]]
    except FileNotFoundError as error:
        print(f"error: {error}", file=sys.stderr)
        return 127
    if os.name == "posix":
        os.execv(command[0], command)
    return subprocess.call(command)


if __name__ == "__main__":
    sys.exit(main())
