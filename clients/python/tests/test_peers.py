"""The server says of the embedded model what other libraries do: nnsight's patching grid and logit lens."""

import json
from typing import Any

import numpy as np
import pytest
from conftest import ROOT

from scotoma import Client, hooks

PICTURES = ROOT / "docs/pictures"


def golden(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((ROOT / "tests/goldens" / name).read_text())
    return found


def test_a_patching_grid_is_that_of_nnsight(server: str) -> None:
    peer = golden("peers.json")
    with Client(server) as client:
        grid = client.patching_grid(
            PICTURES / "red.png",
            PICTURES / "blue.png",
            *peer["answers"],
            text=peer["question"],
            hook=hooks.blocks[:].hook_resid_pre,
        )
    size = abs(peer["clean"])
    found, expected = np.squeeze(grid.values), np.array(peer["grid"])
    assert found.shape == expected.shape == (8, 49)
    assert np.abs(found - expected).max() < 1e-5 * size
    assert [grid.clean, grid.corrupted] == pytest.approx([peer["clean"], peer["corrupted"]], abs=1e-5 * size)


def test_the_logit_lens_is_that_of_nnsight(server: str) -> None:
    peer = golden("peers.json")
    with Client(server) as client:
        captured = list(
            client.capture(
                peer["question"], hooks.blocks[:].hook_resid_post, PICTURES / "red.png", reduction="top_tokens", top=3
            )
        )
    assert len(captured) == len(peer["lens"]) == 8
    for rows, expected in zip(captured, peer["lens"], strict=True):
        assert [[token.id for token in row] for row in rows.top] == [[token for token, _ in row] for row in expected]
        found = np.array([[token.logprob for token in row] for row in rows.top])
        logprobs = np.array([[value for _, value in row] for row in expected])
        # Of each row's largest number, as logits of 10 are not within 1e-5 in f32.
        assert (np.abs(found - logprobs) / np.maximum(1, np.abs(logprobs))).max() < 1e-5
