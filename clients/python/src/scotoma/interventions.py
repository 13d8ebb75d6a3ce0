"""Interventions: typed changes to one forward pass. Each function returns the message of the contract."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal

from google.protobuf import json_format

from scotoma.v1 import intervention_pb2 as pb

Fill = Literal["black", "mean", "noise"]
Stack = Literal["language_model", "vision_tower"]
Scope = Literal["all", "within_tiles", "base_view", "within_blocks"]


def permute_tokens(
    seed: int | None = None, *, order: Sequence[int] | None = None, scope: Scope = "all", blocks: int = 0
) -> pb.Intervention:
    """Permutes the visual tokens of each picture: row i becomes row `order[i]`, or a uniform permutation by `seed`.

    Without either the server draws a seed and returns it. `blocks` is for the scope "within_blocks".
    """
    if seed is not None and order is not None:
        raise ValueError("permute_tokens takes a seed or an order, not both")
    message = pb.PermuteTokens(scope=f"SCOPE_{scope.upper()}", blocks=blocks)
    if seed is not None:
        message.seed = seed
    if order is not None:
        message.order.indices.extend(order)
        message.order.SetInParent()
    return pb.Intervention(permute_tokens=message)


def _occlude(fill: Fill, fill_seed: int | None, grid: int) -> pb.OccludePatches:
    message = pb.OccludePatches(fill=f"FILL_{fill.upper()}", grid=grid)
    if fill_seed is not None:
        message.fill_seed = fill_seed
    return message


def occlude_random(
    ratio: float, seed: int | None = None, *, fill: Fill = "black", fill_seed: int | None = None, grid: int = 0
) -> pb.Intervention:
    """Hides a random share (0 to 1) of the cells of a grid over the picture; grid 0 is the tower's patch grid."""
    message = _occlude(fill, fill_seed, grid)
    message.random.ratio = ratio
    if seed is not None:
        message.random.seed = seed
    return pb.Intervention(occlude_patches=message)


def _amount(mass: float | None, share: float | None) -> pb.SalientPatches:
    if (mass is None) == (share is None):
        raise ValueError("give mass (of the attention) or share (of the cells)")
    return pb.SalientPatches(mass=mass) if mass is not None else pb.SalientPatches(share=share)


def occlude_salient(
    mass: float | None = None,
    *,
    share: float | None = None,
    fill: Fill = "black",
    fill_seed: int | None = None,
    grid: int = 0,
) -> pb.Intervention:
    """Hides the most attended cells: the fewest that hold `mass` of the tower's attention, or a `share` of all."""
    message = _occlude(fill, fill_seed, grid)
    message.salient.CopyFrom(_amount(mass, share))
    return pb.Intervention(occlude_patches=message)


def occlude_non_salient(
    mass: float | None = None,
    *,
    share: float | None = None,
    fill: Fill = "black",
    fill_seed: int | None = None,
    grid: int = 0,
) -> pb.Intervention:
    """Hides all but the cells that `occlude_salient` would hide."""
    message = _occlude(fill, fill_seed, grid)
    message.non_salient.CopyFrom(_amount(mass, share))
    return pb.Intervention(occlude_patches=message)


def occlude_cells(
    cells: Iterable[int], *, fill: Fill = "black", fill_seed: int | None = None, grid: int = 0
) -> pb.Intervention:
    """Hides cells by number, row by row from the top left."""
    message = _occlude(fill, fill_seed, grid)
    message.indices.SetInParent()
    message.indices.indices.extend(cells)
    return pb.Intervention(occlude_patches=message)


def drop_layers(layers: Iterable[int], *, stack: Stack = "language_model") -> pb.Intervention:
    """Lets layers, counted from 0, hand their input on unchanged."""
    return pb.Intervention(drop_layers=pb.DropLayers(stack=f"STACK_{stack.upper()}", layers=layers))


def swap_projector(
    name: str | None = None, *, random_seed: int | None = None, identity: bool = False
) -> pb.Intervention:
    """Runs another projector: a resident one by name, a random one by seed, or none at all (identity)."""
    if (name is not None) + (random_seed is not None) + identity != 1:
        raise ValueError("swap_projector takes one of name, random_seed and identity=True")
    if name is not None:
        message = pb.SwapProjector(name=name)
    elif random_seed is not None:
        message = pb.SwapProjector(random_seed=random_seed)
    else:
        message = pb.SwapProjector(identity=pb.IdentityProjector())
    return pb.Intervention(swap_projector=message)


def intervention(name: str, **fields: object) -> pb.Intervention:
    """Any intervention by its name in the contract, with its fields: `intervention("exit_early", layer=3)`.

    Messages within are dicts, enums strings: `intervention("blank_image", colour="COLOUR_WHITE")`.
    A name or a field that there is not raises ValueError.
    """
    try:
        return json_format.ParseDict({name: fields}, pb.Intervention())
    except json_format.ParseError as error:
        raise ValueError(str(error)) from None


def to_json(intervention: pb.Intervention) -> str:
    """The canonical JSON form, for printing in a paper."""
    return json_format.MessageToJson(intervention, indent=None)
