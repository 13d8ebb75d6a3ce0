"""What studies of many requests have in common: pairs of inputs, means, and the cells of a patching grid."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from scotoma.interventions import patch
from scotoma.messages import Asked, Image
from scotoma.selectors import TargetLike, TokensLike, selector, target, tokens
from scotoma.v1 import benchmark_service_pb2 as bench
from scotoma.v1 import inference_service_pb2 as pb
from scotoma.v1.intervention_pb2 import Intervention, Target
from scotoma.views import Activation, Patching

# An input: a picture (the question is said once, beside), a question with its pictures, or a sample of a benchmark.
Item = Image | tuple[Asked, Image | Iterable[Image]] | bench.Sample


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
    if isinstance(given, (list, tuple)) and given and all(isinstance(own, Intervention) for own in given):
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


class Grid:
    """The cells of a patching grid: points by layer, and positions."""

    # Targets of one Capture.
    MOST = 64

    def __init__(self, hook: TargetLike, positions: Mapping[str, TokensLike] | TokensLike | None) -> None:
        """Patches the points of `hook`; `positions` are groups by name, or tokens of which each is one."""
        self.target = target(hook, steps=0)
        if self.target.HasField("tokens"):
            raise ValueError("hook: its tokens are said by positions")
        self.groups: dict[str, Any] | None = None
        self.each: Any = tokens.all if positions is None else positions
        if isinstance(positions, Mapping):
            self.groups = {name: selector(own, f"positions[{name!r}]") for name, own in positions.items()}
            self.each = tokens.all

    def whole(self) -> Target:
        """Returns what says which tokens there are."""
        return target(self.target, tokens=self.each)

    def place(self, numbers: Sequence[int], others: Sequence[int]) -> None:
        """Takes the tokens of the clean and of the corrupted input."""
        if self.groups is None:
            if list(numbers) != list(others):
                raise ValueError(
                    f"positions: {len(numbers)} tokens in the clean input, {len(others)} in the corrupted one; where "
                    "they differ, name groups: positions={'visual': tokens.visual, 'question': tokens.question}"
                )
            self.groups = {str(number): selector(number) for number in numbers}

    def captures(self) -> list[list[pb.CaptureTarget]]:
        """Returns what is kept of the clean run, a list for each request."""
        assert self.groups is not None
        every = [pb.CaptureTarget(target=target(self.target, tokens=own), keep=True) for own in self.groups.values()]
        return [every[at : at + self.MOST] for at in range(0, len(every), self.MOST)]

    def variants(self, kept: Mapping[str, Sequence[pb.KeptActivation]]) -> list[list[Intervention]]:
        """Returns the unpatched run, and one for each cell: by point, then by position."""
        assert self.groups is not None
        cells: list[list[Intervention]] = [[]]
        for point, own in kept.items():
            for where, each in zip(self.groups.values(), own, strict=True):
                cells.append([patch(point, each, tokens=where, steps=0)])
        return cells

    def result(self, measured: Mapping[int, float], clean: float, points: Iterable[str], metric: str) -> Patching:
        """Returns the grid; cells that could not run are NaN."""
        assert self.groups is not None
        layers = [next((int(part) for part in point.split(".") if part.isdecimal()), point) for point in points]
        values = np.full((len(layers), len(self.groups)), np.nan)
        for number, value in measured.items():
            if number:
                values.reshape(-1)[number - 1] = value
        return Patching(values, clean, measured.get(0, np.nan), layers, list(self.groups), metric)


def measure(scored: pb.ScoreResponse) -> float:
    """Returns the log-probability of the first continuation, less that of the second where there is one."""
    first, *rest = (score.logprob for score in scored.scores)
    return first - rest[0] if rest else first
