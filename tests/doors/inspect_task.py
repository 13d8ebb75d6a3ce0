"""Questions of the embedded benchmark as Inspect tasks: read from the file that run.py wrote."""

from __future__ import annotations

import json
import os
from pathlib import Path

from inspect_ai import Task, task
from inspect_ai.dataset import MemoryDataset, Sample
from inspect_ai.model import ChatMessageUser, ContentImage, ContentText, GenerateConfig, get_model
from inspect_ai.scorer import Score, Scorer, Target, exact, mean, scorer
from inspect_ai.solver import Generate, Solver, TaskState, generate, solver

CONFIG = GenerateConfig(max_tokens=8)


def questions() -> MemoryDataset:
    """Returns the questions with their pictures."""
    samples = []
    for line in Path(os.environ["SCOTOMA_QUESTIONS"]).read_text().splitlines():
        item = json.loads(line)["sample"]
        picture = ContentImage(image=f"data:image/png;base64,{item['images'][0]['data']}")
        message = ChatMessageUser(content=[picture, ContentText(text=item["question"])])
        samples.append(Sample(input=[message], target=item["answer"], id=item["id"]))
    return MemoryDataset(samples)


@task
def shapes() -> Task:
    """Asks each question once, greedily, and wants the very answer."""
    return Task(dataset=questions(), solver=generate(), scorer=exact(), config=CONFIG)


@solver
def under(presets: list[str]) -> Solver:
    """Asks the model under each preset; "none" is the model as it is."""

    async def solve(state: TaskState, _: Generate) -> TaskState:
        for preset in presets:
            name = str(state.model) if preset == "none" else f"{state.model}:{preset}"
            state.output = await get_model(name).generate(state.messages, config=CONFIG)
            state.metadata[preset] = state.output.completion.strip()
        return state

    return solve


@scorer(metrics={"*": [mean()]})
def each_exact(presets: list[str]) -> Scorer:
    """Scores what was answered under each preset by itself."""

    async def score(state: TaskState, target: Target) -> Score:
        return Score(value={preset: float(state.metadata[preset] == target.text) for preset in presets})

    return score


@task
def shapes_under(presets: str) -> Task:
    """Asks each question under each preset of a list with commas, in one evaluation: `-T presets=none,shallow`."""
    names = presets.split(",") if isinstance(presets, str) else list(presets)
    return Task(dataset=questions(), solver=under(names), scorer=each_exact(names), config=CONFIG)
