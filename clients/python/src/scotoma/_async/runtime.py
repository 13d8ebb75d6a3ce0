"""What asyncio does its own way."""

import asyncio
from asyncio import Event, Lock, Queue, sleep
from collections import deque
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Coroutine, Iterable
from typing import Any, TypeVar

from scotoma.channel import async_channel as channel

S = TypeVar("S")
T = TypeVar("T")
# Sends a call to a server, within so many seconds.
Send = Callable[[Any, float | None], Awaitable[T]]

__all__ = ["Event", "Lock", "Queue", "Send", "channel", "iterate", "ordered", "shielded", "sleep", "spawn"]


async def iterate(items: AsyncIterable[T] | Iterable[T]) -> AsyncIterator[T]:
    """Items of either kind."""
    if isinstance(items, AsyncIterable):
        async for item in items:
            yield item
    else:
        for item in items:
            yield item


async def shielded(work: Callable[..., Awaitable[T]], *args: Any) -> T:  # noqa: ANN401
    """Does work that goes on to its end where the caller is cancelled."""
    return await asyncio.shield(asyncio.ensure_future(work(*args)))


async def ordered(
    work: Callable[[S], Awaitable[T]], items: AsyncIterable[S] | Iterable[S], most: int
) -> AsyncIterator[T]:
    """What comes of each item, in their order; at most `most` are worked on at once."""
    running: deque[asyncio.Future[T]] = deque()
    try:
        async for item in iterate(items):
            running.append(asyncio.ensure_future(work(item)))
            if len(running) >= max(most, 1):
                yield await running.popleft()
        while running:
            yield await running.popleft()
    finally:
        for left in running:
            left.cancel()


def spawn(work: Callable[..., Coroutine[Any, Any, None]], *args: Any) -> object:  # noqa: ANN401
    """Does work beside the caller, who keeps what is returned for as long."""
    return asyncio.ensure_future(work(*args))
