"""A tuned lens reads what torch reads by its files, attention flow is a maximum flow, and parts of Gemma 2 add up."""

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import ROOT, serving

from scotoma import Client, ScotomaError, direct_logits, hooks
from scotoma.local import find_binary

GOLDENS = ROOT / "tests/goldens"
TINY = GOLDENS / "tiny-gqa-tied/model"
PICTURES = ROOT / "docs/pictures"
BLOCKS = hooks.blocks[:]
COLOUR = "What colour is the circle?"


def golden(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((GOLDENS / name).read_text())
    return found


def test_a_tuned_lens_reads_what_torch_reads() -> None:
    peer = golden("tuned_lens.json")
    picture = GOLDENS / "pictures/wide.png"
    options: dict[str, Any] = {"reduction": "top_tokens", "top": 3, "raw": True}
    served = serving("--model", f"tiny={TINY}", "--lens", f"mine={GOLDENS / 'tuned-lens'}")
    with served as (_, address), Client(address) as client:
        (lens,) = client.get_model().lenses
        assert (lens.name, lens.layers, len(lens.digest)) == ("mine", 3, 64)
        text = peer["case"]["text"]
        read = list(client.capture(text, BLOCKS.hook_resid_pre, picture, lens="mine", **options))
        assert len(read) == len(peer["lens"]) == 3
        for rows, expected in zip(read, peer["lens"], strict=True):
            assert [[t.id for t in row] for row in rows.top] == [[t for t, _ in row] for row in expected]
            found = np.array([[t.logprob for t in row] for row in rows.top])
            logprobs = np.array([[value for _, value in row] for row in expected])
            assert (np.abs(found - logprobs) / np.maximum(1, np.abs(logprobs))).max() < 1e-5
        # What leaves a layer enters the next one; what leaves the last one needs no map.
        after = list(client.capture(text, BLOCKS.hook_resid_post, picture, lens="mine", **options))
        (plain,) = client.capture(text, hooks.blocks[2].hook_resid_post, picture, **options)
        assert [rows.top for rows in after] == [*(rows.top for rows in read[1:]), plain.top]
        (embedded,) = client.capture(text, hooks.language_model.hook_embed, picture, lens="mine", **options)
        assert embedded.top == read[0].top
        for more, says in (
            ({"lens": "other"}, "no tuned lens .other.; resident: mine"),
            ({"lens": "mine", "reduction": "norm", "top": 0}, "is for REDUCTION_TOP_TOKENS alone"),
        ):
            with pytest.raises(ScotomaError, match=says):
                list(client.capture(text, BLOCKS.hook_resid_pre, picture, **options | more))
        with pytest.raises(ScotomaError, match="a tuned lens reads hook_embed"):
            list(client.capture(text, BLOCKS.hook_attn_out, picture, lens="mine", **options))


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        ({"d_model": 128}, "d_model is 128, and the model's is 32"),
        ({"num_hidden_layers": 2}, "num_hidden_layers is 2, and the model's is 3"),
        ({"lens_type": "mlp"}, 'lens_type "mlp" is not read; linear_tuned_lens is'),
        ({"rank": 4}, "rank is not a field of tuned-lens's configurations"),
        ({"bias": False}, "0.bias"),
        (None, "params.safetensors or params.pt is not there"),
        (b"PK nothing", "params.pt"),
    ],
)
def test_a_folder_that_is_no_lens_is_refused(
    tmp_path: Path, spoil: dict[str, object] | bytes | None, says: str
) -> None:
    folder = tmp_path / "lens"
    shutil.copytree(GOLDENS / "tuned-lens", folder)
    if isinstance(spoil, dict):
        config = json.loads((folder / "config.json").read_text())
        (folder / "config.json").write_text(json.dumps(config | spoil))
    elif spoil is None:
        (folder / "params.pt").unlink()
    else:
        (folder / "params.pt").write_bytes(spoil)
    words = ["models", "--model", f"tiny={TINY}", "--lens", f"mine={folder}"]
    done = subprocess.run([find_binary(), *words], capture_output=True, text=True, timeout=120)
    assert done.returncode != 0
    assert says in done.stderr


def test_attention_flow_is_a_maximum_flow(server: str) -> None:
    peer = golden("attention_flow.json")
    picture = PICTURES / "red.png"
    with Client(server) as client:
        pattern = hooks.blocks[peer["first"] : 8].attn.hook_pattern
        (upper,) = client.attribute(COLOUR, " red", picture, method="attention_flow", points=pattern)
        assert upper.array == pytest.approx(np.array(peer["upper"]), abs=1e-5)
        (whole,) = client.attribute(COLOUR, " red", picture, method="attention_flow")
        assert whole.array[peer["some"]] == pytest.approx(np.array(peer["all"]), abs=1e-5)
        assert whole.array.shape == upper.array.shape == (49,)


def test_parts_of_gemma_2_add_up_without_heads() -> None:
    picture = GOLDENS / "pictures/wide.png"
    with serving("--model", f"tiny={GOLDENS / 'tiny-gemma2/model'}") as (_, address), Client(address) as client:
        assert client.get_model().text_model_type == "gemma2"
        with pytest.raises(ValueError, match="heads_of: Gemma 2"):
            direct_logits(client, COLOUR, " red", picture, other=" blue", heads_of=[1])
        parts = direct_logits(client, COLOUR, " red", picture, other=" blue")
        red, blue = client.score(COLOUR, [" red", " blue"], picture).scores
        assert sum(parts.values()) == pytest.approx(red.logprob - blue.logprob, abs=1e-4)
