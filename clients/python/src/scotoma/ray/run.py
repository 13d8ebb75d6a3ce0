"""The driver: questions to replicas through Ray Data, results to files."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
import warnings
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ray
import ray.data
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy
from typing_extensions import TypedDict, Unpack

from scotoma.local import find_binary
from scotoma.messages import Variants
from scotoma.messages import header as header_of
from scotoma.questions import Asked, read_file
from scotoma.ray.items import Known, Questions, block, of_row, of_samples
from scotoma.ray.replica import Board, Replica
from scotoma.ray.server import ServerSpec
from scotoma.results import ResultsFile, read_results
from scotoma.v1 import benchmark_service_pb2 as bench
from scotoma.v1 import inference_service_pb2 as pb
from scotoma.views import metrics_frame, results_frame

if TYPE_CHECKING:
    import pandas as pd


class Options(TypedDict, total=False):
    """What `evaluate` takes of the options of `Client.evaluate`."""

    answering: bench.Answering
    max_tokens: int
    unjudged: bool
    multi_image: pb.MultiImage
    sampling: pb.Sampling


# Questions of a block: enough that a server is busy while it asks one, few enough that little is asked again.
BLOCK = 64
# How often in a row Ray may fail without one more result.
_ATTEMPTS = 3
# Codes of errors of what is asked, which come again whenever it is; as in `scotoma eval`: INVALID_ARGUMENT,
# FAILED_PRECONDITION, OUT_OF_RANGE, UNIMPLEMENTED.
_LASTING = frozenset({3, 9, 11, 12})


@dataclass
class Evaluation:
    """A run that came to its end: what the results file has, counted as `scotoma eval` counts it."""

    results: list[bench.SampleResult]
    """All results, those of earlier calls too, in the order of ids and variants; errors are not among them."""
    metrics: list[bench.BenchmarkMetric]
    """What they come to."""
    comparisons: list[bench.Comparison]
    """Each variant against the first, on the same questions."""
    failed: int
    """Answers that are errors, and count nowhere; the same call asks them again."""
    lasting: int = 0
    """Those of them that can never be given, as the variant or the question stands."""
    asked: int = 0
    """Answers that this call brought."""

    @property
    def dataset(self) -> ray.data.Dataset:
        """The results as a Ray Dataset, a row for each question and variant."""
        return ray.data.from_pandas(self.to_pandas())

    def to_pandas(self) -> pd.DataFrame:
        """The results as a table."""
        return results_frame(self.results)

    def metrics_to_pandas(self) -> pd.DataFrame:
        """The metrics as a table, with their 95 % intervals."""
        return metrics_frame(self.metrics)


@dataclass(frozen=True)
class Replicas:
    """How many servers there are, and what each of them has."""

    count: int
    server: ServerSpec

    @staticmethod
    def of(
        model: str,
        replicas: int | None,
        cpus: int | None,
        gpus: int | None,
        binary: str | os.PathLike[str] | None,
        serve: Iterable[str],
    ) -> Replicas:
        """Fills in what is not said: a card each where the cluster has cards, else a share of the cores."""
        if replicas is not None and replicas < 1:
            raise ValueError(f"replicas: {replicas}; at least 1 is needed")
        if not ray.is_initialized():
            ray.init()
        there = ray.cluster_resources()
        cards = int(there.get("GPU", 0))
        gpus = (1 if cards else 0) if gpus is None else gpus
        count = replicas or (max(cards // gpus, 1) if gpus else 1)
        cpus = max(int(there.get("CPU", 1)) // count, 1) if cpus is None and not gpus else (cpus or 1)
        for name, each, all_ in (("GPU", gpus, cards), ("CPU", cpus, int(there.get("CPU", 0)))):
            if each * count > all_:
                # No error: a cluster may grow. The others begin meanwhile.
                message = f"replicas: {count} with {each} {name} each; the cluster has {all_} {name} now"
                warnings.warn(message, stacklevel=3)
        return Replicas(count, ServerSpec(model, find_binary(binary), cpus, gpus, tuple(serve)))


@dataclass
class Run:
    """A header, and the file of its results."""

    header: bench.EvaluateHeader
    results: Path
    data: str | os.PathLike[str] | None = None


@dataclass
class Source:
    """Questions, and the numbers of the runs that ask them."""

    read: Callable[[], Iterator[Asked]] | ray.data.Dataset
    runs: list[int]


@dataclass
class _Files:
    """The results files of all runs, open and locked."""

    files: list[ResultsFile]
    asked: list[int] = field(init=False)
    failed: list[dict[tuple[str, str], bool]] = field(init=False)
    known: list[set[tuple[str, str]]] = field(init=False)
    begun: bool = False

    def __post_init__(self) -> None:
        self.asked = [0 for _ in self.files]
        self.failed = [{} for _ in self.files]
        self.known = [
            {(r.id, r.variant) for r in file.known if r.verdict != bench.VERDICT_UNJUDGED} for file in self.files
        ]

    def begin(self, board: Any) -> None:  # noqa: ANN401
        """Writes the headers down, before the first result."""
        if not self.begun:
            for file, started in zip(self.files, ray.get(board.begun.remote()), strict=True):
                file.begun(bench.EvaluateStarted.FromString(started))
            self.begun = True

    def add(self, run: int, result: bench.SampleResult) -> bool:
        """Writes a result down, unless it is there."""
        key = result.id, result.variant
        if key in self.known[run]:
            return False
        self.files[run].add(result)
        if result.HasField("error"):
            self.failed[run][key] = result.error.code in _LASTING
            return False
        self.known[run].add(key)
        self.failed[run].pop(key, None)
        self.asked[run] += 1
        return True


def evaluate(
    dataset: Questions | None,
    rule: str | bench.CustomRule,
    variants: Variants | None = None,
    *,
    model: str,
    replicas: int | None = None,
    results: str | os.PathLike[str] | None = None,
    cpus: int | None = None,
    gpus: int | None = None,
    binary: str | os.PathLike[str] | None = None,
    serve: Iterable[str] = (),
    limit: int = 0,
    skip_bad: bool = False,
    block_size: int = BLOCK,
    progress: bool = False,
    columns: Mapping[str, str] | None = None,
    **options: Unpack[Options],
) -> Evaluation:
    """Runs a benchmark on `replicas` servers of this cluster, and goes on from `results` where that file is there.

    `dataset` is the path of a table or manifest, samples, or a Ray Dataset whose columns are the keywords of
    `scotoma.sample`; None for the questions of `shapes`. `model` is what `scotoma serve --model` takes, on every
    machine. A replica has `gpus` cards, or else `cpus` cores; by default a card where the cluster has any, and as many
    replicas as cards. `serve` are further flags of the server, such as ["--dtype", "bf16"]. `limit`, `skip_bad` and
    `columns` ({"answer": "gold"}) are those of `scotoma eval`, for files.
    """
    if dataset is not None and not isinstance(dataset, (str, os.PathLike)) and (limit or skip_bad):
        raise ValueError("limit and skip_bad are for files; a dataset has its own")
    pool = Replicas.of(model, replicas, cpus, gpus, binary, serve)
    options.setdefault("answering", bench.ANSWERING_GENERATE)
    header = header_of(rule, variants or {"original": []}, options)
    name = rule if isinstance(rule, str) else ""
    is_file = dataset is None or isinstance(dataset, (str, os.PathLike))

    def read() -> Iterator[Asked]:
        if dataset is None or isinstance(dataset, (str, os.PathLike)):
            chosen = {"columns": columns, "limit": limit, "skip_bad": skip_bad}
            return read_file(pool.server.binary, name, dataset, **chosen, others=_shows(header, "other"))  # type: ignore[arg-type]
        return of_samples(dataset)

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "results.jsonl") if results is None else Path(results)
        run = Run(header, path, dataset if is_file else None)  # type: ignore[arg-type]
        source = Source(dataset if isinstance(dataset, ray.data.Dataset) else read, [0])
        (done,) = evaluate_all([run], [source], pool, block_size=block_size, progress=progress)
    return done


def _shows(header: bench.EvaluateHeader, pictures: str) -> bool:
    return any(variant.pictures == pictures for variant in header.variants)


def evaluate_all(
    runs: list[Run],
    sources: list[Source],
    pool: Replicas,
    *,
    block_size: int = BLOCK,
    progress: bool = False,
) -> list[Evaluation]:
    """Asks all runs at once: each replica loads its model once, and each picture is on its way once."""
    with ExitStack() as open_files:
        files = []
        for run in runs:
            run.results.parent.mkdir(parents=True, exist_ok=True)
            files.append(ResultsFile(run.results, run.header, run.data))
            open_files.callback(files[-1].close)
        written = _Files(files)
        bar: Any = None
        if progress:
            from tqdm.auto import tqdm

            bar = open_files.enter_context(tqdm(unit=" answers"))
        attempts = 0
        while True:
            before = sum(written.asked)
            try:
                for _ in _ask(written, sources, pool, block_size):
                    if bar is not None:
                        bar.update()
                break
            except ray.exceptions.RayError:
                # What Ray itself did not bring back (a machine that stays away, blocks that were lost with it) is asked
                # anew: what is written down is known.
                attempts = attempts + 1 if sum(written.asked) == before else 1
                if attempts >= _ATTEMPTS:
                    raise
    return [
        _finish(run, pool.server.binary, failed.values(), asked)
        for run, failed, asked in zip(runs, written.failed, written.asked, strict=True)
    ]


def _ask(written: _Files, sources: list[Source], pool: Replicas, block_size: int) -> Iterator[None]:
    """Asks what is missing; yields for each answer."""
    headers = [file.header for file in written.files]
    variants = [{variant.name for variant in header.variants} for header in headers]
    known = Known(variants, [read_results(file.path) for file in written.files])
    blocks = _blocks(sources, known, block_size)
    if blocks is None:
        return
    # Here, for the driver needs it as long as it lives, and no longer.
    here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
    board = ray.remote(Board).options(num_cpus=0, scheduling_strategy=here).remote()
    server, count = pool.server, pool.count
    answered = blocks.map_batches(
        Replica,
        fn_constructor_args=(board, server, [header.SerializeToString() for header in headers]),
        batch_size=None,
        batch_format="pyarrow",
        num_cpus=server.cpus,
        num_gpus=server.gpus or None,
        # A second block is asked while the last answers of the first are on their way. The least is one, so that
        # replicas with nothing left to do make room: where a machine is gone for good, its actors are started anew
        # there, and finish the blocks that Ray keeps for them.
        compute=ray.data.ActorPoolStrategy(
            min_size=1,
            max_size=count,
            initial_size=count,
            max_concurrent_calls_per_actor=2,
            enable_true_multi_threading=True,
        ),
    )
    for batch in answered.iter_batches(batch_size=None, batch_format="pyarrow", prefetch_batches=0):
        written.begin(board)
        for row in batch.to_pylist():
            if written.add(row["run"], bench.SampleResult.FromString(row["result"])):
                yield


def _blocks(sources: list[Source], known: Known, block_size: int) -> ray.data.Dataset | None:
    """What is missing in blocks, sorted by pictures; None where nothing is."""
    parts: list[ray.data.Dataset] = []
    for source in sources:
        if isinstance(source.read, ray.data.Dataset):
            runs = source.runs

            def row(cells: dict[str, Any], runs: list[int] = runs) -> list[dict[str, Any]]:
                made = known.row(of_row(cells), runs)
                return [] if made is None else [made]

            part = source.read.flat_map(row).materialize()
            if (count := part.count()) > 0:
                parts.append(part.repartition(-(-count // block_size)).materialize())
            continue
        rows = (row for row in (known.row(asked, source.runs) for asked in source.read()) if row is not None)
        refs = []
        while some := list(islice(rows, block_size)):
            refs.append(ray.put(block(some)))
        if refs:
            parts.append(ray.data.from_arrow_refs(refs))
    if not parts:
        return None
    # Sorted before replicas take the cores. Equal keys come to one block.
    first, *others = parts
    return (first.union(*others) if others else first).sort("picture").materialize()


def _finish(run: Run, binary: str, failed: Collection[bool], asked: int) -> Evaluation:
    """Puts the file in order, as `scotoma merge` does, and counts."""
    path = os.fspath(run.results)
    command = [binary, "merge", "--json", "--allow-missing", path, path]
    merged = subprocess.run(command, capture_output=True, text=True, check=False)
    if merged.returncode != 0:
        raise ValueError(merged.stderr.strip().removeprefix("error: "))
    summary: Mapping[str, Any] = json.loads(merged.stdout)
    return Evaluation(
        read_results(path),
        [bench.BenchmarkMetric(**metric) for metric in summary["metrics"]],
        [bench.Comparison(**comparison) for comparison in summary["comparisons"]],
        len(failed),
        sum(failed),
        asked,
    )
