"""A results file: one result a line in canonical JSON, with the run's header beside it.

A run that was cut off goes on from it as the same run. All clients and the command line read and write the same files.

A run holds an exclusive `flock(2)` on the results file from before it reads it until it ends. The lock goes with the
process, however that ends, and all clients take the same one. Windows has no `flock`: there this client does not lock.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, Any

from google.protobuf import json_format

from scotoma.v1 import benchmark_service_pb2 as bench

try:
    import fcntl
except ImportError:  # (Windows)
    fcntl = None  # type: ignore[assignment]

_SHOWN = 6
_LONGEST = 120


def _steady(header: bench.EvaluateHeader) -> bench.EvaluateHeader:
    """How often metrics come makes no other run."""
    copy = bench.EvaluateHeader()
    copy.CopyFrom(header)
    copy.progress_every = 0
    return copy


def _lock(file: IO[str], path: Path) -> None:
    """Locks a results file until it is closed."""
    if fcntl is None:
        return
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in (errno.EWOULDBLOCK, errno.EACCES):
            message = "another run is writing to it; wait until it has ended, or take another file"
            raise BlockingIOError(errno.EWOULDBLOCK, message, str(path)) from None
        message = "it cannot be locked against a second run; a file of another file system can"
        raise OSError(error.errno, message, str(path)) from error


def _sha256(path: str | os.PathLike[str]) -> str:
    with open(path, "rb") as file:
        digest = hashlib.sha256()
        while piece := file.read(1 << 20):
            digest.update(piece)
    return digest.hexdigest()


def _shown(value: Any) -> str:  # noqa: ANN401 (JSON)
    """A value in few words: of a list of things with names these alone."""
    if value is None:
        return "unset"
    if isinstance(value, list) and value and all(isinstance(v, dict) and "name" in v for v in value):
        text = f"{len(value)} ({', '.join(json.dumps(v['name']) for v in value)})"
    else:
        text = json.dumps(value)
    return text if len(text) <= _LONGEST else text[:_LONGEST] + "..."


def _differences(then: Any, now: Any, path: str = "") -> Iterator[str]:  # noqa: ANN401 (JSON)
    """What differs, field by field."""
    if isinstance(then, dict) and isinstance(now, dict):
        for name in sorted({*then, *now}):
            yield from _differences(then.get(name), now.get(name), f"{path}.{name}" if path else name)
    elif isinstance(then, list) and isinstance(now, list) and len(then) == len(now):
        for i, (a, b) in enumerate(zip(then, now, strict=True)):
            yield from _differences(a, b, f"{path}[{i}]")
    elif then != now:
        yield f"{path} {_shown(then)} then, {_shown(now)} now"


def _texts(field: str, then: str | None, now: str | None) -> Iterator[str]:
    """Compares two texts, where both are known."""
    if then is not None and now is not None and then != now:
        yield f"{field} {json.dumps(then)} then, {json.dumps(now)} now"


class ResultsFile:
    """A results file that is written to; `header` has the seeds that were drawn, `known` the results that are there."""

    def __init__(
        self,
        path: str | os.PathLike[str],
        header: bench.EvaluateHeader,
        data: str | os.PathLike[str] | None = None,
    ) -> None:
        """Opens and locks the file for a run on the questions of the file `data`; ValueError where it is of another."""
        self.path = Path(path)
        self._about = Path(f"{path}.run.json")
        self._asked = _steady(header)
        self._run: dict[str, Any] | None = None
        self.header = header
        self._file = self.path.open("a", encoding="utf-8")
        try:
            _lock(self._file, self.path)
            self._data = None if data is None else _sha256(data)
            if self._about.exists():
                self._resume(header)
            self.known = _read(self.path, mend=True)
            if self._run is None and self.known:
                # The header is written before the first result: without it nothing says whose answers these are.
                self._same([f"{self._about} is not there, which says of which run its {len(self.known)} results are"])
            names = {variant.name for variant in self.header.variants}
            others = [r.variant for r in self.known if names and r.variant not in names]
            self._same(f"its variant {json.dumps(name)} is none of this run" for name in others[:1])
        except BaseException:
            self._file.close()
            raise

    def _resume(self, header: bench.EvaluateHeader) -> None:
        try:
            run = json.loads(self._about.read_text("utf-8"))
            asked, self.header = (json_format.ParseDict(run[k], bench.EvaluateHeader()) for k in ("asked", "ran"))
            run["model"] = str(run["model"])
        except (ValueError, KeyError, TypeError, json_format.ParseError) as error:
            raise ValueError(f"{self._about}: it is no header of a run: {error!r}") from None
        differ: list[str] = []
        if asked != self._asked:
            then, now = json_format.MessageToDict(asked), json_format.MessageToDict(self._asked)
            differ.extend(_differences(then, now) if then != now else ["headers differ"])
        differ.extend(_texts("data (SHA-256)", run.get("data_sha256"), self._data))
        self._same(differ)
        self.header.progress_every = header.progress_every
        self._run = run

    def _same(self, differ: Iterable[str]) -> None:
        """Refuses a file of another run, and says what differs and what to do."""
        found = list(differ)
        if not found:
            return
        shown = "; ".join(found[:_SHOWN]) + (f"; and {len(found) - _SHOWN} more" if len(found) > _SHOWN else "")
        raise ValueError(
            f"{self.path}: it is of another run: {shown}. Run as then, or take another file, or remove {self.path} and "
            f"{self._about} to begin anew"
        )

    def begun(self, started: bench.EvaluateStarted) -> None:
        """The run has begun; ValueError where it goes on under another model, server or judge."""
        judge = json_format.MessageToDict(started.judge) if started.HasField("judge") else None
        server = started.server_version or None
        now = {"server": server, "judge": judge, "data_sha256": self._data}
        if self._run is not None:
            run = self._run
            differ = [*_texts("model digest", run["model"], started.model_digest)]
            differ.extend(_texts("server version", run.get("server"), server))
            if run.get("judge") and judge:
                differ.extend(_texts("judge", run["judge"].get("model"), judge.get("model")))
                differ.extend(_texts("judge's prompt", run["judge"].get("prompt"), judge.get("prompt")))
            self._same(differ)
        else:
            run = {
                "asked": json_format.MessageToDict(self._asked),
                "ran": json_format.MessageToDict(_steady(started.header)),
                "model": started.model_digest,
            }
        # What was not known then is known from now on: answers may be judged later.
        run |= {name: value for name, value in now.items() if value is not None and run.get(name) is None}
        # At once or not at all: a run may be killed here, too.
        part = Path(f"{self._about}.part")
        part.write_text(json.dumps(run), "utf-8")
        part.replace(self._about)

    def add(self, result: bench.SampleResult) -> None:
        """Writes a result down."""
        self._file.write(json_format.MessageToJson(result, indent=None) + "\n")
        self._file.flush()

    def close(self) -> None:
        """No more results; another run may write."""
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
                raise ValueError(f"{path}, line {number}: it is no result of a run: {error}") from None
            if not result.HasField("error"):
                known[result.id, result.variant] = result
    return list(known.values())
