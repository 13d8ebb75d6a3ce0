"""Questions in files: VLMEvalKit's tables (TSV) and manifests of one JSON object a line.

What the columns mean is the server's business; a client only brings the pictures that a row names.
"""

from __future__ import annotations

import contextlib
import csv
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from scotoma.v1 import benchmark_service_pb2 as bench
from scotoma.v1 import inference_service_pb2 as pb

_LONGEST_NAME = 1024  # what is longer is base64
_LONGEST_ROW = 256 << 20


def rows(path: str | os.PathLike[str]) -> Iterator[bench.Row]:
    """The rows of a table (.tsv) or a manifest (.jsonl), read when they are asked for.

    A file of any size needs the memory of one row.
    """
    path = Path(path)
    readers = {".tsv": _table, ".jsonl": _manifest}
    if path.suffix not in readers:
        raise ValueError(f"{path}: a name that ends in .tsv or .jsonl is needed")
    return readers[path.suffix](path)


class _Lines:
    """The lines of a file as text, and where the next one begins."""

    def __init__(self, file: BinaryIO) -> None:
        self.file, self.start, self.number = file, file.tell(), 0

    def __iter__(self) -> Iterator[str]:
        for line in self.file:
            self.start += len(line)
            self.number += 1
            yield line.decode("utf-8-sig" if self.number == 1 else "utf-8")


def _tabbed(lines: _Lines) -> Iterator[list[str]]:
    csv.field_size_limit(_LONGEST_ROW)
    return csv.reader(lines, delimiter="\t")


def _table(path: Path) -> Iterator[bench.Row]:
    with path.open("rb") as file:
        lines = _Lines(file)
        reader = _tabbed(lines)
        header = next(reader, [])
        # Where rows begin, by their index: a row may name the picture of an earlier one by it.
        starts: dict[str, int] = {}
        while True:
            start, line = lines.start, lines.number + 1
            try:
                record = next(reader, None)
            except (csv.Error, UnicodeDecodeError) as error:
                raise ValueError(f"{path}, line {line}: {error}") from None
            if record is None:
                return
            if not record:
                continue
            if len(record) != len(header):
                raise ValueError(f"{path}, line {line}: {len(record)} columns, the header has {len(header)}")
            cells = dict(zip(header, record, strict=True))
            starts[cells.get("index", "")] = start
            try:
                if _is_index(cells.get("image", "")):
                    cells["image"] = _picture_of(path, starts, cells["image"], header.index("image"))
                images = _named(path, cells.get("image") or cells.get("image_path") or "")
            except (OSError, ValueError) as error:
                raise ValueError(f"{path}, line {line}: image: {error}") from None
            yield bench.Row(line=line, cells=cells, images=images)


def _manifest(path: Path) -> Iterator[bench.Row]:
    with path.open(encoding="utf-8-sig") as file:
        for line, text in enumerate(file, 1):
            if not text.strip():
                continue
            try:
                item = json.loads(text)
                cell = item.get("image") or item.get("image_path") or ""
            except (ValueError, AttributeError):
                cell = ""  # What is wrong with it is the server's to say.
            try:
                images = _named(path, cell if isinstance(cell, str) else json.dumps(cell))
            except OSError as error:
                raise ValueError(f"{path}, line {line}: image: {error}") from None
            yield bench.Row(line=line, json=text, images=images)


def _is_index(cell: str) -> bool:
    return len(cell) <= _LONGEST_NAME and cell.isascii() and cell.isdigit()


def _is_name(cell: object) -> bool:
    return (
        isinstance(cell, str)
        and len(cell) <= _LONGEST_NAME
        and not cell.endswith("=")
        and Path(cell.strip()).suffix != ""
    )


def _picture_of(path: Path, starts: dict[str, int], index: str, column: int) -> str:
    """The picture of an earlier row, which is read again."""
    if index not in starts:
        raise ValueError(f"row {index} does not stand before")
    with path.open("rb") as file:
        file.seek(starts[index])
        cell = next(_tabbed(_Lines(file)))[column]
    if not cell or _is_index(cell):
        raise ValueError(f"row {index} has no picture of its own")
    return cell


def _named(path: Path, cell: str) -> list[pb.Image]:
    """The pictures whose names a cell gives; none where it holds them itself."""
    listed = [cell] if cell else []
    if cell.startswith("["):
        with contextlib.suppress(ValueError):  # A name may begin so, too.
            listed = json.loads(cell)
    if not all(map(_is_name, listed)):
        return []
    return [pb.Image(data=(path.parent / name.strip()).read_bytes()) for name in listed]
