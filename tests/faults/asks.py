"""Asks servers below the client library: no retries, no waits, and messages that are never finished."""

from __future__ import annotations

import io
import socket
import statistics
import struct
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import grpc
from PIL import Image
from scotoma.v1 import inference_service_pb2 as pb
from scotoma.v1.inference_service_pb2_grpc import InferenceServiceStub

from conftest import Server

QUESTION = "USER: <image>\nWhat shape is it? ASSISTANT:"


@contextmanager
def connection(server: Server, key: str | None = None) -> Iterator[grpc.Channel]:
    """Opens a connection of its own, which without keys is a client of its own."""
    options = [
        ("grpc.use_local_subchannel_pool", 1),
        ("grpc.enable_retries", 0),
        ("grpc.max_receive_message_length", 64 << 20),
        ("grpc.max_send_message_length", -1),
    ]
    with grpc.insecure_channel(server.address, options=options) as channel:
        grpc.channel_ready_future(channel).result(10)
        if key is not None:
            yield grpc.intercept_channel(channel, _Key(key))
        else:
            yield channel


class _Key(grpc.UnaryUnaryClientInterceptor, grpc.UnaryStreamClientInterceptor):
    """Sends an API key with every call."""

    def __init__(self, key: str) -> None:
        self.metadata = (("authorization", f"Bearer {key}"),)

    def intercept_unary_unary(self, continuation: Any, details: grpc.ClientCallDetails, request: Any) -> Any:
        return continuation(self._with_key(details), request)

    intercept_unary_stream = intercept_unary_unary

    def _with_key(self, details: grpc.ClientCallDetails) -> grpc.ClientCallDetails:
        return _Details(details.method, details.timeout, self.metadata)


@dataclass
class _Details(grpc.ClientCallDetails):
    method: str
    timeout: float | None
    metadata: tuple[tuple[str, str], ...]
    credentials: None = None
    wait_for_ready: None = None
    compression: None = None


def generate_request(picture: bytes, text: str = QUESTION, tokens: int = 4) -> pb.GenerateRequest:
    """Asks about one picture."""
    prompt = pb.Prompt(text=text, images=[pb.Image(data=picture)])
    return pb.GenerateRequest(prompt=prompt, max_tokens=tokens)


def generate(channel: grpc.Channel, request: pb.GenerateRequest, timeout: float = 60) -> float:
    """Asks, reads the whole answer, and returns how many seconds it took."""
    begun = time.monotonic()
    for _ in InferenceServiceStub(channel).Generate(request, timeout=timeout):
        pass
    return time.monotonic() - begun


def health(channel: grpc.Channel, timeout: float = 10) -> float:
    """Asks whether the server serves, and returns how many seconds the answer took."""
    check = channel.unary_unary("/grpc.health.v1.Health/Check")
    begun = time.monotonic()
    assert check(b"", timeout=timeout) == b"\x08\x01"
    return time.monotonic() - begun


def plain_picture(side: int) -> bytes:
    """Returns a PNG of one colour: many pixels in few bytes."""
    out = io.BytesIO()
    Image.new("RGB", (side, side), (200, 30, 30)).save(out, "PNG", compress_level=9)
    return out.getvalue()


@dataclass
class Answers:
    """What became of requests."""

    seconds: list[float] = field(default_factory=list)
    """Of those that were answered."""
    refused: list[float] = field(default_factory=list)
    """Seconds until a refusal."""
    errors: list[grpc.RpcError] = field(default_factory=list)
    """Of those that were neither answered nor refused."""

    def ask(self, send: Callable[[], float]) -> None:
        """Sends a request and counts what became of it."""
        begun = time.monotonic()
        try:
            self.seconds.append(send())
        except grpc.RpcError as error:
            if error.code() == grpc.StatusCode.RESOURCE_EXHAUSTED:
                self.refused.append(time.monotonic() - begun)
            else:
                self.errors.append(error)

    @property
    def median(self) -> float:
        """Seconds of an answer."""
        return statistics.median(self.seconds)


class Greedy:
    """A client that keeps so many requests on their way until the block ends."""

    def __init__(self, channel: grpc.Channel, at_once: int, request: Callable[[int], pb.GenerateRequest]) -> None:
        self.channel, self.at_once, self.request = channel, at_once, request
        self.answers = Answers()
        self._over = threading.Event()
        self._pool = ThreadPoolExecutor(at_once)

    def __enter__(self) -> Greedy:
        for first in range(self.at_once):
            self._pool.submit(self._go_on, first)
        return self

    def _go_on(self, first: int) -> None:
        number = first
        while not self._over.is_set():
            request = self.request(number)
            self.answers.ask(lambda request=request: generate(self.channel, request))
            number += self.at_once

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._pool.shutdown()


def unfinished_message(server: Server, length: int, sent: int) -> socket.socket:
    """Begins a message of `length` bytes over gRPC-Web, sends so many and no more."""
    begun = socket.create_connection(("127.0.0.1", server.port), timeout=30)
    head = (
        "POST /scotoma.v1.InferenceService/UploadImage HTTP/1.1\r\n"
        f"host: {server.address}\r\ncontent-type: application/grpc-web+proto\r\n"
        f"content-length: {length + 5}\r\n\r\n"
    )
    begun.sendall(head.encode() + b"\0" + struct.pack(">I", length))
    block = bytes(1 << 20)
    left = sent
    try:
        while left > 0:
            begun.sendall(block[: min(left, len(block))])
            left -= len(block)
    except OSError:
        pass  # refused in the middle
    return begun


def eventually(what: str, is_so: Callable[[], bool], seconds: float = 10) -> None:
    """Waits until something is so; fails where it does not become so."""
    until = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < until, f"not within {seconds} s: {what}"
        time.sleep(0.05)
