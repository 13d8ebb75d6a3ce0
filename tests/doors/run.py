"""Lets other people's programs ask the server, unmodified, and compares their scores with its own.

    python tests/doors/run.py [openai inspect litellm]

Each program asks the same questions of the embedded benchmark under no intervention and under a preset, through its own command line
or its own library; the shares of right answers have to be those of `scotoma eval`.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

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


def own_shares(address: str, folder: Path, path: Path) -> Shares:
    """Returns the shares of `scotoma eval` over the questions of `path`, by preset."""
    asked = {json.loads(line)["sample"]["id"] for line in path.read_text().splitlines()}
    out = folder / "own.jsonl"
    command = [BINARY, "eval", "shapes", "--limit", str(ITEMS), "--server", f"http://{address}", "--out", str(out)]
    command += ["--variant", f"shallow={json.dumps(PRESETS['shallow'])}"]
    subprocess.run(command, check=True, capture_output=True)
    right: dict[str, list[bool]] = {}
    for line in out.read_text().splitlines():
        row = json.loads(line)
        if row["id"] in asked:
            right.setdefault(row["variant"], []).append(row["verdict"] == "VERDICT_RIGHT")
    return {name: sum(right[name or "original"]) / len(asked) for name in PRESETS}


def messages(item: dict) -> list[dict]:
    """Returns a question as every one of these programs sends it."""
    url = f"data:image/png;base64,{item['images'][0]['data']}"
    parts = [{"type": "image_url", "image_url": {"url": url}}, {"type": "text", "text": item["question"]}]
    return [{"role": "user", "content": parts}]


def shares_of(path: Path, ask: Callable[[str, list[dict]], str]) -> Shares:
    """Returns the shares of right answers that `ask`, given a model and messages, comes to."""
    items = [json.loads(line)["sample"] for line in path.read_text().splitlines()]
    shares = {}
    for preset in PRESETS:
        model = f"shapes:{preset}" if preset else "shapes"
        right = [ask(model, messages(item)).strip() == item["answer"] for item in items]
        shares[preset] = sum(right) / len(right)
    return shares


def with_openai(base: str, path: Path) -> Shares:
    """openai-python: whole answers, a stream, log-probabilities, extra_body, models."""
    from openai import BadRequestError, OpenAI

    client = OpenAI(base_url=base, api_key="none")
    assert [model.id for model in client.models.list()] == ["shapes", "shapes:shallow"]
    first = messages(json.loads(path.read_text().splitlines()[0])["sample"])

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
    """Inspect: `inspect eval` over the models with and without the preset, exact match."""
    models = ",".join(f"openai-api/scotoma/shapes{f':{preset}' if preset else ''}" for preset in PRESETS)
    environment = os.environ | {
        "SCOTOMA_BASE_URL": base,
        "SCOTOMA_API_KEY": "none",
        "SCOTOMA_QUESTIONS": str(path),
        "INSPECT_DISPLAY": "none",
    }
    with tempfile.TemporaryDirectory() as logs:
        inspect = str(Path(sys.executable).parent / "inspect")
        # Inspect takes a task's file by a path below the folder that it runs in alone.
        command = [inspect, "eval", "inspect_task.py", "--model", models, "--log-dir", logs, "--log-format", "json"]
        subprocess.run(command, check=True, env=environment, cwd=HERE, stdout=subprocess.DEVNULL)
        shares = {}
        for file in Path(logs).glob("*.json"):
            log = json.loads(file.read_text())
            assert log["status"] == "success", log.get("error")
            metrics = log["results"]["scores"][0]["metrics"]
            preset = log["eval"]["model"].partition("shapes")[2].removeprefix(":")
            shares[preset] = next(metric["value"] for name, metric in metrics.items() if name in ("mean", "accuracy"))
        return shares


PROGRAMS = {"openai": with_openai, "litellm": with_litellm, "inspect": with_inspect}


def main() -> int:
    """Runs the programs and prints a line for each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("programs", nargs="*", metavar="PROGRAM", help=", ".join(PROGRAMS))
    chosen = parser.parse_args().programs or list(PROGRAMS)
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
            own = own_shares(address[1], Path(folder), path)
            for name in chosen:
                shares = PROGRAMS[name](f"http://{address[1]}/v1", path)
                same = shares == own
                failed += not same
                print(f"{name}: {shares}, scotoma eval: {own}: {'the same' if same else 'DIFFERENT'}", flush=True)
        finally:
            server.terminate()
    print(f"doors: {len(chosen) - failed} passed, {failed} failed")
    return min(failed, 1)


if __name__ == "__main__":
    sys.exit(main())
