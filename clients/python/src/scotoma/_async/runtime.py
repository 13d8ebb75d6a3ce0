"""What asyncio does its own way."""

from asyncio import Event, sleep
from collections.abc import AsyncIterable, AsyncIterator, Iterable
from typing import TypeVar

from scotoma.channel import async_channel as channel

T = TypeVar("T")

__all__ = ["Event", "channel", "iterate", "sleep"]


async def iterate(items: AsyncIterable[T] | Iterable[T]) -> AsyncIterator[T]:
    """Items of either kind."""
    if isinstance(items, AsyncIterable):
        async for item in items:
            yield item
    else:
        for item in items:
            yield item
