"""What people look at: activations as arrays, pictures as the model sees them, tables of results."""

from __future__ import annotations

import html
import io
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from scotoma import paint
from scotoma.names import nearest
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
    features: list[dict[int, float]] = field(default_factory=list)
    """For "top_features" in place of numbers: features of each row with their values, strongest first."""
    positions: list[pb.TracePosition] = field(default_factory=list)
    """For "top_features": what each row is of, the text of its token (`label`) or its patch."""

    def __repr__(self) -> str:
        """What it is, without the numbers."""
        held = f"{self.array.shape} {self.array.dtype}"
        if self.top or self.features:
            held = f"{len(self.tokens)} rows of {'likeliest tokens' if self.top else 'features'}"
        step = f", step {self.step}" if self.step else ""
        return f"<Activation {self.point}{step}: {held}>"

    def matrix(self) -> npt.NDArray[Any]:
        """The numbers as a notebook shows them: what patches receive in their square, else rows by columns."""
        return paint.square(self.array)

    def _repr_png_(self) -> bytes | None:
        return None if self.top or self.features or not self.array.size else paint.heat_map(self.matrix())

    def _repr_html_(self) -> str:
        title = html.escape(repr(self)[1:-1])
        if self.top:
            rows = [
                {"token": number, "likeliest": ", ".join(f"{t.text!r} {math.exp(t.logprob):.0%}" for t in row)}
                for number, row in zip(self.tokens, self.top, strict=False)
            ]
            return f"<p>{title}</p>" + paint.table(rows)
        if self.features:
            rows = [
                {"token": number, "features": ", ".join(f"{feature}: {value:.3g}" for feature, value in row.items())}
                for number, row in zip(self.tokens, self.features, strict=False)
            ]
            return f"<p>{title}</p>" + paint.table(rows)
        data = self._repr_png_()
        return f"<figure><figcaption>{title}</figcaption>{'' if data is None else paint.image(data, title)}</figure>"

    def over(self, preview: Preview, *, scale: int = 4) -> PIL.Image.Image:
        """The numbers, one for each patch, over the picture as the model sees it (`scotoma[image]`)."""
        return preview.heat_map(self.array, scale=scale)

    def plot(self, ax: matplotlib.axes.Axes | None = None) -> matplotlib.axes.Axes:
        """The matrix as a heat map (`scotoma[plot]`)."""
        return plot_matrix(self.matrix(), ax, title=self.point)


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
        features = [dict(zip(row.features, row.values, strict=True)) for row in part.features]
        where = part.target, part.point, part.step, part.image, part.view, list(part.tokens)
        return Activation(*where, array, top, features, list(part.positions))


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

    def __repr__(self) -> str:
        """Its size and grid."""
        return f"<Preview {self.width} x {self.height}, {self.grid[0]} x {self.grid[1]} patches>"

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


def places(variant: int, sizes: Sequence[int]) -> list[int]:
    """The place of a variant along axes of these sizes; the last one moves fastest."""
    found = []
    for size in reversed(sizes):
        variant, place = divmod(variant, size)
        found.append(place)
    return found[::-1]


def sweep_row(
    result: pb.SweepResult, axes: Mapping[str, Sequence[Any]], continuations: Sequence[str]
) -> dict[str, Any]:
    """What a table says of one variant: its values along the axes, what came out, and what it took."""
    row: dict[str, Any] = {"variant": result.variant}
    row |= {name: labels[place] for (name, labels), place in zip(axes.items(), result.places, strict=False)}
    if result.WhichOneof("outcome") == "scored":
        scores, usage = result.scored.scores, result.scored.usage
        row["text"] = continuations[result.scored.best] if continuations else ""
        row["best"] = result.scored.best
        row["logprobs"] = [score.logprob for score in scores]
        row["mean_logprobs"] = [score.mean_logprob for score in scores]
        row["logprob"] = scores[0].logprob
        if len(scores) > 1:
            row["logprob_difference"] = scores[0].logprob - scores[1].logprob
    else:
        row["text"], usage = result.generated.text, result.generated.usage
    row["error"] = result.error.message
    row["rows_computed"], row["rows_reused"] = usage.rows_computed, usage.rows_reused
    row["flops"], row["baseline_flops"], row["seconds"] = usage.flops, usage.baseline_flops, usage.total_seconds
    return row


# Rows of a table by the number of their variant, and the labels of its axes.
Rows = Mapping[int, dict[str, Any]]
Axes = Mapping[str, Sequence[Any]]


def _measure(rows: Rows, y: str | None) -> str | None:
    names = [y] if y is not None else ["logprob_difference", "logprob"]
    return next((name for name in names if any(_is_number(row.get(name)) for row in rows.values())), None)


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(value, bool)


def _cells(rows: Rows, axes: Axes, y: str, x: str | None) -> tuple[str, Any]:
    """Rows as a line (x and y by x) or, of two axes, as a matrix with its labels."""
    own = {number: row for number, row in sorted(rows.items()) if _is_number(row.get(y))}
    names = list(axes)
    if x is None and len(names) == 2:
        down, across = (list(axes[name]) for name in names)
        values = np.full((len(down), len(across)), np.nan)
        for number, row in own.items():
            values.reshape(-1)[number] = row[y]
        return "matrix", (values, down, across)
    x = x or (names[0] if len(names) == 1 else "variant")
    if x not in next(iter(own.values()), {x: 0}):
        raise ValueError(f"plot: {nearest(x, next(iter(own.values())))}")
    placed = [(row[x], row[y]) for row in own.values()]
    if all(_is_number(across) for across, _ in placed):
        placed.sort(key=lambda place: place[0])
    return "line", (x, [across for across, _ in placed], [up for _, up in placed])


def sweep_frame(rows: Rows) -> pd.DataFrame:
    """A sweep as a table (`scotoma[data]`): a row for each variant, a column for each axis."""
    import pandas as pd

    return pd.DataFrame([row for _, row in sorted(rows.items())])


def sweep_html(rows: Rows, axes: Axes, caption: str) -> str:
    """A sweep as a notebook shows it: its picture where it has numbers, and the table."""
    y, drawn = _measure(rows, None), ""
    if y is not None and axes:
        kind, (first, second, third) = _cells(rows, axes, y, None)
        if kind == "matrix":
            drawn = paint.image(paint.heat_map(first), y)
        elif second and all(map(_is_number, second)):
            drawn = paint.line(second, third, first, y)
    hidden = ("logprobs", "mean_logprobs", "best", "seconds", "baseline_flops")
    listed = [{k: v for k, v in row.items() if k not in hidden} for _, row in sorted(rows.items())]
    return drawn + paint.table(listed, caption)


def plot_sweep(
    rows: Rows, axes: Axes, y: str | None, x: str | None, ax: matplotlib.axes.Axes | None
) -> matplotlib.axes.Axes:
    """A line over one axis, or a heat map over two (`scotoma[plot]`); `x` and `y` are columns of the table."""
    measure = _measure(rows, y)
    if measure is None:
        wanted = "continuations to score are needed" if y is None else "no such column of numbers"
        raise ValueError(f"plot: {y or 'a log-probability'}: {wanted}")
    kind, (first, second, third) = _cells(rows, axes, measure, x)
    if kind == "matrix":
        made = plot_matrix(first, ax, rows=second, columns=third, title=measure)
        down, across = axes
        made.set(ylabel=down, xlabel=across)
        return made
    made = _axes(ax)
    made.plot(second, third, marker="o", markersize=3, color="#b22424")
    made.set(xlabel=first, ylabel=measure)
    return made


def _axes(ax: matplotlib.axes.Axes | None) -> matplotlib.axes.Axes:
    import matplotlib.pyplot as plt

    return plt.subplots(figsize=(4.6, 3.2), layout="constrained")[1] if ax is None else ax


_FEW_LABELS = 48


def plot_matrix(
    values: npt.NDArray[Any],
    ax: matplotlib.axes.Axes | None = None,
    *,
    rows: Sequence[Any] = (),
    columns: Sequence[Any] = (),
    title: str = "",
) -> matplotlib.axes.Axes:
    """A heat map of a matrix (`scotoma[plot]`): white at 0, red above, blue below."""
    ax = _axes(ax)
    most = float(np.nanmax(np.abs(values))) if np.isfinite(values).any() else 1.0
    shown = ax.imshow(values, cmap="RdBu_r", vmin=-most or -1, vmax=most or 1, aspect="auto")
    for labels, put in ((columns, ax.set_xticks), (rows, ax.set_yticks)):
        step = -(-len(labels) // _FEW_LABELS) or 1
        if labels:
            put(range(0, len(labels), step), [str(label) for label in labels[::step]], fontsize="x-small")
    if any(len(str(label)) > 2 for label in columns):
        ax.tick_params("x", rotation=90)
    ax.figure.colorbar(shown, ax=ax)
    ax.set_title(title, fontsize="small")
    return ax


class Patching:
    """What patching gave: a number for each layer and group of tokens; a notebook shows it."""

    def __init__(
        self,
        values: npt.NDArray[np.float64],
        clean: float,
        corrupted: float,
        layers: Sequence[Any],
        positions: Sequence[Any],
        metric: str,
    ) -> None:
        """From the metric of each cell, and of the two runs without patches."""
        self.values = values
        """The metric, (layers, positions)."""
        self.clean, self.corrupted = clean, corrupted
        """The metric of the two runs without patches."""
        self.layers, self.positions = list(layers), list(positions)
        """What stands at the rows and columns."""
        self.metric = metric
        """What was measured."""

    @property
    def effect(self) -> npt.NDArray[np.float64]:
        """(value - corrupted) / (clean - corrupted): 1 restores the clean answer, 0 leaves the corrupted one."""
        span = self.clean - self.corrupted
        return (self.values - self.corrupted) / span if span else np.full_like(self.values, np.nan)

    def to_pandas(self) -> pd.DataFrame:
        """The effect as a table (`scotoma[data]`), a row for each layer."""
        import pandas as pd

        return pd.DataFrame(self.effect, index=pd.Index(self.layers, name="layer"), columns=self.positions)

    def plot(self, ax: matplotlib.axes.Axes | None = None) -> matplotlib.axes.Axes:
        """The effect as a heat map (`scotoma[plot]`)."""
        ax = plot_matrix(self.effect, ax, rows=self.layers, columns=self.positions, title=f"effect on {self.metric}")
        ax.set(xlabel="tokens", ylabel="layer")
        return ax

    def __repr__(self) -> str:
        """Its size, and where the effect is largest."""
        text = f"{len(self.layers)} layers x {len(self.positions)} positions, {self.metric}"
        text += f": clean {self.clean:.3g}, corrupted {self.corrupted:.3g}"
        effect = self.effect
        if np.isfinite(effect).any():
            down, across = np.unravel_index(int(np.nanargmax(effect)), effect.shape)
            text += f", most {effect[down, across]:.2f} at layer {self.layers[down]}, {self.positions[across]}"
        return f"<Patching {text}>"

    def _repr_html_(self) -> str:
        rows: list[dict[str, Any]] = []
        if len(self.positions) <= _FEW_COLUMNS:
            for layer, effects in zip(self.layers, self.effect, strict=True):
                rows.append(
                    {"layer": str(layer), **dict(zip(map(str, self.positions), map(float, effects), strict=True))}
                )
        caption = html.escape(repr(self)[1:-1])
        picture = paint.image(paint.heat_map(self.effect), "effect by layer and position")
        return f"<figure><figcaption>{caption}</figcaption>{picture}</figure>" + (paint.table(rows) if rows else "")


_FEW_COLUMNS = 12


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
    # An end that rounding puts on the wrong side of its value is the value.
    ends = [[max(m.value - m.low, 0) for m in own], [max(m.high - m.value, 0) for m in own]]
    ax.bar(range(len(own)), values, color="#b9c7d8", yerr=ends, capsize=4)
    ax.set_xticks(range(len(own)), [m.variant for m in own], rotation=30, ha="right")
    ax.set_ylabel(name)
    ax.set_ylim(0, max(m.most for m in own))
    return ax
