"""Writes traces.json: grids of activation patching on the tiny sets, by PyTorch forward hooks over Hugging Face transformers.

    python traces.py [SET ...]

Needs what capture.py needs, and the models that it has written. The clean input shows `wide` and asks for a circle, the corrupted one
shows it turned by 180 degrees and asks for a square. Nothing here knows the server's code: a cell is one whole forward pass in which
rows of one run are written over those of the other.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import torch
from capture import DECODERS, OTHERS, TINY, opened
from PIL import Image

HERE = Path(__file__).parent
CLEAN = {"text": "USER: <image>\nIs there a red circle? ASSISTANT:", "images": ["wide"]}
CORRUPTED = {"text": "USER: <image>\nIs there a red square? ASSISTANT:", "images": ["wide-turned"]}
ANSWERS = (" yes", " no")
HEADS = 4


class Hooks:
    """Records and changes rows of the language model."""

    def __init__(self, model) -> None:
        self.layers = model.model.language_model.layers
        self.handles: list = []

    def module(self, site: str, layer: int):
        """The module whose output (or, of z and resid_pre, whose input) holds the rows of a site."""
        block = self.layers[layer]
        norms_after = hasattr(block, "pre_feedforward_layernorm")
        return {
            "resid_pre": block,
            "z": block.self_attn.o_proj,
            "attn_out": block.post_attention_layernorm if norms_after else block.self_attn,
            "mlp_out": block.post_feedforward_layernorm if norms_after else block.mlp,
        }[site]

    def on(self, site: str, layer: int, change) -> None:
        module = self.module(site, layer)
        if site in ("resid_pre", "z"):

            def before(_m, args, kwargs):
                if args:
                    return (change(args[0]), *args[1:]), kwargs
                return args, kwargs | {"hidden_states": change(kwargs["hidden_states"])}

            self.handles.append(module.register_forward_pre_hook(before, with_kwargs=True))
            return

        def after(_m, _a, output):
            return (change(output[0]), *output[1:]) if isinstance(output, tuple) else change(output)

        self.handles.append(module.register_forward_hook(after))

    def remove(self) -> None:
        for handle in self.handles:
            handle.remove()


@torch.no_grad()
def run(model, inputs: dict, changes=()) -> torch.Tensor:
    """Log-probabilities of the next token under `changes` of (site, layer, function)."""
    hooks = Hooks(model)
    for site, layer, change in changes:
        hooks.on(site, layer, change)
    ids = inputs["input_ids"]
    logits = model(**inputs, attention_mask=torch.ones_like(ids), use_cache=False).logits[0, -1]
    hooks.remove()
    return torch.log_softmax(logits.double(), -1)


def recorded(model, inputs: dict) -> tuple[torch.Tensor, dict]:
    kept: dict = {}

    def keep(site: str, layer: int):
        def change(rows):
            kept[site, layer] = rows.clone()
            return rows

        return site, layer, change

    layers = range(len(model.model.language_model.layers))
    sites = ("resid_pre", "z", "attn_out", "mlp_out")
    return run(model, inputs, [keep(site, layer) for site in sites for layer in layers]), kept


def written(rows: torch.Tensor, tokens: list[int], head: int | None = None):
    """A change that writes the rows of `tokens`, of one head or whole."""

    def change(own):
        own = own.clone()
        if head is None:
            own[:, tokens] = rows[:, tokens]
            return own
        width = own.shape[-1] // HEADS
        part = slice(head * width, (head + 1) * width)
        own[:, tokens, part] = rows[:, tokens, part]
        return own

    return change


def path(model, base: dict, of_base: dict, of_source: dict, via: str) -> torch.Tensor:
    """The effect that the attention of layer 0 has on what enters layer 2, and by that alone on the answer."""
    tokens = list(range(base["input_ids"].shape[1]))
    held = [("attn_out", 1)] + ([("mlp_out", 0), ("mlp_out", 1)] if via == "residual" else [])
    changes = [("attn_out", 0, written(of_source["attn_out", 0], tokens))]
    changes += [(site, layer, written(of_base[site, layer], tokens)) for site, layer in held]
    received: dict = {}

    def receive(rows):
        received["rows"] = rows.clone()
        return rows

    run(model, base, [*changes, ("resid_pre", 2, receive)])
    return run(model, base, [("resid_pre", 2, written(received["rows"], tokens))])


def traced(name: str) -> dict:
    model, tokenizer, inputs_of, _ = opened(HERE / name / "model", HERE / name, torch.float32)
    # As transformers' own processor has them.
    read = inputs_of.raw if name in OTHERS else inputs_of
    clean, corrupted = (
        {key: value for key, value in read(case)[1].items() if key in ("input_ids", "pixel_values", "image_sizes")}
        for case in (CLEAN, CORRUPTED)
    )
    count = clean["input_ids"].shape[1]
    assert corrupted["input_ids"].shape[1] == count, name
    words = CLEAN["text"].replace("<image>", "")
    before = len(tokenizer(words).input_ids)
    answers = [tokenizer(words + answer).input_ids[before:] for answer in ANSWERS]
    assert all(len(answer) == 1 for answer in answers), (name, answers)
    (yes,), (no,) = answers
    of_clean, kept_clean = recorded(model, clean)
    of_corrupted, kept_corrupted = recorded(model, corrupted)
    layers = range(len(model.model.language_model.layers))
    last = list(range(count - 6, count))
    out: dict = {"tokens": count, "answers": [yes, no]}
    difference = lambda logprobs: float(logprobs[yes] - logprobs[no])  # noqa: E731
    divergence = lambda logprobs: float((of_clean.exp() * (of_clean - logprobs)).sum())  # noqa: E731
    out["clean"], out["corrupted"] = difference(of_clean), difference(of_corrupted)
    out["divergence"] = divergence(of_corrupted)
    for direction, base, source, of_base in (
        ("denoise", corrupted, kept_clean, kept_corrupted),
        ("noise", clean, kept_corrupted, kept_clean),
    ):
        cell = lambda site, layer, *where: run(model, base, [(site, layer, written(source[site, layer], *where))])  # noqa: B023, E731
        every = [[cell("resid_pre", layer, [token]) for token in range(count)] for layer in layers]
        out[f"{direction}.resid_pre"] = [[difference(c) for c in row] for row in every]
        out[f"{direction}.resid_pre.divergence"] = [[divergence(c) for c in row[-6:]] for row in every]
        for site in ("attn_out", "mlp_out"):
            out[f"{direction}.{site}"] = [[difference(cell(site, layer, [token])) for token in last] for layer in layers]
        heads = [[difference(cell("z", layer, last, head)) for head in range(HEADS)] for layer in layers]
        out[f"{direction}.z"] = heads
        for via in ("residual", "mlps"):
            out[f"{direction}.path.{via}"] = difference(path(model, base, of_base, source, via))
    return out


def rounded(value):
    if isinstance(value, dict):
        return {key: rounded(one) for key, one in value.items()}
    if isinstance(value, list):
        return [rounded(one) for one in value]
    return round(value, 8) if isinstance(value, float) else value


def main() -> None:
    pictures = HERE / "pictures"
    Image.open(pictures / "wide.png").convert("RGB").rotate(180).save(pictures / "wide-turned.png", optimize=True)
    path_of = HERE / "traces.json"
    known = json.loads(path_of.read_text()) if path_of.exists() else {}
    for name in sys.argv[1:] or (*TINY, *DECODERS, *OTHERS):
        known[name] = rounded(traced(name))
        path_of.write_text(json.dumps(known, separators=(",", ":")))
        print(name, known[name]["tokens"], known[name]["clean"], known[name]["corrupted"], flush=True)


if __name__ == "__main__":
    main()
