"""A sweep of several requests, as one stream."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import grpc

from scotoma._async.runtime import ordered
from scotoma._async.servers import AsyncServers
from scotoma._async.stream import Begun
from scotoma.axes import Part
from scotoma.messages import Swept
from scotoma.v1 import inference_service_pb2 as pb


class AsyncSweeps:
    """The requests of a sweep, some at once; their results come in the order of the requests."""

    def __init__(self, servers: AsyncServers, swept: Swept) -> None:
        """Asks what `swept` says."""
        assert swept.plan is not None
        self._servers, self._swept, self._plan = servers, swept, swept.plan
        self._live: set[Begun] = set()
        self._is_over = False
        self._first: Begun | None = None
        self._sums = pb.SweepFinished()

    async def begin(self) -> Begun:
        """Waits until the first request is admitted, so that a refused one raises here."""
        parts = self._plan.parts
        self._first = await self._servers.begin("inference.Sweep", *self._swept.request(parts[0]))
        started = self._first.first.started
        started.variants = self._plan.count * len(parts)
        return Begun(self, self._events(), self._first.first)

    def cancel(self) -> None:
        """Tells the servers to stop."""
        self._is_over = True
        for begun in [*self._live]:
            begun.call.cancel()

    async def _events(self) -> AsyncIterator[pb.SweepResponse]:
        async for results in ordered(self._run, self._plan.parts, self._swept.concurrency):
            for result in results:
                yield pb.SweepResponse(result=result)
        yield pb.SweepResponse(finished=self._sums)

    async def _run(self, part: Part) -> list[pb.SweepResult]:
        """Returns the results of one request."""
        begun = self._first if part is self._plan.parts[0] else None
        if begun is None:
            begun = await self._servers.begin("inference.Sweep", *self._swept.request(part))
        self._live.add(begun)
        results: list[pb.SweepResult] = []
        try:
            if self._is_over:
                begun.call.cancel()
            async for event in begun.events:
                kind = event.WhichOneof("event")
                if kind == "result":
                    results.append(self._plan.renumbered(part, event.result))
                elif kind == "finished":
                    self._add(event.finished)
            return results
        except grpc.RpcError as error:
            raise begun.failed(error) from None
        finally:
            self._live.discard(begun)

    def _add(self, finished: Any) -> None:  # noqa: ANN401
        for name in ("variants", "failed", "rows_computed", "rows_naive"):
            setattr(self._sums, name, getattr(self._sums, name) + getattr(finished, name))
        self._sums.total_seconds = max(self._sums.total_seconds, finished.total_seconds)
