"""Direct logit attribution: what each layer and head adds to the logit of an answer, by the residual stream alone."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from scotoma._sync.client import Client
from scotoma.interventions import ablate
from scotoma.messages import Asked, Image
from scotoma.selectors import Hook, hooks, tokens

Row = npt.NDArray[np.float64]


def direct_logits(
    client: Client,
    text: Asked,
    answer: str,
    images: Image | Iterable[Image] = (),
    *,
    other: str,
    heads_of: Iterable[int] = (),
    model: str = "",
) -> dict[str, float]:
    """Returns what each part of the residual stream adds to the logit of `answer` less that of `other`.

    The last token is looked at. A part is `embed`, `attn.LAYER`, `mlp.LAYER` and, of the layers `heads_of`,
    `attn.LAYER.HEAD`; all but the heads add up to the difference of the logits. The scale of the final norm is that
    of the whole stream (Elhage et al. 2021). A head's part is what its layer's output loses without it, which takes a
    capture each. The answers are one token each. Of Gemma 2, which norms what all heads of a layer add
    together, `heads_of` raises ValueError.
    """
    asked = {"model": model} if model else {}
    info = client.get_model(**asked)  # type: ignore[arg-type]
    decoder = info.language_model
    layers, chosen = decoder.layers, set(heads_of)
    if chosen and info.text_model_type == "gemma2":
        raise ValueError(
            "heads_of: Gemma 2 norms what the heads of a layer add together, so that no head has a part; leave it out"
        )
    if not chosen <= set(range(layers)):
        raise ValueError(f"heads_of: {sorted(chosen)}; layers 0 to {layers - 1} are")
    blocks = hooks.blocks[:]
    final = hooks.language_model.ln_final.hook_normalized

    def last(points: list[Hook], **more: object) -> dict[str, Row]:
        targets = [point.at(tokens.last) for point in points]
        found = client.capture(text, targets, images, **asked, **more)  # type: ignore[arg-type]
        return {own.point: own.array[-1].astype(np.float64) for own in found}

    stream = [hooks.language_model.hook_embed, blocks.hook_attn_out, blocks.hook_mlp_out]
    rows = last([*stream, blocks.hook_resid_post, final])
    options = {"method": "gradient_values", "points": final, "other": other}
    (gradient,) = client.attribute(text, answer, images, **options, **asked)  # type: ignore[arg-type]
    end, normed = rows[f"language_model.blocks.{layers - 1}.hook_resid_post"], rows[final.name]
    # The norm multiplies each number by its weight and one scale for all; where the stream is 0 nothing is added to.
    scale = np.divide(normed, end, out=np.zeros_like(end), where=end != 0)
    direction = gradient.array[-1].astype(np.float64) * scale
    parts = {"embed": float(rows["language_model.hook_embed"] @ direction)}
    for layer in range(layers):
        whole = rows[f"language_model.blocks.{layer}.hook_attn_out"]
        parts[f"attn.{layer}"] = float(whole @ direction)
        for head in range(decoder.heads) if layer in chosen else ():
            without = ablate(hooks.blocks[layer].attn.hook_z, heads=[head], tokens=tokens.last)
            (left,) = last([hooks.blocks[layer].hook_attn_out], interventions=[without]).values()
            parts[f"attn.{layer}.{head}"] = float((whole - left) @ direction)
        parts[f"mlp.{layer}"] = float(rows[f"language_model.blocks.{layer}.hook_mlp_out"] @ direction)
    return parts
