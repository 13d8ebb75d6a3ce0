"""What threads do their own way."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from queue import Queue
from threading import Event, Lock, Thread
from time import sleep
from typing import Any, TypeVar

from scotoma.channel import channel

S = TypeVar("S")
T = TypeVar("T")
# Sends a call to a server, within so many seconds.
Send = Callable[[Any, float | None], T]

__all__ = ["Event", "Lock", "Queue", "Send", "channel", "iterate", "ordered", "shielded", "sleep", "spawn"]


def iterate(items: Iterable[T]) -> Iterator[T]:
    """Items."""
    yield from items


def shielded(work: Callable[..., T], *args: Any) -> T:
    """Does work; a thread goes on to its end."""
    return work(*args)


def ordered(work: Callable[[S], T], items: Iterable[S], most: int) -> Iterator[T]:
    """What comes of each item, in their order; at most `most` are worked on at once."""
    running: deque[Future[T]] = deque()
    pool = ThreadPoolExecutor(max(most, 1))
    try:
        for item in items:
            running.append(pool.submit(work, item))
            if len(running) >= max(most, 1):
                yield running.popleft().result()
        while running:
            yield running.popleft().result()
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def spawn(work: Callable[..., None], *args: Any) -> object:
    """Does work beside the caller, who keeps what is returned for as long."""
    thread = Thread(target=work, args=args, daemon=True)
    thread.start()
    return thread
