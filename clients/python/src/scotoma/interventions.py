"""Interventions: typed changes to one forward pass. Each function returns the message of the contract.

Arguments are checked before anything is sent: a name, a value or a number that does not fit raises TypeError or
ValueError and says what would. `target` is a hook, the name of a point, or a Target; the keywords of `Where` (tokens,
layers, heads, dimensions, steps) say the rest of it. Vectors and values are lists, NumPy arrays or torch tensors.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, ParamSpec

from google.protobuf import json_format
from typing_extensions import Unpack

from scotoma.build import build
from scotoma.names import nearest
from scotoma.selectors import TargetLike, TokensLike, Where
from scotoma.selectors import target as target_of
from scotoma.v1 import inference_service_pb2 as inference
from scotoma.v1 import intervention_pb2 as pb

if TYPE_CHECKING:
    from scotoma.messages import Image
    from scotoma.views import Activation

Fill = Literal["black", "mean", "noise", "blur"]
Stack = Literal["language_model", "vision_tower"]
Scope = Literal["all", "within_tiles", "base_view", "within_blocks"]
Geometry = Literal["literal", "abs_scaled", "keskar", "additive", "gaussian"]
Layers = int | Iterable[int]
# Numbers in a list, a NumPy array or a torch tensor.
Numbers = Any

P = ParamSpec("P")
HELPERS: dict[str, list[Callable[..., pb.Intervention]]] = {}
"""The functions of this module by the kind of the contract that they make."""


def _helper(kind: str) -> Callable[[Callable[P, pb.Intervention]], Callable[P, pb.Intervention]]:
    """Registers a helper, and says which names it takes where it is called with another."""

    def wrap(made: Callable[P, pb.Intervention]) -> Callable[P, pb.Intervention]:
        signature = inspect.signature(made)
        known = [name for name, own in signature.parameters.items() if own.kind is not own.VAR_KEYWORD]
        if len(known) < len(signature.parameters):
            known += [*Where.__annotations__]

        @functools.wraps(made)
        def checked(*args: P.args, **kwargs: P.kwargs) -> pb.Intervention:
            for name in kwargs:
                if name not in known:
                    raise TypeError(f"{made.__name__}: {nearest(name, known)}")
            return made(*args, **kwargs)

        HELPERS.setdefault(kind, []).append(checked)
        return checked

    return wrap


def intervention(name: str, /, **fields: object) -> pb.Intervention:
    """Any intervention by its name in the contract, with its fields: `intervention("exit_early", layer=3)`.

    Values are what the functions of this module take; those of canonical JSON, with its names, do too. A name or a
    field that there is not raises ValueError that names those that there are.
    """
    kinds = pb.Intervention.DESCRIPTOR.fields
    own = next((kind for kind in kinds if name in (kind.name, kind.json_name)), None)
    if own is None:
        raise ValueError(f"intervention: {nearest(name, [kind.name for kind in kinds])}")
    made = pb.Intervention()
    inner = getattr(made, own.name)
    inner.SetInParent()
    inner.CopyFrom(build(type(inner), fields, own.name))
    return made


def to_json(intervention: pb.Intervention) -> str:
    """The canonical JSON form, for printing in a paper."""
    return json_format.MessageToJson(intervention, indent=None)


# On the picture.


@_helper("blank_image")
def blank_image(
    colour: Literal["black", "white", "mean"] | None = None, *, rgb: tuple[int, int, int] | None = None
) -> pb.Intervention:
    """Shows one colour in place of the picture: the blind control of a benchmark. Black unless said otherwise."""
    return intervention("blank_image", colour=colour, rgb=rgb)


@_helper("shuffle_patches")
def shuffle_patches(grid: int, seed: int | None = None, *, order: Sequence[int] | None = None) -> pb.Intervention:
    """Cuts the picture in `grid` x `grid` cells and permutes them: by a seed, or cell i shows what order[i] did."""
    return intervention("shuffle_patches", grid=grid, seed=seed, order=order)


@_helper("occlude_patches")
def occlude_random(
    ratio: float,
    seed: int | None = None,
    *,
    fill: Fill = "black",
    fill_seed: int | None = None,
    blur_sigma: float | None = None,
    grid: int = 0,
) -> pb.Intervention:
    """Hides a random share (0 to 1) of the cells of a grid over the picture; grid 0 is the tower's patch grid."""
    return _occlude(locals(), random={"ratio": ratio, "seed": seed})


@_helper("occlude_patches")
def occlude_salient(
    mass: float | None = None,
    *,
    share: float | None = None,
    model: str | None = None,
    weights: Numbers = None,
    head: int | None = None,
    fill: Fill = "black",
    fill_seed: int | None = None,
    blur_sigma: float | None = None,
    grid: int = 0,
) -> pb.Intervention:
    """Hides the most attended cells: the fewest that hold `mass` of the attention, or a `share` of all cells.

    Whose attention: the tower's, that of a saliency `model` of the server, or `weights`, one for each cell.
    """
    return _occlude(locals(), salient=_salient(locals()))


@_helper("occlude_patches")
def occlude_non_salient(
    mass: float | None = None,
    *,
    share: float | None = None,
    model: str | None = None,
    weights: Numbers = None,
    head: int | None = None,
    fill: Fill = "black",
    fill_seed: int | None = None,
    blur_sigma: float | None = None,
    grid: int = 0,
) -> pb.Intervention:
    """Hides all but the cells that `occlude_salient` would hide."""
    return _occlude(locals(), non_salient=_salient(locals()))


@_helper("occlude_patches")
def occlude_cells(
    cells: Iterable[int],
    *,
    fill: Fill = "black",
    fill_seed: int | None = None,
    blur_sigma: float | None = None,
    grid: int = 0,
) -> pb.Intervention:
    """Hides cells by number, row by row from the top left."""
    return _occlude(locals(), indices=cells)


def _occlude(given: Mapping[str, Any], **choice: object) -> pb.Intervention:
    own = {name: given[name] for name in ("fill", "fill_seed", "blur_sigma", "grid")}
    return intervention("occlude_patches", **choice, **own)


def _salient(given: Mapping[str, Any]) -> dict[str, Any]:
    if given["mass"] is None and given["share"] is None:
        raise ValueError("give mass (of the attention) or share (of the cells)")
    weights = given["weights"]
    flat = None if weights is None else {"weights": weights}
    return {"weights": flat, **{name: given[name] for name in ("mass", "share", "model", "head")}}


# On the projector.


@_helper("swap_projector")
def swap_projector(
    name: str | None = None, *, random_seed: int | None = None, identity: bool = False
) -> pb.Intervention:
    """Runs another projector: a resident one by name, a random one by seed, or none at all (identity)."""
    if (name is not None) + (random_seed is not None) + identity != 1:
        raise ValueError("swap_projector takes one of name, random_seed and identity=True")
    return intervention("swap_projector", name=name, random_seed=random_seed, identity=True if identity else None)


# On the visual tokens.


@_helper("permute_tokens")
def permute_tokens(
    seed: int | None = None, *, order: Sequence[int] | None = None, scope: Scope = "all", blocks: int = 0
) -> pb.Intervention:
    """Permutes the visual tokens of each picture: row i becomes row `order[i]`, or a uniform permutation by `seed`.

    Without either the server draws a seed and returns it. `blocks` is for the scope "within_blocks".
    """
    if seed is not None and order is not None:
        raise ValueError("permute_tokens takes a seed or an order, not both")
    return intervention("permute_tokens", seed=seed, order=order, scope=scope, blocks=blocks)


@_helper("select_tokens")
def select_tokens(
    tokens: TokensLike,
    mode: Literal["keep", "remove", "pool", "merge"] | None = None,
    *,
    positions: Literal["original", "compact"] | None = None,
    merge: int | Mapping[str, object] | None = None,
) -> pb.Intervention:
    """Keeps, removes or pools visual tokens; with "pool" each set of the union becomes one token, the mean.
    With "merge" the others become so many tokens; a mapping says how: `count` or `share`, `similarity`, `value`."""
    merged = merge if merge is None or isinstance(merge, Mapping) else {"count": merge}
    return intervention("select_tokens", tokens=tokens, mode=mode, positions=positions, merge=merged)


@_helper("replace_tokens")
def replace_tokens(
    tokens: TokensLike,
    constant: Literal["zero", "mean"] | None = None,
    *,
    noise: int | bool | None = None,
    donor: Image | None = None,
) -> pb.Intervention:
    """Writes other values over visual tokens: zero or the mean, `noise` by a seed (True: the server's), or the tokens
    of another picture, `donor`."""
    drawn: object = {} if noise is True else None if noise is False else noise
    if (constant is not None) + (drawn is not None) + (donor is not None) != 1:
        raise ValueError("replace_tokens takes one of constant, noise and donor")
    return intervention("replace_tokens", tokens=tokens, constant=constant, noise=drawn, donor=donor)


# On layers.


@_helper("drop_layers")
def drop_layers(layers: Layers, *, stack: Stack = "language_model") -> pb.Intervention:
    """Lets layers, counted from 0, hand their input on unchanged."""
    return intervention("drop_layers", stack=stack, layers=layers)


@_helper("repeat_layers")
def repeat_layers(
    first: int, last: int | None = None, times: int = 1, *, stack: Stack | None = None
) -> pb.Intervention:
    """Runs layers `first` to `last` (by default `first` alone) again after themselves, `times` more (at most 16)."""
    last = first if last is None else last
    if last < first:
        raise ValueError(f"repeat_layers: last: {last} is below first, {first}")
    return intervention("repeat_layers", stack=stack, first=first, last=last, times=times)


@_helper("exit_early")
def exit_early(layer: int, *, stack: Stack | None = None) -> pb.Intervention:
    """Leaves out all layers above `layer`."""
    return intervention("exit_early", stack=stack, layer=layer)


# At a hook point.


@_helper("add_noise")
def add_noise(
    target: TargetLike,
    scale: float,
    geometry: Geometry | None = None,
    *,
    seed: int | None = None,
    random_scale: bool = False,
    **where: Unpack[Where],
) -> pb.Intervention:
    """Adds noise of `scale` (0 to 1e6), gaussian unless `geometry` says otherwise."""
    fields = {"scale": scale, "geometry": geometry, "seed": seed, "random_scale": random_scale or None}
    return intervention("add_noise", target=target_of(target, **where), **fields)


@_helper("steer")
def steer(target: TargetLike, vector: Numbers, scale: float = 1.0, **where: Unpack[Where]) -> pb.Intervention:
    """Adds `scale * vector`: activation steering. As wide as the point; with heads as one head, or (heads, width)."""
    return intervention("steer", target=target_of(target, **where), vector=vector, scale=scale)


@_helper("project_out")
def project_out(target: TargetLike, directions: Numbers, **where: Unpack[Where]) -> pb.Intervention:
    """Removes the span of directions, of shape (n, width) or (width,): directional ablation."""
    return intervention("project_out", target=target_of(target, **where), directions=directions)


@_helper("scale")
def scale(target: TargetLike, factor: float, **where: Unpack[Where]) -> pb.Intervention:
    """Multiplies by `factor` (-1e6 to 1e6); 1 changes nothing."""
    return intervention("scale", target=target_of(target, **where), factor=factor)


@_helper("clamp_norm")
def clamp_norm(target: TargetLike, max_norm: float, **where: Unpack[Where]) -> pb.Intervention:
    """Limits the Euclidean norm of each row to `max_norm`, above 0; shorter rows keep every bit."""
    return intervention("clamp_norm", target=target_of(target, **where), max_norm=max_norm)


@_helper("set_feature")
def set_feature(
    target: TargetLike,
    features: int | Iterable[int],
    *,
    sae: str | None = None,
    clamp: float | None = None,
    scale: float | None = None,
    add: float | None = None,
    ablate: bool | None = None,
    **where: Unpack[Where],
) -> pb.Intervention:
    """Gives features of a resident sparse autoencoder, the only one by default, other values.

    `clamp` sets them, `scale` multiplies, `add` adds, active or not, and `ablate=True` removes them. What the
    autoencoder does not explain of a row stays.
    """
    given: dict[str, Any] = {
        name: value for name, value in {"clamp": clamp, "scale": scale, "add": add}.items() if value is not None
    }
    if ablate:
        given["ablate"] = {}
    if len(given) != 1:
        raise ValueError("set_feature: one of clamp, scale, add and ablate=True says what the features become")
    return intervention("set_feature", target=target_of(target, **where), sae=sae, features=features, **given)


@_helper("ablate")
def ablate(target: TargetLike, value: Literal["zero", "mean"] | None = None, **where: Unpack[Where]) -> pb.Intervention:
    """Writes zeros, or the mean of the chosen tokens of the prompt."""
    return intervention("ablate", target=target_of(target, **where), value=value)


@_helper("patch")
def patch(
    target: TargetLike,
    values: Numbers | str | Activation | inference.KeptActivation,
    **where: Unpack[Where],
) -> pb.Intervention:
    """Writes given activations: activation patching.

    `values` are numbers of shape (rows, width), (rows, heads, width of a head) or (width,), an Activation of `capture`,
    or what `capture` has kept (`finished.kept[0]`, or its handle).
    """
    if isinstance(values, inference.KeptActivation):
        values = values.handle
    source = {"handle": values} if isinstance(values, str) else {"values": getattr(values, "array", values)}
    return intervention("patch", target=target_of(target, **where), **source)


# In the attention.


@_helper("knock_out_attention")
def knock_out_attention(
    from_tokens: TokensLike | None = None,
    to_tokens: TokensLike | None = None,
    *,
    layers: Layers | None = None,
    heads: int | Iterable[int] | None = None,
    steps: int | Iterable[int] | pb.Steps | None = None,
    stack: Stack | None = None,
) -> pb.Intervention:
    """Hides `to_tokens` from `from_tokens`, which look; either is all tokens by default."""
    fields = {"from": from_tokens, "to": to_tokens, "layers": layers, "heads": heads, "steps": steps, "stack": stack}
    return intervention("knock_out_attention", **fields)


@_helper("prune_tokens")
def prune_tokens(
    layer: int,
    keep_share: float | None = None,
    *,
    keep_count: int | None = None,
    received_from: TokensLike | None = None,
    random_seed: int | None = None,
    class_attention: bool = False,
) -> pb.Intervention:
    """Drops visual tokens after a layer, by the attention they receive from the last token (FastV).

    `keep_share` (0 to 1) or `keep_count` stay. Other rankings: by attention `received_from` these tokens, at random by
    `random_seed`, or by `class_attention` of the tower.
    """
    if (keep_share is None) == (keep_count is None):
        raise ValueError("prune_tokens takes one of keep_share and keep_count")
    fields = {"keep_share": keep_share, "keep_count": keep_count, "received_from": received_from}
    ranking = {"random_seed": random_seed, "class_attention": class_attention or None}
    return intervention("prune_tokens", layer=layer, **fields, **ranking)
