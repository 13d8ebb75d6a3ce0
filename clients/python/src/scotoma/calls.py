"""What goes with a call, whatever server answers it: names, deadlines, pictures, and how long it may wait."""

from __future__ import annotations

import random
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, ClassVar

import grpc
from blake3 import blake3

from scotoma.errors import ScotomaError
from scotoma.v1 import inference_service_pb2 as pb

try:
    from opentelemetry import propagate
except ImportError:  # (optional: a caller that traces has it)
    propagate = None  # type: ignore[assignment]

_FIRST_WAIT = 0.1
_LONGEST_WAIT = 5.0
# Where pictures stand in requests.
_ON_THE_WAY = frozenset(
    (
        "generate",
        "score",
        "clean",
        "corrupted",
        "source",
        "prompt",
        "images",
        "image",
        "messages",
        "parts",
        "sample",
        "row",
    )
)


def drawn() -> str:
    """Draws a name that no other call has."""
    return uuid.uuid4().hex


def _traced() -> dict[str, str]:
    """Returns what OpenTelemetry says of the current span, where it is installed."""
    carrier: dict[str, str] = {}
    if propagate is not None:
        propagate.inject(carrier)
    return {name: carrier[name] for name in ("traceparent", "tracestate") if name in carrier}


@dataclass
class Call:
    """One logical call: the same over all of its tries."""

    timeout: float | None = None
    idempotency_key: str = ""
    request_id: str = field(default_factory=drawn)
    traceparent: str = ""
    picture: str = ""
    """BLAKE3 (hex) of the first picture, by which a server is chosen; empty: there is none."""
    handles: tuple[str, ...] = ()
    """Handles of uploads and of kept activations that the request names."""

    NAMES: ClassVar[tuple[str, ...]] = ("timeout", "idempotency_key", "request_id", "traceparent")
    """What a caller may set."""

    @classmethod
    def of(cls, options: dict[str, Any], message: Any = None) -> Call:  # noqa: ANN401
        """Takes what belongs to the call out of `options`; `message` is the request."""
        own = {name: options.pop(name) for name in cls.NAMES if name in options}
        call = cls(**{name: value for name, value in own.items() if value is not None})
        if message is not None:
            images = list(images_of(message))
            call.picture = digest(images[0]) if images else ""
            call.handles = (*(i.handle for i in images if i.handle), *activations(message))
        return call

    def metadata(self) -> tuple[tuple[str, str], ...]:
        """Returns what goes with each try."""
        said = {"x-request-id": self.request_id}
        if self.idempotency_key:
            said["idempotency-key"] = self.idempotency_key
        said |= {"traceparent": self.traceparent} if self.traceparent else _traced()
        if self.picture:
            said["x-scotoma-picture"] = self.picture
        return tuple(said.items())


def digest(image: pb.Image) -> str:
    """Returns the BLAKE3 (hex) of a picture's bytes, which is its handle, too."""
    return image.handle or blake3(image.data).hexdigest()


def images_of(message: Any) -> Iterator[pb.Image]:  # noqa: ANN401
    """Yields the pictures of a request in their order."""
    if isinstance(message, pb.Image):
        yield message
        return
    for own, value in message.ListFields():
        if own.name in _ON_THE_WAY and own.message_type is not None:
            for each in value if own.is_repeated else (value,):
                yield from images_of(each)


def activations(message: Any) -> Iterator[str]:  # noqa: ANN401
    """Yields the handles of kept activations that the interventions of a request name."""
    for own, value in message.ListFields():
        if own.name in ("generate", "score", "clean", "corrupted", "grid", "source"):
            yield from activations(value)
        elif own.name == "variants":
            for each in value:
                yield from activations(each)
        elif own.name == "interventions":
            yield from (each.patch.handle for each in value if each.patch.handle)


def is_lost(error: ScotomaError) -> bool:
    """Tells whether a call that ended so may be sent again: the connection is gone, or the server says when."""
    # What grpc.aio says where a connection ends while a call is begun: no server has sent that.
    if error.code is grpc.StatusCode.INTERNAL and error.message == "Internal error from Core":
        return True
    return error.code is grpc.StatusCode.UNAVAILABLE and (error.retry_after is not None or error.reason is None)


class Patience:
    """How long what is lost is waited for, from the first loss on."""

    def __init__(self, seconds: float, timeout: float | None = None) -> None:
        """Waits for `seconds` in all, and never beyond `timeout`."""
        self._seconds, self._tries = seconds, 0
        self._until: float | None = None
        self._deadline = None if timeout is None else time.monotonic() + timeout

    @property
    def left(self) -> float | None:
        """Seconds until the deadline."""
        return None if self._deadline is None else max(self._deadline - time.monotonic(), 0)

    def renew(self) -> None:
        """Starts anew: something has come."""
        self._until, self._tries = None, 0

    def wait(self, error: ScotomaError) -> float | None:
        """Returns the seconds until the next try; None where there is none."""
        now = time.monotonic()
        if self._until is None:
            self._until = now + self._seconds
        if now >= self._until:
            return None
        self._tries += 1
        if error.retry_after is not None:
            # A little more, so that all who were told the same do not come at once.
            wait = error.retry_after * random.uniform(1, 1.2)
        else:
            wait = min(_FIRST_WAIT * 2 ** min(self._tries, 16), _LONGEST_WAIT) * random.uniform(0.5, 1)
        wait = min(wait, self._until - now)
        return None if self.left is not None and self.left <= wait else wait


def weight(address: str, picture: str) -> bytes:
    """Returns the rendezvous weight of a server for a picture; the greatest one has it, in every client."""
    return blake3(f"{address} {picture}".encode()).digest()
