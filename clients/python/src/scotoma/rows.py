"""Questions in files: tables (TSV, CSV, Parquet) and manifests of one JSON object a line.

What the columns mean is the server's business; a client only brings the pictures that a row names.
"""

from __future__ import annotations

import base64
import csv
import json
import math
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from scotoma.v1 import benchmark_service_pb2 as bench

_LONGEST_NAME = 1024  # what is longer is base64
_LONGEST_ROW = 256 << 20
_BATCH = 16  # rows that are decoded at once: pictures are large
# Files that a row may name, and that are sent with it.
_ENDINGS = frozenset(
    ".png .jpg .jpeg .jpe .jfif .webp .gif .bmp .tif .tiff .ppm .jp2 .avif .heic".split()  # noqa: SIM905
)
_QUOTED = re.compile(r"'([^'\n]+)'|\"([^\"\n]+)\"")


def rows(path: str | os.PathLike[str]) -> Iterator[bench.Row]:
    """The rows of a table (.tsv, .csv, .parquet) or a manifest (.jsonl), read when they are asked for.

    A text file of any size needs the memory of one row, a Parquet file that of one row group. Parquet needs
    `pip install scotoma[data]`.
    """
    path = Path(path)
    readers = {".tsv": _table, ".csv": _table, ".jsonl": _manifest, ".parquet": _parquet}
    if path.suffix not in readers:
        raise ValueError(f"{path}: a name that ends in .tsv, .csv, .jsonl or .parquet is needed")
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


def _delimited(lines: _Lines, path: Path) -> Iterator[list[str]]:
    csv.field_size_limit(_LONGEST_ROW)
    return csv.reader(lines, delimiter="," if path.suffix == ".csv" else "\t")


def _table(path: Path) -> Iterator[bench.Row]:
    with path.open("rb") as file:
        lines = _Lines(file)
        reader = _delimited(lines, path)
        header = next(reader, [])
        # Where rows begin, by their index: a row may name the picture of an earlier one by it.
        starts: dict[str, int] = {}
        number = 0
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
            number += 1
            cells = dict(zip(header, record, strict=True))
            starts[cells.get("index", "")] = start
            try:
                if _is_index(cells.get("image", "")):
                    cells["image"] = _picture_of(path, starts, cells["image"], header.index("image"))
                files = _named(path, cells)
            except (OSError, ValueError) as error:
                raise ValueError(f"{path}, line {line}: image: {error}") from None
            yield bench.Row(line=line, number=number, cells=cells, files=files)


def _manifest(path: Path) -> Iterator[bench.Row]:
    number = 0
    with path.open(encoding="utf-8-sig") as file:
        for line, text in enumerate(file, 1):
            if not text.strip():
                continue
            number += 1
            try:
                item = json.loads(text)
            except ValueError:
                item = None  # What is wrong with it is the server's to say.
            try:
                files = _named(path, item)
            except (OSError, ValueError) as error:
                raise ValueError(f"{path}, line {line}: image: {error}") from None
            yield bench.Row(line=line, number=number, json=text, files=files)


def _parquet(path: Path) -> Iterator[bench.Row]:
    for number, row in enumerate(parquet_rows(path), 1):
        try:
            files = _named(path, row)
        except (OSError, ValueError) as error:
            raise ValueError(f"{path}, row {number}: image: {error}") from None
        yield bench.Row(number=number, json=json.dumps(row, ensure_ascii=False, allow_nan=False), files=files)


def parquet_rows(path: str | os.PathLike[str]) -> Iterator[dict[str, Any]]:
    """The rows of a Parquet file as JSON has them: bytes become data URIs, NaN null, dates texts."""
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise ImportError("Parquet needs pyarrow: pip install scotoma[data]") from None
    try:
        with pyarrow.parquet.ParquetFile(path) as file:
            for batch in file.iter_batches(batch_size=_BATCH):
                for row in batch.to_pylist():
                    yield {name: _json(cell) for name, cell in row.items()}
    except pyarrow.ArrowInvalid as error:
        raise ValueError(f"{path}: {error}") from None


def _json(cell: Any) -> Any:  # noqa: ANN401
    if isinstance(cell, bytes):
        return f"data:;base64,{base64.b64encode(cell).decode()}"
    if isinstance(cell, float) and not math.isfinite(cell):
        return None if math.isnan(cell) else str(cell)
    if isinstance(cell, dict):
        return {str(name): _json(value) for name, value in cell.items()}
    if isinstance(cell, list):
        if cell and all(isinstance(pair, tuple) for pair in cell):  # a map
            return {str(name): _json(value) for name, value in cell}
        return [_json(value) for value in cell]
    return cell if cell is None or isinstance(cell, (str, bool, int, float)) else str(cell)


def _is_index(cell: str) -> bool:
    return 0 < len(cell) <= _LONGEST_NAME and cell.isascii() and cell.isdigit()


def _picture_of(path: Path, starts: dict[str, int], index: str, column: int) -> str:
    """The picture of an earlier row, which is read again."""
    if index not in starts:
        raise ValueError(f"row {index} does not stand before")
    with path.open("rb") as file:
        file.seek(starts[index])
        cell = next(_delimited(_Lines(file), path))[column]
    if not cell or _is_index(cell):
        raise ValueError(f"row {index} has no picture of its own")
    return cell


def _names(value: object) -> Iterator[str]:
    """What may be names of pictures in a row: texts, and those quoted in a text that is a list."""
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        for each in value:
            yield from _names(each)
    elif isinstance(value, str) and value.lstrip()[:1] in ("[", "(", "{") and len(value) <= 64 * _LONGEST_NAME:
        for match in _QUOTED.finditer(value):
            yield (match[1] or match[2]).strip()
    elif isinstance(value, str) and len(value) <= _LONGEST_NAME:
        yield value.strip()


def _named(table: Path, row: object) -> dict[str, bytes]:
    """The pictures beside the table that a row names, by these names."""
    files: dict[str, bytes] = {}
    for name in _names(row):
        path = table.parent / name
        if path.suffix.lower() not in _ENDINGS or name in files or not _is_file(path):
            continue
        if path.stat().st_size > _LONGEST_ROW:
            raise ValueError(f"{path}: more than {_LONGEST_ROW} bytes")
        files[name] = path.read_bytes()
    return files


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):  # No name that a file can have.
        return False
