"""Counterfactual items, and item response theory of what models answered."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from conftest import ROOT
from PIL import Image, ImageDraw

from scotoma import Client, counterfactual, irt
from scotoma.v1 import benchmark_service_pb2 as bench

RED, BLUE = (ROOT / f"docs/pictures/{name}.png" for name in ("red", "blue"))
QUESTION = "What colour is the circle?"
# Where the circle of docs/pictures is, on the grid of the embedded model's patches.
GRID = 6


def differing(one: Path, other: Path) -> list[int]:
    """Returns the patches in which two pictures differ."""
    arrays = [np.asarray(Image.open(path).convert("RGB").resize((84, 84)), dtype=int) for path in (one, other)]
    blocks = np.abs(arrays[0] - arrays[1]).reshape(GRID, 14, GRID, 14, 3).max(axis=(1, 3, 4))
    return [int(patch) for patch in np.flatnonzero(blocks)]


def test_an_object_takes_its_answer_along(server: str) -> None:
    patches = differing(RED, BLUE)
    assert 0 < len(patches) < GRID * GRID / 2
    four = counterfactual.items("circle", QUESTION, [RED, BLUE], ["red", "blue"], patches=patches, grid=GRID)
    assert [item.category for item in four] == ["original", "original", "swapped", "swapped"]
    assert {item.group for item in four} == {"circle"}
    assert [item.answer for item in four] == ["red", "blue", "blue", "red"]
    with Client(server) as client:
        verdicts = [result.verdict for result in client.evaluate("shapes", four)]
    assert verdicts == [bench.VERDICT_RIGHT] * 4, "the embedded model answers from the circle"


def test_pieces_are_swapped(pillow: Image.Image) -> None:
    white = Image.new("RGB", pillow.size, "white")
    one, other = counterfactual.swap(pillow, white, patches=[8, 0], grid=6)
    before, after, elsewhere = (np.asarray(image) for image in (pillow, one, other))
    assert (after[14:28, 28:42] == 255).all()
    assert (after[14:28, 14:28] == before[14:28, 14:28]).all()
    assert (elsewhere[14:28, 28:42] == before[14:28, 28:42]).all()
    boxed, _ = counterfactual.swap(pillow, white.resize((20, 20)), boxes=[[0, 0, 30, 10], [5, 5, 10, 10]])
    assert boxed.size == pillow.size
    assert (np.asarray(boxed)[:10, :30] == 255).all()


@pytest.mark.parametrize(
    ("where", "says"),
    [
        ({}, "patches of a grid, or two boxes"),
        ({"patches": [1]}, "grid: None"),
        ({"patches": [36], "grid": 6}, "0 to 35"),
        ({"patches": [1.5], "grid": 6}, "patches: 1.5"),
        ({"patches": [1], "grid": "6"}, "grid: '6'"),
        ({"patches": [1], "grid": 6, "boxes": [[0, 0, 1, 1]] * 2}, "patches of a grid, or two boxes"),
        ({"boxes": [[0, 0, 1, 1]]}, "one for each"),
        ({"boxes": [[0, 0, 1, 1], [0, 0, 99, 1]]}, r"boxes\[1\].*within 84 x 84"),
    ],
)
def test_where_the_object_is_has_to_be_said(pillow: Image.Image, where: dict, says: str) -> None:  # type: ignore[type-arg]
    with pytest.raises(ValueError, match=says):
        counterfactual.swap(pillow, pillow, **where)


def test_a_file_of_pairs_becomes_a_manifest(tmp_path: Path, pillow: Image.Image) -> None:
    for name, colour in (("a", "red"), ("b", "blue")):
        picture = pillow.copy()
        ImageDraw.Draw(picture).rectangle((0, 0, 13, 13), fill=colour)
        picture.save(tmp_path / f"{name}.png")
    pair = {"index": "corner", "question": "?", "images": ["a.png", "b.png"], "answers": ["red", "blue"], "grid": 6}
    pairs, out = tmp_path / "pairs.jsonl", tmp_path / "items.jsonl"
    pairs.write_text(json.dumps(pair | {"patches": [0]}) + "\n")
    assert counterfactual.main([str(pairs), str(out)]) == 0
    rows = [json.loads(line) for line in out.read_text().splitlines()]
    assert [row["index"] for row in rows] == [f"corner: {name}" for name in ("a", "b", "a with b's", "b with a's")]
    for wrong, says in (
        (pair | {"patch": [0]}, "patch: unknown"),
        (pair | {"answers": ["red", "red"], "patches": [0]}, "would change nothing"),
        ({"question": "?"}, "images: missing"),
        (pair | {"images": ["a.png", "none.png"], "patches": [0]}, "none.png"),
    ):
        pairs.write_text("\n" + json.dumps(wrong) + "\n")
        with pytest.raises(ValueError, match=f"line 2: .*{says}"):
            list(counterfactual.read(pairs))


def simulated(people: int, seed: int = 0) -> tuple[irt.Responses, np.ndarray, np.ndarray]:
    """Returns responses of people of known abilities to items of known difficulties."""
    rng = np.random.default_rng(seed)
    difficulty, ability = np.linspace(-2, 2, 16), rng.normal(size=people)
    chance = 1 / (1 + np.exp(-1.5 * (ability[:, None] - difficulty)))
    right = (rng.random(chance.shape) < chance).astype(float)
    names = [f"model {i}" for i in range(people)]
    return irt.Responses(names, [f"item {i}" for i in range(16)], right), difficulty, ability


def test_what_was_simulated_is_found() -> None:
    given, difficulty, ability = simulated(80)
    given.right[:, 3] = 1
    given.right[0, 5] = np.nan
    found = irt.fit(given)
    assert found.constant == {"item 3": True}
    assert np.corrcoef(found.difficulty, np.delete(difficulty, 3))[0, 1] > 0.97
    assert np.corrcoef(found.ability, ability)[0, 1] > 0.85
    assert found.discrimination[0] == pytest.approx(1.5, abs=0.5)
    assert len(found.plot().lines) == 15 + 80
    each = irt.fit(given, "2pl")
    assert len(set(each.discrimination)) > 1
    assert np.corrcoef(each.difficulty, np.delete(difficulty, 3))[0, 1] > 0.9


def test_files_of_several_models_are_one_table(tmp_path: Path) -> None:
    given, _, _ = simulated(12)
    for part, name in enumerate(("small", "large")):
        (tmp_path / name).mkdir()
        rows = [
            ",".join([f"variant {i}", *(str(int(bit)) for bit in row)])
            for i, row in enumerate(given.right[part * 6 : part * 6 + 6])
        ]
        (tmp_path / name / "responses.csv").write_text("\n".join([",".join(["variant", *given.items]), *rows]) + "\n")
    files = [str(tmp_path / name / "responses.csv") for name in ("small", "large")]
    assert irt.read(files).respondents[::6] == ["small: variant 0", "large: variant 0"]
    out, plot = tmp_path / "irt.csv", tmp_path / "irt.png"
    command = [sys.executable, "-m", "scotoma.irt", *files, "--out", str(out), "--plot", str(plot)]
    said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    assert "large: variant 3" in said
    assert len(out.read_text().splitlines()) == 17
    assert Image.open(io.BytesIO(plot.read_bytes())).size[0] > 100


def test_too_little_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "responses.csv"
    for text, says in (
        ("", "no header"),
        ("variant,1,2\na,1\n", "line 2: a name and 2 times"),
        ("variant,1,2\na,1,7\n", "line 2: a name and 2 times"),
        ("variant,1,2\na,1,0\na,1,0\n", "stands there twice"),
    ):
        file.write_text(text)
        with pytest.raises(ValueError, match=says):
            irt.read([file])
    alike = {name: {"1": True, "2": False} for name in "abcd"}
    with pytest.raises(ValueError, match="4 respondents, 0 items"):
        irt.fit(irt.responses(alike))
    with pytest.raises(ValueError, match="1pl and 2pl"):
        irt.fit(irt.responses(alike), "3pl")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="no responses"):
        irt.fit(irt.responses({"a": {"1": True}, "b": {}}))
