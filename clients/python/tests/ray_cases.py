"""What the tests of scotoma.ray share: questions, one process to compare with, processes to be killed."""

from __future__ import annotations

import base64
import io
import json
import os
import subprocess
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw

ROOT = Path(__file__).parents[3]
BINARY = os.environ.setdefault("SCOTOMA_BINARY", str(ROOT / "target/quick/scotoma"))
VARIANT = 'permuted=[{"permuteTokens":{"seed":"5","scope":"SCOPE_ALL"}}]'


def picture(number: int) -> bytes:
    image = Image.new("RGB", (84, 84), (235, 235, 235 - number % 200))
    ImageDraw.Draw(image).ellipse((16 + number % 40, 30, 26 + number % 40, 40), fill=(214, 40, 40))
    out = io.BytesIO()
    image.save(out, "PNG")
    return out.getvalue()


def table(path: Path, rows: int, about: int = 3) -> Path:
    """Questions, `about` of each picture, far from each other."""
    pictures = max(rows // about, 1)
    with path.open("w") as file:
        file.write("index\timage\tquestion\tanswer\tcategory\n")
        for row in range(rows):
            data = base64.b64encode(picture(row % pictures)).decode()
            question = ("Is there a red circle?", "Is there a blue square?", "Is there a star?")[row % 3]
            file.write(f"{row}\t{data}\t{question}\t{'yes' if row % 3 == 0 else 'no'}\tkind {row % 2}\n")
    return path


def program(*arguments: str) -> str:
    """What the program prints."""
    done = subprocess.run([BINARY, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def one_process(data: Path, out: Path) -> dict[str, Any]:
    """The same benchmark by `scotoma eval`; what it comes to."""
    summary: dict[str, Any] = json.loads(
        program("eval", "shapes", "--data", str(data), "--variant", VARIANT, "--json", "--out", str(out))
    )
    return summary


def lines(path: Path) -> list[str]:
    """The lines of a results file, in order, without what the company of a request changes."""
    found = []
    for line in path.read_text().splitlines():
        result = json.loads(line)
        result.pop("usage", None)
        found.append((result["id"], result["variant"], json.dumps(result)))
    return [line for _, _, line in sorted(found)]


def below(parent: int) -> dict[int, str]:
    """The processes below one, with their command lines."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit():
                stat = (entry / "stat").read_text()
                children.setdefault(int(stat.rpartition(")")[2].split()[1]), []).append(int(entry.name))
        except OSError:
            continue
    found: dict[int, str] = {}
    left = [parent]
    while left:
        for pid in children.get(left.pop(), ()):
            try:
                found[pid] = (Path("/proc") / str(pid) / "cmdline").read_bytes().replace(b"\0", b" ").decode().strip()
            except OSError:
                continue
            left.append(pid)
    return found


def actors(parent: int) -> list[int]:
    return [pid for pid, line in below(parent).items() if line.startswith("ray::MapWorker")]


def servers(parent: int) -> list[int]:
    return [pid for pid, line in below(parent).items() if line.startswith(f"{Path(BINARY).resolve()} serve ")]
