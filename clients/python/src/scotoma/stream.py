"""An answer as it comes. Iterating is streaming; leaving the loop cancels."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import Any

import grpc
from typing_extensions import Self

from scotoma.errors import ScotomaError, from_rpc
from scotoma.v1 import inference_service_pb2 as pb


def _truncated() -> ScotomaError:
    return ScotomaError(grpc.StatusCode.DATA_LOSS, "the stream ended early")


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
    shape: list[int]
    """Sizes, rows first."""
    data: bytes
    """Little-endian numbers of the dtype asked for; `numpy.frombuffer(a.data, "<f4").reshape(a.shape)`."""
    top: list[list[pb.TokenLogprob]]
    """For the logit lens in place of numbers: the likeliest tokens of each row."""


class _Whole:
    """Puts activations together."""

    def __init__(self) -> None:
        self._data = b""

    def take(self, event: pb.CaptureResponse) -> Activation | None:
        """The activation that the event completes, if it does."""
        if event.WhichOneof("event") != "activation":
            return None
        part = event.activation
        self._data += part.data
        if len(self._data) < part.size:
            return None
        data, self._data = self._data, b""
        top = [list(row.tokens) for row in part.top]
        tokens, shape = list(part.tokens), list(part.shape)
        return Activation(part.target, part.point, part.step, part.image, part.view, tokens, shape, data, top)


class _Events:
    """What the sync and the async answer share: the first and the last event."""

    def __init__(self) -> None:
        self._started: pb.Started | None = None
        self._finished: pb.Finished | None = None

    @property
    def started(self) -> pb.Started:
        """The first event: the request is admitted."""
        if self._started is None:
            raise _truncated()
        return self._started

    @property
    def finished(self) -> pb.Finished:
        """The last event, with the whole text, usage and provenance; ValueError before the answer is complete."""
        if self._finished is None:
            raise ValueError("the answer is not complete; iterate to its end or call finish()")
        return self._finished

    def _take(self, event: pb.GenerateResponse) -> pb.Token | None:
        """The token that the event carries, if it does."""
        kind = event.WhichOneof("event")
        if kind == "token":
            return event.token
        if kind == "started":
            self._started = event.started
        elif kind == "finished":
            self._finished = event.finished
        return None


class Answer(_Events):
    """A streamed answer: iterate over its tokens, or `finish()` it."""

    def __init__(self, call: Any) -> None:  # noqa: ANN401 (grpc's call types are private)
        """Waits for the first event, so that a refused request raises here."""
        super().__init__()
        self._call = call
        try:
            self._take(next(call, pb.GenerateResponse()))
        except grpc.RpcError as error:
            raise from_rpc(error) from None
        _ = self.started

    def __iter__(self) -> Iterator[pb.Token]:
        """The tokens as they come."""
        try:
            for event in self._call:
                token = self._take(event)
                if token is not None:
                    yield token
            if self._finished is None:
                raise _truncated()
        except grpc.RpcError as error:
            raise from_rpc(error) from None
        finally:
            if self._finished is None:
                self.cancel()

    def finish(self) -> pb.Finished:
        """Reads to the end."""
        if self._finished is None:
            for _ in self:
                pass
        return self.finished

    def cancel(self) -> None:
        """Tells the server to stop; a complete answer stays as it is."""
        self._call.cancel()

    def __enter__(self) -> Self:
        """Cancels on leaving the block."""
        return self

    def __exit__(self, *_: object) -> None:
        """Cancels."""
        self.cancel()


class AsyncAnswer(_Events):
    """A streamed answer for asyncio: iterate over its tokens, or `await finish()`."""

    def __init__(self, call: Any) -> None:  # noqa: ANN401 (grpc's call types are private)
        """Over a call; `AsyncClient.generate` waits for its first event."""
        super().__init__()
        self._call = call

    async def _begin(self) -> Self:
        try:
            event = await self._call.read()
        except grpc.RpcError as error:
            raise from_rpc(error) from None
        if event is not grpc.aio.EOF:
            self._take(event)
        _ = self.started
        return self

    async def __aiter__(self) -> AsyncIterator[pb.Token]:
        """The tokens as they come."""
        try:
            while (event := await self._call.read()) is not grpc.aio.EOF:
                token = self._take(event)
                if token is not None:
                    yield token
            if self._finished is None:
                raise _truncated()
        except grpc.RpcError as error:
            raise from_rpc(error) from None
        finally:
            if self._finished is None:
                self.cancel()

    async def finish(self) -> pb.Finished:
        """Reads to the end."""
        if self._finished is None:
            async for _ in self:
                pass
        return self.finished

    def cancel(self) -> None:
        """Tells the server to stop; a complete answer stays as it is."""
        self._call.cancel()

    async def __aenter__(self) -> Self:
        """Cancels on leaving the block."""
        return self

    async def __aexit__(self, *_: object) -> None:
        """Cancels."""
        self.cancel()
