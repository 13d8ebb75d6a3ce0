"""Procedurally drawn scenes with questions and answers: the world of the `shapes` model.

A scene is an 84 x 84 picture over a 6 x 6 grid of 14-pixel cells; one cell is one patch of the vision tower.
Three kinds: coloured shapes, a written number beside shapes, and a small bar chart. Every choice comes from the
`random.Random` handed in, so a seed names a picture and its questions.
"""

from __future__ import annotations

import math
import random
from dataclasses import dataclass, field

from PIL import Image, ImageDraw, ImageFont

GRID, CELL = 6, 14
SIZE = GRID * CELL
COLOURS = {
    "red": (214, 40, 40),
    "green": (44, 150, 60),
    "blue": (40, 80, 210),
    "yellow": (240, 210, 30),
    "purple": (140, 50, 170),
    "orange": (245, 130, 20),
}
SHAPES = ("circle", "square", "triangle", "cross", "diamond")
CATEGORIES = ("existence", "colour", "counting", "left/right", "reading", "arithmetic")
LETTER_SUFFIX = "\nAnswer with the letter."
FONTS = [ImageFont.load_default(size=s) for s in (11, 12, 13)]

# What one cell holds, for the first training stage: its colour, and its form. Two questions rather than one class for each
# pair, so that "red" looks alike in a red circle and a red square.
CELL_COLOURS = ("none", *COLOURS)
CELL_FORMS = ("empty", *SHAPES, *(str(d) for d in range(10)), "bar")


@dataclass(frozen=True)
class Question:
    """One question about one scene; `options` is empty for yes/no and short answers. `names` says which cells a phrase
    of the text refers to, in the order of the phrases; no cell where the thing is absent. Training alone reads it."""

    category: str
    text: str
    answer: str
    options: tuple[str, ...] = ()
    names: tuple[tuple[str, tuple[int, ...]], ...] = ()

    def prompt(self) -> str:
        """The text after the picture: the question, its options on lines of their own, and the letter instruction."""
        if not self.options:
            return self.text
        lines = "".join(f"\n{chr(65 + i)}. {o}" for i, o in enumerate(self.options))
        return self.text + lines + LETTER_SUFFIX

    def target(self) -> str:
        """What the model should write: the answer, or the letter of the right option."""
        return chr(65 + self.options.index(self.answer)) if self.options else self.answer


@dataclass
class Scene:
    """A picture, the colour and the form in each cell, and the facts that questions are made from."""

    image: Image.Image
    cells: list[tuple[str, str]]
    objects: list[tuple[str, str, int, int]] = field(default_factory=list)  # (colour, shape, row, column)
    number: str = ""
    bars: dict[str, int] = field(default_factory=dict)


def _background(rng: random.Random) -> Image.Image:
    level = rng.randint(205, 250)
    return Image.new("RGB", (SIZE, SIZE), tuple(min(255, level + rng.randint(-8, 8)) for _ in range(3)))


def _jittered(rng: random.Random, colour: str) -> tuple[int, ...]:
    return tuple(max(0, min(255, v + rng.randint(-14, 14))) for v in COLOURS[colour])


def _draw_shape(draw: ImageDraw.ImageDraw, rng: random.Random, colour: str, shape: str, row: int, column: int) -> None:
    radius = rng.choice((4.5, 5.0, 5.5))
    slack = 6.5 - radius
    x = column * CELL + 6.5 + rng.uniform(-slack, slack)
    y = row * CELL + 6.5 + rng.uniform(-slack, slack)
    fill = _jittered(rng, colour)
    if shape == "circle":
        draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=fill)
    elif shape == "square":
        side = radius * 0.86
        draw.rectangle((x - side, y - side, x + side, y + side), fill=fill)
    elif shape == "triangle":
        draw.polygon([(x, y - radius), (x + radius, y + radius), (x - radius, y + radius)], fill=fill)
    elif shape == "diamond":
        draw.polygon([(x, y - radius), (x + radius, y), (x, y + radius), (x - radius, y)], fill=fill)
    else:
        arm = radius * 0.36
        draw.rectangle((x - radius, y - arm, x + radius, y + arm), fill=fill)
        draw.rectangle((x - arm, y - radius, x + arm, y + radius), fill=fill)


def _place_objects(scene: Scene, rng: random.Random, count: int, free: set[tuple[int, int]]) -> None:
    """`count` objects on free cells, no two of the same colour and shape unless drawn as a group of twins."""
    draw = ImageDraw.Draw(scene.image)
    palette = rng.sample(list(COLOURS), rng.randint(2, 4))
    kinds = rng.sample(SHAPES, rng.randint(2, 4))
    row = rng.randrange(GRID)
    for _ in range(count):
        # Half of the objects share one row, so that left and right can be asked about.
        near = sorted(cell for cell in free if cell[0] == row)
        cell = rng.choice(near) if near and rng.random() < 0.5 else rng.choice(sorted(free))
        free.discard(cell)
        colour, shape = rng.choice(palette), rng.choice(kinds)
        _draw_shape(draw, rng, colour, shape, *cell)
        scene.objects.append((colour, shape, *cell))
        scene.cells[cell[0] * GRID + cell[1]] = (colour, shape)


def _write_number(scene: Scene, rng: random.Random, free: set[tuple[int, int]]) -> None:
    """Two or three digits in neighbouring cells of one row."""
    draw = ImageDraw.Draw(scene.image)
    length = rng.choice((2, 2, 3))
    row, column = rng.randrange(GRID), rng.randrange(GRID - length + 1)
    ink = tuple(rng.randint(0, 60) for _ in range(3))
    font = rng.choice(FONTS)
    for i in range(length):
        digit = str(rng.randrange(1 if i == 0 else 0, 10))
        scene.number += digit
        at = (column + i) * CELL + 7 + rng.uniform(-1.5, 1.5), row * CELL + 7 + rng.uniform(-1, 1)
        draw.text(at, digit, fill=ink, font=font, anchor="mm")
        free.discard((row, column + i))
        scene.cells[row * GRID + column + i] = ("none", digit)


def _draw_bars(scene: Scene, rng: random.Random) -> None:
    """Three or four bars of different colours and heights 1..6 cells, standing on the lower edge."""
    draw = ImageDraw.Draw(scene.image)
    columns = sorted(rng.sample(range(GRID), rng.choice((3, 4))))
    heights = rng.sample(range(1, GRID + 1), len(columns))
    for column, height, colour in zip(columns, heights, rng.sample(list(COLOURS), len(columns)), strict=True):
        fill = _jittered(rng, colour)
        inset = rng.randint(2, 4)
        top = (GRID - height) * CELL + rng.randint(0, 2)
        draw.rectangle((column * CELL + inset, top, (column + 1) * CELL - 1 - inset, SIZE - 1), fill=fill)
        scene.bars[colour] = height
        for row in range(GRID - height, GRID):
            scene.cells[row * GRID + column] = (colour, "bar")


def draw_scene(rng: random.Random) -> Scene:
    """One scene: 55 % shapes, 30 % a number beside shapes, 15 % a bar chart."""
    scene = Scene(_background(rng), [("none", "empty")] * (GRID * GRID))
    free = {(r, c) for r in range(GRID) for c in range(GRID)}
    kind = rng.random()
    if kind < 0.55:
        _place_objects(scene, rng, rng.randint(2, 7), free)
    elif kind < 0.85:
        _write_number(scene, rng, free)
        _place_objects(scene, rng, rng.randint(0, 3), free)
    else:
        _draw_bars(scene, rng)
    return scene


def _plural(shape: str) -> str:
    return shape + ("es" if shape == "cross" else "s")


def _options(rng: random.Random, right: str, pool: list[str], count: int = 4) -> tuple[str, ...]:
    wrong = rng.sample([p for p in pool if p != right], count - 1)
    options = [right, *wrong]
    rng.shuffle(options)
    return tuple(options)


def _cells(scene: Scene, colour: str | None = None, shape: str | None = None) -> tuple[int, ...]:
    """The cells of the objects of this colour and this shape; None stands for any."""
    fits = lambda c, s: colour in (None, c) and shape in (None, s)  # noqa: E731
    return tuple(row * GRID + column for c, s, row, column in scene.objects if fits(c, s))


def _bar_cells(scene: Scene, colour: str) -> tuple[int, ...]:
    return tuple(i for i, cell in enumerate(scene.cells) if cell == (colour, "bar"))


def _digit_cells(scene: Scene) -> tuple[int, ...]:
    return tuple(i for i, (_, form) in enumerate(scene.cells) if form.isdigit())


def _existence(scene: Scene, rng: random.Random) -> Question | None:
    if not scene.objects:
        return None
    pairs = {(c, s) for c, s, _, _ in scene.objects}
    yes = rng.random() < 0.5
    if rng.random() < 0.3:
        shapes = {s for _, s in pairs}
        pool = sorted(shapes) if yes else sorted(set(SHAPES) - shapes)
        if not pool:
            return None
        shape = rng.choice(pool)
        named = ((shape, _cells(scene, shape=shape)),)
        return Question("existence", f"Is there a {shape}?", "yes" if yes else "no", names=named)
    if yes:
        colour, shape = rng.choice(sorted(pairs))
    else:
        absent = [(c, s) for c in COLOURS for s in SHAPES if (c, s) not in pairs]
        # Half of the absent ones differ from something present in the colour or the shape alone.
        near = [p for p in absent if any(p[0] == q[0] or p[1] == q[1] for q in pairs)]
        colour, shape = rng.choice(near if near and rng.random() < 0.5 else absent)
    named = ((f"{colour} {shape}", _cells(scene, colour, shape)),)
    return Question("existence", f"Is there a {colour} {shape}?", "yes" if yes else "no", names=named)


def _colour(scene: Scene, rng: random.Random) -> Question | None:
    if scene.bars:
        best = max(scene.bars, key=scene.bars.__getitem__)
        text, answer = "What colour is the tallest bar?", best
        named = (("tallest bar", _bar_cells(scene, best)[:1]),)
    else:
        shapes = [s for _, s, _, _ in scene.objects]
        unique = [(c, s) for c, s, _, _ in scene.objects if shapes.count(s) == 1]
        if not unique:
            return None
        answer, shape = rng.choice(unique)
        text = f"What colour is the {shape}?"
        named = ((shape, _cells(scene, shape=shape)),)
    options = _options(rng, answer, list(COLOURS)) if rng.random() < 0.5 else ()
    return Question("colour", text, answer, options, named)


def _counting(scene: Scene, rng: random.Random) -> Question | None:
    if scene.bars:
        colour = rng.choice(sorted(scene.bars))
        text, count = f"How tall is the {colour} bar?", scene.bars[colour]
        named = ((f"{colour} bar", _bar_cells(scene, colour)),)
    elif not scene.objects:
        return None
    else:
        by = rng.random()
        if by < 0.4:
            shape = rng.choice(scene.objects)[1] if rng.random() < 0.85 else rng.choice(SHAPES)
            phrase, cells = _plural(shape), _cells(scene, shape=shape)
        elif by < 0.8:
            colour = rng.choice(scene.objects)[0] if rng.random() < 0.85 else rng.choice(list(COLOURS))
            phrase, cells = f"{colour} shapes", _cells(scene, colour)
        else:
            phrase, cells = "shapes", _cells(scene)
        text, count, named = f"How many {phrase} are there?", len(cells), ((phrase, cells),)
    options = _options(rng, str(count), [str(n) for n in range(8)]) if rng.random() < 0.25 else ()
    return Question("counting", text, str(count), options, named)


def _left_right(scene: Scene, rng: random.Random) -> Question | None:
    names = [f"{c} {s}" for c, s, _, _ in scene.objects]
    named = [(n, r, c) for n, (_, _, r, c) in zip(names, scene.objects, strict=True) if names.count(n) == 1]
    pairs = [(a, b) for a in named for b in named if a[1] == b[1] and a[2] != b[2]]
    if not pairs:
        return None
    a, b = rng.choice(pairs)
    text = f"Is the {a[0]} to the left or to the right of the {b[0]}?"
    answer = "left" if a[2] < b[2] else "right"
    options = _options(rng, answer, ["left", "right"], 2) if rng.random() < 0.25 else ()
    named = tuple((name, (row * GRID + column,)) for name, row, column in (a, b))
    return Question("left/right", text, answer, options, named)


def _reading(scene: Scene, rng: random.Random) -> Question | None:
    if not scene.number:
        return None
    return Question("reading", "What number is written?", scene.number, names=(("number", _digit_cells(scene)),))


def _arithmetic(scene: Scene, rng: random.Random) -> Question | None:
    if len(scene.number) != 2:
        return None
    named = (("digits", _digit_cells(scene)),)
    return Question("arithmetic", "What is the sum of the two digits?", str(sum(map(int, scene.number))), names=named)


CAPTION = "Describe the picture."


def caption(scene: Scene) -> Question | None:
    """All shapes in reading order; for training alone."""
    if not 1 <= len(scene.objects) <= 5:
        return None
    ordered = sorted(scene.objects, key=lambda o: (o[2], o[3]))
    return Question("caption", CAPTION, ", ".join(f"{c} {s}" for c, s, _, _ in ordered))


MAKERS = dict(zip(CATEGORIES, (_existence, _colour, _counting, _left_right, _reading, _arithmetic), strict=True))


def ask(scene: Scene, rng: random.Random, category: str) -> Question | None:
    """A question of the category about the scene, or None where the scene does not allow one."""
    return MAKERS[category](scene, rng)


def cell_classes(scene: Scene) -> tuple[list[int], list[int]]:
    """The colour and the form of every cell, row by row, as places in CELL_COLOURS and CELL_FORMS."""
    return [CELL_COLOURS.index(c) for c, _ in scene.cells], [CELL_FORMS.index(f) for _, f in scene.cells]


def contact_sheet(seed: int, columns: int, rows: int, scale: int = 2) -> Image.Image:
    """A sheet of scenes to look at."""
    rng = random.Random(seed)
    step = SIZE * scale + 4
    sheet = Image.new("RGB", (columns * step, rows * step), "white")
    for i in range(columns * rows):
        picture = draw_scene(rng).image.resize((SIZE * scale, SIZE * scale), Image.Resampling.NEAREST)
        sheet.paste(picture, ((i % columns) * step, math.floor(i / columns) * step))
    return sheet
