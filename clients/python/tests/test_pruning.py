"""Ways of pruning are those of the vectors that the server's own are checked by."""

import json
from pathlib import Path
from typing import Any

import pytest

from scotoma import pruning, to_json
from scotoma.pruning import POLICIES
from scotoma.v1.model_service_pb2 import ModelInfo, StackInfo

VECTORS = json.loads((Path(__file__).parents[3] / "tests/vectors/pruning.json").read_text())


@pytest.mark.parametrize("vector", VECTORS, ids=lambda v: f"{v['policy']} {v['language_model']}")
def test_ways_of_pruning_are_those_of_the_vectors(vector: dict[str, Any]) -> None:
    model = ModelInfo(
        language_model=StackInfo(layers=vector["language_model"]),
        vision_tower=StackInfo(layers_run=vector["vision_tower"]),
    )
    assert [plain(json.loads(to_json(own))) for own in pruning(vector["policy"], model)] == plain(
        vector["interventions"]
    )


def plain(value: object) -> object:
    """Leaves out what canonical JSON does: fields at their defaults."""
    if isinstance(value, dict):
        return {
            k: plain(v)
            for k, v in value.items()
            if v != 0 or k in ("keepShare", "share", "ratio", "randomSeed", "seed")
        }
    return [plain(v) for v in value] if isinstance(value, list) else value


def test_every_policy_has_vectors_with_and_without_a_share() -> None:
    assert {vector["policy"].split(":")[0] for vector in VECTORS} == set(POLICIES)
    assert {vector["policy"] for vector in VECTORS} >= set(POLICIES)


def test_a_model_of_too_few_layers_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 2 and 1"):
        pruning("cls-attention", ModelInfo())


@pytest.mark.parametrize("policy", ["slowv", "fastv:2", "fastv:", "fastv:0.5:1", "random:0.5:x"])
def test_what_is_no_policy_is_refused(policy: str) -> None:
    with pytest.raises(ValueError, match="pruning"):
        pruning(policy, ModelInfo())
