"""Questions of the embedded benchmark as an Inspect task: read from the file that run.py wrote."""

from __future__ import annotations

import json
import os
from pathlib import Path

from inspect_ai import Task, task
from inspect_ai.dataset import MemoryDataset, Sample
from inspect_ai.model import ChatMessageUser, ContentImage, ContentText, GenerateConfig
from inspect_ai.scorer import exact
from inspect_ai.solver import generate


@task
def shapes() -> Task:
    """Asks each question once, greedily, and wants the very answer."""
    samples = []
    for line in Path(os.environ["SCOTOMA_QUESTIONS"]).read_text().splitlines():
        item = json.loads(line)["sample"]
        picture = ContentImage(image=f"data:image/png;base64,{item['images'][0]['data']}")
        message = ChatMessageUser(content=[picture, ContentText(text=item["question"])])
        samples.append(Sample(input=[message], target=item["answer"], id=item["id"]))
    return Task(dataset=MemoryDataset(samples), solver=generate(), scorer=exact(), config=GenerateConfig(max_tokens=8))
