"""What can go wrong, with what the server said about it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import grpc
from google.rpc import error_details_pb2, status_pb2


@dataclass(frozen=True)
class FieldViolation:
    """A field of the request that the server refused.

    `field` is its path, `interventions[0].drop_layers.layers[1]` for instance; `description` says what would be valid.
    """

    field: str
    description: str


class ScotomaError(Exception):
    """A failed call.

    `code` is the gRPC code, `reason` the server's reason in capitals, `fields` the fields that were refused, and
    `retry_after` the seconds after which another try may help; None where it won't. `request_id` names the request in
    the server's log.
    """

    def __init__(
        self,
        code: grpc.StatusCode,
        message: str,
        reason: str | None = None,
        fields: tuple[FieldViolation, ...] = (),
        retry_after: float | None = None,
        request_id: str | None = None,
    ) -> None:
        """From the parts of a status."""
        super().__init__(f"{code.name}: {message}")
        self.code = code
        self.message = message
        self.reason = reason
        self.fields = fields
        self.retry_after = retry_after
        self.request_id = request_id

    def saying(self, message: str) -> ScotomaError:
        """Returns the same error with other words."""
        return ScotomaError(self.code, message, self.reason, self.fields, self.retry_after, self.request_id)


def from_rpc(error: grpc.RpcError) -> ScotomaError:
    """The error of a call of `grpc` or `grpc.aio`, with the details that the server sent."""
    code, message = error.code(), error.details() or ""
    reason, retry_after, request_id, fields = None, None, None, []
    # grpcio-status refuses details whose words differ from grpc's own, and a deadline passes on both sides at once.
    trailers: Iterable[Any] = error.trailing_metadata() or ()
    sent = [value for key, value in trailers if key == "grpc-status-details-bin"]
    for detail in status_pb2.Status.FromString(sent[0]).details if sent else ():
        info, bad, retry = error_details_pb2.ErrorInfo(), error_details_pb2.BadRequest(), error_details_pb2.RetryInfo()
        if detail.Unpack(info):
            reason, request_id = info.reason, info.metadata.get("request_id")
        elif detail.Unpack(bad):
            fields = [FieldViolation(v.field, v.description) for v in bad.field_violations]
        elif detail.Unpack(retry):
            retry_after = retry.retry_delay.ToTimedelta().total_seconds()
    return ScotomaError(code, message, reason, tuple(fields), retry_after, request_id)
