"""Lets other people's programs ask the server, unmodified, and compares their scores with its own.

    python tests/doors/run.py [openai litellm inspect lmms-eval vlmevalkit] [--record]

Each program asks the same questions of the embedded benchmark under no intervention and under a preset, through its own command line
or its own library; the shares of right answers have to be those of `scotoma eval`. With --record what each of them sends is kept in
fixtures/, which clients/python/tests/test_doors.py replays.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from importlib import metadata
from pathlib import Path

from recorder import Recorder

HERE = Path(__file__).parent
BINARY = os.environ.get("SCOTOMA_BINARY", str(HERE.parents[1] / "target/quick/scotoma"))
ITEMS = 96
# What draws anything is drawn by `sample_key`, which `scotoma eval` sets to the item and most programs cannot set.
PRESETS = {"": [], "shallow": [{"dropLayers": {"layers": [7]}}]}
Shares = dict[str, float]


def questions(folder: Path) -> Path:
    """Writes the questions without options to a file, one JSON object a line: how options are listed is each program's own."""
    command = [BINARY, "dataset", "samples", "shapes", "--limit", str(ITEMS)]
    path = folder / "questions.jsonl"
    lines = subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()
    path.write_text("\n".join(line for line in lines if "options" not in json.loads(line)["sample"]))
    return path


def samples_of(path: Path) -> list[dict]:
    """Returns the questions that `questions` has written."""
    return [json.loads(line)["sample"] for line in path.read_text().splitlines()]


def own_shares(address: str, path: Path, pictures: dict[str, str] | None = None) -> Shares:
    """Returns the shares of `scotoma eval` over the questions of `path`, by preset; `pictures` by question stand in for its own."""
    with tempfile.TemporaryDirectory() as folder:
        # A folder of its own: results go on where a run ended, and another program's pictures are another run.
        table, out = Path(folder) / "own.tsv", Path(folder) / "own.jsonl"
        write_table(table, path, pictures)
        command = [BINARY, "eval", "shapes", "--data", str(table), "--server", f"http://{address}", "--out", str(out)]
        run([*command, "--variant", f"shallow={json.dumps(PRESETS['shallow'])}"], dict(os.environ), Path(folder))
        lines = out.read_text().splitlines()
    right: dict[str, list[bool]] = {}
    for line in lines:
        row = json.loads(line)
        right.setdefault(row["variant"], []).append(row["verdict"] == "VERDICT_RIGHT")
    return {name: sum(right[name or "original"]) / len(right[name or "original"]) for name in PRESETS}


def write_table(table: Path, path: Path, pictures: dict[str, str] | None = None) -> None:
    """Writes the questions of `path` as a table of VLMEvalKit's columns."""
    with table.open("w", newline="") as file:
        columns = ["index", "image", "question", "answer", "category"]
        rows = csv.DictWriter(file, columns, delimiter="\t")
        rows.writeheader()
        for item in samples_of(path):
            image = pictures[item["id"]] if pictures else item["images"][0]["data"]
            rows.writerow({"index": item["id"], "image": image} | {name: item[name] for name in columns[2:]})


def messages(item: dict) -> list[dict]:
    """Returns a question as every one of these programs sends it."""
    url = f"data:image/png;base64,{item['images'][0]['data']}"
    parts = [{"type": "image_url", "image_url": {"url": url}}, {"type": "text", "text": item["question"]}]
    return [{"role": "user", "content": parts}]


def shares_of(path: Path, ask: Callable[[str, list[dict]], str]) -> Shares:
    """Returns the shares of right answers that `ask`, given a model and messages, comes to."""
    items = samples_of(path)
    shares = {}
    for preset in PRESETS:
        model = f"shapes:{preset}" if preset else "shapes"
        right = [ask(model, messages(item)).strip() == item["answer"] for item in items]
        shares[preset] = sum(right) / len(right)
    return shares


def with_openai(base: str, path: Path) -> Shares:
    """openai-python: whole answers, streams, log-probabilities, extra_body, models, errors."""
    from openai import APIError, BadRequestError, NotFoundError, OpenAI

    client = OpenAI(base_url=base, api_key="none")
    assert [model.id for model in client.models.list()] == ["shapes", "shapes:shallow"]
    first = messages(samples_of(path)[0])

    def ask(model: str, asked: list[dict]) -> str:
        return client.chat.completions.create(model=model, messages=asked, max_tokens=8).choices[0].message.content

    stream = client.chat.completions.create(
        model="shapes", messages=first, max_tokens=8, stream=True, stream_options={"include_usage": True}
    )
    chunks = list(stream)
    text = "".join(choice.delta.content or "" for chunk in chunks for choice in chunk.choices)
    assert text == ask("shapes", first), text
    assert chunks[-1].usage.total_tokens > 0
    likely = client.chat.completions.create(model="shapes", messages=first, max_tokens=8, logprobs=True, top_logprobs=3)
    tokens = likely.choices[0].logprobs.content
    assert all(len(token.top_logprobs) == 3 and token.logprob <= 0 for token in tokens)
    extra = {"interventions": PRESETS["shallow"], "sample_key": "a"}
    changed = client.chat.completions.create(model="shapes", messages=first, max_tokens=8, extra_body=extra)
    assert changed.choices[0].message.content == ask("shapes:shallow", first)
    echoed = client.completions.create(model="shapes", prompt="yes or no", echo=True, logprobs=1, max_tokens=1)
    assert len(echoed.choices[0].logprobs.tokens) > 1
    try:
        client.chat.completions.create(model="shapes", messages=first, n=2)
    except BadRequestError as error:
        assert error.param == "n", error
    else:
        raise AssertionError("n=2 is refused")
    try:
        client.embeddings.create(model="shapes", input="words")
    except NotFoundError as error:
        assert error.code == "unknown_path", error
    else:
        raise AssertionError("there are no embeddings")
    # Acts on a step that the answer does not come to, which is known when it ends.
    late = {"target": {"point": "language_model.blocks.0.hook_resid_pre", "steps": {"first": 500}}, "scale": 0.1}
    extra = {"interventions": [{"addNoise": late}]}
    broken = client.chat.completions.create(model="shapes", messages=first, max_tokens=4, stream=True, extra_body=extra)
    try:
        list(broken)
    except APIError as error:
        assert error.code == "intervention_never_fired", error
    else:
        raise AssertionError("an intervention that never fires is an error")
    return shares_of(path, ask)


def with_litellm(base: str, path: Path) -> Shares:
    """LiteLLM: its completion function, told that this is an OpenAI-compatible server."""
    os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"
    import litellm

    def ask(model: str, asked: list[dict]) -> str:
        answer = litellm.completion(
            model=f"openai/{model}", api_base=base, api_key="none", messages=asked, max_tokens=8
        )
        return answer.choices[0].message.content

    return shares_of(path, ask)


def with_inspect(base: str, path: Path) -> Shares:
    """Inspect: `inspect eval` over the models with and without the preset, and with a solver that goes through them."""
    models = ",".join(f"openai-api/scotoma/shapes{f':{preset}' if preset else ''}" for preset in PRESETS)
    environment = os.environ | {
        "SCOTOMA_BASE_URL": base,
        "SCOTOMA_API_KEY": "none",
        "SCOTOMA_QUESTIONS": str(path),
        "INSPECT_DISPLAY": "none",
    }
    with tempfile.TemporaryDirectory() as scratch:
        logs = inspect_logs("inspect_task.py@shapes", environment, Path(scratch) / "models", "--model", models)
        shares = {log["eval"]["model"].partition("shapes")[2].removeprefix(":"): mean_of(log) for log in logs}
        (swept,) = inspect_logs(
            "inspect_task.py@shapes_under", environment, Path(scratch) / "solver",
            "--model", "openai-api/scotoma/shapes", "-T", f"presets={','.join(preset or 'none' for preset in PRESETS)}",
        )  # fmt: skip
        found = {preset: mean_of(swept, preset or "none") for preset in PRESETS}
        assert found == shares, f"a solver that goes through presets: {found}, models: {shares}"
        return shares


def inspect_logs(task: str, environment: dict[str, str], folder: Path, *flags: str) -> list[dict]:
    """Runs `inspect eval` and returns its logs."""
    inspect = str(Path(sys.executable).parent / "inspect")
    # Inspect takes a task's file by a path below the folder that it runs in alone.
    run([inspect, "eval", task, "--log-dir", str(folder), "--log-format", "json", *flags], environment, HERE)
    logs = [json.loads(file.read_text()) for file in folder.glob("*.json")]
    assert all(log["status"] == "success" for log in logs), [log.get("error") for log in logs]
    return logs


def mean_of(log: dict, name: str | None = None) -> float:
    """Returns the mean that a log's scorer came to, or that of one of the values that it gives."""
    scores = log["results"]["scores"]
    metrics = next(score for score in scores if name is None or score["name"] == name)["metrics"]
    return next(metric["value"] for kind, metric in metrics.items() if kind in ("mean", "accuracy"))


def with_lmms_eval(base: str, path: Path) -> Shares:
    """lmms-eval: `python -m lmms_eval` with its model `openai` and a task of ours; presets, since it forwards no fields."""
    folder = path.with_name("lmms-eval")
    folder.mkdir()
    shutil.copy(HERE / "lmms_task.py", folder)
    lines = [
        {"image": item["images"][0]["data"], "question": item["question"], "answer": item["answer"]}
        for item in samples_of(path)
    ]
    (folder / "questions.json").write_text("\n".join(map(json.dumps, lines)))
    task = (HERE / "lmms_task.yaml").read_text().replace("FOLDER", str(folder))
    (folder / "scotoma_shapes.yaml").write_text(task)
    offline = {"HF_HOME": str(folder / "cache"), "HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1"}
    shares = {}
    for preset in PRESETS:
        model = f"shapes:{preset}" if preset else "shapes"
        out = folder / f"out-{preset}"
        command = [sys.executable, "-m", "lmms_eval", "--model", "openai", "--tasks", "scotoma_shapes"]
        command += ["--model_args", f"model_version={model},base_url={base},api_key=none,timeout=120,num_concurrent=8"]
        command += ["--include_path", str(folder), "--output_path", str(out), "--batch_size", "1"]
        run(command, os.environ | offline, folder)
        results = json.loads(next(out.rglob("*results.json")).read_text())["results"]["scotoma_shapes"]
        shares[preset] = results["accuracy,none"]
    return shares


def with_vlmevalkit(base: str, path: Path) -> Shares:
    """VLMEvalKit: `python -m vlmeval.run` on a table of ours, interventions by --extra-body and by a model with a preset."""
    folder = path.with_name("vlmevalkit")
    folder.mkdir()
    write_table(folder / "ScotomaShapes.tsv", path)
    environment = os.environ | {"LMUData": str(folder), "PRED_FORMAT": "tsv"}

    def answers(model: str, *flags: str) -> list[dict[str, str]]:
        work = folder / f"work-{len(list(folder.iterdir()))}"
        # A benchmark that it does not know is asked and not scored, so it is the answers that are compared here.
        command = [sys.executable, "-m", "vlmeval.run", "--mode", "infer", "--data", "ScotomaShapes", "--model", model]
        command += ["--base-url", base, "--key", "none", "--api-nproc", "1", "--work-dir", str(work), *flags]
        run(command, environment, folder)
        with next(work.rglob("*ScotomaShapes.tsv")).open(newline="") as file:
            return list(csv.DictReader(file, delimiter="\t"))

    shares = {}
    for preset, interventions in PRESETS.items():
        body = json.dumps({"interventions": interventions})
        rows = answers("shapes", *(["--extra-body", body] if interventions else []))
        shares[preset] = sum(row["prediction"].strip() == row["answer"] for row in rows) / len(rows)
        if preset:
            assert rows == answers(f"shapes:{preset}"), "a preset is its interventions"
    return shares


def run(command: list[str], environment: dict[str, str], folder: Path) -> None:
    """Runs a program in `folder`; its last words where it fails."""
    done = subprocess.run(command, env=environment, cwd=folder, capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(command)}: exit {done.returncode}\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}")


def pictures_sent(path: Path, requests: list[dict]) -> dict[str, str]:
    """Returns the pictures in base64 as a program has sent them, by question: VLMEvalKit makes JPEGs of all."""
    asked = [request["body"]["messages"][-1]["content"] for request in requests if "body" in request]
    pictures = {}
    for item, (image, text) in zip(samples_of(path), asked):
        assert text["text"] == item["question"], "the questions come in the order of the table"
        pictures[item["id"]] = image["image_url"]["url"].partition(",")[2]
    return pictures


# The programs, each with the package whose version stands in its fixture.
PROGRAMS = {
    "openai": (with_openai, "openai"),
    "litellm": (with_litellm, "litellm"),
    "inspect": (with_inspect, "inspect-ai"),
    "lmms-eval": (with_lmms_eval, "lmms_eval"),
    "vlmevalkit": (with_vlmevalkit, "ms-vlmeval"),
}


def is_installed(program: str) -> bool:
    """Reports whether this environment has a program."""
    try:
        metadata.version(PROGRAMS[program][1])
    except metadata.PackageNotFoundError:
        return False
    return True


def main() -> int:
    """Runs the programs and prints a line for each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("programs", nargs="*", metavar="PROGRAM", help=f"{', '.join(PROGRAMS)}; default: those installed here")
    parser.add_argument("--record", action="store_true", help="write what they send to fixtures/")
    arguments = parser.parse_args()
    chosen = arguments.programs or list(filter(is_installed, PROGRAMS))
    if unknown := [name for name in chosen if name not in PROGRAMS]:
        parser.error(f"no program {', '.join(unknown)}; known: {', '.join(PROGRAMS)}")
    flags = [f"--preset={name}={json.dumps(list_)}" for name, list_ in PRESETS.items() if name]
    serve = [BINARY, "serve", "--listen", "127.0.0.1:0", "--log", "error", *flags]
    failed = 0
    with (
        tempfile.TemporaryDirectory() as folder,
        subprocess.Popen(serve, stdout=subprocess.PIPE, text=True) as server,
    ):
        try:
            assert server.stdout is not None
            address = re.search(r"http://(\S+) ", server.stdout.readline())
            assert address, "the server says where it serves"
            path = questions(Path(folder))
            for name in chosen:
                ask, package = PROGRAMS[name]
                with Recorder(address[1]) as recorder:
                    shares = ask(recorder.base, path)
                # The very pictures that it sends are compared, and a lossy copy is another picture.
                pictures = pictures_sent(path, recorder.requests) if name == "vlmevalkit" else None
                own = own_shares(address[1], path, pictures)
                same = shares == own
                failed += not same
                print(f"{name}: {shares}, scotoma eval: {own}: {'the same' if same else 'DIFFERENT'}", flush=True)
                if arguments.record:
                    recorder.save(HERE / f"fixtures/{name}.json", f"{package} {metadata.version(package)}")
        finally:
            server.terminate()
    print(f"doors: {len(chosen) - failed} passed, {failed} failed")
    return min(failed, 1)


if __name__ == "__main__":
    sys.exit(main())
