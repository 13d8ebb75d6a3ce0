"""Samples out of what people have: folders of classes, and Hugging Face's parquet files (`pip install scotoma[data]`).

    python -m scotoma.data FOLDER OUT.jsonl
    python -m scotoma.data FILE.parquet OUT.jsonl --column question=query --column answer=label

writes a manifest that `scotoma eval`, `classify` and `paper` read. Both are read piece by piece, whatever their size.
"""

from __future__ import annotations

import argparse
import base64
import json
import os
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from scotoma.messages import sample
from scotoma.v1 import benchmark_service_pb2 as bench

ENDINGS = (".png", ".jpg", ".jpeg", ".webp")
QUESTION = "What is in this picture?"
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
# What a part of a sample is called in public data sets; the first column that is there is taken.
COLUMNS: dict[str, tuple[str, ...]] = {
    "id": ("index", "id", "question_id", "pid"),
    "question": ("question", "Question", "query", "prompt"),
    "image": ("image", "images", "decoded_image", "img"),
    "options": ("options", "choices"),
    "answer": ("answer", "label", "Correct Answer"),
    "category": ("category", "type"),
    "hint": ("hint", "context"),
    "group": ("group",),
}


def folder(
    path: str | os.PathLike[str], question: str = QUESTION, names: Mapping[str, str] | None = None
) -> Iterator[bench.Sample]:
    """Zero-shot classification of `path/CLASS/PICTURE`: all classes are options, in the order of their names.

    `names` says what a folder's class is called; by default its name with spaces for underscores.
    """
    classes = sorted(entry for entry in Path(path).iterdir() if entry.is_dir())
    if not classes:
        raise ValueError(f"{path}: no folders, one for each class")
    called = {c.name: (names or {}).get(c.name, c.name.replace("_", " ")) for c in classes}
    if len(set(called.values())) < len(called):
        raise ValueError(f"{path}: two classes have one name")
    options = list(called.values())
    for each in classes:
        for picture in sorted(p for p in each.iterdir() if p.suffix.lower() in ENDINGS):
            yield sample(f"{each.name}/{picture.name}", question, picture, options=options, answer=called[each.name])


def parquet(path: str | os.PathLike[str], columns: Mapping[str, str] | None = None) -> Iterator[bench.Sample]:
    """Samples of a Hugging Face parquet file, row by row.

    `columns` says which column is the id, question, image, options, answer, category, hint or group where its name is
    none of COLUMNS; all others become fields. An answer that numbers an option becomes its letter, from 0.
    """
    import pyarrow.parquet

    with pyarrow.parquet.ParquetFile(path) as file:
        there = set(file.schema_arrow.names)
        found: dict[str, str] = {}
        for part, known in COLUMNS.items():
            given = (columns or {}).get(part)
            if given is not None and given not in there:
                raise ValueError(f"{path}: no column {given!r} for {part}; there are {', '.join(sorted(there))}")
            name = given or next((k for k in known if k in there), None)
            if name is not None:
                found[part] = name
        if "question" not in found and "image" not in found:
            raise ValueError(f"{path}: neither questions nor pictures; there are {', '.join(sorted(there))}")
        number = 0
        for batch in file.iter_batches(batch_size=64):
            for row in batch.to_pylist():
                yield _row(row, found, number)
                number += 1


def _row(row: dict[str, Any], found: Mapping[str, str], number: int) -> bench.Sample:
    part = {name: row.pop(column) for name, column in found.items()}
    options = [str(option) for option in part.get("options") or []]
    answer = part.get("answer")
    if options and isinstance(answer, int) and 0 <= answer < min(len(options), len(LETTERS)):
        answer = LETTERS[answer]
    pictures = part.get("image")
    many = pictures if isinstance(pictures, list) else [pictures]
    fields = {k: _text(v) for k, v in row.items() if v is not None and not isinstance(v, dict | bytes)}
    item = sample(
        _text(part.get("id", number)),
        _text(part.get("question") or QUESTION),
        [picture for picture in map(_picture, many) if picture],
        options=options,
        answer=_text(answer),
        category=_text(part.get("category")),
        hint=_text(part.get("hint")),
        group=_text(part.get("group")),
    )
    item.fields.update(fields)
    return item


def _picture(cell: Any) -> bytes:  # noqa: ANN401
    """The bytes of Hugging Face's Image feature, or bytes as they are."""
    data = cell.get("bytes") if isinstance(cell, dict) else cell
    if data is None or isinstance(data, bytes):
        return data or b""
    raise ValueError(f"a picture is {type(data).__name__}, not bytes")


def _text(value: Any) -> str:  # noqa: ANN401
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)


def write(samples: Iterable[bench.Sample], path: str | os.PathLike[str]) -> int:
    """Writes a manifest of `samples`, one JSON object a line with pictures in base64; says how many there are."""
    count = 0
    with Path(path).open("w", encoding="utf-8") as file:
        for each in samples:
            row: dict[str, Any] = {**each.fields, "index": each.id, "question": each.question}
            row |= {
                name: getattr(each, name) for name in ("hint", "answer", "category", "group") if getattr(each, name)
            }
            if each.options:
                row["options"] = list(each.options)
            if each.images:
                row["image"] = [base64.b64encode(image.data).decode() for image in each.images]
            file.write(json.dumps(row, ensure_ascii=False) + "\n")
            count += 1
    return count


def main(arguments: list[str] | None = None) -> int:
    """Writes a manifest of a folder of classes or a parquet file."""
    parser = argparse.ArgumentParser(
        prog="python -m scotoma.data", description=__doc__.split("\n")[0] if __doc__ else ""
    )
    parser.add_argument("source", type=Path, help="a folder of classes, or a .parquet file")
    parser.add_argument("out", type=Path, help="the manifest, a name that ends in .jsonl")
    parser.add_argument("--question", default=QUESTION, help="what is asked about pictures of classes")
    parser.add_argument("--column", action="append", default=[], metavar="PART=COLUMN", help=", ".join(COLUMNS))
    parsed = parser.parse_args(arguments)
    columns = dict(pair.split("=", 1) for pair in parsed.column if "=" in pair)
    if unknown := [name for name in columns if name not in COLUMNS]:
        parser.error(f"--column: {', '.join(unknown)}; the parts are {', '.join(COLUMNS)}")
    try:
        found = folder(parsed.source, parsed.question) if parsed.source.is_dir() else parquet(parsed.source, columns)
        count = write(found, parsed.out)
    except (OSError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(f"{parsed.out}: {count} items")
    return 0


if __name__ == "__main__":
    sys.exit(main())
