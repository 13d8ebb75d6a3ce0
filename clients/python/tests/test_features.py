"""Answers are steered by features, which are counted over many pictures; the script beside the autoencoder runs."""

from __future__ import annotations

import importlib.util
import json
import sys
from types import ModuleType

import pytest
from conftest import ROOT

from scotoma import AsyncClient, Client, hooks, tokens

POINT = hooks.blocks[1].hook_resid_post
FOLDER = ROOT / "models/shapes/sae"


@pytest.fixture(scope="module")
def steering() -> ModuleType:
    """The script beside the autoencoder, with its scenes."""
    spec = importlib.util.spec_from_file_location("steer", FOLDER / "steer.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    # Dataclasses look their module up.
    sys.modules["steer"] = module
    spec.loader.exec_module(module)
    return module


def test_answers_turn_as_features_say(server: str, steering: ModuleType) -> None:
    means = json.loads((FOLDER / "features.json").read_text())["means"]
    with Client(server) as client:
        first = steering.first_visual(client)
        turned = {}
        for category in steering.CATEGORIES:
            asked = steering.items(category, 100)
            turned[category] = steering.turned(client, asked, lambda item: steering.by_features(item, means, first))
            plain = steering.turned(client, asked[:20], lambda item: [])
            assert plain <= 1, "nothing turns by itself"
    # 90 and 93 where the autoencoder was made; the scenes are drawn anew, by whichever Pillow is there.
    assert min(turned.values()) >= 80, turned


async def test_features_are_counted_over_pictures(server: str, steering: ModuleType) -> None:
    asked = steering.items("colour", 12)
    given = [(item.question, item.picture) for item in asked]
    # The last picture comes twice, and is shown once.
    twice = [*given, given[-1]]
    with Client(server) as client:
        table = client.top_features(twice, POINT.at(tokens.visual), top=3)
        (read,) = client.capture(given[0][0], POINT.at(tokens.visual), given[0][1], reduction="top_features", top=8)
        words = client.top_features(given[:2], POINT.at(tokens.question), sae="shapes")
    assert (table.items_seen, table.tokens_seen) == (13, 13 * 36)
    assert [position.label for position in read.positions[:7:6]] == ["patch (0, 0)", "patch (1, 0)"]
    patch = read.positions[8].patches[0]
    assert (patch.row, patch.column, patch.grid_rows, patch.grid_columns) == (1, 2, 6, 6)
    counts = [table[number].tokens for number in table]
    assert counts == sorted(counts, reverse=True)
    for feature in table.values():
        assert len(feature.top) <= 3
        assert len({example.item for example in feature.top}) == len(feature.top)
        assert {11, 12} - {example.item for example in feature.top}, "one picture is shown once"
        values = [example.value for example in feature.top]
        assert values == sorted(values, reverse=True)
        assert all(example.patch is not None for example in feature.top)
        assert 0 < feature.mean <= feature.largest
    assert list(table.to_pandas().feature) == list(table)
    assert "fire at" in table._repr_html_()
    assert any("colour" in example.label for feature in words.values() for example in feature.top)
    async with AsyncClient(server) as client:
        again = await client.top_features(twice, POINT.at(tokens.visual), top=3)
    assert again.rows() == table.rows()


def test_a_script_says_how_answers_were_steered(
    server: str, steering: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(steering, "DESCRIBED", range(5_900_000, 5_900_040))
    monkeypatch.setattr(sys, "argv", ["steer.py", "--server", server, "--items", "5"])
    steering.main()
    assert capsys.readouterr().out.count(" of 5") == 12
