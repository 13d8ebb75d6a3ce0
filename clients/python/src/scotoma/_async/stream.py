"""What comes as a stream. Iterating is streaming; leaving the loop cancels."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from math import nan
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import grpc
from typing_extensions import Self

from scotoma import show
from scotoma.errors import ScotomaError, from_rpc
from scotoma.paint import table
from scotoma.results import ResultsFile
from scotoma.studies import Cells, bar
from scotoma.v1 import benchmark_service_pb2 as bench
from scotoma.v1 import inference_service_pb2 as pb
from scotoma.v1 import intervention_pb2 as iv
from scotoma.views import (
    Activation,
    Patching,
    Whole,
    metrics_frame,
    places,
    plot_metrics,
    plot_sweep,
    results_frame,
    sweep_frame,
    sweep_html,
    sweep_row,
)

if TYPE_CHECKING:
    import matplotlib.axes
    import pandas as pd

Item = TypeVar("Item")
Last = TypeVar("Last")


def truncated() -> ScotomaError:
    """A stream without its last event."""
    return ScotomaError(grpc.StatusCode.DATA_LOSS, "the stream ended early")


class Begun:
    """A call whose first message has come."""

    def __init__(self, call: Any, events: AsyncIterator[Any], first: Any) -> None:  # noqa: ANN401 (grpc's types are private)
        """Of the call's events the first one was taken."""
        self.call, self.events, self.first = call, events, first
        self.server: Any = None
        self.request_id = ""

    def failed(self, error: grpc.RpcError) -> ScotomaError:
        """Returns the error of a call that names its request."""
        found = from_rpc(error)
        found.request_id = found.request_id or self.request_id
        return found

    async def all(self) -> AsyncIterator[Any]:
        """Every message; leaving the loop cancels."""
        try:
            yield self.first
            async for event in self.events:
                yield event
        except grpc.RpcError as error:
            raise self.failed(error) from None
        finally:
            self.call.cancel()


async def begin(call: Any) -> Begun:  # noqa: ANN401
    """Waits for the first message of a call, so that a refused request raises here."""
    events = aiter(call)
    try:
        return Begun(call, events, await anext(events))
    except StopAsyncIteration:
        raise truncated() from None
    except grpc.RpcError as error:
        raise from_rpc(error) from None


class AsyncStream(Generic[Item, Last]):
    """What the streams have in common: items, and a last event."""

    def __init__(self, begun: Begun) -> None:
        """The first event is `started`."""
        self._begun = begun
        self._finished: Last | None = None
        if begun.first.WhichOneof("event") != "started":
            raise truncated()

    def _take(self, kind: str, value: Any) -> Item | None:  # noqa: ANN401
        """The item that an event carries, if it does."""
        raise NotImplementedError

    @property
    def finished(self) -> Last:
        """The last event; ValueError before all has come."""
        if self._finished is None:
            raise ValueError("not complete; iterate to the end or call finish()")
        return self._finished

    async def __aiter__(self) -> AsyncIterator[Item]:
        """Items as they come; leaving the loop tells the server to stop."""
        try:
            async for event in self._begun.events:
                kind = event.WhichOneof("event")
                value = getattr(event, kind) if kind else None
                if kind == "finished":
                    self._finished = value
                item = self._take(kind, value)
                if item is not None:
                    yield item
            if self._finished is None:
                raise truncated()
        except grpc.RpcError as error:
            raise self._begun.failed(error) from None
        finally:
            if self._finished is None:
                self.cancel()

    async def finish(self) -> Last:
        """Reads to the end."""
        if self._finished is None:
            async for _ in self:
                pass
        return self.finished

    def cancel(self) -> None:
        """Tells the server to stop; what is complete stays as it is."""
        self._begun.call.cancel()

    def __repr__(self) -> str:
        """Whether all has come."""
        return f"<{type(self).__name__}{self._state() or '; all has come'}>"

    def _state(self) -> str:
        """What a reader does who wants more."""
        return "" if self._finished is not None else "; iterate or call finish() for the rest"

    async def __aenter__(self) -> Self:
        """Cancels on leaving the block."""
        return self

    async def __aexit__(self, *_: object) -> None:
        """Cancels."""
        self.cancel()


class AsyncAnswer(AsyncStream[pb.Token, pb.Finished]):
    """A streamed answer: iterate over its tokens, or `finish()` it for the text, usage and provenance."""

    @property
    def started(self) -> pb.Started:
        """The first event: the request is admitted."""
        return self._begun.first.started  # type: ignore[no-any-return]

    def __init__(self, begun: Begun) -> None:
        """Nothing has come but the first event."""
        super().__init__(begun)
        self.tokens: list[pb.Token] = []
        """What has come so far."""

    def _take(self, kind: str, value: Any) -> pb.Token | None:  # noqa: ANN401
        if kind != "token":
            return None
        self.tokens.append(value)
        return value  # type: ignore[no-any-return]

    def __repr__(self) -> str:
        """The text so far."""
        text = "".join(token.text for token in self.tokens)
        return f"<{type(self).__name__} {text!r}, {len(self.tokens)} tokens{self._state()}>"

    def _repr_html_(self) -> str:
        shown = show.tokens_html(self.tokens)
        return shown + (f"<small>{self._state()[2:]}</small>" if self._finished is None else "")


class AsyncSweep(AsyncStream[pb.SweepResult, pb.SweepFinished]):
    """One input under many variants: a result for each as it is done."""

    def __init__(self, begun: Begun, axes: Mapping[str, Sequence[Any]], continuations: Sequence[str] = ()) -> None:
        """With the labels of the axes, which are the table's columns."""
        super().__init__(begun)
        self._axes, self._continuations = axes, continuations
        self._rows: dict[int, dict[str, Any]] = {}

    @property
    def started(self) -> pb.SweepStarted:
        """How many results will come."""
        return self._begun.first.started  # type: ignore[no-any-return]

    def _take(self, kind: str, value: Any) -> pb.SweepResult | None:  # noqa: ANN401
        if kind != "result":
            return None
        if not value.places:
            # Variants that were written out have places of their own, too.
            value.places.extend(places(value.variant, [len(labels) for labels in self._axes.values()]))
        self._rows[value.variant] = sweep_row(value, self._axes, self._continuations)
        return value  # type: ignore[no-any-return]

    async def to_pandas(self) -> pd.DataFrame:
        """All results as a table (`scotoma[data]`), a row for each variant; reads to the end."""
        await self.finish()
        return sweep_frame(self._rows)

    async def plot(
        self, y: str | None = None, x: str | None = None, ax: matplotlib.axes.Axes | None = None
    ) -> matplotlib.axes.Axes:
        """A line over one axis, or a heat map over two (`scotoma[plot]`); reads to the end.

        `y` is a column of `to_pandas` (by default the difference of the first two continuations' log-probabilities, or
        the log-probability of the only one), `x` another one, such as "flops".
        """
        await self.finish()
        return plot_sweep(self._rows, self._axes, y, x, ax)

    def __repr__(self) -> str:
        """How far it is."""
        return f"<{type(self).__name__} {len(self._rows)} of {self.started.variants} variants{self._state()}>"

    def _repr_html_(self) -> str:
        return sweep_html(self._rows, self._axes, repr(self)[1:-1])


class AsyncCapture(AsyncStream[Activation, pb.CaptureFinished]):
    """Activations as they come; `finished.kept` has the handles of those that the server keeps."""

    def __init__(self, begun: Begun, dtype: int, keep: Callable[[Any, str], None]) -> None:
        """Numbers come as this, a scotoma.v1 DataType; `keep` remembers which server keeps what."""
        super().__init__(begun)
        self._whole, self._keep = Whole(dtype), keep

    @property
    def started(self) -> pb.Started:
        """The first event: the request is admitted."""
        return self._begun.first.started  # type: ignore[no-any-return]

    def _take(self, kind: str, value: Any) -> Activation | None:  # noqa: ANN401
        for kept in value.kept if kind == "finished" else ():
            self._keep(self._begun.server, kept.handle)
        return self._whole.take(value) if kind == "activation" else None


class AsyncAttribution(AsyncStream[Activation, pb.AttributeFinished]):
    """Scores of rows, an array for each point; `finished` has the metric, and at a baseline, too."""

    def __init__(self, begun: Begun) -> None:
        """Numbers come in f32."""
        super().__init__(begun)
        self._whole = Whole(iv.DATA_TYPE_F32)
        self._sum = 0.0

    @property
    def started(self) -> pb.Started:
        """The first event: what all passes will take is known."""
        return self._begun.first.started  # type: ignore[no-any-return]

    @property
    def gap(self) -> float | None:
        """How far the sum of all scores is above `finished.value - finished.baseline`, after the end.

        Integrated gradients come closer with more `steps`, or with another `source`; None of other methods.
        """
        finished = self.finished
        return self._sum - (finished.value - finished.baseline) if finished.HasField("baseline") else None

    def _take(self, kind: str, value: Any) -> Activation | None:  # noqa: ANN401
        scores = self._whole.take(value) if kind == "scores" else None
        if scores is not None:
            self._sum += float(scores.array.sum(dtype="float64"))
        return scores


class AsyncTrace(AsyncStream[pb.TraceCell, pb.TraceFinished]):
    """Cells of activation patching as they come; `grid` puts them together."""

    def __init__(self, begun: Begun, metric: str) -> None:
        """Has the axes; `metric` is what is measured, for people."""
        super().__init__(begun)
        self._cells = Cells(self.started, metric)
        self.baseline = pb.TraceBaseline(clean=nan, corrupted=nan)
        """The metric of the two runs without patches; not a number before it has come."""

    @property
    def started(self) -> pb.TraceStarted:
        """The first event: the axes, and what all cells will take."""
        return self._begun.first.started  # type: ignore[no-any-return]

    def _take(self, kind: str, value: Any) -> pb.TraceCell | None:  # noqa: ANN401
        if kind == "baseline":
            self.baseline = value
        if kind != "cell":
            return None
        self._cells.take(value)
        return value  # type: ignore[no-any-return]

    async def grid(self, *, progress: bool = False) -> Patching:
        """The cells as a grid, with NaN for those that could not run; reads to the end."""
        with bar(progress, self.started.cells) as done:
            async for _ in self:
                done.update()
        return self._cells.result(self.baseline)


class AsyncEvaluation(AsyncStream[bench.SampleResult, bench.EvaluateFinished]):
    """A benchmark that runs: a result for each question and variant as it comes."""

    def __init__(
        self, begun: Begun, known: list[bench.SampleResult], results: ResultsFile | None, broken: list[Exception]
    ) -> None:
        """`broken` gets what goes wrong with the questions."""
        super().__init__(begun)
        self._results, self._broken = results, broken
        self.known = known
        """Results of an earlier run, which are not computed again."""
        self.metrics: list[bench.BenchmarkMetric] = []
        """What the results so far come to; now and then anew."""

    @property
    def started(self) -> bench.EvaluateStarted:
        """Who answers, by which rule, with which seeds."""
        return self._begun.first.started  # type: ignore[no-any-return]

    def _take(self, kind: str, value: Any) -> bench.SampleResult | None:  # noqa: ANN401
        if kind in ("progress", "finished"):
            self.metrics = list(value.metrics)
        if kind == "finished":
            if self._results is not None:
                self._results.close()
            if self._broken:
                raise self._broken[0]
        if kind != "result":
            return None
        if self._results is not None:
            self._results.add(value)
        return value  # type: ignore[no-any-return]

    def cancel(self) -> None:
        """Tells the server to stop; what is complete stays as it is."""
        super().cancel()
        if self._results is not None:
            self._results.close()

    def __repr__(self) -> str:
        """What the results so far come to."""
        shown = "; ".join(f"{m.variant}: {m.name} {m.value:.4g} [{m.low:.4g}, {m.high:.4g}]" for m in self.metrics)
        return f"<{type(self).__name__} {self.started.rule}: {shown or 'no metrics yet'}{self._state()}>"

    def _repr_html_(self) -> str:
        names = ("variant", "name", "value", "low", "high", "n")
        return table(
            [{name: getattr(m, name) for name in names} for m in self.metrics], f"{self.started.rule}{self._state()}"
        )

    async def to_pandas(self) -> pd.DataFrame:
        """All results, those of an earlier run first, as a table (`scotoma[data]`)."""
        return results_frame([*self.known, *[result async for result in self]])

    def metrics_to_pandas(self) -> pd.DataFrame:
        """The metrics as a table (`scotoma[data]`), with their 95 % intervals."""
        return metrics_frame(self.metrics)

    def plot(self, name: str | None = None, ax: matplotlib.axes.Axes | None = None) -> matplotlib.axes.Axes:
        """A bar with its 95 % interval for each variant (`scotoma[plot]`)."""
        return plot_metrics(self.metrics, name, ax)
