"""Axes of a sweep: numbers of fields, and what the server's grids cannot say.

Numbers of fields travel as the contract's grid. Other values of fields (names, selectors, vectors) and interventions
are written out as variants of the same request. What is not a matter of interventions (pictures, questions, models,
options) makes a request for each combination.
"""

from __future__ import annotations

import copy
import itertools
import math
import numbers
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from google.protobuf import json_format
from google.protobuf.descriptor import Descriptor

from scotoma.interventions import intervention
from scotoma.names import nearest
from scotoma.selectors import Selector
from scotoma.v1 import inference_service_pb2 as pb
from scotoma.v1.intervention_pb2 import Intervention

_OUTER = {"question": "text", "image": "images"}
_CHANGES = ("interventions", "variant")
_MOST_WRITTEN = 100_000
_STEP = re.compile(r"([A-Za-z_]\w*)|\[(\d+)\]")


@dataclass
class Axis:
    """One axis of a table."""

    name: str
    labels: list[Any]
    values: list[Any]
    path: list[str | int] = field(default_factory=list)
    """The field of the grid, its intervention's number first; empty: another thing than a field."""

    @property
    def is_numbers(self) -> bool:
        """The server can vary it."""
        own = self.values
        return bool(self.path) and all(isinstance(v, numbers.Real) and not isinstance(v, bool) for v in own)


@dataclass
class Part:
    """One request of a sweep."""

    options: dict[str, Any]
    """What differs from the others: text, images, options."""
    places: dict[str, int]
    """Along the axes that no single request varies."""


@dataclass
class Plan:
    """A sweep as requests."""

    axes: list[Axis]
    parts: list[Part]
    variants: list[list[Intervention]]
    """Written out; empty where the server's grid says them."""
    inner: list[Axis]
    """The axes within each request, the last one fastest."""

    @property
    def labels(self) -> dict[str, list[Any]]:
        """What stands in the columns of the table."""
        return {axis.name: axis.labels for axis in self.axes}

    @property
    def count(self) -> int:
        """Variants of one request."""
        return math.prod(len(axis.values) for axis in self.inner)

    def renumbered(self, part: Part, result: pb.SweepResult) -> pb.SweepResult:
        """Returns a result with its number and places among all."""
        rest, places = result.variant, dict(part.places)
        for axis in reversed(self.inner):
            rest, places[axis.name] = divmod(rest, len(axis.values))
        made = pb.SweepResult()
        made.CopyFrom(result)
        made.variant = 0
        for axis in self.axes:
            made.variant = made.variant * len(axis.values) + places[axis.name]
        made.places[:] = [places[axis.name] for axis in self.axes]
        return made


def plan(axes: Mapping[str, Any], grid: Sequence[Intervention], options: Iterable[str]) -> Plan:
    """Reads axes: fields of `grid`, "interventions", or `options` of a request (question, image, model ...).

    Values are a list, or a dict of labels. ValueError where an axis is none of these, or has no values.
    """
    known = {*options, *_OUTER, *_OUTER.values()}
    read = [_axis(name, values, grid, known) for name, values in axes.items()]
    outer = [axis for axis in read if not axis.path and axis.name not in _CHANGES]
    inner = [axis for axis in read if axis not in outer]
    combinations = itertools.product(*(range(len(axis.values)) for axis in outer))
    parts = [
        Part(
            {_OUTER.get(axis.name, axis.name): axis.values[place] for axis, place in zip(outer, places, strict=True)},
            {axis.name: place for axis, place in zip(outer, places, strict=True)},
        )
        for places in combinations
    ]
    if len(parts) > _MOST_WRITTEN:
        raise ValueError(f"axes: {len(parts)} requests; at most {_MOST_WRITTEN} are sent")
    made = Plan(read, parts, [], inner)
    if not inner or not all(axis.is_numbers for axis in inner):
        if made.count > _MOST_WRITTEN:
            raise ValueError(f"axes: {made.count} variants; of values that are not numbers at most {_MOST_WRITTEN} are")
        made.variants = list(_written(grid, inner))
    return made


def _axis(name: str, values: Any, grid: Sequence[Intervention], known: set[str]) -> Axis:  # noqa: ANN401
    if isinstance(values, Mapping):
        labels, listed = list(values), list(values.values())
    else:
        if isinstance(values, (str, bytes)):
            raise TypeError(
                f"axes[{name!r}]: {type(values).__name__}; a list of values, or a dict of labels, is needed"
            )
        listed = list(values)
        labels = [_label(value, place) for place, value in enumerate(listed)]
    if not listed:
        raise ValueError(f"axes[{name!r}]: no values")
    if name in _CHANGES:
        listed = [[own] if isinstance(own, Intervention) else list(own) for own in listed]
        return Axis(name, labels, listed)
    # A field of the grid goes before an option of that name: `seed` is both.
    paths = list(_paths(name, grid))
    if len(paths) > 1:
        said = ", ".join(f"interventions[{path[0]}].{'.'.join(map(str, path[1:]))}" for path in paths)
        raise ValueError(f"axes[{name!r}]: more than one field of the grid is called so: {said}")
    if not paths and name not in known:
        fields = {f.name for own in grid for f in _kind(own).fields}
        raise ValueError(f"axes: {nearest(name, {*known, *fields, 'interventions'})}")
    return Axis(name, labels, [_plain(value) for value in listed], paths[0] if paths else [])


def _plain(value: Any) -> Any:  # noqa: ANN401
    """Returns a number of NumPy as one of Python."""
    return value.item() if getattr(value, "shape", None) == () else value


def _label(value: Any, place: int) -> Any:  # noqa: ANN401
    """What stands in a table for a value."""
    value = _plain(value)
    if isinstance(value, (str, int, float, bool)):
        return value
    if isinstance(value, os.PathLike):
        return os.path.basename(value)
    if isinstance(value, Intervention):
        return value.WhichOneof("kind")
    if isinstance(value, (list, tuple)) and all(isinstance(own, Intervention) for own in value):
        return " + ".join(str(own.WhichOneof("kind")) for own in value) or "none"
    return value if isinstance(value, Selector) else place


def _kind(own: Intervention) -> Descriptor:
    kind = own.WhichOneof("kind")
    descriptor: Descriptor = getattr(own, kind).DESCRIPTOR
    return descriptor


def _paths(name: str, grid: Sequence[Intervention]) -> Iterator[list[str | int]]:
    """Yields the fields that a name may mean: the path from `interventions[0]` on, or within the one that has it."""
    steps: list[str | int] = [a or int(b) for a, b in _STEP.findall(name)]
    if not steps:
        return
    if steps[0] == "interventions" and len(steps) > 2:
        if isinstance(steps[1], int) and steps[1] < len(grid):
            yield steps[1:]
        return
    for place, own in enumerate(grid):
        kind = own.WhichOneof("kind")
        rest = steps[1:] if steps[0] == kind else steps
        if kind and rest and rest[0] in _kind(own).fields_by_name:
            yield [place, kind, *rest]


def field_of(axis: Axis) -> str:
    """Returns the field of an axis as the contract writes it."""
    return "interventions" + "".join(f"[{s}]" if isinstance(s, int) else f".{s}" for s in axis.path)


def _written(grid: Sequence[Intervention], inner: Sequence[Axis]) -> Iterator[list[Intervention]]:
    """Yields the interventions of each variant."""
    template = [json_format.MessageToDict(own, preserving_proto_field_name=True) for own in grid]
    for places in itertools.product(*(range(len(axis.values)) for axis in inner)):
        own, added = copy.deepcopy(template), []
        for axis, place in zip(inner, places, strict=True):
            if axis.path:
                _set(own, axis, axis.values[place])
            else:
                added.extend(axis.values[place])
        yield [*(intervention(name, **fields) for each in own for name, fields in each.items()), *added]


def _set(interventions: list[Any], axis: Axis, value: Any) -> None:  # noqa: ANN401
    node: Any = interventions
    *way, last = axis.path
    for step, following in itertools.pairwise((*way, last)):
        empty: Any = [] if isinstance(following, int) else {}
        if isinstance(step, int) and isinstance(node, list):
            if step > len(node):
                raise ValueError(f"axes[{axis.name!r}]: {step} is beyond the end of the list, {len(node)}")
            if step == len(node):
                node.append(empty)
            node = node[step]
        else:
            node = node.setdefault(step, empty)
    if isinstance(last, int):
        if last > len(node):
            raise ValueError(f"axes[{axis.name!r}]: {last} is beyond the end of the list, {len(node)}")
        node[last : last + 1] = [value]
    else:
        node[last] = value
