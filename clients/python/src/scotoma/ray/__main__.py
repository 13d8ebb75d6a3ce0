"""Benchmarks over Ray, from the shell.

    python -m scotoma.ray eval mmstar --data MMStar.tsv --model MODEL --replicas 8 --out mmstar.jsonl
    python -m scotoma.ray paper --data DIR --model MODEL --replicas 8 -- --dtype bf16

The cluster is the one that `ray.init()` finds: RAY_ADDRESS, the one that a Ray job runs in, or one in this process.
Flags behind `--` are the model's (or the judge's), as `scotoma serve` and `scotoma paper` take them.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import ray
from google.protobuf import json_format

from scotoma import Client, ScotomaError
from scotoma.local import ServerProcess
from scotoma.messages import Variants
from scotoma.questions import read_file
from scotoma.ray.run import BLOCK, Evaluation, Replicas, Run, Source, evaluate, evaluate_all
from scotoma.ray.server import ServerSpec
from scotoma.v1 import benchmark_service_pb2 as bench


def _variant(text: str) -> tuple[str, bench.EvaluateVariant]:
    name, separator, listed = text.partition("=")
    try:
        return name, json_format.ParseDict({"interventions": json.loads(listed)}, bench.EvaluateVariant())
    except (ValueError, json_format.ParseError) as error:
        why = error if separator else "NAME=JSON is needed"
        raise argparse.ArgumentTypeError(f"{text}: {why}") from None


def _column(text: str) -> tuple[str, str]:
    part, separator, column = text.partition("=")
    if not separator:
        raise argparse.ArgumentTypeError(f"{text}: PART=COLUMN is needed")
    return part, column


def _parser() -> argparse.ArgumentParser:
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--data", type=Path, help="what `scotoma` takes; without it the questions of `shapes`")
    common.add_argument("--model", default="shapes", help="as `scotoma serve --model` takes it, on every machine")
    common.add_argument("--replicas", type=int, help="servers; default: one for each card, or one")
    common.add_argument("--cpus", type=int, help="cores of a replica without a card; default: an equal share")
    common.add_argument("--gpus", type=int, help="cards of a replica; default: 1 where the cluster has any")
    common.add_argument("--binary", help="the program `scotoma`; default: SCOTOMA_BINARY, or what the PATH has")
    common.add_argument("--block-size", type=int, default=BLOCK, help="questions of a block (default: %(default)s)")
    common.add_argument("--limit", type=int, default=0, help="ask the first LIMIT rows only; 0 asks all")
    common.add_argument("--skip-bad", action="store_true", help="skip rows that cannot be read")
    common.add_argument("--column", type=_column, action="append", default=[], metavar="PART=COLUMN")
    common.add_argument("--max-tokens", type=int, default=0, help="of an answer; 0 leaves it to the rule")
    parser = argparse.ArgumentParser(
        prog="python -m scotoma.ray",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(dest="command", required=True)
    one = commands.add_parser("eval", parents=[common], help="a benchmark")
    one.add_argument("rule")
    one.add_argument("--out", type=Path, required=True, help="the results file; a run that finds it goes on")
    one.add_argument("--variant", type=_variant, action="append", default=[], metavar="NAME=JSON")
    paper = commands.add_parser("paper", parents=[common], help="every experiment of Lee et al. 2024")
    paper.add_argument("--report", type=Path, default=Path("paper"), help="the folder of the reports")
    paper.add_argument("--substitutes", type=Path, help="a folder of other pictures, as for `scotoma paper`")
    paper.add_argument(
        "--no-report", action="store_true", help="only ask; `scotoma paper` writes the reports from what is there"
    )
    return parser


def _program(binary: str, arguments: list[str]) -> str:
    """What the program prints; ValueError with what it complains of."""
    done = subprocess.run([binary, *arguments], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise ValueError(done.stderr.strip().removeprefix("error: "))
    return done.stdout


def _layers(spec: ServerSpec) -> str:
    """The layers of the language model and the vision tower, asked where a replica will be."""
    server = ServerProcess(spec.command())
    try:
        with Client(server.address) as client:
            model = client.get_model()
        return f"{model.language_model.layers},{model.vision_tower.layers}"
    finally:
        server.close()


def _paper_flags(asked: argparse.Namespace, model: list[str]) -> list[str]:
    """The flags of `scotoma paper` for what was asked."""
    flags = ["paper", "--report", str(asked.report), "--limit", str(asked.limit), "--max-tokens", str(asked.max_tokens)]
    flags += ["--data", str(asked.data)] if asked.data else []
    flags += ["--substitutes", str(asked.substitutes)] if asked.substitutes else []
    flags += ["--skip-bad"] if asked.skip_bad else []
    flags += [f"--column={part}={column}" for part, column in asked.column]
    return [*flags, "--model", asked.model, *model]


def _sources(
    planned: list[dict[str, Any]], headers: list[bench.EvaluateHeader], asked: argparse.Namespace, binary: str
) -> list[Source]:
    """The files of a plan, each with the runs that ask its questions."""
    sources: dict[tuple[str | None, str], list[int]] = {}
    for number, (step, header) in enumerate(zip(planned, headers, strict=True)):
        sources.setdefault((step["data"], header.rule.partition("/")[0]), []).append(number)
    made = []
    for (data, rule), runs in sources.items():
        shown = {variant.pictures for run in runs for variant in headers[run].variants}
        chosen = {
            "columns": dict(asked.column),
            "limit": asked.limit,
            "skip_bad": asked.skip_bad,
            "others": "other" in shown,
            "substitutes": asked.substitutes if "substitute" in shown else None,
        }

        def read(rule: str = rule, data: str | None = data, chosen: Any = chosen) -> Any:  # noqa: ANN401
            return read_file(binary, rule, data, **chosen)

        made.append(Source(read, runs))
    return made


def _paper(asked: argparse.Namespace, model: list[str]) -> None:
    pool = Replicas.of(asked.model, asked.replicas, asked.cpus, asked.gpus, asked.binary, model)
    binary, flags = pool.server.binary, _paper_flags(asked, model)
    # Before anything is loaded: a wrong flag shows with any number of layers.
    _program(binary, [*flags, "--plan", "1,1"])
    has = {"num_cpus": pool.server.cpus, "num_gpus": pool.server.gpus or None}
    layers: str = ray.get(ray.remote(_layers).options(**has).remote(pool.server))
    planned = [json.loads(line) for line in _program(binary, [*flags, "--plan", layers]).splitlines()]
    headers = [json_format.ParseDict(step["header"], bench.EvaluateHeader()) for step in planned]
    runs = [Run(header, Path(step["results"]), step["data"]) for step, header in zip(planned, headers, strict=True)]
    done = evaluate_all(
        runs, _sources(planned, headers, asked, binary), pool, block_size=asked.block_size, progress=sys.stderr.isatty()
    )
    print(f"{len(runs)} runs: {sum(d.asked for d in done)} answers came, {sum(d.failed for d in done)} errors")
    # The cards are the report's from here on.
    ray.shutdown()
    if not asked.no_report:
        subprocess.run([binary, *flags], check=True)


def _print(done: Evaluation) -> None:
    for m in done.metrics:
        print(f"{m.variant}\t{m.name}\t{m.value:.4f}\t[{m.low:.4f}, {m.high:.4f}]\tn {m.n}")
    if done.failed:
        lasting = f"{done.lasting} can never be given, as the variant or the question stands; " if done.lasting else ""
        again = done.failed - done.lasting
        rest = f"the same command asks {again} again" if again else "no other is missing"
        print(f"{done.failed} answers are errors and count nowhere; {lasting}{rest}", file=sys.stderr)


def _eval(asked: argparse.Namespace, model: list[str]) -> None:
    variants: Variants = {"original": bench.EvaluateVariant(), **dict(asked.variant)}
    done = evaluate(
        asked.data,
        asked.rule,
        variants,
        model=asked.model,
        replicas=asked.replicas,
        results=asked.out,
        cpus=asked.cpus,
        gpus=asked.gpus,
        binary=asked.binary,
        serve=model,
        limit=asked.limit,
        skip_bad=asked.skip_bad,
        block_size=asked.block_size,
        progress=sys.stderr.isatty(),
        columns=dict(asked.column),
        max_tokens=asked.max_tokens,
    )
    _print(done)


def main(arguments: list[str] | None = None) -> int:
    """Runs a command; 1 where it fails."""
    given = sys.argv[1:] if arguments is None else arguments
    cut = given.index("--") if "--" in given else len(given)
    asked = _parser().parse_args(given[:cut])
    try:
        (_paper if asked.command == "paper" else _eval)(asked, given[cut + 1 :])
    except (OSError, ScotomaError, ValueError, ray.exceptions.RayError, subprocess.CalledProcessError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
