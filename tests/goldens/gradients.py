"""Captures gradients from PyTorch's autograd over Hugging Face transformers: gradients.safetensors of each golden set.

    python gradients.py [SET ...]        default: all sets

The number is the log-probability of the first two greedy tokens of the case `wide` together. For each hook point, with value x and
gradient g: `norm:POINT`, the Euclidean norm of each row of g, and `product:POINT`, the sum of g x over each row (at points with heads, over
each head); at attention patterns `relevance:POINT`, the mean over heads of max(g x, 0). `pixels` is the gradient of the views themselves.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

from capture import HERE, SETS, SHAPES, Recorder, changed_inputs, opened, whole

CASE, ANSWER = "wide", 2


class GradientRecorder(Recorder):
    """Keeps what autograd needs of the value at every hook point."""

    def __init__(self, *args) -> None:
        super().__init__(*args)
        self.tracked: dict[str, list[tuple[torch.Tensor, str]]] = {}

    def keep(self, name: str, value: torch.Tensor, *, heads: str = "") -> torch.Tensor:
        value = super().keep(name, value, heads=heads)
        # Nothing comes before the words of a prompt without pictures; all others depend on the pixels.
        if value.requires_grad:
            value.retain_grad()
            self.tracked.setdefault(name, []).append((value, heads))
        return value

    def rows(self, name: str, value: torch.Tensor, heads: str) -> torch.Tensor:
        """(B, R, D), or (B, R, H, Dh); patterns (B, H, T, S)."""
        if heads == "first":
            return value if name.endswith(("scores", "pattern")) else value.transpose(1, 2)
        if heads == "flat":
            config = self.model.config.text_config if name.startswith("language") else self.model.config.vision_config
            count = config.num_attention_heads
            if name.endswith(("hook_k", "hook_v")):
                count = getattr(config, "num_key_value_heads", None) or count
            return value.unflatten(-1, (count, -1))
        return value


def gradients(folder: Path, source: Path) -> dict[str, torch.Tensor]:
    model, _, inputs_of, processor = opened(source, folder, torch.float32)
    case = next(c for c in json.loads((folder / "cases.json").read_text())["cases"] if c["name"] == CASE)
    answer = load_file(folder / f"{CASE}.safetensors")["greedy"][:ANSWER]
    ids, _, rest, changes, views = changed_inputs(case, model, inputs_of, processor)
    prompt = len(ids)
    ids = torch.cat([ids, answer[:-1]])
    changes.visual += [False] * (len(answer) - 1)
    # Families with a tower of their own are given their views one by one.
    pixels = views if inputs_of.family else [rest["pixel_values"]]
    for own in pixels:
        own.requires_grad_()
    with GradientRecorder(model, changes, inputs_of.family, views) as recorder:
        logits = model(**whole(ids, list(range(len(ids)))), **rest).logits[0]
        logprobs = torch.log_softmax(logits[prompt - 1 :].float(), -1)
        value = logprobs.gather(1, answer[:, None]).sum()
        value.backward()
    found = {"value": value.detach()[None], "answer": answer, "pixels": torch.cat([own.grad.flatten() for own in pixels])}
    for name, kept in recorder.tracked.items():
        # There the recorder sees the norm's way alone, and not the stream's.
        if name.endswith("hook_resid_mid"):
            continue
        x = [recorder.rows(name, value.detach(), heads) for value, heads in kept]
        g = [recorder.rows(name, value.grad, heads) for value, heads in kept]
        if name.endswith("scores"):
            continue
        if name.endswith("pattern"):
            found[f"relevance:{name}"] = torch.cat([(x * g).clamp(min=0).mean(1).flatten() for x, g in zip(x, g, strict=True)])
            continue
        found[f"norm:{name}"] = torch.cat([g.norm(dim=-1).flatten() for g in g])
        found[f"size:{name}"] = torch.cat([(x.norm(dim=-1) * g.norm(dim=-1)).flatten() for x, g in zip(x, g, strict=True)]).norm()[None]
        found[f"product:{name}"] = torch.cat([(x * g).sum(-1).flatten() for x, g in zip(x, g, strict=True)])
    return {name: value.contiguous() for name, value in found.items()}


def main() -> None:
    for name in sys.argv[1:] or SETS:
        folder, source = (SHAPES / "goldens", SHAPES) if name == "shapes" else (HERE / name, HERE / name / "model")
        found = gradients(folder, source)
        save_file(found, folder / "gradients.safetensors")
        print(name, len(found), float(found["value"]))


if __name__ == "__main__":
    main()
