"""A results file: one result a line in canonical JSON, with the run's header beside it.

A run that was cut off goes on from it as the same run. All clients and the command line read and write the same files.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

from google.protobuf import json_format

from scotoma.v1 import benchmark_service_pb2 as bench


def _steady(header: bench.EvaluateHeader) -> bench.EvaluateHeader:
    """How often metrics come makes no other run."""
    copy = bench.EvaluateHeader()
    copy.CopyFrom(header)
    copy.progress_every = 0
    return copy


class ResultsFile:
    """A results file that is written to; `header` has the seeds that were drawn, `known` the results that are there."""

    def __init__(self, path: str | os.PathLike[str], header: bench.EvaluateHeader) -> None:
        """Opens the file for a run; ValueError where it is of another one."""
        self.path = Path(path)
        self._about = Path(f"{path}.run.json")
        self._asked = _steady(header)
        self._model: str | None = None
        self.header = header
        if self._about.exists():
            try:
                run = json.loads(self._about.read_text("utf-8"))
                asked, self.header = (json_format.ParseDict(run[k], bench.EvaluateHeader()) for k in ("asked", "ran"))
                self._model = run["model"]
            except (ValueError, KeyError, TypeError, json_format.ParseError) as error:
                raise ValueError(f"{self._about}: it is no header of a run: {error!r}") from None
            if asked != self._asked:
                raise ValueError(f"{path}: it is of another run")
            self.header.progress_every = header.progress_every
        self.known = _read(self.path, mend=True) if self.path.exists() else []
        self._file = self.path.open("a", encoding="utf-8")

    def begun(self, started: bench.EvaluateStarted) -> None:
        """The run has begun."""
        if self._model is not None:
            if self._model != started.model_digest:
                raise ValueError(f"{self.path}: it is of another model")
            return
        run = {
            "asked": json_format.MessageToDict(self._asked),
            "ran": json_format.MessageToDict(_steady(started.header)),
            "model": started.model_digest,
        }
        # At once or not at all: a run may be killed here, too.
        part = Path(f"{self._about}.part")
        part.write_text(json.dumps(run), "utf-8")
        part.replace(self._about)

    def add(self, result: bench.SampleResult) -> None:
        """Writes a result down."""
        self._file.write(json_format.MessageToJson(result, indent=None) + "\n")
        self._file.flush()

    def close(self) -> None:
        """No more results."""
        self._file.close()


def read_results(path: str | os.PathLike[str]) -> list[bench.SampleResult]:
    """All results in the file that a run has left, without errors; of two of one question and variant the later one."""
    return _read(Path(path), mend=False)


def _read(path: Path, *, mend: bool) -> list[bench.SampleResult]:
    """With `mend` a last line that was cut off by a kill is cut away."""
    known: dict[tuple[str, str], bench.SampleResult] = {}
    whole = 0
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            if not line.endswith(b"\n"):
                if mend:
                    os.truncate(path, whole)
                break
            whole += len(line)
            try:
                result = json_format.Parse(line, bench.SampleResult())
            except json_format.ParseError as error:
                raise ValueError(f"{path}, line {number}: {error}") from None
            if not result.HasField("error"):
                known[result.id, result.variant] = result
    return list(known.values())
