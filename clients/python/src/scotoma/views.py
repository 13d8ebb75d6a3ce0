"""What people look at: activations as arrays, pictures as the model sees them, tables of results."""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from scotoma.v1 import benchmark_service_pb2 as bench
from scotoma.v1 import inference_service_pb2 as pb
from scotoma.v1 import intervention_pb2 as iv

if TYPE_CHECKING:
    import matplotlib.axes
    import pandas as pd
    import PIL.Image


@dataclass(frozen=True)
class Activation:
    """What a hook point held, put together from its parts."""

    target: int
    """Position in the targets of the request."""
    point: str
    """Name of the hook point."""
    step: int
    """0: the prompt; k: the k-th generated token."""
    image: int
    """Position of the picture, in the tower and the projector."""
    view: int
    """View of the picture, in the tower and the projector."""
    tokens: list[int]
    """Numbers of the tokens behind the rows."""
    array: npt.NDArray[Any]
    """The numbers, rows first: float32, or float16 where the request asked for that."""
    top: list[list[pb.TokenLogprob]]
    """For the logit lens in place of numbers: the likeliest tokens of each row."""


def _array(data: bytes, shape: Iterable[int], dtype: int) -> npt.NDArray[Any]:
    if dtype == iv.DATA_TYPE_F16:
        numbers: npt.NDArray[Any] = np.frombuffer(data, "<f2")
    elif dtype == iv.DATA_TYPE_BF16:
        numbers = (np.frombuffer(data, "<u2").astype(np.uint32) << 16).view(np.float32)
    else:
        numbers = np.frombuffer(data, "<f4")
    return numbers.reshape(tuple(shape)) if numbers.size else numbers


class Whole:
    """Puts activations together."""

    def __init__(self, dtype: int) -> None:
        """Numbers come as this, a scotoma.v1 DataType."""
        self._dtype, self._data = dtype, b""

    def take(self, part: pb.Activation) -> Activation | None:
        """The activation that the part completes, if it does."""
        self._data += part.data
        if len(self._data) < part.size:
            return None
        data, self._data = self._data, b""
        array = _array(data, part.shape, self._dtype)
        top = [list(row.tokens) for row in part.top]
        return Activation(part.target, part.point, part.step, part.image, part.view, list(part.tokens), array, top)


class Preview:
    """The picture as the model will see it; a notebook shows it."""

    def __init__(self, response: pb.PreviewResponse) -> None:
        """From the server's reply."""
        self.png: bytes = response.png
        """The picture, as PNG."""
        self.width: int = response.width
        self.height: int = response.height
        self.grid: tuple[int, int] = (response.grid_rows, response.grid_columns)
        """Patches along the height and the width."""
        self.plan: list[pb.ResolvedIntervention] = list(response.plan)
        """The resolved interventions."""

    def _repr_png_(self) -> bytes:
        return self.png

    def image(self) -> PIL.Image.Image:
        """As a Pillow image (`scotoma[image]`)."""
        import PIL.Image

        return PIL.Image.open(io.BytesIO(self.png))

    def heat_map(self, values: npt.ArrayLike, *, scale: int = 4) -> PIL.Image.Image:
        """One number for each patch, in red over the picture enlarged `scale` times (`scotoma[image]`).

        `values` has as many numbers as there are patches, row by row, or their rows and columns; the least is clear,
        the most red. Attention that visual tokens receive, for instance: `REDUCTION_RECEIVED` of a capture.
        """
        import PIL.Image

        grid = np.asarray(values, dtype=np.float64).reshape(self.grid)
        if not np.isfinite(grid).all():
            raise ValueError("values: all have to be finite")
        spread = float(np.ptp(grid)) or 1.0
        alpha = (200 * (grid - grid.min()) / spread).astype(np.uint8)
        size = (self.width * scale, self.height * scale)
        over = np.zeros((*grid.shape, 4), np.uint8)
        over[..., 0], over[..., 3] = 220, alpha
        under = self.image().convert("RGBA").resize(size, PIL.Image.Resampling.LANCZOS)
        cells = PIL.Image.fromarray(over).resize(size, PIL.Image.Resampling.NEAREST)
        return PIL.Image.alpha_composite(under, cells).convert("RGB")


def results_frame(results: Iterable[bench.SampleResult]) -> pd.DataFrame:
    """Results of a benchmark as a table (`scotoma[data]`): a row for each question and variant."""
    import pandas as pd

    columns = ("id", "variant", "category", "group", "text", "answer", "record_digest", "output_digest")
    rows = []
    for result in results:
        row: dict[str, Any] = {name: getattr(result, name) for name in columns}
        row["verdict"] = bench.Verdict.Name(result.verdict).removeprefix("VERDICT_").lower()
        row["right"] = result.verdict == bench.VERDICT_RIGHT
        row["error"] = result.error.message
        row["seconds"] = result.usage.total_seconds
        rows.append(row)
    return pd.DataFrame(rows, columns=[*columns, "verdict", "right", "error", "seconds"])


def metrics_frame(metrics: Iterable[bench.BenchmarkMetric]) -> pd.DataFrame:
    """Metrics as a table (`scotoma[data]`), with their 95 % intervals."""
    import pandas as pd

    columns = ("variant", "name", "value", "low", "high", "most", "n", "unparsed")
    return pd.DataFrame([{name: getattr(m, name) for name in columns} for m in metrics], columns=list(columns))


def sweep_frame(results: Iterable[pb.SweepResult], axes: Mapping[str, Iterable[float]]) -> pd.DataFrame:
    """Results of a sweep as a table (`scotoma[data]`): a row for each variant, a column for each axis."""
    import pandas as pd

    values = {name: list(numbers) for name, numbers in axes.items()}
    rows = []
    for result in sorted(results, key=lambda result: result.variant):
        row: dict[str, Any] = {"variant": result.variant}
        row |= {name: numbers[place] for (name, numbers), place in zip(values.items(), result.places, strict=False)}
        kind = result.WhichOneof("outcome")
        usage = result.scored.usage if kind == "scored" else result.generated.usage
        row["text"] = result.generated.text
        if kind == "scored":
            row["best"] = result.scored.best
            row["mean_logprobs"] = [score.mean_logprob for score in result.scored.scores]
        row["error"] = result.error.message
        row["rows_computed"], row["rows_reused"] = usage.rows_computed, usage.rows_reused
        rows.append(row)
    return pd.DataFrame(rows)


def plot_metrics(
    metrics: Iterable[bench.BenchmarkMetric], name: str | None = None, ax: matplotlib.axes.Axes | None = None
) -> matplotlib.axes.Axes:
    """A bar with its 95 % interval for each variant (`scotoma[plot]`), of the first metric unless `name` says which."""
    import matplotlib.pyplot as plt

    every = list(metrics)
    if not every:
        raise ValueError("metrics: none")
    name = name or every[0].name
    own = [m for m in every if m.name == name]
    if ax is None:
        _, ax = plt.subplots(figsize=(1.2 + len(own), 3.2), layout="constrained")
    values = [m.value for m in own]
    ends = [[m.value - m.low for m in own], [m.high - m.value for m in own]]
    ax.bar(range(len(own)), values, color="#b9c7d8", yerr=ends, capsize=4)
    ax.set_xticks(range(len(own)), [m.variant for m in own], rotation=30, ha="right")
    ax.set_ylabel(name)
    ax.set_ylim(0, max(m.most for m in own))
    return ax
