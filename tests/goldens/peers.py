"""Writes peers.json: a patching grid and the logit lens of the embedded model, by nnsight over Hugging Face transformers.

    python peers.py

Needs what capture.py needs, and nnsight 0.8 (requirements-peers.txt). docs/pictures/red.png is the clean picture, blue.png the
corrupted one. Both are written as nnsight's users write them: a trace whose block reads and sets the inputs and outputs of modules.
Nothing here knows the server's code. Numbers are in float64, so that what differs from ours is ours.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import nnsight
import torch
import transformers
from capture import SHAPES, opened

HERE = Path(__file__).parent
QUESTION = "What colour is the circle?"
ANSWERS = (" red", " blue")
TOP = 3


def inputs_of_picture(inputs_of, name: str) -> dict:
    case = {"text": f"USER: <image>\n{QUESTION} ASSISTANT:", "images": [name]}
    inputs = dict(inputs_of(case)[1])
    inputs["pixel_values"] = inputs["pixel_values"].double()
    return inputs | {"attention_mask": torch.ones_like(inputs["input_ids"]), "use_cache": False}


def streams(model: nnsight.NNsight, inputs: dict) -> list[torch.Tensor]:
    """What enters each layer of the language model."""
    with model.trace(**inputs):
        kept = nnsight.save([layer.input.clone() for layer in model.model.language_model.layers])
    return kept


def last_logits(model: nnsight.NNsight, inputs: dict) -> torch.Tensor:
    with model.trace(**inputs):
        logits = model.lm_head.output[0, -1].save()
    return logits


def patched(model: nnsight.NNsight, inputs: dict, layer: int, position: int, rows: torch.Tensor) -> torch.Tensor:
    """The last logits of a run whose stream at one layer and position is that of another run."""
    with model.trace(**inputs):
        model.model.language_model.layers[layer].input[0, position] = rows[0, position]
        logits = model.lm_head.output[0, -1].save()
    return logits


def logit_lens(model: nnsight.NNsight, inputs: dict) -> list[torch.Tensor]:
    """Log-probabilities that each layer's output has by the final norm and the unembedding."""
    with model.trace(**inputs):
        found = []
        for layer in model.model.language_model.layers:
            found.append(model.lm_head(model.model.language_model.norm(layer.output))[0].log_softmax(-1))
        found = nnsight.save(found)
    return found


def top_tokens(scores: torch.Tensor) -> list[list]:
    best = scores.topk(TOP)
    pairs = zip(best.indices.tolist(), best.values.tolist(), strict=True)
    return [[[token, round(value, 9)] for token, value in zip(*row, strict=True)] for row in pairs]


@torch.no_grad()
def main() -> None:
    torch.set_default_dtype(torch.float64)
    language_model, tokenizer, inputs_of, _ = opened(SHAPES, HERE.parent.parent / "docs", torch.float64)
    model = nnsight.NNsight(language_model)
    red, blue = (tokenizer(f"x{word}").input_ids[-1] for word in ANSWERS)
    clean, corrupted = (inputs_of_picture(inputs_of, name) for name in ("red", "blue"))
    difference = lambda logits: round(float(logits[red] - logits[blue]), 9)  # noqa: E731
    rows = streams(model, clean)
    grid = []
    for layer, stream in enumerate(rows):
        positions = range(stream.shape[1])
        grid.append([difference(patched(model, corrupted, layer, position, stream)) for position in positions])
        print(layer, max(grid[-1]), flush=True)
    found = {
        "versions": {
            "nnsight": nnsight.__version__, "torch": torch.__version__, "transformers": transformers.__version__,
            "python": sys.version.split()[0],
        },
        "question": QUESTION, "answers": ANSWERS,
        "clean": difference(last_logits(model, clean)), "corrupted": difference(last_logits(model, corrupted)),
        "grid": grid, "lens": [top_tokens(scores) for scores in logit_lens(model, clean)],
    }  # fmt: skip
    (HERE / "peers.json").write_text(json.dumps(found, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main()
