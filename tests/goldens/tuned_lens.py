"""Writes tuned-lens/, a lens in the layout of the tuned-lens package with seeded translators for tiny-gqa-tied, and tuned_lens.json: what
torch reads by it off each layer and position; and attention_flow.json: maximum flows through the attention of the embedded model, by
networkx.

    python tuned_lens.py

Needs what capture.py needs. Nothing here knows the server's code: a translator is torch.nn.Linear, added to the row as
`TunedLens.transform_hidden` does, and hidden states are those that transformers returns.
"""

from __future__ import annotations

import json
from pathlib import Path

import networkx
import torch
from capture import SHAPES, opened

HERE = Path(__file__).parent
TINY = "tiny-gqa-tied"
CASE = {"text": "USER: <image>\nIs there a red circle? ASSISTANT:", "images": ["wide"]}
COLOUR = {"text": "USER: <image>\nWhat colour is the circle? ASSISTANT:", "images": ["red"]}
TOP = 3
UPPER = 5
"""The first of the layers of whose flow every token is compared; of all layers some are."""
SOME = (0, 10, 20, 40, 48)


def written(layers: int, width: int) -> torch.nn.ModuleList:
    """A lens whose maps are far from nothing, as TunedLens.save writes it."""
    torch.manual_seed(31)
    translators = torch.nn.ModuleList(torch.nn.Linear(width, width) for _ in range(layers))
    folder = HERE / "tuned-lens"
    folder.mkdir(exist_ok=True)
    torch.save(translators.state_dict(), folder / "params.pt")
    config = {
        "base_model_name_or_path": TINY, "d_model": width, "num_hidden_layers": layers, "bias": True,
        "base_model_revision": None, "unembed_hash": None, "lens_type": "linear_tuned_lens",
    }  # fmt: skip
    (folder / "config.json").write_text(json.dumps(config))
    return translators


def tuned() -> dict:
    model, _, inputs_of, _ = opened(HERE / TINY / "model", HERE / TINY, torch.float32)
    language, head = model.model.language_model, model.lm_head
    translators = written(len(language.layers), head.in_features).double()
    inputs = inputs_of(CASE)[1]
    mask = torch.ones_like(inputs["input_ids"])
    # The last one has been through the final norm; it has no translator.
    states = model(**inputs, attention_mask=mask, use_cache=False, output_hidden_states=True).hidden_states[:-1]
    language.double(), head.double()
    lens = []
    for translator, state in zip(translators, states, strict=True):
        rows = state[0].double()
        best = torch.log_softmax(head(language.norm(rows + translator(rows))), -1).topk(TOP)
        lens.append([list(zip(*row, strict=True)) for row in zip(best.indices.tolist(), best.values.tolist(), strict=True)])
    return {"case": CASE, "lens": lens}


def flows(patterns: list, sinks) -> list[float]:
    """The maximum flow from the last row above `patterns` to each of `sinks` below them (Abnar and Zuidema 2020)."""
    graph, count = networkx.DiGraph(), patterns[0].shape[0]
    for level, pattern in enumerate(reversed(patterns)):
        shares = (pattern + torch.eye(count, dtype=pattern.dtype)) / 2
        for token in range(count):
            for key in range(token + 1):
                if shares[token, key] > 0:
                    graph.add_edge((level, token), (level + 1, key), capacity=float(shares[token, key]))
    source = (0, count - 1)
    return [networkx.maximum_flow_value(graph, source, (len(patterns), sink)) for sink in sinks]


def flow() -> dict:
    model, _, inputs_of, _ = opened(SHAPES, HERE.parent.parent / "docs", torch.float32)
    inputs = inputs_of(COLOUR)[1]
    mask = torch.ones_like(inputs["input_ids"])
    attentions = model(**inputs, attention_mask=mask, use_cache=False, output_attentions=True).attentions
    patterns = [layer[0].double().mean(0) for layer in attentions]
    tokens = range(patterns[0].shape[0])
    return {
        "case": COLOUR, "first": UPPER, "upper": flows(patterns[UPPER:], tokens), "some": SOME, "all": flows(patterns, SOME),
    }  # fmt: skip


@torch.no_grad()
def main() -> None:
    (HERE / "tuned_lens.json").write_text(json.dumps(tuned()) + "\n")
    (HERE / "attention_flow.json").write_text(json.dumps(flow()) + "\n")


if __name__ == "__main__":
    main()
