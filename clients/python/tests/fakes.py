"""Servers that answer as a test wants it, and say what they were asked."""

# ruff: noqa: ANN401 (as grpc has it)

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import grpc
from blake3 import blake3
from google.protobuf import any_pb2, duration_pb2
from google.rpc import error_details_pb2, status_pb2

from scotoma.v1 import inference_service_pb2 as pb
from scotoma.v1.inference_service_pb2_grpc import InferenceServiceServicer, add_InferenceServiceServicer_to_server


def status(code: grpc.StatusCode, message: str, reason: str = "", delay: float | None = None) -> bytes:
    details: list[Any] = []
    if reason:
        details.append(error_details_pb2.ErrorInfo(reason=reason, metadata={"request_id": "of-the-server"}))
    if delay is not None:
        details.append(error_details_pb2.RetryInfo(retry_delay=duration_pb2.Duration(nanos=int(delay * 1e9))))
    packed = [any_pb2.Any() for _ in details]
    for each, detail in zip(packed, details, strict=True):
        each.Pack(detail)
    return status_pb2.Status(code=code.value[0], message=message, details=packed).SerializeToString()


class Fake(InferenceServiceServicer):
    """Scores and keeps uploads; `refusals` come first."""

    def __init__(self) -> None:
        self.address, self.serving = "", True
        self.refusals: list[tuple[Any, ...]] = []
        self.calls: list[dict[str, str]] = []
        self.uploads: set[str] = set()

    def refuse(self, context: grpc.ServicerContext, *refusal: Any) -> None:
        context.set_trailing_metadata((("grpc-status-details-bin", status(*refusal)),))
        context.abort(refusal[0], refusal[1])

    def UploadImage(self, request: pb.UploadImageRequest, context: Any) -> pb.UploadImageResponse:  # noqa: N802
        handle = blake3(request.data).hexdigest()
        self.uploads.add(handle)
        return pb.UploadImageResponse(handle=handle)

    def Score(self, request: pb.ScoreRequest, context: Any) -> pb.ScoreResponse:  # noqa: N802
        self.calls.append(dict(context.invocation_metadata()))
        if self.refusals:
            self.refuse(context, *self.refusals.pop(0))
        for image in request.prompt.images:
            if image.handle and image.handle not in self.uploads:
                self.refuse(context, grpc.StatusCode.NOT_FOUND, "unknown picture", "UNKNOWN_IMAGE")
        return pb.ScoreResponse()

    def health(self, _: bytes, context: Any) -> bytes:
        return b"\x08\x01" if self.serving else b"\x08\x02"


@contextmanager
def fake(port: int = 0) -> Iterator[Fake]:
    """Runs a fake for the length of a block; `stop()` ends it before."""
    own = Fake()
    server = grpc.server(ThreadPoolExecutor(4), options=[("grpc.so_reuseport", 0)])
    add_InferenceServiceServicer_to_server(own, server)  # type: ignore[no-untyped-call]
    check: Any = grpc.unary_unary_rpc_method_handler(own.health)
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("grpc.health.v1.Health", {"Check": check}),))
    own.address = f"127.0.0.1:{server.add_insecure_port(f'127.0.0.1:{port}')}"
    server.start()
    own.stop = lambda: server.stop(0).wait()  # type: ignore[attr-defined]
    try:
        yield own
    finally:
        server.stop(0).wait()
