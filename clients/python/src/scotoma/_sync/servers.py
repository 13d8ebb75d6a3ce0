# Generated from _async/servers.py by generate.py; not to be edited.
"""The servers that a client knows: which one a call goes to, and what each of them holds."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Iterable
from operator import attrgetter
from typing import Any, TypeVar

import grpc

from scotoma._sync.runtime import Send, channel, sleep
from scotoma._sync.stream import Begun, begin
from scotoma.calls import Call, Patience, drawn, is_lost, weight
from scotoma.channel import Settings, target
from scotoma.errors import ScotomaError, from_rpc
from scotoma.v1 import inference_service_pb2 as pb
from scotoma.v1.benchmark_service_pb2_grpc import BenchmarkServiceStub
from scotoma.v1.inference_service_pb2_grpc import InferenceServiceStub
from scotoma.v1.model_service_pb2_grpc import ModelServiceStub

T = TypeVar("T")

# Of several servers each is asked again after so many seconds whether it serves.
_HEALTH_EVERY = 2.0
_HEALTH_TIMEOUT = 1.0
_SERVING = b"\x08\x01"  # grpc.health.v1.HealthCheckResponse
# Bytes of uploads that are kept, so that they can go to another server; and how many handles are remembered.
_UPLOADS = 64 << 20
_HANDLES = 1 << 14


class Server:
    """One server."""

    def __init__(self, settings: Settings, address: str) -> None:
        """Opens a channel; the first call connects."""
        self.address = target(address)
        self.channel = channel(settings, address)
        self.inference = InferenceServiceStub(self.channel)  # type: ignore[no-untyped-call]
        self.models = ModelServiceStub(self.channel)  # type: ignore[no-untyped-call]
        self.benchmarks = BenchmarkServiceStub(self.channel)  # type: ignore[no-untyped-call]
        self._check: Any = self.channel.unary_unary("/grpc.health.v1.Health/Check")
        self._serves, self._checked = True, 0.0

    def serves(self) -> bool:
        """Asks the health service, now and then."""
        now = time.monotonic()
        if now - self._checked < _HEALTH_EVERY:
            return self._serves
        self._checked = now
        try:
            self._serves = self._check(b"", timeout=_HEALTH_TIMEOUT) == _SERVING
        except grpc.RpcError as error:
            # One that has no such service may serve.
            self._serves = error.code() is grpc.StatusCode.UNIMPLEMENTED
        return self._serves

    def lost(self) -> None:
        """Gets no new calls for a while."""
        self._serves, self._checked = False, time.monotonic()


class Servers:
    """All servers of a client."""

    def __init__(self, settings: Settings) -> None:
        """Opens a channel to each."""
        self.settings = settings
        self.all = [Server(settings, address) for address in settings.addresses]
        self._turn = 0
        # By handle: who has it, and its bytes as long as there is room for them.
        self._holders: OrderedDict[str, set[Server]] = OrderedDict()
        self._bytes: OrderedDict[str, bytes] = OrderedDict()

    def close(self) -> None:
        """Ends all connections, and every call on them."""
        for server in self.all:
            server.channel.close()

    def pick(self, call: Call, tried: Iterable[Server] = ()) -> Server:
        """Returns the server for a call: that of its handles, of its picture, or the next one."""
        if len(self.all) == 1:
            return self.all[0]
        if call.picture:
            order = sorted(self.all, key=lambda s: weight(s.address, call.picture), reverse=True)
        else:
            self._turn += 1
            order = [self.all[(self._turn + i) % len(self.all)] for i in range(len(self.all))]
        for handle in reversed(call.handles):
            order.sort(key=lambda s: s not in self._holders.get(handle, ()))
        left = [server for server in order if server not in tried] or order
        for server in left:
            if server.serves():
                return server
        return left[0]

    def uploaded(self, server: Server, handle: str, data: bytes | None = None) -> None:
        """Remembers that a server holds something, and its bytes for the case that it goes."""
        self._holders.setdefault(handle, set()).add(server)
        self._holders.move_to_end(handle)
        if len(self._holders) > _HANDLES:
            self._holders.popitem(last=False)
        if data is not None and len(data) <= _UPLOADS:
            self._bytes[handle] = data
            self._bytes.move_to_end(handle)
            while sum(map(len, self._bytes.values())) > _UPLOADS:
                self._bytes.popitem(last=False)

    def forget(self, server: Server) -> None:
        """Counts on nothing that a server held."""
        for holders in self._holders.values():
            holders.discard(server)

    def bring(self, server: Server, call: Call) -> None:
        """Uploads the pictures that a call names and `server` has not, as far as their bytes are still there."""
        for handle in call.handles:
            data = self._bytes.get(handle)
            if data is None or server in self._holders.get(handle, ()):
                continue
            metadata = (*self.settings.metadata, *Call(picture=handle).metadata())
            try:
                server.inference.UploadImage(
                    pb.UploadImageRequest(data=data), timeout=call.timeout, metadata=metadata
                )
            except grpc.RpcError as error:
                raise from_rpc(error) from None
            self.uploaded(server, handle)

    def sent(self, call: Call, send: Send[T]) -> T:
        """Sends a call until it is answered, is refused for good, or the patience or the time is over."""
        patience = Patience(self.settings.patience, call.timeout)
        tried: list[Server] = []
        brought = False
        while True:
            server = self.pick(call, tried)
            try:
                self.bring(server, call)
                return send(server, patience.left)
            except ScotomaError as error:
                error.request_id = error.request_id or call.request_id
                if error.reason == "UNKNOWN_IMAGE" and call.handles:
                    if brought or not any(handle in self._bytes for handle in call.handles):
                        raise _not_here(error) from None
                    brought = True
                    for handle in call.handles:
                        self._holders.get(handle, set()).discard(server)
                    continue
                if not is_lost(error):
                    raise
                server.lost()
                tried.append(server)
                if len(tried) < len(self.all):
                    continue
                tried.clear()
                wait = patience.wait(error)
                if wait is None:
                    raise
            sleep(wait)

    def unary(self, method: str, asked: Any, call: Call) -> Any:  # noqa: ANN401 (stubs are untyped)
        """Makes a call of one message and one answer; `method` is such as `inference.Score`."""
        _, answer = self.unary_at(method, asked, call)
        return answer

    def unary_at(self, method: str, asked: Any, call: Call) -> tuple[Server, Any]:  # noqa: ANN401
        """Returns the server that has answered, too."""
        # Not for streams: a run that has a key goes on for a while where its reader leaves.
        call.idempotency_key = call.idempotency_key or drawn()

        def send(server: Server, left: float | None) -> tuple[Server, Any]:
            try:
                return server, attrgetter(method)(server)(asked, timeout=left, metadata=self.metadata(call))
            except grpc.RpcError as error:
                raise from_rpc(error) from None

        return self.sent(call, send)

    def begin(self, method: str, asked: Any, call: Call) -> Begun:  # noqa: ANN401
        """Makes a call that is answered by a stream, and waits for its first message."""

        def send(server: Server, left: float | None) -> Begun:
            begun = begin(attrgetter(method)(server)(asked, timeout=left, metadata=self.metadata(call)))
            begun.server, begun.request_id = server, call.request_id
            return begun

        return self.sent(call, send)

    def metadata(self, call: Call) -> tuple[tuple[str, str], ...]:
        """Returns what goes with a try of a call."""
        return (*self.settings.metadata, *call.metadata())


def _not_here(error: ScotomaError) -> ScotomaError:
    """Says why the client does not mend it by itself."""
    return error.saying(
        f"{error.message}; this client does not have its bytes any more (it keeps the last {_UPLOADS >> 20} MiB "
        "of what it uploads): upload it again"
    )
