"""What threads do their own way."""

from collections.abc import Iterable, Iterator
from threading import Event
from time import sleep
from typing import TypeVar

from scotoma.channel import channel

T = TypeVar("T")

__all__ = ["Event", "channel", "iterate", "sleep"]


def iterate(items: Iterable[T]) -> Iterator[T]:
    """Items."""
    yield from items
