"""Steers answers of `shapes` by features and by vectors, on the same scenes, and counts how often the answer turns into
what was set.

    python steer.py --server 127.0.0.1:7878 [--items 100]

Colour: "What colour is the cross?", and its token is given another colour. Place: "Is the red circle to the left or to the
right of the blue cross?", and their two tokens exchange their columns. By features: of those whose mean values (`means` of
features.json) differ most between what is there and what is set, the first COUNT are set to their means, each by a
`set_feature` of its own. By a vector: the difference of mean rows, over the scenes that features.json is of, is added. COUNT
was chosen on other scenes (seeds from 300,000 on).
"""

from __future__ import annotations

import argparse
import io
import json
import random
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scotoma import Client, hooks, set_feature, steer, tokens

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))
from scenes import COLOURS, GRID, Scene, ask, cell_classes, draw_scene  # noqa: E402

POINT = hooks.blocks[1].hook_resid_post
COUNT = 3
CATEGORIES = ("colour", "left/right")
# Scenes that mean rows are taken of: the ones that features.json was made of.
DESCRIBED = range(5_900_000, 5_900_300)
Means = dict[str, dict[str, float]]


@dataclass
class Item:
    """A question, its answer, and what is set at which cells: (cell, what is there, what is set)."""

    picture: bytes
    question: str
    answer: str
    turned: str
    changes: list[tuple[int, str, str]]


def picture(scene: Scene) -> bytes:
    """The picture of a scene as PNG."""
    out = io.BytesIO()
    scene.image.save(out, "PNG")
    return out.getvalue()


def items(category: str, count: int, first: int = 777_000) -> list[Item]:
    """So many questions of a category whose answer can be turned; seeds from `first` on."""
    found: list[Item] = []
    seed = first
    while len(found) < count:
        rng = random.Random(seed)
        seed += 1
        scene = draw_scene(rng)
        question = ask(scene, rng, category)
        # One cell for each thing that is named; answers in words.
        if question is None or question.options or scene.bars or any(len(cells) != 1 for _, cells in question.names):
            continue
        cells = [own[0] for _, own in question.names]
        if category == "colour":
            turned = random.Random(len(found)).choice([colour for colour in COLOURS if colour != question.answer])
            changes = [(cells[0], f"colour {question.answer}", f"colour {turned}")]
        else:
            turned = "left" if question.answer == "right" else "right"
            columns = [f"column {cell % GRID}" for cell in cells]
            changes = [(cells[0], *columns), (cells[1], *reversed(columns))]
        found.append(Item(picture(scene), question.prompt(), question.answer, turned, changes))
    return found


def by_features(item: Item, means: Means, first: int, count: int = COUNT) -> list:
    """The `count` features that differ most, set to what they are where the other thing is."""
    made = []
    for cell, there, other in item.changes:
        old, new = means[there], means[other]
        difference = {f: abs(new.get(f, 0.0) - old.get(f, 0.0)) for f in {*old, *new}}
        chosen = sorted(difference, key=lambda f: (-difference[f], int(f)))[:count]
        made += [set_feature(POINT.at(tokens[first + cell]), int(f), clamp=new.get(f, 0.0)) for f in chosen]
    return made


def by_vector(item: Item, rows: dict[str, np.ndarray], first: int) -> list:
    """The difference of mean rows, added."""
    return [
        steer(POINT, rows[other] - rows[there], 1.0, tokens=tokens[first + cell]) for cell, there, other in item.changes
    ]


def first_visual(client: Client) -> int:
    """The number of the first visual token, which is the same in all prompts."""
    item = items("colour", 1)[0]
    (read,) = client.capture(item.question, POINT.at(tokens.visual), item.picture)
    return read.tokens[0]


def mean_rows(client: Client, seeds: range) -> dict[str, np.ndarray]:
    """The mean rows at the shapes of each colour, and of each column."""
    rows, colours = [], []
    for seed in seeds:
        scene = draw_scene(random.Random(seed))
        (read,) = client.capture("Is there a circle?", POINT.at(tokens.visual), picture(scene))
        rows.append(read.array)
        colours.append(cell_classes(scene)[0])
    row, colour = np.concatenate(rows), np.concatenate(colours)
    column = np.tile(np.arange(GRID * GRID) % GRID, len(rows))
    found = {f"colour {name}": row[colour == i].mean(0) for i, name in enumerate(COLOURS, 1)}
    return found | {f"column {c}": row[(column == c) & (colour > 0)].mean(0) for c in range(GRID)}


def turned(client: Client, asked: list[Item], changes) -> int:
    """How many answers turn into what was set; `changes` makes the interventions of an item."""
    answers = [
        client.generate(item.question, item.picture, interventions=changes(item), max_tokens=4).finish().text.strip()
        for item in asked
    ]
    return sum(answer == item.turned for answer, item in zip(answers, asked, strict=True))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--server", default="127.0.0.1:7878")
    parser.add_argument("--items", type=int, default=100)
    parser.add_argument("--first", type=int, default=777_000, help="the first seed of the scenes")
    arguments = parser.parse_args()
    means = json.loads((HERE / "features.json").read_text())["means"]
    with Client(arguments.server) as client:
        first, rows = first_visual(client), mean_rows(client, DESCRIBED)
        ways = {
            "nothing": lambda item: [],
            **{f"{n} features": lambda item, n=n: by_features(item, means, first, n) for n in (1, 2, 3, 4)},
            "a vector": lambda item: by_vector(item, rows, first),
        }
        for category in CATEGORIES:
            asked = items(category, arguments.items, arguments.first)
            for name, changes in ways.items():
                print(f"{category:12} {name:12} {turned(client, asked, changes)} of {len(asked)}", flush=True)


if __name__ == "__main__":
    main()
