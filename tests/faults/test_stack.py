"""`make stack`: everything of compose.yaml without containers, and an end that leaves nothing behind."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest
from scotoma import Client

from conftest import BINARY, ROOT

sys.path.insert(0, str(ROOT / "deploy"))
import programs


def children(of: int) -> set[int]:
    """Returns the processes that a process has started and that still run."""
    found = set()
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                stat = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            if int(stat[1]) == of:
                found.add(int(entry.name))
    return found


def alive(process: int) -> bool:
    """Returns whether a process is there."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True


def test_the_stack_answers_and_ends_with_all_that_it_started(tmp_path: Path) -> None:
    """Two replicas, HAProxy and Prometheus; Ctrl-C ends four processes within the drain timeout."""
    if lacking := [name for name in ("haproxy", "prometheus") if not programs.find(name)]:
        pytest.skip(f"not installed: {', '.join(lacking)}")
    command = [sys.executable, str(ROOT / "deploy/stack.py"), "--binary", BINARY, "--port", "0"]
    command += ["--prometheus-port", "0", "--folder", str(tmp_path), "--", "--threads", "1"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as stack:
        try:
            assert stack.stdout is not None
            assert stack.stderr is not None
            lines = dict(re.split(r" +", stack.stdout.readline().strip(), maxsplit=1) for _ in range(5))
            assert set(lines) == {"clients", "replica-0", "replica-1", "prometheus", "logs"}
            with Client(lines["clients"]) as client:
                assert [model.name for model in client.list_models()] == ["shapes"]
            with urllib.request.urlopen(lines["prometheus"] + "/api/v1/rules", timeout=10) as rules:
                assert b"ScotomaDown" in rules.read()
            started = children(stack.pid)
            assert len(started) == 4
            stack.send_signal(signal.SIGINT)
            assert stack.wait(60) == 0, stack.stderr.read()
            assert not [process for process in started if alive(process)]
        finally:
            stack.kill()


def test_a_stack_whose_replica_ends_says_why_and_ends(tmp_path: Path) -> None:
    """A model that is not there: exit code 1, the server's own error, nothing left running."""
    if lacking := [name for name in ("haproxy", "prometheus") if not programs.find(name)]:
        pytest.skip(f"not installed: {', '.join(lacking)}")
    command = [sys.executable, str(ROOT / "deploy/stack.py"), "--binary", BINARY, "--port", "0"]
    command += ["--prometheus-port", "0", "--folder", str(tmp_path), "--", "--model", "/missing/model"]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert ended.returncode == 1
    assert "/missing/model" in ended.stderr
