"""The Python of docs/reading.md runs as it stands there, and finds what the page says."""

import json
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import ROOT

from scotoma import Client, direct_logits, hooks, tokens


def test_the_page_about_reading_runs(server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("red.png", "blue.png"):
        shutil.copy(ROOT / "docs/pictures" / name, tmp_path)
    monkeypatch.chdir(tmp_path)
    page = (ROOT / "docs/reading.md").read_text()
    blocks = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    assert len(blocks) == 5
    found: dict[str, Any] = {}
    for block in blocks:
        exec(block.replace("127.0.0.1:7878", server), found)
    effect = np.squeeze(found["grid"].effect)
    assert effect[:, -1].argmax() == 5
    assert effect[[5, 7, 4], -1] == pytest.approx([0.80, 0.21, 0.10], abs=0.006)
    assert np.abs(effect[:, :-1]).max() < 0.1
    question, client, tokens = found["question"], found["client"], found["tokens"]
    last = {"last": tokens.last}
    options = {"text": question, "hook": hooks.blocks[5].attn.z, "positions": last, "each_head": True}
    heads = client.patching_grid("red.png", "blue.png", " red", " blue", **options)
    assert np.squeeze(heads.effect) == pytest.approx([0.01, 0.06, 0.17, 0.21], abs=0.006)
    margin = found["margin"]
    knock_out = found["knock_out_attention"]
    hidden = [margin([knock_out(tokens.last, tokens.visual, layers=[layer])]) for layer in (5, 0)]
    assert hidden[0] < margin([]) - 3
    assert abs(hidden[1] - margin([])) < 1
    assert found["looks"].array.argmax() == 10
    assert found["looks"].array.max() == pytest.approx(0.99, abs=0.006)
    assert (tmp_path / "head.png").exists()
    parts = found["parts"]
    whole = sum(part for name, part in parts.items() if name.count(".") < 2)
    assert whole == pytest.approx(margin([]), abs=1e-3)
    for layer in (5, 7):
        heads = sum(part for name, part in parts.items() if name.startswith(f"attn.{layer}."))
        assert heads == pytest.approx(parts[f"attn.{layer}"], abs=1e-3)
    found["client"].close()


def test_the_path_that_the_page_about_tracing_patches(server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT / "docs/pictures")
    page = (ROOT / "docs/tracing.md").read_text()
    code = re.search(r"\n    (client\.patching_grid\(.*receiver=.*?)\n\n", page, re.DOTALL)
    assert code
    with Client(server) as client:
        grid = eval(code[1], {"client": client, "hooks": hooks, "tokens": tokens})
    # "says 0.85 to 0.88 at each layer"
    effect = np.squeeze(grid.effect)
    assert effect.shape == (6,)
    assert (effect.min(), effect.max()) == pytest.approx((0.85, 0.88), abs=0.005)


def test_the_page_about_features_runs(server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copy(ROOT / "docs/pictures/red.png", tmp_path / "picture.png")
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "docs/features.md").read_text(), re.DOTALL)
    assert len(blocks) == 3
    found: dict[str, Any] = {}
    # The last one needs scikit-learn: test_probe.py does what it says.
    for block in blocks[:2]:
        exec(block.replace("127.0.0.1:7878", server), found)
    assert found["table"].tokens_seen == 36
    assert len(found["read"].features) == 36
    assert all(len(features) == 3 for features in found["read"].features)


def test_lens_and_direct_logits_are_those_of_transformers(server: str) -> None:
    golden = json.loads((ROOT / "tests/goldens/lens.json").read_text())
    picture, question = ROOT / "docs/pictures/red.png", "What colour is the circle?"
    with Client(server) as client:
        found = list(client.capture(question, hooks.blocks[:].hook_resid_post, picture, reduction="top_tokens", top=3))
        assert len(found) == len(golden["lens"])
        for rows, expected in zip(found, golden["lens"], strict=True):
            for row, tokens in zip(rows.top, expected, strict=True):
                assert [token.id for token in row] == [number for number, _ in tokens]
                assert [token.logprob for token in row] == pytest.approx([value for _, value in tokens], abs=1e-4)
        parts = direct_logits(client, question, " red", picture, other=" blue", heads_of=[5, 7])
    size = abs(golden["difference"])
    for name, part in parts.items():
        assert part == pytest.approx(golden["parts"][name], abs=1e-5 * size), name
