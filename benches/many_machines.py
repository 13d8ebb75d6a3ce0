"""Measures what Ray and shards cost beside one process and one server, and that all have the same results.

    target/ray-venv/bin/python benches/many_machines.py [--rows 600 --rows 2400] [--rounds 3]

Questions are asked of the embedded model under two variants on two cores: by one process (`scotoma eval`, two threads), by the
Python client of one server (two threads), by two shards (a thread each) and by Ray with two actors (a thread each). Each is
run with few and with many questions, by turns; the difference says what a question takes, the rest is the start. Needs
scotoma[ray] and Pillow; SCOTOMA_BINARY names the program.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "clients/python/tests"))
os.environ.setdefault("RAY_AUTH_MODE", "disabled")

import ray
from ray_cases import BINARY, VARIANT, lines, program, table

import scotoma.ray
from scotoma import Client, permute_tokens

VARIANTS = {"original": [], "permuted": [permute_tokens(5)]}


def one_process(data: Path, out: Path) -> None:
    program("--threads", "2", "eval", "shapes", "--data", str(data), "--variant", VARIANT, "--out", str(out))


def one_server(data: Path, out: Path) -> None:
    command = [BINARY, "serve", "--listen", "127.0.0.1:0", "--threads", "2"]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    assert server.stdout is not None
    with server:
        address = re.search(r"http://(\S+) ", server.stdout.readline())
        assert address
        with Client(address[1]) as client:
            client.evaluate("shapes", str(data), variants=VARIANTS, results=out).finish()
        server.kill()


def two_shards(data: Path, out: Path) -> None:
    parts = [out.with_suffix(f".{i}") for i in range(2)]
    shards = []
    for i, part in enumerate(parts):
        command = [BINARY, "--threads", "1", "eval", "shapes", "--data", str(data), "--variant", VARIANT]
        command += ["--shard", f"{i}/2", "--out", str(part)]
        shards.append(subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))
    assert [shard.wait() for shard in shards] == [0, 0]
    program("merge", str(out), *map(str, parts))


def two_actors(data: Path, out: Path) -> None:
    done = scotoma.ray.evaluate(
        data, "shapes", VARIANTS, model="shapes", replicas=2, cpus=1, results=out, binary=BINARY
    )
    assert done.failed == 0


WAYS: dict[str, Callable[[Path, Path], None]] = {
    "one process, 2 threads": one_process,
    "one server, 2 threads, Python client": one_server,
    "two shards, a thread each, and merge": two_shards,
    "Ray, two actors, a thread each": two_actors,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else "")
    parser.add_argument("--rows", type=int, action="append", help="questions; twice, for the line through both")
    parser.add_argument("--rounds", type=int, default=3)
    asked = parser.parse_args()
    few, many = asked.rows or (600, 2400)
    logging.disable(logging.WARNING)
    begun = time.monotonic()
    ray.init("local", num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
    print(f"ray.init: {time.monotonic() - begun:.1f} s")
    ray.data.DataContext.get_current().enable_progress_bars = False
    took: dict[tuple[str, int], list[float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        for size in (few, many):
            data = table(Path(folder, f"{size}.tsv"), size)
            for turn in range(asked.rounds):
                found: dict[str, list[str]] = {}
                for way, run in WAYS.items():
                    out = Path(folder, f"{size}-{turn}-{len(found)}.jsonl")
                    begun = time.monotonic()
                    run(data, out)
                    took.setdefault((way, size), []).append(time.monotonic() - begun)
                    found[way] = lines(out)
                assert len({json.dumps(results) for results in found.values()}) == 1, "results differ"
    print(
        f"| way | {few} questions | {many} questions | start | ms a question | to one process |\n|---|---|---|---|---|---|"
    )
    first = None
    for way in WAYS:
        low, high = median(took[way, few]), median(took[way, many])
        each = (high - low) / (many - few)
        first = first or each
        print(
            f"| {way} | {low:.1f} s | {high:.1f} s | {low - each * few:.1f} s | {1e3 * each:.2f} | {each / first:.2f} |"
        )


if __name__ == "__main__":
    main()
