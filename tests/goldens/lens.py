"""Writes lens.json: the logit lens and direct logit attribution of the embedded model, by Hugging Face transformers and PyTorch.

    python lens.py

Needs what capture.py needs. The model is asked for the colour of the circle in docs/pictures/red.png. Nothing here knows the server's
code: streams and what is added to them are taken by forward hooks, and heads by the columns of the output projection.
"""

from __future__ import annotations

import json
from pathlib import Path

import torch
from capture import SHAPES, opened

HERE = Path(__file__).parent
CASE = {"text": "USER: <image>\nWhat colour is the circle? ASSISTANT:", "images": ["red"]}
ANSWERS = (" red", " blue")
TOP = 3


@torch.no_grad()
def main() -> None:
    model, tokenizer, inputs_of, _ = opened(SHAPES, HERE.parent.parent / "docs", torch.float32)
    language, head = model.model.language_model, model.lm_head
    kept: dict[str, torch.Tensor] = {}
    handles = []
    for i, layer in enumerate(language.layers):

        def into(_m, args, kwargs, i=i):
            kept[f"pre.{i}"] = (args[0] if args else kwargs["hidden_states"])[0]

        def out(_m, _a, output, i=i):
            kept[f"post.{i}"] = (output[0] if isinstance(output, tuple) else output).reshape(-1, head.in_features)

        def attn(_m, _a, output, i=i):
            kept[f"attn.{i}"] = output[0][0]

        def heads(_m, args, i=i):
            kept[f"z.{i}"] = args[0][0]

        def mlp(_m, _a, output, i=i):
            kept[f"mlp.{i}"] = output[0]

        handles += [
            layer.register_forward_pre_hook(into, with_kwargs=True), layer.register_forward_hook(out),
            layer.self_attn.register_forward_hook(attn), layer.self_attn.o_proj.register_forward_pre_hook(heads),
            layer.mlp.register_forward_hook(mlp),
        ]  # fmt: skip
    _, inputs = inputs_of(CASE)
    logits = model(**inputs, attention_mask=torch.ones_like(inputs["input_ids"]), use_cache=False).logits[0, -1]
    lens = []
    for i in range(len(language.layers)):
        scores = torch.log_softmax(head(language.norm(kept[f"post.{i}"])), -1).topk(TOP)
        lens.append([list(zip(ids, values, strict=True)) for ids, values in zip(scores.indices.tolist(), scores.values.tolist(), strict=True)])
    ids = [tokenizer(f"x{word}").input_ids[-1] for word in ANSWERS]
    end = kept[f"post.{len(language.layers) - 1}"][-1].double()
    scale = language.norm.weight.double() / (end.pow(2).mean() + language.norm.variance_epsilon).sqrt()
    direction = (head.weight[ids[0]] - head.weight[ids[1]]).double() * scale
    parts = {"embed": float(kept["pre.0"][-1].double() @ direction)}
    count = model.config.text_config.num_attention_heads
    for i, layer in enumerate(language.layers):
        parts[f"attn.{i}"] = float(kept[f"attn.{i}"][-1].double() @ direction)
        weights = layer.self_attn.o_proj.weight.double().unflatten(1, (count, -1))
        for h, z in enumerate(kept[f"z.{i}"][-1].double().unflatten(0, (count, -1))):
            parts[f"attn.{i}.{h}"] = float((weights[:, h] @ z) @ direction)
        parts[f"mlp.{i}"] = float(kept[f"mlp.{i}"][-1].double() @ direction)
    found = {"answers": ids, "difference": float(logits[ids[0]] - logits[ids[1]]), "parts": parts, "lens": lens}
    (HERE / "lens.json").write_text(json.dumps(found))
    print(found["difference"], sum(v for k, v in parts.items() if k.count(".") < 2))


if __name__ == "__main__":
    main()
