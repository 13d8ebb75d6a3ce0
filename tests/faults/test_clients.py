"""Clients while servers come and go: nothing is lost, nothing is there twice.

Before: an Evaluate whose server went down ended with UNAVAILABLE, and whoever ran it had to run it again; now the
client waits for the next server and goes on by itself. On two cores that others use as well, 5,000 questions take 5 to
28 s undisturbed, 42 to 119 s with twenty kills of client and server, 18 to 50 s with kills of one of two servers.
"""

from __future__ import annotations

import base64
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import scotoma
from scotoma import Client

from conftest import Server, picture, serving

ITEMS = 5000
KILLS = 20
PICTURES = 10
RUN = """
import sys
from scotoma import Client
servers, data, out = sys.argv[1:]
with Client(servers.split(",")) as client:
    client.evaluate("shapes", data, results=out).finish()
"""


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A manifest of many questions about a few pictures."""
    path = tmp_path_factory.mktemp("data") / "items.jsonl"
    pictures = [base64.b64encode(picture(seed)).decode() for seed in range(PICTURES)]
    with path.open("w") as file:
        for i in range(ITEMS):
            question = f"Is there a red {('circle', 'square', 'triangle')[i % 3]}?"
            row = {"index": i, "image": pictures[i % PICTURES], "question": question, "answer": "yes"}
            row["category"] = "existence"
            file.write(json.dumps(row) + "\n")
    return path


@pytest.fixture(scope="module")
def undisturbed(data: Path) -> list[tuple[str, str, str]]:
    """What a run says that nobody disturbs."""
    with serving() as server, Client(server.address) as client:
        return told(client.evaluate("shapes", data))


def told(results: Iterator[scotoma.v1.benchmark_service_pb2.SampleResult]) -> list[tuple[str, str, str]]:
    """Returns what makes results the same."""
    return sorted((r.id, r.variant, r.output_digest) for r in results)


def lines(path: Path) -> int:
    """Counts the results that are written down."""
    return path.read_bytes().count(b"\n") if path.exists() else 0


class Tail:
    """Counts the results that are written down as they come."""

    def __init__(self, path: Path) -> None:
        self.path, self.offset, self.lines = path, 0, 0

    def count(self) -> int:
        """Returns how many there are by now."""
        if self.path.exists():
            with self.path.open("rb") as file:
                file.seek(self.offset)
                more = file.read()
            self.offset += len(more)
            self.lines += more.count(b"\n")
        return self.lines


@contextmanager
def client_of(servers: str, data: Path, out: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Runs a client for the length of a block."""
    process = subprocess.Popen([sys.executable, "-c", RUN, servers, str(data), str(out)])
    try:
        yield process
    finally:
        process.kill()
        process.wait(10)


def check(out: Path, undisturbed: list[tuple[str, str, str]]) -> None:
    """Compares what was written down with an undisturbed run."""
    assert lines(out) == len(undisturbed), "nothing is there twice"
    assert told(scotoma.read_results(out)) == undisturbed


def test_kills_of_client_and_server_change_nothing(
    data: Path, undisturbed: list[tuple[str, str, str]], tmp_path: Path
) -> None:
    """Kills the client and the server in turn, twenty times in all."""
    out = tmp_path / "results.jsonl"
    server = Server()
    written, kills, end = Tail(out), 0, time.monotonic() + 420
    try:
        while True:
            with client_of(server.address, data, out) as client:
                while client.poll() is None:
                    assert time.monotonic() < end, f"{written.lines} results after {kills} kills"
                    if kills < KILLS and written.count() >= (kills + 1) * ITEMS // (KILLS + 1):
                        kills += 1
                        if kills % 2:
                            break
                        server.close()
                        server = Server(listen=server.address)
                    time.sleep(0.01)
                if client.poll() == 0:
                    break
                assert client.poll() is None, "a client that is not killed ends well"
        assert kills == KILLS
    finally:
        server.close()
    check(out, undisturbed)


def test_a_replica_that_is_killed_hands_its_part_over(
    data: Path, undisturbed: list[tuple[str, str, str]], tmp_path: Path
) -> None:
    """Kills one of two servers again and again; the other one goes on, and the run never waits."""
    out = tmp_path / "results.jsonl"
    first, second = Server(), Server()
    written, kills, end = Tail(out), 0, time.monotonic() + 420
    try:
        with client_of(f"{first.address},{second.address}", data, out) as client:
            while client.poll() is None:
                assert time.monotonic() < end, f"{written.lines} results after {kills} kills"
                if kills < KILLS and written.count() >= (kills + 1) * ITEMS // (KILLS + 1):
                    kills += 1
                    first.close()
                    first, second = second, Server(listen=first.address)
                time.sleep(0.01)
            assert client.returncode == 0
        assert kills == KILLS
    finally:
        first.close()
        second.close()
    check(out, undisturbed)
