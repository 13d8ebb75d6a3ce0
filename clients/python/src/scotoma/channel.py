"""How a server is reached."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import grpc
import grpc.aio

_MAX_MESSAGE_BYTES = 64 << 20

Pem = bytes | str | os.PathLike[str]


def _pem(pem: Pem | None) -> bytes | None:
    """PEM, or the file that holds it."""
    if pem is None or isinstance(pem, bytes):
        return pem
    return pem.encode() if isinstance(pem, str) and pem.lstrip().startswith("-----") else Path(pem).read_bytes()


@dataclass(frozen=True)
class Settings:
    """How servers are reached, and how long they are waited for."""

    addresses: tuple[str, ...]
    """`127.0.0.1:7878`, or with TLS `https://host:port`; several answer the same."""
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
    patience: float = 60
    """For how many seconds a call waits for a server whose connection is lost before its first message, or that refuses
    it because it is going down; 0: not at all. After its first message a call is never tried again."""

    def __post_init__(self) -> None:
        """Checks what would be found out late, or never."""
        if not self.addresses or any(not address for address in self.addresses):
            raise ValueError("address: empty; one such as 127.0.0.1:7878 is needed, or a list of them")
        targets = [target(address) for address in self.addresses]
        if len(set(targets)) < len(targets):
            raise ValueError(f"address: {', '.join(targets)}: one of them stands there twice")
        if self.patience < 0:
            raise ValueError(f"patience: {self.patience}; seconds of 0 or more are needed")

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
            # A server that comes back is seen soon; by default gRPC looks after up to two minutes.
            ("grpc.initial_reconnect_backoff_ms", 200),
            ("grpc.max_reconnect_backoff_ms", 2000),
            # A client is a connection, which has its share of the server; else all of a process would be one.
            ("grpc.use_local_subchannel_pool", 1),
        ]

    @property
    def metadata(self) -> tuple[tuple[str, str], ...]:
        """What goes with every call."""
        return () if self.api_key is None else (("authorization", f"Bearer {self.api_key}"),)

    def credentials(self, address: str) -> grpc.ChannelCredentials | None:
        """Of TLS; None for plain text."""
        if not address.startswith("https://"):
            given = [name for name in ("ca", "cert", "key") if getattr(self, name) is not None]
            if given:
                raise ValueError(f"{', '.join(given)}: {address} is not encrypted; https://host:port is")
            return None
        return grpc.ssl_channel_credentials(_pem(self.ca), _pem(self.key), _pem(self.cert))


def target(address: str) -> str:
    """Returns an address without its scheme."""
    return address.removeprefix("http://").removeprefix("https://").rstrip("/")


def channel(settings: Settings, address: str) -> grpc.Channel:
    """For threads."""
    if (credentials := settings.credentials(address)) is None:
        return grpc.insecure_channel(target(address), options=settings.options)
    return grpc.secure_channel(target(address), credentials, options=settings.options)


def async_channel(settings: Settings, address: str) -> grpc.aio.Channel:
    """For asyncio."""
    if (credentials := settings.credentials(address)) is None:
        return grpc.aio.insecure_channel(target(address), options=settings.options)
    return grpc.aio.secure_channel(target(address), credentials, options=settings.options)
