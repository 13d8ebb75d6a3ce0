"""Questions of a file, read by the program: what a column means is its business alone."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from google.protobuf import json_format

from scotoma.v1 import benchmark_service_pb2 as bench


@dataclass
class Asked:
    """A question, and the picture by which it stays with others."""

    picture: str
    question: bench.Sample


def read_file(
    binary: str,
    rule: str,
    path: str | os.PathLike[str] | None,
    *,
    columns: Mapping[str, str] | None = None,
    limit: int = 0,
    skip_bad: bool = False,
    others: bool = False,
    substitutes: str | os.PathLike[str] | None = None,
) -> Iterator[Asked]:
    """Questions of a file as `scotoma eval` reads them; ValueError where it would refuse one."""
    command = [binary, "dataset", "samples", rule, "--limit", str(limit)]
    command += ["--data", os.fspath(path)] if path is not None else []
    command += [f"--column={part}={column}" for part, column in (columns or {}).items()]
    command += ["--skip-bad"] if skip_bad else []
    command += ["--others"] if others else []
    command += ["--substitutes", os.fspath(substitutes)] if substitutes is not None else []
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stderr is not None
    try:
        for line in process.stdout:
            row = json.loads(line)
            question = json_format.ParseDict(row["sample"], bench.Sample())
            yield Asked(row["picture"] or f"id {question.id}", question)
        complaint = process.stderr.read().decode(errors="replace").strip()
        if process.wait() != 0:
            raise ValueError(complaint.removeprefix("error: "))
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
        process.stderr.close()
