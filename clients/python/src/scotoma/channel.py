"""How a server is reached."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import grpc
import grpc.aio

from scotoma.errors import ScotomaError

_MAX_MESSAGE_BYTES = 64 << 20
_FIRST_WAIT = 0.1

Pem = bytes | str | os.PathLike[str]


def _pem(pem: Pem | None) -> bytes | None:
    """PEM, or the file that holds it."""
    if pem is None or isinstance(pem, bytes):
        return pem
    return pem.encode() if isinstance(pem, str) and pem.lstrip().startswith("-----") else Path(pem).read_bytes()


@dataclass(frozen=True)
class Settings:
    """How a server is reached, and what is tried again."""

    address: str
    """`127.0.0.1:7878`, or with TLS `https://host:port`."""
    api_key: str | None = None
    """The key that the server knows this client by."""
    ca: Pem | None = None
    """Certificates (PEM, or a file) that the server's may be signed by, in place of the system's."""
    cert: Pem | None = None
    """This client's certificate, for a server that asks for one."""
    key: Pem | None = None
    """The key of that certificate."""
    keepalive: float = 30
    """A connection on which calls run is asked for a sign of life after this many silent seconds, and given up after as
    many again."""
    attempts: int = 4
    """How often a call is tried whose connection is lost before its first message, or that a server refuses because it
    is going down. After its first message a call is never tried again."""

    @property
    def target(self) -> str:
        """Without its scheme."""
        return self.address.removeprefix("http://").removeprefix("https://")

    @property
    def options(self) -> list[tuple[str, int]]:
        """Of the channel."""
        keepalive = int(self.keepalive * 1000)
        return [
            ("grpc.max_receive_message_length", _MAX_MESSAGE_BYTES),
            ("grpc.max_send_message_length", -1),
            ("grpc.keepalive_time_ms", keepalive),
            ("grpc.keepalive_timeout_ms", keepalive),
            # While gRPC measures the connection by pings of its own it sends no other, and waits a minute for these.
            ("grpc.http2.ping_timeout_ms", keepalive),
            ("grpc.enable_retries", 0),
            # A client is a connection, which has its share of the server; else all of a process would be one.
            ("grpc.use_local_subchannel_pool", 1),
        ]

    @property
    def metadata(self) -> tuple[tuple[str, str], ...]:
        """What goes with every call."""
        return () if self.api_key is None else (("authorization", f"Bearer {self.api_key}"),)

    @property
    def credentials(self) -> grpc.ChannelCredentials | None:
        """Of TLS; None for plain text."""
        if not self.address.startswith("https://"):
            given = [name for name in ("ca", "cert", "key") if getattr(self, name) is not None]
            if given:
                raise ValueError(f"{', '.join(given)}: {self.address} is not encrypted; https://host:port is")
            return None
        return grpc.ssl_channel_credentials(_pem(self.ca), _pem(self.key), _pem(self.cert))

    def wait(self, error: ScotomaError, attempt: int, left: float | None) -> float | None:
        """Seconds until a call that failed so is tried again; None where it is not."""
        if error.code is not grpc.StatusCode.UNAVAILABLE or attempt >= self.attempts:
            return None
        wait = error.retry_after if error.retry_after is not None else _FIRST_WAIT * 2 ** min(attempt, 6)
        return None if left is not None and left <= wait else wait


def channel(settings: Settings) -> grpc.Channel:
    """For threads."""
    if (credentials := settings.credentials) is None:
        return grpc.insecure_channel(settings.target, options=settings.options)
    return grpc.secure_channel(settings.target, credentials, options=settings.options)


def async_channel(settings: Settings) -> grpc.aio.Channel:
    """For asyncio."""
    if (credentials := settings.credentials) is None:
        return grpc.aio.insecure_channel(settings.target, options=settings.options)
    return grpc.aio.secure_channel(settings.target, credentials, options=settings.options)
