"""Tokens, layers, steps and hook points as values: what a target says, and what a selector can.

    tokens.visual & tokens.block(2, 3)     # block 3 of a 2 x 2 partition of the patches
    ~(tokens.text | tokens.last)
    hooks.blocks[3:8].attn.hook_pattern.at(tokens.last, heads=[0])

The contract says a set as a union of sets or the complement of one. `&`, `-` and `~` are worked out here where that can
say them, by what the sets are; what it cannot say raises ValueError.
"""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypedDict, Unpack

from scotoma.names import nearest
from scotoma.v1 import intervention_pb2 as pb

NAMED = {name.removeprefix("NAMED_").lower(): number for name, number in pb.Tokens.Named.items() if number}
# Every token is in just one of these.
_PARTS = ("visual", "text", "generated")
# Patches and what else belongs to pictures.
_OF_PICTURES = ("image", "tile", "blocks", "random", "salient", "newline", "class", "base_view")
_OF_TEXT = ("system", "question", "user", "assistant")
_MOST = 2**32 - 1


@dataclass(frozen=True)
class _Set:
    """A set of the contract; `value` says which of its kind."""

    kind: str
    value: Any = None

    def part(self) -> str | None:
        """Returns the part that holds all of it, where one does."""
        if self.kind in _OF_PICTURES:
            return "visual"
        if self.kind in _OF_TEXT:
            return "text"
        return self.kind if self.kind in _PARTS else None

    def within(self, other: _Set) -> bool:
        """Returns whether it is known to be a subset."""
        if self == other:
            # A draw whose seed the server chooses is another one each time.
            return self.kind != "random" or self.value[1] is not None
        if other.kind == "last":
            return self.kind == "generated"
        if self.kind == "question" and other.kind == "user":
            return True
        if self.kind == other.kind and self.kind in ("indices", "blocks"):
            return self._numbers_like(other) and self._numbers() <= other._numbers()
        return other.kind in _PARTS and self.part() == other.kind

    def apart(self, other: _Set) -> bool:
        """Returns whether it is known that no token is in both."""
        parts = (self.part(), other.part())
        if None not in parts and parts[0] != parts[1]:
            return True
        if self.kind == other.kind:
            if self.kind in ("image", "tile", "turn"):
                return bool(self.value != other.value)
            return self._numbers_like(other) and not self._numbers() & other._numbers()
        speakers = {"user" if kind == "question" else kind for kind in (self.kind, other.kind)}
        if speakers <= {"system", "user", "assistant"}:
            return len(speakers) == 2
        special = {self.kind, other.kind}
        return bool(special & {"newline", "class"}) and special <= {*_OF_PICTURES} - {"image"}

    def _numbers_like(self, other: _Set) -> bool:
        if self.kind == other.kind == "blocks":
            return bool(self.value[0] == other.value[0])
        return self.kind == other.kind == "indices"

    def _numbers(self) -> frozenset[int]:
        numbers: frozenset[int] = self.value[1] if self.kind == "blocks" else self.value
        return numbers

    def _of_numbers(self, numbers: frozenset[int]) -> list[_Set]:
        if not numbers:
            return []
        return [_Set("blocks", (self.value[0], numbers)) if self.kind == "blocks" else _Set("indices", numbers)]

    def both(self, other: _Set) -> list[_Set] | None:
        """Returns what is in both, None where no set says it."""
        if self.kind == "all" or other.within(self):
            return [other]
        if other.kind == "all" or self.within(other):
            return [self]
        if self.apart(other):
            return []
        return self._of_numbers(self._numbers() & other._numbers()) if self._numbers_like(other) else None

    def without(self, other: _Set) -> list[_Set] | None:
        """Returns what is in this alone, None where no set says it."""
        if other.kind == "all" or self.within(other):
            return []
        if self.apart(other):
            return [self]
        return self._of_numbers(self._numbers() - other._numbers()) if self._numbers_like(other) else None

    def message(self) -> pb.Tokens:
        """Returns it as the contract has it."""
        if self.kind == "indices":
            return pb.Tokens(indices=pb.TokenIndices(indices=sorted(self.value)))
        if self.kind == "blocks":
            return pb.Tokens(blocks=pb.TokenBlocks(grid=self.value[0], indices=sorted(self.value[1])))
        if self.kind == "random":
            return pb.Tokens(random=pb.RandomPatches(ratio=self.value[0], seed=self.value[1]))
        if self.kind == "salient":
            return pb.Tokens(salient=pb.SalientPatches.FromString(self.value))
        if self.kind == "measured":
            return pb.Tokens(measured=pb.MeasuredTokens.FromString(self.value))
        if self.kind in ("image", "tile", "turn"):
            return pb.Tokens(**{self.kind: self.value})
        return pb.Tokens(named=NAMED[self.kind])  # type: ignore[arg-type]

    def __str__(self) -> str:
        """Returns it as it is written."""
        if self.kind == "indices":
            return f"tokens[{sorted(self.value)}]"
        if self.kind == "blocks":
            return f"tokens.block({', '.join(map(str, [self.value[0], *sorted(self.value[1])]))})"
        if self.kind == "random":
            return f"tokens.random({self.value[0]}, seed={self.value[1]})"
        if self.kind in ("salient", "measured"):
            return f"tokens.{self.kind}(...)"
        if self.kind in ("image", "tile", "turn"):
            return f"tokens.{self.kind}({self.value})"
        return f"tokens.{'class_' if self.kind == 'class' else self.kind}"


def _each(lists: Iterable[list[_Set] | None]) -> list[_Set] | None:
    """Joins lists, None where one of them is."""
    found: list[_Set] = []
    for own in lists:
        if own is None:
            return None
        found.extend(own)
    return found


def _union(sets: Iterable[_Set]) -> tuple[_Set, ...]:
    """Leaves out sets that others hold."""
    found: list[_Set] = []
    for own in sets:
        if not any(own.within(other) for other in found):
            found = [other for other in found if not other.within(own)]
            found.append(own)
    return tuple(found)


class Selector:
    """A set of tokens: `|` is a union, `&` what is in both, `-` a difference, `~` all others."""

    def __init__(self, sets: Iterable[_Set], complement: bool = False) -> None:
        """Holds the union of sets, or its complement; made by `tokens`."""
        self._sets, self._complement = _union(sets), complement

    def message(self) -> pb.TokenSelector:
        """Returns it as the contract has it."""
        sets, complement = self._sets, self._complement
        if not sets:
            # An empty list of the contract is every token.
            return pb.TokenSelector(complement=not complement)
        return pb.TokenSelector(any_of=[own.message() for own in sets], complement=complement)

    def __invert__(self) -> Selector:
        """Returns all tokens but these."""
        return Selector(self._sets, not self._complement)

    def __or__(self, other: Selector) -> Selector:
        """Returns what is in one of them."""
        if not isinstance(other, Selector):
            return NotImplemented
        if not (self._complement or other._complement):
            return Selector((*self._sets, *other._sets))
        return ~_common(~self, ~other, f"{self} | {other}")

    def __and__(self, other: Selector) -> Selector:
        """Returns what is in both."""
        if not isinstance(other, Selector):
            return NotImplemented
        return _common(self, other, f"{self} & {other}")

    def __sub__(self, other: Selector) -> Selector:
        """Returns what is in this alone."""
        if not isinstance(other, Selector):
            return NotImplemented
        return _common(self, ~other, f"{self} - {other}")

    def __eq__(self, other: object) -> bool:
        """Compares what is said."""
        return isinstance(other, Selector) and self.message() == other.message()

    def __hash__(self) -> int:
        """Hashes what is said."""
        return hash(self.message().SerializeToString(deterministic=True))

    def __repr__(self) -> str:
        """Returns it as it is written."""
        if not self._sets:
            return "tokens.all" if self._complement else "~tokens.all"
        text = " | ".join(map(str, self._sets))
        if self._complement:
            return f"~({text})" if len(self._sets) > 1 else f"~{text}"
        return text


def _common(one: Selector, other: Selector, asked: str) -> Selector:
    """Returns what is in both; ValueError where a selector of the contract cannot say it."""
    found: Selector | None
    if one._complement and other._complement:
        return Selector((*one._sets, *other._sets), True)
    if one._complement:
        one, other = other, one
    if other._complement:
        found = _difference(one._sets, other._sets)
    else:
        sets = _each(a.both(b) for a in one._sets for b in other._sets)
        found = None if sets is None else Selector(sets)
    if found is None:
        raise ValueError(
            f"{asked}: no selector says this. One is a union of sets or the complement of a union; "
            "a part of a set is known for tokens by number, blocks of one grid, and what lies within "
            f"{', '.join(_PARTS)}. Capture's `tokens` give the numbers behind any set: tokens[numbers]"
        )
    return found


def _difference(sets: tuple[_Set, ...], less: tuple[_Set, ...]) -> Selector | None:
    """Returns what is in one of `sets` and none of `less`."""
    kinds = [own.kind for own in sets]
    if "all" in kinds:
        return Selector(less, True)
    left: list[_Set] | None = list(sets)
    for other in less:
        left = _each(own.without(other) for own in left or ())
        if left is None:
            break
    if left is not None:
        return Selector(left)
    if all(kind in _PARTS for kind in kinds):
        # Every token is in one of the parts: what is in one of these is what is in none of the others.
        return Selector((*(_Set(part) for part in _PARTS if part not in kinds), *less), True)
    return None


# What a `tokens` argument takes: a selector, several (their union), numbers, or a set by its name.
TokensLike = Selector | pb.TokenSelector | int | str | Iterable[int] | Iterable[Selector]


def numbers_of(value: Any, what: str) -> list[int]:  # noqa: ANN401
    """Returns whole numbers from 0 of an int, a range, a slice with an end, or any iterable, arrays among them."""
    if isinstance(value, slice):
        if value.stop is None or (value.start or 0) < 0 or value.stop < 0:
            raise ValueError(f"{what}: a slice needs an end, and counts from the first one: {what}[3:8]")
        value = range(value.start or 0, value.stop, value.step or 1)
    if isinstance(value, (str, bytes, bool)):
        raise TypeError(f"{what}: {value!r}; whole numbers are needed")
    listed = list(value) if isinstance(value, Iterable) else [value]
    found: list[int] = []
    for number in listed:
        try:
            found.append(number.__index__())
        except (AttributeError, TypeError):
            raise TypeError(f"{what}: {number!r}; whole numbers are needed") from None
        if not 0 <= found[-1] <= _MOST:
            raise ValueError(f"{what}: {found[-1]} is not in 0 to {_MOST}")
    return found


class Chosen(TypedDict, total=False):
    """Which of the tokens that a number is measured of."""

    count: int
    """So many."""
    share: float
    """This share of them, 0 to 1."""
    at_least: float
    """Those of at least this value (at most, with `lowest`)."""
    times_median: float
    """Those of at least so many times the median (at most, with `lowest`)."""
    lowest: bool
    """The lowest in place of the highest."""
    among: str
    """The name of the tokens to choose among: "visual", "text", "question"; all by default."""
    head: int
    """One head, at points that have them."""


class _Tokens:
    """Sets of tokens by what they are, and `tokens[numbers]`."""

    def __init__(self) -> None:
        self.all = Selector([], True)
        """Every token."""
        self.visual = Selector([_Set("visual")])
        """Tokens of pictures, newline vectors and class token included; in the tower every patch."""
        self.text = Selector([_Set("text")])
        """Text of the prompt."""
        self.system = Selector([_Set("system")])
        """The system prompt."""
        self.question = Selector([_Set("question")])
        """The user's words, in a conversation those of the last message."""
        self.last = Selector([_Set("last")])
        """The token that the next one is predicted from."""
        self.generated = Selector([_Set("generated")])
        """Generated tokens; of `score` those of the continuation."""
        self.newline = Selector([_Set("newline")])
        """Newline vectors of any-resolution pictures."""
        self.class_ = Selector([_Set("class")])
        """The class token."""
        self.base_view = Selector([_Set("base_view")])
        """Patches of base views."""
        self.user = Selector([_Set("user")])
        """Words of all messages of the user."""
        self.assistant = Selector([_Set("assistant")])
        """Words of all messages of the assistant in the prompt."""

    def __getitem__(self, numbers: int | slice | Iterable[int]) -> Selector:
        """Returns tokens by number: `tokens[3]`, `tokens[4:8]`, `tokens[[1, 5]]`."""
        return Selector([_Set("indices", frozenset(numbers_of(numbers, "tokens")))])

    def image(self, number: int) -> Selector:
        """Returns all tokens of one picture of the request, from 0."""
        return Selector([_Set("image", numbers_of(number, "image")[0])])

    def tile(self, number: int) -> Selector:
        """Returns the patches of one tile of any-resolution pictures, row by row from 0."""
        return Selector([_Set("tile", numbers_of(number, "tile")[0])])

    def turn(self, number: int) -> Selector:
        """Returns words and pictures of one message of a conversation, from 0."""
        return Selector([_Set("turn", numbers_of(number, "turn")[0])])

    def block(self, grid: int, *numbers: int | Iterable[int]) -> Selector:
        """Returns the patches in blocks of a `grid` x `grid` partition, by number, row by row from 0."""
        side = numbers_of(grid, "grid")[0]
        chosen = frozenset(n for own in numbers for n in numbers_of(own, "block"))
        if side < 1 or not chosen or max(chosen) >= side * side:
            raise ValueError(f"block: {sorted(chosen)} of a grid of {side}; blocks 0 to {max(side * side - 1, 0)} are")
        return Selector([_Set("blocks", (side, chosen))])

    def random(self, ratio: float, seed: int | None = None) -> Selector:
        """Returns a random share (0 to 1) of the patches of each picture; without a seed the server draws one."""
        if not 0 <= ratio <= 1:
            raise ValueError(f"random: ratio: {ratio} is not in 0 to 1")
        return Selector([_Set("random", (float(ratio), seed))])

    def salient(
        self, mass: float | None = None, *, share: float | None = None, model: str | None = None,
        weights: Any = None, head: int | None = None, count: int | None = None,  # noqa: ANN401 (numbers, array, tensor)
    ) -> Selector:  # fmt: skip
        """Returns the most attended patches of each picture, as `occlude_salient` counts them."""
        from scotoma.build import build

        fields = {"mass": mass, "share": share, "count": count, "model": model, "weights": weights, "head": head}
        made = build(pb.SalientPatches, fields, "salient")
        if made.WhichOneof("amount") is None:
            raise ValueError("salient: give mass (of the attention), share or count (of the patches)")
        return Selector([_Set("salient", made.SerializeToString(deterministic=True))])

    def by_norm(self, point: Hook | str, **chosen: Unpack[Chosen]) -> Selector:
        """Returns the tokens whose rows at a hook point are longest: `tokens.by_norm(hooks.blocks[5].hook_resid_post,
        count=3)`, measured without interventions."""
        return self._measured(point, "norm", chosen)

    def by_largest_value(self, point: Hook | str, **chosen: Unpack[Chosen]) -> Selector:
        """Returns the tokens with the largest number in their rows, massive activations: `times_median=100`."""
        return self._measured(point, "largest_value", chosen)

    def by_attention(self, point: Hook | str, looking: str | None = None, **chosen: Unpack[Chosen]) -> Selector:
        """Returns the tokens that receive most of an attention pattern, from all or from those named `looking`."""
        return self._measured(point, "attention_received", chosen, looking=looking)

    def by_similarity(self, point: Hook | str, vector: Any, **chosen: Unpack[Chosen]) -> Selector:  # noqa: ANN401
        """Returns the tokens whose rows point most nearly the way of a vector, by the cosine."""
        return self._measured(point, "similarity", chosen, vector=vector)

    def _measured(self, point: Hook | str, measure: str, chosen: Chosen, **more: object) -> Selector:
        from scotoma.build import build

        made = build(
            pb.MeasuredTokens, {"point": _one_point(point), "measure": measure, **chosen, **more}, f"by_{measure}"
        )
        if made.WhichOneof("amount") is None:
            raise ValueError("say how many: count, share, at_least or times_median")
        return Selector([_Set("measured", made.SerializeToString(deterministic=True))])


tokens = _Tokens()


def selector(value: TokensLike, what: str = "tokens") -> pb.TokenSelector:
    """Returns the message of a selector, numbers or a name; names that there are not raise ValueError."""
    if isinstance(value, pb.TokenSelector):
        return value
    if isinstance(value, str):
        name = value.lower()
        if name not in NAMED:
            raise ValueError(f"{what}: {nearest(value, NAMED)}")
        return (tokens.all if name == "all" else Selector([_Set(name)])).message()
    if isinstance(value, (list, tuple)) and value and all(isinstance(each, Selector) for each in value):
        value = functools.reduce(operator.or_, value)
    return (value if isinstance(value, Selector) else tokens[value]).message()  # type: ignore[index]


class _Layers:
    """`layers[3:8]`, `layers[1, 4]`, `layers[2]`: numbers of layers, for every argument `layers`."""

    def __getitem__(self, numbers: int | slice | tuple[int, ...]) -> tuple[int, ...]:
        return tuple(numbers_of(numbers, "layers"))


layers = _Layers()


class _Steps:
    """`steps[0]` is the prompt, `steps[1:]` every generated token, `steps[2:5]` some of them."""

    def __getitem__(self, which: int | slice) -> pb.Steps:
        return steps_of(which)


def steps_of(value: Any, what: str = "steps") -> pb.Steps:  # noqa: ANN401
    """Returns the message of a number of a step, a range, a slice or a Steps; gaps raise ValueError."""
    if isinstance(value, pb.Steps):
        return value
    if isinstance(value, slice) and value.stop is None and value.step in (None, 1):
        return pb.Steps(first=numbers_of(value.start or 0, what)[0])
    if isinstance(value, Mapping):
        return pb.Steps(**value)
    chosen = numbers_of(value, what)
    if not chosen or chosen != list(range(chosen[0], chosen[-1] + 1)):
        raise ValueError(f"{what}: {chosen}; steps are one after the other: 0, range(1, 4), steps[1:]")
    return pb.Steps(first=chosen[0], last=chosen[-1])


steps = _Steps()

_BLOCK = [
    "hook_resid_pre",
    "ln1.hook_normalized",
    *(f"attn.hook_{name}" for name in ("q", "k", "v", "rot_q", "rot_k", "attn_scores", "pattern", "z")),
    "hook_attn_out",
    "hook_resid_mid",
    "ln2.hook_normalized",
    *(f"mlp.hook_{name}" for name in ("pre", "pre_linear", "post")),
    "hook_mlp_out",
    "hook_resid_post",
]
_OUTSIDE = [
    "vision_tower.hook_embed",
    *(f"projector.hook_{name}" for name in ("in", "pre", "post", "out", "tokens")),
    "language_model.hook_embed",
    "language_model.ln_final.hook_normalized",
    "language_model.hook_logits",
]
_STACKS = ("vision_tower", "language_model")
POINTS = frozenset((*_OUTSIDE, *(f"{stack}.blocks.{{l}}.{name}" for stack in _STACKS for name in _BLOCK)))
"""Every hook point of the server, with `{l}` for a layer."""


class Where(TypedDict, total=False):
    """What a target says beside its hook point."""

    tokens: TokensLike
    """Tokens; at attention scores and patterns those that look. All by default."""
    layers: int | Iterable[int]
    """Layers that `{l}` stands for; all that run by default."""
    heads: int | Iterable[int]
    """Heads, at points that have them; all by default."""
    dimensions: int | Iterable[int]
    """Places along the last dimension; all by default."""
    steps: int | Iterable[int] | pb.Steps
    """Steps of the answer: 0 is the prompt, `steps[1:]` what is generated; all by default."""


class Hook:
    """A hook point, or the way to one: `hooks.blocks[5].hook_resid_post`, `hooks.vision_tower.hook_embed`."""

    def __init__(self, path: str = "", layers: tuple[int, ...] = ()) -> None:
        """Made by `hooks`."""
        self._path, self._layers = path, layers

    def __getattr__(self, name: str) -> Hook:
        """Returns a step further; AttributeError that names what there is."""
        if name.startswith("_"):
            raise AttributeError(name)
        for own in (name, f"hook_{name}"):
            path = f"{self._path}.{own}" if self._path else own
            if path in POINTS or any(point.startswith(f"{path}.") for point in POINTS):
                return Hook(path, self._layers)
        if not self._path and name == "blocks":
            return Hook("language_model.blocks", self._layers)
        raise AttributeError(f"hooks.{self._path}: {nearest(name, dir(self))}")

    def __getitem__(self, numbers: int | slice | tuple[int, ...]) -> Hook:
        """Returns the same of some layers: `hooks.blocks[3:8]`; `hooks.blocks[:]` is all that run."""
        if not self._path.endswith(".blocks"):
            raise TypeError(f"{self!r} has no layers; blocks have: hooks.blocks[5], hooks.vision_tower.blocks[2]")
        every = numbers == slice(None)
        return Hook(f"{self._path}.{{l}}", () if every else tuple(numbers_of(numbers, "blocks")))

    def __dir__(self) -> list[str]:
        """Returns the names of the steps that there are."""
        start = f"{self._path}." if self._path else ""
        found = {point[len(start) :].split(".")[0] for point in POINTS if point.startswith(start)}
        return sorted({*found, "blocks"} if not self._path else found - {"{l}"})

    @property
    def name(self) -> str:
        """The name of the point in the contract; ValueError where it is not one yet."""
        if self._path not in POINTS:
            raise ValueError(f"{self!r} is not a hook point yet; {', '.join(dir(self)) or 'a layer'} may follow")
        return self._path

    @property
    def layers(self) -> tuple[int, ...]:
        """The layers that it is of; none: all that run, or a point outside the layers."""
        return self._layers

    def at(self, tokens: TokensLike | None = None, **where: Any) -> pb.Target:  # noqa: ANN401 (as in Where)
        """Returns the target: these tokens, and `heads`, `dimensions`, `steps` as Where says."""
        return target(self, **({} if tokens is None else {"tokens": tokens}), **where)

    def __repr__(self) -> str:
        """Returns it as it is written."""
        numbers = ", ".join(map(str, self._layers)) or ":"
        return f"hooks.{self._path}".rstrip(".").replace(".{l}", f"[{numbers}]")


hooks = Hook()

# What a target argument takes: a hook, the name of a point, or a target.
TargetLike = Hook | str | pb.Target

_WHERE: dict[str, Callable[[Any, str], Any]] = {
    "tokens": selector,
    "layers": numbers_of,
    "heads": numbers_of,
    "dimensions": numbers_of,
    "steps": steps_of,
}


def target(point: TargetLike, **where: Any) -> pb.Target:  # noqa: ANN401 (as in Where)
    """Returns a target: a hook point with tokens, layers, heads, dimensions and steps as Where says.

    A point that there is not is refused here, with the nearest ones.
    """
    if isinstance(point, pb.Target):
        made = pb.Target()
        made.CopyFrom(point)
    elif isinstance(point, Hook):
        made = pb.Target(point=point.name, layers=point._layers)
    else:
        made = pb.Target(point=_known(point))
    for name, value in where.items():
        if name not in _WHERE:
            raise TypeError(f"target: {nearest(name, _WHERE)}")
        if value is None:
            continue
        said = _WHERE[name](value, name)
        if isinstance(said, list):
            if getattr(made, name):
                raise ValueError(f"{name}: said twice, by the target and beside it")
            getattr(made, name).extend(said)
        else:
            if made.HasField(name):
                raise ValueError(f"{name}: said twice, by the target and beside it")
            getattr(made, name).CopyFrom(said)
    return made


def _one_point(point: Hook | str) -> str:
    """Returns the name of one hook point with its layer."""
    if isinstance(point, pb.Target):
        raise TypeError(
            "point: a hook or the name of a point is needed, no Target; `among` and `head` say of which rows"
        )
    made = target(point)
    if "{l}" in made.point and len(made.layers) == 1:
        return made.point.replace("{l}", str(made.layers[0]))
    if "{l}" in made.point:
        raise ValueError(f"{made.point}: name one layer, such as hooks.blocks[5]")
    return made.point


def _known(point: str) -> str:
    if not isinstance(point, str):
        raise TypeError(f"target: {type(point).__name__}; a hook, the name of a point or a Target is needed")
    general = ".".join("{l}" if part.isdecimal() else part for part in point.split("."))
    if general not in POINTS:
        raise ValueError(f"target: {nearest(point, POINTS)}")
    return point


def points(made: pb.Target, layers_run: Mapping[str, int]) -> Iterator[tuple[str, int | None]]:
    """Yields the points of a target by name, with their layers; `layers_run` says how many a stack has."""
    if "{l}" not in made.point:
        yield made.point, next((int(part) for part in made.point.split(".") if part.isdecimal()), None)
        return
    for layer in made.layers or range(layers_run[made.point.split(".")[0]]):
        yield made.point.replace("{l}", str(layer)), layer
