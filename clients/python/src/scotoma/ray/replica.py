"""The actors: replicas, which hold a model and ask blocks of questions, and the board that keeps them one run."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import pyarrow as pa
import ray

from scotoma import Client, ScotomaError
from scotoma.local import ServerProcess
from scotoma.ray.items import RESULTS
from scotoma.ray.server import ServerSpec
from scotoma.v1 import benchmark_service_pb2 as bench

# How often in a row a server may be lost without one more answer before a block is given up.
_ATTEMPTS = 3
# Metrics of a block on its way would interest nobody.
_NEVER = (1 << 32) - 1
# Runs that a block is asked for at once.
_AT_ONCE = 8
_LOST = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED, grpc.StatusCode.DATA_LOSS)


class Board:
    """Keeps what all replicas must agree on: the headers with the seeds that were drawn, and who answers.

    It runs on the driver's machine, so that it is there as long as anybody asks.
    """

    def __init__(self) -> None:
        """Nothing has begun."""
        self._begun: list[bytes] = []

    def begin(self, started: list[bytes]) -> list[bytes]:
        """The first replica's word counts for all."""
        if not self._begun:
            self._begun = started
        return self._begun

    def begun(self) -> list[bytes]:
        """What was begun; empty before."""
        return self._begun


def options(header: bench.EvaluateHeader) -> tuple[Any, dict[str, Any]]:
    """The rule of a header, and the other arguments of `Client.evaluate`."""
    rule = header.rule if header.WhichOneof("rules") == "rule" else header.custom
    fields = {field.name: value for field, value in header.ListFields() if field.name not in ("rule", "custom")}
    fields["variants"] = {variant.name: variant for variant in header.variants}
    if "columns" in fields:
        fields["columns"] = dict(header.columns)
    return rule, fields


class Replica:
    """Runs a server and asks it blocks of questions; several blocks may come at once."""

    def __init__(self, board: Any, spec: ServerSpec, headers: list[bytes]) -> None:  # noqa: ANN401
        """Loads the model; RuntimeError where it is another than that of the other replicas."""
        self._spec, self._lock = spec, threading.Lock()
        self._start()
        own = [self._begin(bench.EvaluateHeader.FromString(header)) for header in headers]
        kept = ray.get(board.begin.remote([started.SerializeToString() for started in own]))
        self._headers = []
        for mine, theirs in zip(own, map(bench.EvaluateStarted.FromString, kept), strict=True):
            for name in ("model_digest", "server_version", "rule"):
                if getattr(mine, name) != getattr(theirs, name):
                    raise RuntimeError(
                        f"replicas differ: {name} is {getattr(mine, name)} here, {getattr(theirs, name)} elsewhere"
                    )
            self._headers.append(theirs.header)

    def _start(self) -> None:
        self._server = ServerProcess(self._spec.command())
        # A server that is lost does not come back: another one is started in its place.
        self._client = Client(self._server.address, patience=0)

    def _begin(self, header: bench.EvaluateHeader) -> bench.EvaluateStarted:
        rule, fields = options(header)
        with self._client.evaluate(rule, [], **fields) as evaluation:
            return evaluation.started

    def __call__(self, batch: pa.Table) -> pa.Table:
        """Asks a block; the results in the order of runs, ids and variants, so that a second try has the same."""
        asked: dict[int, list[bench.Sample]] = {}
        known: dict[int, list[bench.SampleResult]] = {}
        for row in batch.to_pylist():
            question = bench.Sample.FromString(row["question"])
            for run in row["runs"]:
                asked.setdefault(run, []).append(question)
            for entry in row["known"]:
                run = int.from_bytes(entry[:4], "little")
                known.setdefault(run, []).append(bench.SampleResult.FromString(entry[4:]))
        with ThreadPoolExecutor(min(len(asked), _AT_ONCE) or 1) as pool:
            answers = pool.map(lambda run: self._ask(run, asked[run], known.get(run, [])), sorted(asked))
            rows = [
                {"run": run, "result": result.SerializeToString()}
                for run, results in zip(sorted(asked), answers, strict=True)
                for result in results
            ]
        return pa.Table.from_pylist(rows, schema=RESULTS)

    def _ask(
        self, run: int, questions: list[bench.Sample], known: list[bench.SampleResult]
    ) -> list[bench.SampleResult]:
        """The results of one run, however often its server is lost meanwhile."""
        rule, fields = options(self._headers[run])
        fields["progress_every"] = _NEVER
        found: dict[tuple[str, str], bench.SampleResult] = {}
        attempts = 0
        while True:
            server, client, before = self._server, self._client, len(found)
            good = [result for result in found.values() if not result.HasField("error")]
            try:
                with client.evaluate(rule, questions, known=[*known, *good], **fields) as evaluation:
                    for result in evaluation:
                        found[result.id, result.variant] = result
                return [found[key] for key in sorted(found)]
            except ScotomaError as error:
                if error.code not in _LOST and server.alive:
                    raise
                attempts = attempts + 1 if len(found) == before else 0
                if attempts == _ATTEMPTS:
                    raise
            self._replace(server)

    def _replace(self, lost: ServerProcess) -> None:
        """Starts another server in place of a lost one, once for all who miss it."""
        with self._lock:
            if self._server is lost:
                self._client.close()
                lost.close()
                self._start()
