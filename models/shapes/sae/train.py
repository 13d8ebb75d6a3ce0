"""Trains the sparse autoencoder of the `shapes` model, and finds out what its features mean.

    OMP_NUM_THREADS=2 python train.py [--scenes 1200] [--steps 2500] [--describe]

It reads the residual stream after block 1 of the language model, where a visual token knows its colour, its form, its row
and its column, and where no word has looked at it yet (block 2 points at the cells that a question names). TopK of Gao et al.
2024, written as SAELens writes it: cfg.json, sae_weights.safetensors in f16. features.json says which features mean a colour,
a row or a column, by how well each tells the visual tokens of unseen scenes apart (F1 of "it is active above half of its
99th percentile"), and the value that it has where it is there. `means` are the mean values of all features at the shapes of
a colour, and of a column, by which steer.py sets the few features that differ most between two of them.
--describe writes features.json anew of the weights that are there.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch.nn.functional import relu
from transformers import AutoTokenizer, LlavaForConditionalGeneration

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))
from scenes import CATEGORIES, CELL_COLOURS, GRID, ask, cell_classes, draw_scene  # noqa: E402

LAYER, FEATURES, K = 1, 256, 8
TOKENS = GRID * GRID
# Mean values below this are left out: typical ones are 10 to 40.
LEAST = 0.5
MEAN, STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)


class TopK(torch.nn.Module):
    """`x = decode(topk(relu(encode(x - b_dec)))) + b_dec`."""

    def __init__(self, rows: torch.Tensor) -> None:
        super().__init__()
        directions = torch.randn(FEATURES, rows.shape[1])
        directions /= directions.norm(dim=1, keepdim=True)
        self.W_dec = torch.nn.Parameter(directions)
        self.W_enc = torch.nn.Parameter(directions.T.clone())
        self.b_enc = torch.nn.Parameter(torch.zeros(FEATURES))
        self.b_dec = torch.nn.Parameter(rows.mean(0))

    def encode(self, x: torch.Tensor) -> torch.Tensor:
        values, places = ((x - self.b_dec) @ self.W_enc + self.b_enc).topk(K, dim=-1)
        return torch.zeros(*x.shape[:-1], FEATURES).scatter_(-1, places, relu(values))

    def decode(self, features: torch.Tensor) -> torch.Tensor:
        return features @ self.W_dec + self.b_dec


def residuals(model, tokenizer, seeds: range) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """The rows of visual tokens (N, 36, D) and of words (M, D) after the layer, and the colour of each cell (N, 36)."""
    visual, words, colours = [], [], []
    for seed in seeds:
        rng = random.Random(seed)
        scene = draw_scene(rng)
        question = next(q for q in (ask(scene, rng, c) for c in rng.sample(CATEGORIES, len(CATEGORIES))) if q)
        pixels = (np.asarray(scene.image, dtype=np.float32) / 255 - np.float32(MEAN)) / np.float32(STD)
        asked = [{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": question.prompt()}]}]
        text = tokenizer.apply_chat_template(asked, add_generation_prompt=True, tokenize=False)
        ids = torch.tensor([tokenizer(text.replace("<image>", "<image>" * TOKENS))["input_ids"]])
        with torch.no_grad():
            out = model.model(
                input_ids=ids, pixel_values=torch.from_numpy(pixels.transpose(2, 0, 1)[None]), output_hidden_states=True
            )
        rows = out.hidden_states[LAYER + 1][0]
        is_visual = ids[0] == model.config.image_token_id
        visual.append(rows[is_visual])
        # The first token holds what attention has no use for: a hundred times the others' norm would be all that is learned.
        words.append(rows[~is_visual][1:])
        colours.append(torch.tensor(cell_classes(scene)[0]))
    return torch.stack(visual), torch.cat(words), torch.stack(colours)


def train(rows: torch.Tensor, steps: int) -> TopK:
    sae = TopK(rows)
    optimizer = torch.optim.Adam(sae.parameters(), lr=2e-3)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: min(1, 5 * (1 - step / steps)))
    silent = torch.zeros(FEATURES)
    total = (rows - rows.mean(0)).pow(2).sum(1).mean()
    for step in range(steps):
        x = rows[torch.randint(len(rows), (1024,))]
        features = sae.encode(x)
        error = x - sae.decode(features)
        loss = error.pow(2).sum(1).mean() / total
        # Features that have long been silent learn from what the others leave (Gao et al. 2024, appendix A.2).
        silent = torch.where(features.detach().amax(0) > 0, 0.0, silent + 1)
        dead = (silent > 100).nonzero().flatten()
        if len(dead) > 16:
            product = (x - sae.b_dec) @ sae.W_enc[:, dead] + sae.b_enc[dead]
            values, places = product.topk(16, dim=-1)
            helpers = torch.zeros_like(product).scatter_(-1, places, relu(values))
            rest = (error.detach() - helpers @ sae.W_dec[dead]).pow(2).sum(1).mean() / error.detach().pow(2).sum(1).mean()
            loss = loss + rest / 32
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        with torch.no_grad():
            sae.W_dec /= sae.W_dec.norm(dim=1, keepdim=True)
        if step % 500 == 0 or step == steps - 1:
            print(json.dumps({"step": step, "loss": round(loss.item(), 4), "silent": len(dead)}), flush=True)
    return sae


def meanings(sae: TopK, visual: torch.Tensor, colours: torch.Tensor) -> dict[str, dict]:
    """The feature that tells each colour, row and column best."""
    features = sae.encode(visual).flatten(0, 1)
    cells = torch.arange(TOKENS).repeat(len(visual))
    wanted = {f"colour {name}": colours.flatten() == i for i, name in enumerate(CELL_COLOURS) if i}
    wanted |= {f"row {r}": cells // GRID == r for r in range(GRID)}
    wanted |= {f"column {c}": cells % GRID == c for c in range(GRID)}
    active = features > 0.5 * torch.quantile(features[:40000], 0.99, dim=0).clamp(min=1e-3)
    found = {}
    for name, there in wanted.items():
        both = (active & there[:, None]).sum(0).float()
        f1 = 2 * both / (active.sum(0) + there.sum())
        best = int(f1.argmax())
        typical = features[there & active[:, best], best].median()
        found[name] = {"feature": best, "f1": round(f1[best].item(), 3), "value": round(typical.item(), 2)}
    return found


def means(sae: TopK, visual: torch.Tensor, colours: torch.Tensor) -> dict[str, dict[str, float]]:
    """The mean values of features at the shapes of each colour, and of each column; those of at least LEAST."""
    features = sae.encode(visual).flatten(0, 1)
    columns = torch.arange(TOKENS).repeat(len(visual)) % GRID
    there = {f"colour {name}": colours.flatten() == i for i, name in enumerate(CELL_COLOURS) if i}
    there |= {f"column {c}": (columns == c) & (colours.flatten() > 0) for c in range(GRID)}
    found = {}
    for name, own in there.items():
        mean = features[own].mean(0)
        strong = (mean >= LEAST).nonzero().flatten().tolist()
        found[name] = {str(feature): round(mean[feature].item(), 2) for feature in strong}
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scenes", type=int, help="drawn for training; default 1200")
    parser.add_argument("--steps", type=int, help="of training; default 2500")
    parser.add_argument("--describe", action="store_true", help="train nothing; say what the features of --out mean")
    parser.add_argument("--out", type=Path, default=HERE)
    arguments = parser.parse_args()
    if arguments.describe and (arguments.scenes or arguments.steps):
        parser.error("--describe trains nothing; leave out --scenes and --steps")
    torch.manual_seed(0)
    tokenizer = AutoTokenizer.from_pretrained(HERE.parent)
    model = LlavaForConditionalGeneration.from_pretrained(HERE.parent, dtype=torch.float32).eval()
    # Far from the seeds of the model's own training and of its benchmark.
    first = 5_000_000
    if arguments.describe:
        written = json.loads((arguments.out / "features.json").read_text())
        count, sae = written["rows"], kept(arguments.out)
    else:
        visual, words, _ = residuals(model, tokenizer, range(first, first + (arguments.scenes or 1200)))
        rows = torch.cat([visual.flatten(0, 1), words])
        count, sae = len(rows), train(rows, arguments.steps or 2500)
    with torch.no_grad():
        for part in sae.parameters():
            part.copy_(part.half().float())
        document = {"rows": count, **described(sae, model, tokenizer, range(first + 900_000, first + 900_300))}
    if not arguments.describe:
        write(sae, arguments.out)
    text = json.dumps(document, indent=2)
    (arguments.out / "features.json").write_text(text + "\n")
    print(text)


def described(sae: TopK, model, tokenizer, seeds: range) -> dict:
    """What the autoencoder explains of unseen scenes, and what its features mean there."""
    unseen, other, colours = residuals(model, tokenizer, seeds)
    explained = {}
    for name, held_out in (("visual", unseen.flatten(0, 1)), ("words", other)):
        features = sae.encode(held_out)
        error = (held_out - sae.decode(features)).pow(2).sum() / (held_out - held_out.mean(0)).pow(2).sum()
        explained[name] = round(1 - error.item(), 4)
    found = {"features": meanings(sae, unseen, colours), "means": means(sae, unseen, colours)}
    return {"explained": explained, **found}


def kept(folder: Path) -> TopK:
    """The autoencoder that is in a folder."""
    state = {name: part.float() for name, part in load_file(folder / "sae_weights.safetensors").items()}
    sae = TopK(torch.zeros(1, state["b_dec"].shape[0]))
    sae.load_state_dict(state)
    return sae


def write(sae: TopK, folder: Path) -> None:
    """Writes weights and configuration as SAELens does."""
    state = {name: part.detach().half().contiguous() for name, part in sae.named_parameters()}
    save_file(state, folder / "sae_weights.safetensors")
    config = {
        "d_in": sae.b_dec.shape[0], "d_sae": FEATURES, "dtype": "float16", "device": "cpu", "apply_b_dec_to_input": True,
        "normalize_activations": "none", "reshape_activations": "none", "k": K, "rescale_acts_by_decoder_norm": False,
        "architecture": "topk",
        "metadata": {"model_name": "shapes", "hook_name": f"language_model.blocks.{LAYER}.hook_resid_post"},
    }
    (folder / "cfg.json").write_text(json.dumps(config, indent=2) + "\n")


if __name__ == "__main__":
    main()
