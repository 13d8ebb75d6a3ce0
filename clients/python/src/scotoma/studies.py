"""What studies of many requests have in common: pairs of inputs, means, and the cells of a patching grid."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from scotoma.build import build, enum
from scotoma.calls import Call
from scotoma.messages import Asked, Image, ScoreOptions, prompt, request
from scotoma.names import nearest
from scotoma.selectors import NAMED, TargetLike, TokensLike, hooks, selector, target, tokens
from scotoma.v1 import benchmark_service_pb2 as bench
from scotoma.v1 import inference_service_pb2 as pb
from scotoma.v1.intervention_pb2 import Intervention
from scotoma.views import Activation, Patching

# An input: a picture (the question is said once, beside), a question with its pictures, or a sample of a benchmark.
Item = Image | tuple[Asked, Image | Iterable[Image]] | bench.Sample


# Positions of a grid: each of these tokens, "words", "rows" or "columns" of patches, groups by name, or messages.
Positions = Mapping[str, TokensLike] | TokensLike | pb.TracePositions | Sequence[pb.TracePositions] | None
# For type checkers, which read no descriptors; what is sent is checked by the contract's own names.
Direction = Literal["denoise", "noise"]
Via = Literal["residual", "mlps"]
Measure = Literal["logprob", "logprob_difference", "probability", "divergence"]


class TraceOptions(ScoreOptions, total=False):
    """Lists what `trace` and `patching_grid` take."""

    hook: TargetLike
    """What is patched, by layer; the residual stream before each layer by default."""
    positions: Positions
    """Each of these tokens (by default all), groups by name, {"picture": tokens.visual, "last": tokens.last}, or
    "words", "rows" or "columns" (of patches)."""
    metric: Measure
    """By default "logprob_difference" with another answer, and "logprob" without."""
    direction: Direction
    """Whose run is patched: "denoise" writes clean activations into the corrupted run, "noise" the other way."""
    each_head: bool
    """Every head is a cell of its own, at points that have them."""
    receiver: TargetLike
    """Path patching: only what a cell changes at this point of the language model counts."""
    via: Via
    """What else may carry the effect to the receiver: the residual stream alone, or MLPs, too."""


def asked_of(item: Item, text: Asked | None) -> tuple[Asked, Any]:
    """Returns the question and the pictures of an item."""
    if isinstance(item, bench.Sample):
        return item.question, list(item.images)
    if isinstance(item, tuple):
        if len(item) != 2:
            raise ValueError(f"an item of {len(item)} parts; a question and its pictures are needed")
        return item
    if text is None:
        raise ValueError("text: an item that is a picture alone needs a question: text=..., or (question, picture)")
    return text, item


def corruption(given: object) -> list[Intervention]:
    """Returns the interventions that corrupt the clean input; none where another input is given."""
    if isinstance(given, Intervention):
        return [given]
    if isinstance(given, (list, tuple)) and not given:
        raise ValueError("corrupted: empty; a picture, a question with pictures, or interventions are needed")
    if isinstance(given, (list, tuple)) and all(isinstance(own, Intervention) for own in given):
        return list(given)
    return []


class Mean:
    """Sums up activations, in 64-bit numbers, by their points."""

    def __init__(self) -> None:
        """Has nothing yet."""
        self._sums: dict[str, npt.NDArray[np.float64]] = {}
        self._counts: dict[str, int] = {}

    def add(self, captured: Iterable[Activation]) -> None:
        """Takes what one item gave: of several pictures and views of one point each counts the same."""
        for own in captured:
            row = own.array[0].astype(np.float64)
            if own.point in self._sums and self._sums[own.point].shape != row.shape:
                raise ValueError(f"{own.point}: shape {row.shape} after {self._sums[own.point].shape}")
            self._sums[own.point] = self._sums.get(own.point, 0) + row
            self._counts[own.point] = self._counts.get(own.point, 0) + 1

    def array(self) -> npt.NDArray[np.float32]:
        """Returns the mean of the point, or of several in their order, one after the other."""
        if not self._sums:
            raise ValueError("items: none")
        means = [self._sums[point] / self._counts[point] for point in self._sums]
        return np.stack(means).astype(np.float32) if len(means) > 1 else means[0].astype(np.float32)


class Stack:
    """Puts the rows of items one below the other, by their points."""

    def __init__(self) -> None:
        """Has nothing yet."""
        self._rows: dict[str, list[npt.NDArray[np.float32]]] = {}
        self._items = 0

    def add(self, captured: Iterable[Activation]) -> None:
        """Takes what one item gave: one row of each point."""
        self._items += 1
        for own in captured:
            rows = self._rows.setdefault(own.point, [])
            rows.append(own.array[0].astype(np.float32))
            if len(rows) != self._items:
                raise ValueError(
                    f"items[{self._items - 1}]: {own.point} gave {len(rows) - self._items + 1} rows; one is needed: "
                    "one picture of one view, at points of the tower and the projector"
                )

    def arrays(self) -> dict[str, npt.NDArray[np.float32]]:
        """Returns an array of each point, (items, ...)."""
        if not self._rows:
            raise ValueError("items: none")
        if {len(rows) for rows in self._rows.values()} != {self._items}:
            raise ValueError("items: some have no row at a point")
        return {point: np.stack(rows) for point, rows in self._rows.items()}


def metric(answer: str, other: str | None, measure: Measure | None) -> tuple[pb.Metric, str]:
    """Returns what is measured of each run, and how it is called."""
    if measure is None:
        measure = "logprob" if other is None else "logprob_difference"
    if measure == "logprob_difference" and other is None:
        raise ValueError("metric: 'logprob_difference' is of two answers; say other=, too")
    if measure != "logprob_difference" and other is not None:
        raise ValueError(f"other: {measure!r} is of one answer; 'logprob_difference' is of two")
    if measure == "logprob_difference":
        difference = pb.Contrast(answer=answer, other=other)
        return pb.Metric(logprob_difference=difference), f"log P({answer!r}) - log P({other!r})"
    if measure == "divergence":
        return pb.Metric(divergence=pb.Divergence(answer=answer)), "divergence from the clean run"
    known = [field.name for field in pb.Metric.DESCRIPTOR.oneofs_by_name["kind"].fields]
    if measure not in known:
        raise ValueError(f"metric: {nearest(measure, known)}")
    name = f"log P({answer!r})" if measure == "logprob" else f"P({answer!r})"
    return build(pb.Metric, {measure: answer}, "metric"), name


def positions_of(positions: Positions) -> list[pb.TracePositions]:
    """Returns positions: each of some tokens, words, or groups by name; none: each token."""
    if positions is None:
        return []
    if isinstance(positions, pb.TracePositions):
        return [positions]
    if isinstance(positions, (list, tuple)) and positions and isinstance(positions[0], pb.TracePositions):
        return list(positions)
    if isinstance(positions, Mapping):
        if not positions:
            raise ValueError("positions: empty; a group at least is needed, or None for each token")
        groups = {
            name: pb.TraceGroup(label=name, tokens=selector(own, f"positions[{name!r}]"))
            for name, own in positions.items()
        }
        return [pb.TracePositions(group=group) for group in groups.values()]
    if positions == "words":
        return [pb.TracePositions(words=tokens.all.message())]
    if positions in ("rows", "columns"):
        by = pb.TracePatches.BY_ROW if positions == "rows" else pb.TracePatches.BY_COLUMN
        return [pb.TracePositions(patches=pb.TracePatches(by=by))]
    if isinstance(positions, str) and positions.lower() not in NAMED:
        raise ValueError(f"positions: {nearest(positions, [*NAMED, 'words', 'rows', 'columns'])}")
    return [pb.TracePositions(each=selector(positions, "positions"))]  # type: ignore[arg-type]


def trace_grid(hook: TargetLike, positions: Positions, each_head: bool) -> pb.TraceGrid:
    """Returns the cells: the points of a hook by layer, at positions, and by head where each is a cell."""
    where = target(hook)
    for name in ("tokens", "steps"):
        if where.HasField(name):
            raise ValueError(f"hook: {name}: a grid's tokens are said by positions, and all are of the prompt")
    if where.dimensions:
        raise ValueError("hook: dimensions: all of them are patched together")
    made = pb.TraceGrid(layers=where.layers, heads=where.heads, each_head=each_head, positions=positions_of(positions))
    made.points.append(where.point)
    return made


def path_of(receiver: TargetLike | None, via: str | None) -> pb.TracePath | None:
    """Returns the path that effects take; none where all that comes after the cells follows from them."""
    if receiver is None:
        if via is not None:
            raise ValueError("via: what carries an effect to a receiver; say receiver=, too")
        return None
    return build(pb.TracePath, {"receiver": receiver, "via": via}, "path")


def trace_request(
    clean: Item, corrupted: object, answer: str, other: str | None, text: Asked | None, options: TraceOptions
) -> tuple[pb.TraceRequest, Call, str]:
    """Returns a trace with what goes with the call, and what its metric is called."""
    own: dict[str, Any] = dict(options)
    before, changes = [*own.pop("interventions", ())], corruption(corrupted)
    raw, multi_image = own.pop("raw", False), own.pop("multi_image", 0)
    given = [asked_of(clean, text), asked_of(clean if changes else corrupted, text)]  # type: ignore[arg-type]
    prompts = [prompt(asked, images, raw, multi_image) for asked, images in given]
    measured, name = metric(answer, other, own.pop("metric", None))
    hook = own.pop("hook", hooks.blocks[:].hook_resid_pre)
    fields = {
        "clean": pb.TraceInput(prompt=prompts[0], interventions=before),
        "corrupted": pb.TraceInput(prompt=prompts[1], interventions=[*before, *changes]),
        "metric": measured,
        "grid": trace_grid(hook, own.pop("positions", None), own.pop("each_head", False)),
        "direction": enum(pb.TraceDirection.DESCRIPTOR, own.pop("direction", "denoise"), "direction"),
        "path": path_of(own.pop("receiver", None), own.pop("via", None)),
    }
    return (*request(pb.TraceRequest, fields, own), name)


def bar(progress: bool, total: int) -> Any:  # noqa: ANN401 (tqdm's)
    """Returns a bar of cells, shown where `progress` is set."""
    from tqdm.auto import tqdm

    return tqdm(total=total, desc="patching", unit=" cells", disable=not progress)


class Cells:
    """Puts the cells of a trace together."""

    def __init__(self, started: pb.TraceStarted, name: str) -> None:
        """Knows the axes; `name` is that of the metric."""
        self._started, self._name = started, name
        layers = [str(layer) for layer in started.layers] or ["-"]
        heads = [f".{head}" for head in started.heads] or [""]
        many = len(started.points) > 1
        self._rows: list[Any] = [
            f"{point} {layer}{head}" if many else (int(layer) if layer.isdecimal() and not head else f"{layer}{head}")
            for point in started.points for layer in layers for head in heads
        ]  # fmt: skip
        self._shape = (len(started.points), len(layers), len(heads), len(started.positions))
        self._values = np.full(self._shape, np.nan)

    def take(self, cell: pb.TraceCell) -> None:
        """Takes a cell."""
        if not cell.HasField("error"):
            self._values[cell.point, cell.layer, cell.head, cell.position] = cell.value

    def result(self, baseline: pb.TraceBaseline) -> Patching:
        """Returns the grid; cells that could not run are NaN."""
        numbers = [", ".join(map(str, position.tokens)) for position in self._started.positions]
        said = [position.label or own for position, own in zip(self._started.positions, numbers, strict=True)]
        # Equal words stand at more than one place.
        labels = [f"{own} @{at}" if said.count(own) > 1 else own for own, at in zip(said, numbers, strict=True)]
        values = self._values.reshape(-1, self._shape[-1])
        return Patching(values, baseline.clean, baseline.corrupted, self._rows, labels, self._name)
