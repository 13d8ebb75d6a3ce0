# Generated from _async/run.py by generate.py; not to be edited.
"""A benchmark on its way: one stream for each server, and what goes on where one of them is lost.

Every question is either settled (the server said so), on its way to a server, or waits in a backlog. A server that is
lost gives back what was on its way; the next one, or the same one when it is there again, is told what is known and
asked what is not.
"""

from __future__ import annotations

import re
import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator, Iterable
from typing import Any

import grpc

from scotoma._sync.runtime import Event, Lock, Queue, iterate, shielded, sleep, spawn
from scotoma._sync.servers import Server, Servers
from scotoma._sync.stream import Begun, begin, truncated
from scotoma.calls import Call, Patience, activations, digest, images_of, is_lost, weight
from scotoma.errors import ScotomaError, from_rpc
from scotoma.messages import Question, question
from scotoma.v1 import benchmark_service_pb2 as bench
from scotoma.v1 import inference_service_pb2 as pb

_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)"')
# Questions that wait for the server that has their picture; further ones go to whoever asks.
_BACKLOG = 32
_LOOK = 0.05


class Connection:
    """One stream to one server, and the questions on their way on it."""

    def __init__(self, server: Server, number: int) -> None:
        """Questions are asked once `go` is set."""
        self.server, self.number = server, number
        self.go = Event()
        self.pending: deque[bench.EvaluateRequest] = deque()
        self.settled = 0
        # So many known results were sent; a question that another server was asked needs those that came since.
        self.told = 0
        self.is_behind = True
        self.is_dead = False
        self.begun: Begun | None = None

    def cancel(self) -> None:
        """Tells the server to stop."""
        self.is_dead = True
        self.go.set()
        if self.begun is not None:
            self.begun.call.cancel()


class Run:
    """A benchmark on all servers of a client."""

    def __init__(
        self,
        servers: Servers,
        call: Call,
        header: bench.EvaluateHeader,
        known: Iterable[bench.SampleResult],
        source: Iterable[Question] | Iterable[Question],
    ) -> None:
        """Asks the questions of `source`; `known` need not be computed again."""
        self._servers, self._call, self._header = servers, call, header
        call.handles = tuple(activations(header))
        # What a capture has kept is on one server, and the others would refuse the variants.
        self._is_single = len(servers.all) == 1 or bool(call.handles)
        self._source = iter(iterate(source))
        self._reading = Lock()
        self._state = threading.Lock()
        # With the connection on which each came; 0: an earlier run.
        self._known = [(0, result) for result in known]
        # Of results that are errors, by question and variant: the connection on which they came.
        self._failed: dict[tuple[str, str], int] = {}
        self._orphans: deque[bench.EvaluateRequest] = deque()
        self._backlogs: dict[Server, deque[bench.EvaluateRequest]] = {}
        self._live: dict[Server, Connection] = {}
        self._connections, self._computed, self._answers = 0, 0, 0
        self._is_read = self._is_over = False
        self._patience = Patience(servers.settings.patience, call.timeout)
        self._begun_at = time.monotonic()
        self._started: bench.EvaluateStarted | None = None
        self._tasks: list[object] = []
        self._first: Connection | None = None
        self.broken: list[Exception] = []
        """What went wrong with the questions."""

    def begin(self) -> Begun:
        """Waits until a server has taken the header."""

        def send(server: Server, left: float | None) -> Connection:
            return self._connect(server, left)

        first: Connection = self._servers.sent(self._call, send)
        assert first.begun is not None
        self._started, self._first = first.begun.first.started, first
        # The same seeds on every server.
        self._header = self._started.header
        return Begun(self, self._events(first), first.begun.first)

    def go(self) -> None:
        """Asks the questions."""
        if self._first is not None:
            self._first.go.set()

    def cancel(self) -> None:
        """Tells all servers to stop."""
        self._is_over = True
        for connection in {self._first, *self._live.values()}:
            if connection is not None:
                connection.cancel()

    def _connect(self, server: Server, left: float | None) -> Connection:
        self._connections += 1
        connection = Connection(server, self._connections)
        asking = server.benchmarks.Evaluate(
            self._requests(connection), timeout=left, metadata=self._servers.metadata(self._call)
        )
        try:
            connection.begun = begin(asking)
        except BaseException:
            connection.cancel()
            raise
        if connection.begun.first.WhichOneof("event") != "started":
            raise truncated()
        with self._state:
            self._live[server] = connection
            self._backlogs.setdefault(server, deque())
        return connection

    def _requests(self, connection: Connection) -> Iterator[bench.EvaluateRequest]:
        yield bench.EvaluateRequest(header=self._header)
        # The header goes alone, so that it can go again; questions are asked for once the run has begun.
        connection.go.wait()
        while not connection.is_dead:
            asked = shielded(self._take, connection)
            for result in self._news(connection):
                yield bench.EvaluateRequest(known=result)
            if asked is None:
                return
            yield asked

    def _news(self, connection: Connection) -> list[bench.SampleResult]:
        """Returns results that a server needs, so that nothing is answered twice."""
        if not connection.is_behind:
            return []
        with self._state:
            news = [result for number, result in self._known[connection.told :] if number != connection.number]
            connection.told, connection.is_behind = len(self._known), False
        return news

    def _take(self, connection: Connection) -> bench.EvaluateRequest | None:
        """Returns the next question for a connection, None where there is none for now."""
        while True:
            found = self._waiting(connection)
            if found is None:
                with self._reading:
                    # What another connection has read in the meantime may be for this one.
                    found = self._waiting(connection)
                    if found is None:
                        if self._is_read or connection.is_dead:
                            return None
                        found = self._read(connection)
            if found is not None:
                self._bring(connection.server, found)
                return found

    def _waiting(self, connection: Connection) -> bench.EvaluateRequest | None:
        with self._state:
            waiting = self._orphans or self._backlogs[connection.server]
            if connection.is_dead or not waiting:
                return None
            connection.is_behind |= waiting is self._orphans
            connection.pending.append(waiting.popleft())
            return connection.pending[-1]

    def _read(self, connection: Connection) -> bench.EvaluateRequest | None:
        """Reads one question; None where it is for another server, or there is none."""
        try:
            asked = question(next(self._source))
        except StopIteration:
            self._is_read = True
            return None
        except Exception as error:  # (raised again where results are read)
            self.broken.append(error)
            self._is_read = True
            return None
        picture = "" if self._is_single else _picture(asked)
        with self._state:
            owner = connection.server
            if picture and self._live:
                owner = max(self._live, key=lambda server: weight(server.address, picture))
            if connection.is_dead:
                self._orphans.append(asked)
            elif owner is not connection.server and len(self._backlogs[owner]) < _BACKLOG:
                self._backlogs[owner].append(asked)
            else:
                connection.pending.append(asked)
                return asked
        return None

    def _bring(self, server: Server, asked: bench.EvaluateRequest) -> None:
        handles = tuple(image.handle for image in images_of(asked) if image.handle)
        if handles:
            try:
                self._servers.bring(server, Call(handles=handles))
            except ScotomaError:
                return  # The result of this question will say so, or the connection is lost.

    def _lose(self, connection: Connection) -> None:
        """Takes back what was on its way."""
        connection.cancel()
        with self._state:
            self._orphans.extend(connection.pending)
            connection.pending.clear()
            if self._live.get(connection.server) is connection:
                del self._live[connection.server]
                self._orphans.extend(self._backlogs[connection.server])
                self._backlogs[connection.server].clear()
        self._servers.forget(connection.server)

    def _is_done(self) -> bool:
        with self._state:
            unsettled = any(connection.pending for connection in self._live.values())
            return self._is_over or (
                self._is_read and not self._orphans and not unsettled and not any(self._backlogs.values())
            )

    def _events(self, first: Connection) -> Iterator[bench.EvaluateResponse]:
        """Yields what the servers say, as if they were one."""
        if self._is_single:
            for event in self._lane(first.server, first):
                yield event
            return
        told: Queue[Any] = Queue()
        for server in self._servers.all:
            self._tasks.append(spawn(self._pump, server, first if server is first.server else None, told))
        going = len(self._servers.all)
        while going:
            event = told.get()
            if isinstance(event, BaseException):
                self.cancel()
                raise event
            if event is None:
                going -= 1
            else:
                yield event
        yield self._tally()

    def _pump(self, server: Server, first: Connection | None, told: Queue[Any]) -> None:
        try:
            for event in self._lane(server, first):
                if event.WhichOneof("event") == "result":
                    told.put(event)
            told.put(None)
        except BaseException as error:
            told.put(error)

    def _lane(
        self, server: Server, connection: Connection | None
    ) -> Iterator[bench.EvaluateResponse]:
        """Yields what one server says, over all of its connections."""
        while connection is not None or not self._is_done():
            try:
                if connection is None:
                    connection = self._reconnect(server)
                finished = None
                for event in self._read_events(connection):
                    self._patience.renew()
                    if event.WhichOneof("event") == "finished":
                        finished = event
                    elif event.WhichOneof("event") != "settled":
                        yield event
                if finished is None:
                    raise ScotomaError(grpc.StatusCode.UNAVAILABLE, "the stream ended early")
                with self._state:
                    # Its stream is complete: what comes up from now on goes on another.
                    connection.is_dead = True
                    self._orphans.extend(self._backlogs[server])
                    self._backlogs[server].clear()
                    self._live.pop(server, None)
                if self._is_single:
                    yield self._whole(finished, connection)
                    return
                connection = None
                while not self._orphans and not self._is_done():
                    sleep(_LOOK)
            except ScotomaError as error:
                if connection is not None:
                    self._lose(connection)
                connection = None
                if self._is_over:
                    raise
                self._rest(server, error)

    def _reconnect(self, server: Server) -> Connection:
        connection = self._connect(server, self._patience.left)
        assert self._started is not None
        assert connection.begun is not None
        now = connection.begun.first.started
        for name in ("model_digest", "server_version"):
            then, other = getattr(self._started, name), getattr(now, name)
            if then != other:
                self._lose(connection)
                message = f"{server.address}: another {name.replace('_', ' ')}, {other}; the run began with {then}"
                raise ScotomaError(grpc.StatusCode.FAILED_PRECONDITION, message)
        connection.go.set()
        return connection

    def _read_events(self, connection: Connection) -> Iterator[bench.EvaluateResponse]:
        assert connection.begun is not None
        try:
            for event in connection.begun.events:
                kind = event.WhichOneof("event")
                if kind == "settled":
                    with self._state:
                        while connection.settled < event.settled.questions and connection.pending:
                            connection.pending.popleft()
                            connection.settled += 1
                elif kind == "result":
                    self._count(event.result, connection)
                elif kind == "finished":
                    with self._state:
                        connection.pending.clear()
                yield event
        except grpc.RpcError as error:
            raise from_rpc(error) from None

    def _count(self, result: bench.SampleResult, connection: Connection) -> None:
        name = (result.id, result.variant)
        self._answers += 1
        self._computed += result.usage.rows_computed
        if result.HasField("error"):
            self._failed[name] = connection.number
        else:
            self._failed.pop(name, None)
            with self._state:
                self._known.append((connection.number, result))

    def _rest(self, server: Server, error: ScotomaError) -> None:
        """Waits until a server that was lost may be there again; raises where that takes too long."""
        error.request_id = error.request_id or self._call.request_id
        if not is_lost(error):
            raise error
        server.lost()
        wait = self._patience.wait(error)
        if wait is None:
            if self._live:
                wait = 1.0  # Others go on.
            else:
                raise error.saying(f"{error.message}; {self._missing()}")
        until = time.monotonic() + wait
        while time.monotonic() < until and not self._is_done():
            sleep(min(_LOOK, wait))

    def _missing(self) -> str:
        with self._state:
            asked = len(self._orphans) + sum(len(connection.pending) for connection in self._live.values())
        answers = asked * max(1, len(self._header.variants))
        rest = "" if self._is_read else ", and all to questions that were not asked yet"
        return f"{self._answers} answers came, up to {answers} to {asked} questions that were asked are missing{rest}"

    def _whole(self, event: bench.EvaluateResponse, connection: Connection) -> bench.EvaluateResponse:
        """Adds to the end what only earlier connections have seen."""
        earlier = sum(1 for number in self._failed.values() if number < connection.number)
        if connection.number > 1:
            event.finished.results += earlier
            event.finished.failed += earlier
            event.finished.rows_computed = max(event.finished.rows_computed, self._computed)
            event.finished.total_seconds = time.monotonic() - self._begun_at
        return event

    def _tally(self) -> bench.EvaluateResponse:
        """Asks a server what the results of all of them come to."""
        header = bench.EvaluateHeader()
        header.CopyFrom(self._header)
        # Nothing is judged again.
        header.unjudged = True

        def everything() -> Iterator[bench.EvaluateRequest]:
            yield bench.EvaluateRequest(header=header)
            for _, result in self._known:
                yield bench.EvaluateRequest(known=result)

        def send(server: Server, left: float | None) -> bench.EvaluateResponse:
            begun = begin(
                server.benchmarks.Evaluate(everything(), timeout=left, metadata=self._servers.metadata(Call()))
            )
            for event in begun.all():
                if event.WhichOneof("event") == "finished":
                    finished: bench.EvaluateResponse = event
                    return finished
            raise truncated()

        last = self._servers.sent(Call(timeout=self._patience.left), send)
        self._connections += 1
        return self._whole(last, Connection(self._servers.all[0], self._connections))


def _picture(asked: bench.EvaluateRequest) -> str:
    """Returns what says of a question which picture it is about, as well as a client can know."""
    for image in images_of(asked):
        return digest(image)
    if not asked.HasField("row"):
        return ""
    row = asked.row
    for data in row.files.values():
        return digest(pb.Image(data=data))
    # Of a table the longest cell is its picture in base64, if it has one.
    cells = row.cells.values() if row.cells else _QUOTED.findall(row.json)
    return digest(pb.Image(data=max(cells, key=len, default="").encode()))
