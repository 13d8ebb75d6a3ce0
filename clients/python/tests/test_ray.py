"""scotoma.ray on this machine: the results of one process, nothing lost and nothing twice, whatever dies."""

from __future__ import annotations

import base64
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from scotoma import permute_tokens, read_results, sample
from scotoma.messages import Variants

pytest.importorskip("ray", reason="needs Ray, which is no part of `make test`: make test-ray")

import ray
import ray.data
from ray.cluster_utils import Cluster
from ray_cases import BINARY, VARIANT, actors, lines, one_process, picture, program, servers, table

import scotoma.ray
from scotoma.questions import read_file
from scotoma.ray.__main__ import main
from scotoma.ray.items import Known, Questions, of_samples
from scotoma.ray.run import Source, _blocks

# Ray's own.
pytestmark = pytest.mark.filterwarnings("ignore")

VARIANTS: Variants = {"original": [], "permuted": [permute_tokens(5)]}
# Kills of an actor or a server, and rows under them.
KILLS = int(os.environ.get("SCOTOMA_RAY_KILLS", "3"))
ROWS = int(os.environ.get("SCOTOMA_RAY_ROWS", "900"))


@pytest.fixture(scope="module")
def cluster() -> Iterator[None]:
    os.environ["RAY_AUTH_MODE"] = "disabled"
    ray.init("local", num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
    yield
    ray.shutdown()


def evaluate(data: Questions, results: Path, **more: Any) -> scotoma.ray.Evaluation:  # noqa: ANN401
    options = {"model": "shapes", "replicas": 2, "cpus": 1, "block_size": 32, "binary": BINARY, **more}
    return scotoma.ray.evaluate(data, "shapes", VARIANTS, results=results, **options)


def same_as_one_process(data: Path, results: Path, done: scotoma.ray.Evaluation) -> None:
    whole = results.with_name("whole.jsonl")
    summary = one_process(data, whole)
    assert lines(results) == lines(whole)
    for found, kind in ((done.metrics, "metrics"), (done.comparisons, "comparisons")):
        assert [type(m)(**fields) for m, fields in zip(found, summary[kind], strict=True)] == found
    # Put in order, the file of one process is the same byte for byte but for what answers cost.
    ordered = results.with_name("ordered.jsonl")
    program("merge", str(ordered), str(whole))
    without_usage = [[_without_usage(line) for line in path.read_text().splitlines()] for path in (ordered, results)]
    assert without_usage[0] == without_usage[1]


def _without_usage(line: str) -> str:
    start = line.index('"usage":{')
    return line[:start] + line[line.index("}", start) + 1 :]


class Killer:
    """Kills a process of those that `find` finds, again and again."""

    def __init__(self, find: Callable[[int], list[int]], results: Path, kills: int) -> None:
        self.kills, self.done = 0, threading.Event()
        self._find, self._results, self._wanted = find, results, kills
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Killer:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.done.set()
        self._thread.join()

    def _run(self) -> None:
        dice = random.Random(7)
        seen = 0
        while self.kills < self._wanted and not self.done.wait(0.05):
            count = self._results.read_bytes().count(b"\n") if self._results.exists() else 0
            # Something came since the last one: the run is under way.
            if count <= seen or self.done.wait(dice.uniform(0, 0.5)):
                continue
            seen = count
            if there := self._find(os.getpid()):
                os.kill(dice.choice(there), signal.SIGKILL)
                self.kills += 1


def test_two_actors_have_the_results_of_one_process(cluster: None, tmp_path: Path) -> None:
    data, results = table(tmp_path / "items.tsv", 150), tmp_path / "results.jsonl"
    done = evaluate(data, results)
    assert (done.asked, done.failed, len(done.results)) == (300, 0, 300)
    same_as_one_process(data, results, done)
    # Everything is known: neither this call nor one process has anything to ask.
    again = evaluate(data, results)
    assert (again.asked, again.metrics) == (0, done.metrics)
    before = results.read_bytes()
    one_process(data, results)
    assert results.read_bytes() == before
    assert done.dataset.filter(lambda row: row["right"]).count() == sum(r.verdict == 1 for r in done.results)
    assert not servers(os.getpid()), "a server outlives its run"


def test_what_one_process_began_is_gone_on_with(cluster: None, tmp_path: Path) -> None:
    data, results = table(tmp_path / "items.tsv", 90), tmp_path / "results.jsonl"
    one_process(data, results)
    whole = results.read_text().splitlines(keepends=True)
    # Of some questions one variant is left, and the last line is half.
    results.write_text("".join(whole[:101]) + whole[101][:30])
    done = evaluate(data, results)
    assert done.asked == len(whole) - 101
    same_as_one_process(data, results, done)


def test_another_run_is_refused(cluster: None, tmp_path: Path) -> None:
    data, results = table(tmp_path / "items.tsv", 6), tmp_path / "results.jsonl"
    evaluate(data, results, replicas=1)
    with pytest.raises(ValueError, match="it is of another run"):
        scotoma.ray.evaluate(data, "shapes", {"original": []}, model="shapes", results=results, binary=BINARY)
    with pytest.warns(UserWarning, match="3 with 1 CPU each; the cluster has 2 CPU now"):
        assert evaluate(data, results, replicas=3).asked == 0
    with data.open("a") as file:
        file.write("bad\t!!\tWhich?\tyes\tkind\n")
    with pytest.raises(ValueError, match="image"):
        evaluate(data, tmp_path / "other.jsonl")
    assert len(evaluate(data, tmp_path / "other.jsonl", skip_bad=True).results) == 12


def test_questions_about_one_picture_are_in_one_block(cluster: None, tmp_path: Path) -> None:
    data = table(tmp_path / "items.tsv", 300, about=5)
    known = Known([{"original"}], [[]])
    blocks = _blocks([Source(lambda: read_file(BINARY, "shapes", data), [0])], known, 16)
    assert blocks is not None
    of: dict[str, set[int]] = {}
    count = 0
    for place, block in enumerate(blocks.iter_internal_ref_bundles()):
        for ref in block.block_refs:
            for row in ray.get(ref).to_pylist():
                of.setdefault(row["picture"], set()).add(place)
                count += 1
    assert count == 300
    assert len(of) == 60
    assert all(len(places) == 1 for places in of.values())


def test_a_ray_dataset_is_asked(cluster: None, tmp_path: Path) -> None:
    rows = [
        {"id": i, "question": "Is there a red circle?", "image": picture(i % 7), "answer": "yes", "source": "drawn"}
        for i in range(40)
    ]
    samples = [
        sample(str(r["id"]), "Is there a red circle?", picture(i % 7), answer="yes", source="drawn")
        for i, r in enumerate(rows)
    ]
    assert [a.question for a in of_samples(samples)] == samples
    done = evaluate(ray.data.from_items(rows), tmp_path / "dataset.jsonl")
    same = evaluate(samples, tmp_path / "samples.jsonl")
    assert len(done.results) == 80
    assert lines(tmp_path / "dataset.jsonl") == lines(tmp_path / "samples.jsonl")
    assert done.metrics == same.metrics
    assert evaluate(ray.data.from_items(rows), tmp_path / "dataset.jsonl").asked == 0


@pytest.mark.parametrize("find", [actors, servers])
def test_killing_loses_and_doubles_nothing(cluster: None, tmp_path: Path, find: Callable[[int], list[int]]) -> None:
    data, results = table(tmp_path / "items.tsv", ROWS), tmp_path / "results.jsonl"
    with Killer(find, results, KILLS) as killer:
        done = evaluate(data, results)
    assert killer.kills == KILLS
    assert (done.asked, done.failed) == (2 * ROWS, 0)
    same_as_one_process(data, results, done)


def test_the_paper_is_that_of_one_process(cluster: None, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    mmvp = table(tmp_path / "data" / "MMVP.tsv", 8, about=2)
    mmvp.write_text(mmvp.read_text().replace("category", "group", 1))
    with (tmp_path / "data" / "Pets.jsonl").open("w") as file:
        for i, (_, asked) in enumerate(zip(range(6), read_file(BINARY, "shapes", None), strict=False)):
            image = base64.b64encode(asked.question.images[0].data).decode()
            row = {"index": i, "question": "What?", "image": image, "options": ["red", "blue"], "answer": "red"}
            file.write(json.dumps(row) + "\n")
    common = ["--data", str(tmp_path / "data"), "--model", "shapes", "--limit", "4"]
    many, one = tmp_path / "many", tmp_path / "one"
    assert main(["paper", *common, "--report", str(many), "--replicas", "2", "--cpus", "1", "--binary", BINARY]) == 0
    program("paper", *common, "--report", str(one))
    found = [path.relative_to(one) for path in one.rglob("*.jsonl")]
    assert len(found) == 5
    for name in found:
        assert lines(many / name) == lines(one / name), name
    assert (many / "report.md").read_text() == (one / "report.md").read_text()


def test_a_driver_that_is_killed_leaves_nothing_behind(tmp_path: Path) -> None:
    data, results = table(tmp_path / "items.tsv", ROWS), tmp_path / "results.jsonl"
    command = [sys.executable, "-m", "scotoma.ray", "eval", "shapes", "--data", str(data), "--model", "shapes"]
    command += ["--replicas", "2", "--cpus", "1", "--block-size", "32", "--out", str(results), "--binary", BINARY]
    command += ["--variant", VARIANT]
    environment = {**os.environ, "RAY_AUTH_MODE": "disabled", "RAY_num_cpus": "2"}
    for _ in range(2):
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment) as driver:
            before = results.read_bytes().count(b"\n") if results.exists() else 0
            while driver.poll() is None and (not results.exists() or results.read_bytes().count(b"\n") <= before):
                time.sleep(0.05)
            left = servers(driver.pid)
            assert left
            driver.kill()
        until = time.monotonic() + 60
        while any(Path("/proc", str(pid)).exists() for pid in left) and time.monotonic() < until:
            time.sleep(0.1)
        assert not [pid for pid in left if Path("/proc", str(pid)).exists()]
    begun = len(read_results(results))
    assert 0 < begun < 2 * ROWS
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stderr
    found = results.read_bytes().count(b"\n")
    assert found == len(read_results(results)) == 2 * ROWS


@pytest.mark.parametrize("replaced", [True, False])
def test_a_machine_that_is_lost_loses_nothing(tmp_path: Path, replaced: bool) -> None:
    ray.shutdown()
    os.environ["RAY_AUTH_MODE"] = "disabled"
    cluster = Cluster()
    try:
        cluster.add_node(num_cpus=1, include_dashboard=False)
        other = cluster.add_node(num_cpus=1)
        ray.init(address=cluster.address, log_to_driver=False, logging_level="ERROR")
        cluster.wait_for_nodes()
        data, results = table(tmp_path / "items.tsv", ROWS), tmp_path / "results.jsonl"
        lost = threading.Event()

        def lose() -> None:
            while not results.exists() or results.read_bytes().count(b"\n") < 100:
                time.sleep(0.05)
            cluster.remove_node(other, allow_graceful=False)
            lost.set()
            if replaced:
                cluster.add_node(num_cpus=1)

        thread = threading.Thread(target=lose)
        thread.start()
        done = evaluate(data, results)
        thread.join()
        assert lost.is_set()
        assert (done.asked, done.failed) == (2 * ROWS, 0)
        same_as_one_process(data, results, done)
    finally:
        ray.shutdown()
        cluster.shutdown()
