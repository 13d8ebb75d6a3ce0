"""What threads do their own way."""

from collections.abc import Callable, Iterable, Iterator
from queue import Queue
from threading import Event, Lock, Thread
from time import sleep
from typing import Any, TypeVar

from scotoma.channel import channel

T = TypeVar("T")
# Sends a call to a server, within so many seconds.
Send = Callable[[Any, float | None], T]

__all__ = ["Event", "Lock", "Queue", "Send", "channel", "iterate", "shielded", "sleep", "spawn"]


def iterate(items: Iterable[T]) -> Iterator[T]:
    """Items."""
    yield from items


def shielded(work: Callable[..., T], *args: Any) -> T:
    """Does work; a thread goes on to its end."""
    return work(*args)


def spawn(work: Callable[..., None], *args: Any) -> object:
    """Does work beside the caller, who keeps what is returned for as long."""
    thread = Thread(target=work, args=args, daemon=True)
    thread.start()
    return thread
