"""Counterfactual items: one object's patches swapped between two pictures (`pip install scotoma[image]`).

    python -m scotoma.counterfactual pairs.jsonl items.jsonl

A line of pairs.jsonl has a question, two pictures, the answer to each, and where the object is that decides:

    {"index": "cup", "question": "What colour is the cup?", "images": ["a.png", "b.png"], "answers": ["red", "blue"],
     "grid": 6, "patches": [14, 15]}

Four items are made of it, in one group: both pictures as they are (category "original"), and each with the other's
object and the other's answer (category "swapped"). A model that answers from the object has all four right; one that
answers from the scene fails the swapped ones. In place of `patches`, numbers of a partition of the picture into
`grid` x `grid` blocks, `boxes` says where the object is in each picture: [[left, top, right, bottom], ...] in pixels.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scotoma.data import write
from scotoma.messages import Image, image_message, sample
from scotoma.v1 import benchmark_service_pb2 as bench

if TYPE_CHECKING:
    import PIL.Image

Box = tuple[int, int, int, int]
_KNOWN = ("index", "question", "images", "answers", "patches", "grid", "boxes", "options", "hint")


def pillow(image: Image) -> PIL.Image.Image:
    """Returns a picture's pixels; a path is read."""
    import PIL.Image

    data = image_message(image).data
    if not data:
        raise ValueError("a picture that is a handle has no pixels here")
    return PIL.Image.open(io.BytesIO(data)).convert("RGB")


def swap(
    one: Image,
    other: Image,
    *,
    patches: Iterable[int] = (),
    grid: int | None = None,
    boxes: Sequence[Sequence[int]] | None = None,
) -> tuple[PIL.Image.Image, PIL.Image.Image]:
    """Returns the first picture with the object of the second, and the second with that of the first."""
    pictures = (pillow(one), pillow(other))
    own = list(patches)
    if bool(own) == (boxes is not None):
        raise ValueError("patches of a grid, or two boxes, are needed")
    places = _boxes(pictures, boxes) if boxes is not None else _blocks(pictures, own, grid)
    swapped = (pictures[0].copy(), pictures[1].copy())
    for first, second in places:
        for at, to, source, target in ((0, first, second, 1), (1, second, first, 0)):
            piece = pictures[target].crop(source)
            size = (to[2] - to[0], to[3] - to[1])
            swapped[at].paste(piece if piece.size == size else piece.resize(size), to[:2])
    return swapped


def _boxes(pictures: Sequence[PIL.Image.Image], boxes: Sequence[Sequence[int]]) -> list[tuple[Box, Box]]:
    if len(boxes) != len(pictures):
        raise ValueError(f"boxes: {len(boxes)}; one for each of the two pictures is needed")
    for i, (box, picture) in enumerate(zip(boxes, pictures, strict=True)):
        numbers = len(box) == 4 and all(isinstance(side, int) for side in box)
        if not numbers or not (0 <= box[0] < box[2] <= picture.width and 0 <= box[1] < box[3] <= picture.height):
            raise ValueError(
                f"boxes[{i}]: {list(box)}; left, top, right, bottom within {picture.width} x {picture.height}"
            )
    first, second = (tuple(box) for box in boxes)
    return [(first, second)]  # type: ignore[list-item]


def _blocks(pictures: Sequence[PIL.Image.Image], patches: list[int], grid: int | None) -> list[tuple[Box, Box]]:
    (width, height), other = pictures[0].size, pictures[1].size
    if (width, height) != other:
        raise ValueError(
            f"patches of pictures of {width} x {height} and {other[0]} x {other[1]}; say boxes, or resize one"
        )
    if not isinstance(grid, int) or not 1 <= grid <= min(width, height):
        raise ValueError(f"grid: {grid!r}; 1 to {min(width, height)} blocks along each side are possible")
    if outside := [patch for patch in patches if not isinstance(patch, int) or not 0 <= patch < grid * grid]:
        raise ValueError(f"patches: {outside[0]!r}; the grid has 0 to {grid * grid - 1}")

    def block(patch: int) -> Box:
        row, column = divmod(patch, grid)
        return (column * width // grid, row * height // grid, (column + 1) * width // grid, (row + 1) * height // grid)

    return [(block(patch), block(patch)) for patch in patches]


def items(
    index: str,
    question: str,
    images: Sequence[Image],
    answers: Sequence[str],
    *,
    options: Iterable[str] = (),
    hint: str = "",
    **where: Any,  # noqa: ANN401 (of swap)
) -> list[bench.Sample]:
    """Returns the four items of a pair; `where` is what `swap` takes."""
    if len(images) != 2 or len(answers) != 2:
        raise ValueError(f"{index}: {len(images)} pictures and {len(answers)} answers; two of each are needed")
    if answers[0] == answers[1]:
        raise ValueError(f"{index}: both answers are {answers[0]!r}; swapping would change nothing")
    first, second = swap(*images, **where)
    made: list[tuple[str, str, Any, str]] = [
        ("a", "original", images[0], answers[0]),
        ("b", "original", images[1], answers[1]),
        ("a with b's", "swapped", first, answers[1]),
        ("b with a's", "swapped", second, answers[0]),
    ]
    common: dict[str, Any] = {"options": list(options), "group": index, "hint": hint}
    return [
        sample(f"{index}: {name}", question, picture, answer=answer, category=category, **common)
        for name, category, picture, answer in made
    ]


def read(path: str | os.PathLike[str]) -> Iterator[bench.Sample]:
    """Yields the items of the pairs in a file; pictures are found beside it."""
    folder = Path(path).parent
    with open(path, encoding="utf-8") as file:
        for line, text in enumerate(file, 1):
            if not text.strip():
                continue
            try:
                yield from items(**_pair(json.loads(text), folder, line))
            except (OSError, TypeError, ValueError) as error:
                raise ValueError(f"{path}, line {line}: {error}") from None


def _pair(row: Any, folder: Path, line: int) -> Mapping[str, Any]:  # noqa: ANN401 (JSON)
    if not isinstance(row, dict):
        raise ValueError("an object is needed")
    if unknown := [name for name in row if name not in _KNOWN]:
        raise ValueError(f"{unknown[0]}: unknown; known: {', '.join(_KNOWN)}")
    if missing := [name for name in ("question", "images", "answers") if name not in row]:
        raise ValueError(f"{missing[0]}: missing")
    return {**row, "index": str(row.get("index", line)), "images": [folder / name for name in row["images"]]}


def main(arguments: list[str] | None = None) -> int:
    """Writes the items of a file of pairs as a manifest."""
    about = (__doc__ or "").split("\n", 1)[0]
    parser = argparse.ArgumentParser(prog="python -m scotoma.counterfactual", description=about)
    parser.add_argument("pairs", type=Path, help="the pairs, an object a line")
    parser.add_argument("out", type=Path, help="the manifest, a name that ends in .jsonl")
    parsed = parser.parse_args(arguments)
    try:
        count = write(read(parsed.pairs), parsed.out)
    except (ImportError, OSError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(f"{parsed.out}: {count} items")
    return 0


if __name__ == "__main__":
    sys.exit(main())
