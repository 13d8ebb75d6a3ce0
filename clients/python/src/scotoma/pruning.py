"""Published ways of pruning visual tokens, by name, as lists of interventions: docs/pruning.md says what each does."""

from __future__ import annotations

from collections.abc import Callable

from scotoma.interventions import prune_tokens, select_tokens
from scotoma.names import nearest
from scotoma.selectors import Selector, tokens
from scotoma.v1.intervention_pb2 import Intervention
from scotoma.v1.model_service_pb2 import ModelInfo

Make = Callable[[float, int, int, int], list[Intervention]]
"""Makes the list of the share that stays, a seed, and the layers that run of the language model and of the tower."""


def _class_attention(kept: float, tower: int) -> Selector:
    return tokens.by_attention(f"vision_tower.blocks.{tower - 1}.attn.hook_pattern", share=kept)


def _first(chosen: Selector) -> list[Intervention]:
    return [select_tokens(chosen, positions="compact")]


def _zip(kept: float, tower: int, value: str | None) -> list[Intervention]:
    merge = {"share": kept * 10 / 64, "value": value}
    chosen = _class_attention(kept * 54 / 64, tower)
    return [select_tokens(chosen, "merge", positions="compact", merge=merge)]


def _sparse(kept: float, _seed: int, language: int, _tower: int) -> list[Intervention]:
    left, stages = 1.0, {}
    for layer, count in ((2, 300), (6, 200), (15, 110)):
        left = min(kept * count / 192, left)
        stages[layer * language // 32] = left
    made, before = [], 1.0
    for layer, share in stages.items():
        made.append(prune_tokens(layer, min(share / before if before else 0.0, 1.0), received_from=tokens.question))
        before = share
    return made


def _pyramid(kept: float, language: int, looking: Selector | None) -> list[Intervention]:
    ends = sorted({stage * language // 4 for stage in (1, 2, 3)} - {0})
    return [prune_tokens(end - 1, kept, received_from=looking) for end in ends]


_DRAWN = ("random", "random-layer2")
POLICIES: dict[str, tuple[float, Make]] = {
    "fastv": (0.5, lambda kept, *_: [prune_tokens(1, kept)]),
    "random": (0.5, lambda kept, seed, *_: _first(tokens.random(kept, seed))),
    "random-layer2": (0.5, lambda kept, seed, *_: [prune_tokens(1, kept, random_seed=seed)]),
    "cls-attention": (0.25, lambda kept, _s, _l, tower: _first(_class_attention(kept, tower))),
    "cls-attention-last-block": (0.25, lambda kept, *_: _first(tokens.salient(share=kept))),
    "visionzip": (1 / 9, lambda kept, _s, _l, tower: _zip(kept, tower, "mean")),
    "visionzip-sum": (1 / 9, lambda kept, _s, _l, tower: _zip(kept, tower, "seed_plus_mean")),
    "sparsevlm": (1 / 3, _sparse),
    "pyramiddrop": (0.5, lambda kept, _s, language, _t: _pyramid(kept, language, None)),
    "pyramiddrop-question": (0.5, lambda kept, _s, language, _t: _pyramid(kept, language, tokens.question)),
}
"""By name: the share that its paper starts from, and what makes its interventions."""


def pruning(policy: str, model: ModelInfo) -> list[Intervention]:
    """Returns the interventions of a way of pruning, "fastv", "fastv:0.25" or "random:0.5:7" (share and seed), for the
    layers of a model."""
    name, *rest = policy.split(":")
    if name not in POLICIES:
        raise ValueError(f"pruning: {nearest(name, POLICIES)}")
    if len(rest) > (2 if name in _DRAWN else 1):
        raise ValueError(f"pruning: {policy!r}; {name} takes {'KEPT and SEED' if name in _DRAWN else 'KEPT alone'}")
    default, make = POLICIES[name]
    try:
        kept, seed = float(rest[0]) if rest else default, int(rest[1]) if len(rest) > 1 else 0
    except ValueError:
        raise ValueError(f"pruning: {policy!r}; POLICY:KEPT, a share of 0 to 1, is needed") from None
    if not 0 <= kept <= 1:
        raise ValueError(f"pruning: {policy!r}; {kept} is not in 0 to 1")
    layers, tower = model.language_model.layers, model.vision_tower.layers_run
    if layers < 2 or tower < 1:
        raise ValueError(f"pruning: a model of {layers} layers and a tower of {tower}; at least 2 and 1 are needed")
    return make(kept, seed, layers, tower)


__all__ = ["POLICIES", "pruning"]
