"""Manifests out of what people have: folders of classes, and Parquet files (`pip install scotoma[data]`).

    python -m scotoma.data FOLDER OUT.jsonl
    python -m scotoma.data FILE.parquet OUT.jsonl --column question=query --column answer=label

writes what `scotoma eval`, `classify` and `paper` read. These, and `evaluate` of every client, read Parquet files
themselves: a manifest is for those who want to look at it or change it. Its columns keep their names, which the server
knows (docs/benchmark-tables.md); pictures stand in it in base64. Both are read piece by piece, whatever their size.
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

from scotoma.messages import Question, sample
from scotoma.rows import _named, parquet_rows
from scotoma.v1 import benchmark_service_pb2 as bench

ENDINGS = (".png", ".jpg", ".jpeg", ".webp")
QUESTION = "What is in this picture?"
# What a column may be taken for, and how a manifest calls it.
PARTS = {
    "id": "index",
    "question": "question",
    "image": "image",
    "options": "options",
    "answer": "answer",
    "category": "category",
    "hint": "hint",
    "group": "group",
}
# A column of one of these names asks; without one all rows ask the same.
ASKS = ("question", "query", "prompt", "text")


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


def parquet(
    path: str | os.PathLike[str], columns: Mapping[str, str] | None = None, question: str = QUESTION
) -> Iterator[bench.Row]:
    """The rows of a Parquet file, for `evaluate`.

    `columns` says which column is the id, question, image, options, answer, category, hint or group where its name does
    not say so; those of `ignore`, with commas between them, are left out. Rows that ask nothing ask `question`.
    """
    given = dict(columns or {})
    if unknown := [part for part in given if part not in PARTS and part != "ignore"]:
        raise ValueError(f"{', '.join(unknown)}: the parts are {', '.join(PARTS)} and ignore")
    ignored = [name for name in given.pop("ignore", "").split(",") if name]
    for number, row in enumerate(parquet_rows(path), 1):
        for part, column in [*given.items(), *(("ignore", column) for column in ignored)]:
            if column not in row:
                raise ValueError(f"{path}: no column {column!r} for {part}; there are {', '.join(sorted(row))}")
        for column in ignored:
            row.pop(column)
        taken = {PARTS[part]: row.pop(column) for part, column in given.items()}
        row = {name: cell for name, cell in row.items() if name not in taken} | taken
        if not any(name.strip().lower() in ASKS for name in row):
            row["question"] = question
        try:
            files = _named(Path(path), row)
        except (OSError, ValueError) as error:
            raise ValueError(f"{path}, row {number}: image: {error}") from None
        yield bench.Row(number=number, json=json.dumps(row, ensure_ascii=False, allow_nan=False), files=files)


def write(questions: Iterable[Question], path: str | os.PathLike[str]) -> int:
    """Writes a manifest of `questions`, one JSON object a line with pictures in base64; says how many there are."""
    count = 0
    with Path(path).open("w", encoding="utf-8") as file:
        for each in questions:
            row = _row(each) if isinstance(each, bench.Row) else _sample(each)
            file.write(json.dumps(row, ensure_ascii=False) + "\n")
            count += 1
    return count


def _sample(each: bench.Sample) -> dict[str, Any]:
    row: dict[str, Any] = {**each.fields, "index": each.id, "question": each.question}
    row |= {name: getattr(each, name) for name in ("hint", "answer", "category", "group") if getattr(each, name)}
    if each.options:
        row["options"] = list(each.options)
    if each.images:
        row["image"] = [base64.b64encode(image.data).decode() for image in each.images]
    return row


def _row(each: bench.Row) -> dict[str, Any]:
    """A row with its files in it, so that the manifest can be anywhere."""
    # Where the picture itself is there, its path stays a path.
    files = {} if "data:;base64," in each.json else each.files
    pictures = {name: f"data:;base64,{base64.b64encode(data).decode()}" for name, data in files.items()}

    def own(cell: Any) -> Any:  # noqa: ANN401
        if isinstance(cell, dict):
            return {name: own(value) for name, value in cell.items()}
        if isinstance(cell, list):
            return [own(value) for value in cell]
        return pictures.get(cell.strip(), cell) if isinstance(cell, str) else cell

    row = json.loads(each.json) if each.json else dict(each.cells)
    return {name: own(cell) for name, cell in row.items()}


def main(arguments: list[str] | None = None) -> int:
    """Writes a manifest of a folder of classes or a Parquet file."""
    parser = argparse.ArgumentParser(
        prog="python -m scotoma.data", description=__doc__.split("\n")[0] if __doc__ else ""
    )
    parser.add_argument("source", type=Path, help="a folder of classes, or a .parquet file")
    parser.add_argument("out", type=Path, help="the manifest, a name that ends in .jsonl")
    parser.add_argument("--question", default=QUESTION, help="what is asked about pictures without a question")
    parser.add_argument(
        "--column",
        action="append",
        default=[],
        metavar="PART=COLUMN",
        help=", ".join(PARTS) + "; ignore=COLUMN,... leaves out",
    )
    parsed = parser.parse_args(arguments)
    columns = dict(pair.split("=", 1) for pair in parsed.column if "=" in pair)
    if len(columns) < len(parsed.column):
        parser.error("--column: PART=COLUMN is needed, each part once")
    if unknown := [name for name in columns if name not in PARTS and name != "ignore"]:
        parser.error(f"--column: {', '.join(unknown)}; the parts are {', '.join(PARTS)} and ignore")
    try:
        found: Iterable[Question]
        if parsed.source.is_dir():
            found = folder(parsed.source, parsed.question)
        else:
            found = parquet(parsed.source, columns, parsed.question)
        count = write(found, parsed.out)
    except (ImportError, OSError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(f"{parsed.out}: {count} items")
    return 0


if __name__ == "__main__":
    sys.exit(main())
