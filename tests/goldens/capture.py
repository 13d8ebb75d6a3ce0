"""Captures the goldens from Hugging Face transformers; the only writer of this folder's sets.

    python capture.py [SET ...]          sets: tiny-gqa-tied, tiny-full-old-names, shapes (default: all)

A set is a folder: model/ (a tiny seeded checkpoint; `shapes` uses models/shapes), cases.json, one safetensors file a case
with the value at every hook point as rows, the logits at all positions and the greedy tokens. Interventions are applied
with PyTorch forward hooks, written here from their definitions and not from the server's code.
"""

from __future__ import annotations

import argparse
import json
import platform
import random
import shutil
import sys
from pathlib import Path

import numpy as np
import tokenizers
import torch
import transformers
import transformers.models.llama.modeling_llama as modeling_llama
from PIL import Image
from safetensors.torch import load_file, save_file
from transformers import (
    AutoTokenizer,
    CLIPImageProcessorPil,
    CLIPVisionConfig,
    LlamaConfig,
    LlavaConfig,
    LlavaForConditionalGeneration,
)
from transformers.models.llava.image_processing_pil_llava import LlavaImageProcessorPil

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
SHAPES = ROOT / "models" / "shapes"
TOLERANCE = 1e-5
TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja")
SIZES = {"square": (84, 84), "wide": (120, 50), "tall": (40, 97), "tiny": (9, 7)}


def draw_pictures() -> None:
    """Four seeded pictures: flat blocks under noise, so that resizing has edges and texture to get wrong."""
    folder = HERE / "pictures"
    folder.mkdir(exist_ok=True)
    rng = np.random.default_rng(5)
    for name, (width, height) in SIZES.items():
        blocks = rng.integers(0, 256, (max(1, height // 12), max(1, width // 12), 3), dtype=np.uint8)
        picture = np.asarray(Image.fromarray(blocks).resize((width, height), Image.Resampling.NEAREST), dtype=int)
        picture = np.clip(picture + rng.integers(-20, 21, picture.shape), 0, 255).astype(np.uint8)
        Image.fromarray(picture).save(folder / f"{name}.png", optimize=True)


def tiny(name: str) -> LlavaForConditionalGeneration:
    """Two checkpoints that differ in all that LLaVA-1.5 configurations differ in."""
    gqa = name == "tiny-gqa-tied"
    vision = CLIPVisionConfig(
        hidden_size=32, intermediate_size=48, num_hidden_layers=3, num_attention_heads=4, image_size=28, patch_size=7,
        projection_dim=16, initializer_factor=4.0, hidden_act="quick_gelu" if gqa else "gelu",
    )  # fmt: skip
    vocabulary = json.loads((SHAPES / "config.json").read_text())["text_config"]["vocab_size"]
    text = LlamaConfig(
        vocab_size=vocabulary, hidden_size=32, intermediate_size=56, num_hidden_layers=3, num_attention_heads=4,
        num_key_value_heads=2 if gqa else 4, head_dim=8 if gqa else 12, max_position_embeddings=256, initializer_range=0.2,
        rms_norm_eps=1e-5 if gqa else 1e-6, bos_token_id=0, eos_token_id=1, pad_token_id=2, tie_word_embeddings=gqa,
        attention_bias=not gqa,
        rope_parameters={"rope_type": "default", "rope_theta": 10000.0} if gqa
        else {"rope_type": "linear", "rope_theta": 5000.0, "factor": 2.0},
    )  # fmt: skip
    config = LlavaConfig(
        vision_config=vision, text_config=text, image_token_index=3, vision_feature_layer=-2 if gqa else -1,
        vision_feature_select_strategy="default" if gqa else "full", image_seq_length=16 if gqa else 17,
        tie_word_embeddings=gqa, pad_token_id=2, multimodal_projector_bias=gqa,
        projector_hidden_act="gelu" if gqa else "silu",
    )  # fmt: skip
    torch.manual_seed(11 if gqa else 12)
    model = LlavaForConditionalGeneration(config)
    with torch.no_grad():
        for parameter_name, parameter in model.named_parameters():
            if "norm" in parameter_name or "bias" in parameter_name:
                parameter.add_(torch.randn_like(parameter) * 0.1)
            elif "multi_modal_projector" in parameter_name:
                parameter.normal_(0.0, 0.2)
    return model.to(torch.bfloat16).eval()


def save_tiny(name: str) -> Path:
    """Writes the checkpoint, its tokenizer and its image processor; the second one sharded, under the hub's old names."""
    folder = HERE / name / "model"
    shutil.rmtree(folder, ignore_errors=True)
    model = tiny(name)
    model.save_pretrained(folder)
    for file in TOKENIZER_FILES:
        shutil.copy(SHAPES / file, folder / file)
    square = {"height": 28, "width": 28}
    if name == "tiny-gqa-tied":
        CLIPImageProcessorPil(size={"shortest_edge": 32}, crop_size=square).save_pretrained(folder)
    else:
        LlavaImageProcessorPil(size={"shortest_edge": 28}, crop_size=square, do_pad=True).save_pretrained(folder)
        rename_and_shard(folder)
    second = {k: v.float().flip(0).to(torch.bfloat16).contiguous() for k, v in projector_weights(model).items()}
    save_file(second, HERE / name / "second_projector.safetensors")
    return folder


def projector_weights(model: LlavaForConditionalGeneration) -> dict[str, torch.Tensor]:
    weights = model.model.multi_modal_projector.state_dict()
    return {f"multi_modal_projector.{k}": v.clone() for k, v in weights.items()}


def rename_and_shard(folder: Path) -> None:
    """`vision_tower.vision_model.*`, `language_model.model.*`, two shards with an index."""
    tensors = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    old = {}
    for key, value in tensors.items():
        key = key.removeprefix("model.")
        if key.startswith("vision_tower.") and not key.startswith("vision_tower.vision_model."):
            key = key.replace("vision_tower.", "vision_tower.vision_model.", 1)
        if key.startswith("language_model.") and not key.startswith(("language_model.model.", "language_model.lm_head.")):
            key = key.replace("language_model.", "language_model.model.", 1)
        if key.startswith("lm_head."):
            key = f"language_model.{key}"
        old[key] = value
    keys = sorted(old)
    shards = {"model-00001-of-00002.safetensors": keys[::2], "model-00002-of-00002.safetensors": keys[1::2]}
    for file, members in shards.items():
        save_file({k: old[k] for k in members}, folder / file, metadata={"format": "pt"})
    index = {"metadata": {}, "weight_map": {k: f for f, members in shards.items() for k in members}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index, indent=1, sort_keys=True))


class Recorder:
    """Records the value at every hook point, as rows, and applies interventions on the way."""

    def __init__(self, model: LlavaForConditionalGeneration, spec: dict) -> None:
        self.model, self.spec = model, spec
        self.values: dict[str, torch.Tensor] = {}
        self.handles: list = []
        self.skipped: list = []
        self.layer = 0
        self.recording = True

    def keep(self, name: str, value: torch.Tensor, *, heads: bool = False) -> None:
        if self.recording:
            value = value.transpose(1, 2) if heads else value
            self.values[name] = value.detach().float().contiguous().clone()

    def on(self, module: torch.nn.Module, hook) -> None:
        self.handles.append(module.register_forward_hook(hook))

    def before(self, module: torch.nn.Module, hook) -> None:
        self.handles.append(module.register_forward_pre_hook(hook))

    def out(self, module: torch.nn.Module, name: str) -> None:
        self.on(module, lambda _m, _a, output: self.keep(name, output))

    def into(self, module: torch.nn.Module, name: str) -> None:
        self.before(module, lambda _m, args: self.keep(name, args[0]))

    def attention(self, module: torch.nn.Module, at: str, out_projection: torch.nn.Module) -> None:
        def hook(_m, _a, output):
            self.keep(f"{at}.hook_attn_out", output[0])
            self.keep(f"{at}.attn.hook_pattern", output[1])

        self.on(module, hook)
        for letter in "qkv":
            self.out(getattr(module, f"{letter}_proj"), f"{at}.attn.hook_{letter}")
        self.into(out_projection, f"{at}.attn.hook_z")

    def skip(self, layer: torch.nn.Module) -> None:
        # Not a forward hook: transformers collects hidden_states with hooks of its own, which would see the old output.
        layer.forward = lambda hidden_states, *_args, **_kwargs: hidden_states
        self.skipped.append(layer)

    def install(self) -> None:
        model = self.model.model
        tower = model.vision_tower
        entries = tower.config.num_hidden_layers + 1
        run = self.model.config.vision_feature_layer % entries
        self.out(tower.pre_layrnorm, "vision_tower.hook_embed")
        for index, layer in enumerate(tower.encoder.layers[:run]):
            at = f"vision_tower.blocks.{index}"
            if index in self.spec.get("drop_tower_layers", []):
                self.skip(layer)
                continue
            self.into(layer.layer_norm1, f"{at}.hook_resid_pre")
            self.out(layer.layer_norm1, f"{at}.ln1.hook_normalized")
            self.attention(layer.self_attn, at, layer.self_attn.out_proj)
            self.into(layer.layer_norm2, f"{at}.hook_resid_mid")
            self.out(layer.layer_norm2, f"{at}.ln2.hook_normalized")
            self.out(layer.mlp.fc1, f"{at}.mlp.hook_pre")
            self.into(layer.mlp.fc2, f"{at}.mlp.hook_post")
            self.out(layer.mlp.fc2, f"{at}.hook_mlp_out")
            self.on(layer, lambda _m, _a, o, at=at: self.keep(f"{at}.hook_resid_post", o[0] if isinstance(o, tuple) else o))
        projector = model.multi_modal_projector
        self.into(projector.linear_1, "projector.hook_in")
        self.out(projector.linear_1, "projector.hook_pre")
        self.into(projector.linear_2, "projector.hook_post")
        self.on(projector, self.projected)
        language = model.language_model
        self.handles.append(
            language.register_forward_pre_hook(
                lambda _m, args, kwargs: self.keep("language_model.hook_embed", kwargs["inputs_embeds"]), with_kwargs=True
            )
        )
        for index, layer in enumerate(language.layers):
            at = f"language_model.blocks.{index}"
            self.before(layer.input_layernorm, lambda _m, _a, index=index: setattr(self, "layer", index))
            if index in self.spec.get("drop_layers", []):
                self.skip(layer)
                continue
            self.into(layer.input_layernorm, f"{at}.hook_resid_pre")
            self.out(layer.input_layernorm, f"{at}.ln1.hook_normalized")
            self.attention(layer.self_attn, at, layer.self_attn.o_proj)
            self.into(layer.post_attention_layernorm, f"{at}.hook_resid_mid")
            self.out(layer.post_attention_layernorm, f"{at}.ln2.hook_normalized")
            self.out(layer.mlp.gate_proj, f"{at}.mlp.hook_pre")
            self.out(layer.mlp.up_proj, f"{at}.mlp.hook_pre_linear")
            self.into(layer.mlp.down_proj, f"{at}.mlp.hook_post")
            self.out(layer.mlp, f"{at}.hook_mlp_out")
            self.on(layer, lambda _m, _a, o, at=at: self.keep(f"{at}.hook_resid_post", o[0] if isinstance(o, tuple) else o))
        self.out(language.norm, "language_model.ln_final.hook_normalized")
        self.out(self.model.lm_head, "language_model.hook_logits")

    def projected(self, _module, _args, output):
        order = self.spec.get("permute")
        if order is not None:
            output = output[:, torch.tensor(order)]
        self.keep("projector.hook_out", output)
        return output

    def __enter__(self):
        self.install()
        self.rotate = modeling_llama.apply_rotary_pos_emb

        def rotate(q, k, *args, **kwargs):
            q, k = self.rotate(q, k, *args, **kwargs)
            if self.layer not in self.spec.get("drop_layers", []):
                self.keep(f"language_model.blocks.{self.layer}.attn.hook_rot_q", q, heads=True)
                self.keep(f"language_model.blocks.{self.layer}.attn.hook_rot_k", k, heads=True)
            return q, k

        modeling_llama.apply_rotary_pos_emb = rotate
        return self

    def __exit__(self, *_exc):
        modeling_llama.apply_rotary_pos_emb = self.rotate
        for handle in self.handles:
            handle.remove()
        for layer in self.skipped:
            del layer.forward


def occlude(pixels: torch.Tensor, cells: list[int], grid: int, processor) -> torch.Tensor:
    """Cells of a grid x grid partition set to black before normalisation, which is (0 - mean) / std after it."""
    mean, std = (torch.tensor(v).view(3, 1, 1) for v in (processor.image_mean, processor.image_std))
    pixels, side = pixels.clone(), pixels.shape[-1]
    for cell in cells:
        (top, bottom), (left, right) = (
            (i * side // grid, (i + 1) * side // grid) for i in (cell // grid, cell % grid)
        )
        pixels[:, :, top:bottom, left:right] = -mean / std
    return pixels


def cases(name: str, tokens: int, patches: int) -> list[dict]:
    """Pictures of all shapes; one in front, in the middle, two, none; then each intervention, and four together."""
    ask = "Is there a red circle?"
    shuffled = lambda seed: random.Random(seed).sample(range(tokens), tokens)  # noqa: E731
    half = sorted(random.Random(3).sample(range(patches), patches // 2))
    listed = [
        {"name": size, "text": f"USER: <image>\n{ask} ASSISTANT:", "images": [size]} for size in ("square", "wide", "tall", "tiny")
    ]
    listed += [
        {"name": "middle", "text": f"USER: Look: <image> {ask} ASSISTANT:", "images": ["wide"]},
        {"name": "two", "text": "USER: <image>\nand <image>\nWhat colour? ASSISTANT:", "images": ["square", "tall"]},
        {"name": "none", "text": f"USER: {ask} ASSISTANT:", "images": []},
    ]
    one = {"text": f"USER: <image>\n{ask} ASSISTANT:", "images": ["wide"]}
    changes = {
        "permute": {"permute": shuffled(1)},
        "occlude": {"occlude": half},
        "drop": {"drop_layers": [1]},
        "drop-tower": {"drop_tower_layers": [0]},
        "swap": {"swap_projector": "second"},
        "together": {"occlude": half[:3], "drop_tower_layers": [1], "permute": shuffled(2), "drop_layers": [0, 2]},
    }
    if name == "shapes":
        del changes["swap"]
    listed += [{"name": key, **one, "interventions": spec} for key, spec in changes.items()]
    return listed


@torch.no_grad()
def capture(name: str, case: dict, model, tokenizer, processor) -> dict[str, torch.Tensor]:
    spec = case.get("interventions", {})
    pictures = [Image.open(HERE / "pictures" / f"{p}.png").convert("RGB") for p in case["images"]]
    arguments = {}
    if pictures:
        pixels = processor(images=pictures, return_tensors="pt")["pixel_values"]
        pixels = occlude(pixels, spec.get("occlude", []), model.config.vision_config.image_size // model.config.vision_config.patch_size, processor)
        arguments["pixel_values"] = pixels
    ids = []
    for token in tokenizer(case["text"]).input_ids:
        ids += [token] * (model.config.image_seq_length if token == model.config.image_token_id else 1)
    ids = torch.tensor([ids])
    own = projector_weights(model)
    if "swap_projector" in spec:
        second = load_file(HERE / name / "second_projector.safetensors")
        swap_projector(model, second)
    with Recorder(model, spec) as recorder:
        model(input_ids=ids, **arguments, use_cache=False)
        recorder.recording = False
        greedy = model.generate(input_ids=ids, **arguments, do_sample=False, max_new_tokens=8, attention_mask=torch.ones_like(ids))
    swap_projector(model, own)
    values = {k: v for k, v in recorder.values.items() if kept(name, case["name"], k)}
    if "interventions" not in case and name != "shapes":
        values |= {k: v.float().contiguous() for k, v in arguments.items()}
    values["input_ids"] = ids[0].to(torch.int64)
    values["greedy"] = greedy[0, ids.shape[1] :].to(torch.int64).contiguous()
    return values


def kept(name: str, case: str, point: str) -> bool:
    """Two cases of the tiny sets hold every hook point; the others, and `shapes`, what keeps the repository small."""
    if name != "shapes" and case in ("wide", "together"):
        return True
    if case == "wide" and point.endswith("hook_resid_post"):
        return True
    return point.endswith(("projector.hook_out", "ln_final.hook_normalized"))


def swap_projector(model, weights: dict[str, torch.Tensor]) -> None:
    state = {k.removeprefix("multi_modal_projector."): v.float() for k, v in weights.items()}
    model.model.multi_modal_projector.load_state_dict(state)


def write_set(name: str) -> None:
    folder = HERE / name
    folder.mkdir(exist_ok=True)
    for old in folder.glob("*.safetensors"):
        old.unlink()
    source = SHAPES if name == "shapes" else save_tiny(name)
    model = LlavaForConditionalGeneration.from_pretrained(source, dtype=torch.float32, attn_implementation="eager").eval()
    tokenizer = AutoTokenizer.from_pretrained(source)
    config = json.loads((source / "preprocessor_config.json").read_text())
    processor = (LlavaImageProcessorPil if config.get("do_pad") else CLIPImageProcessorPil).from_pretrained(source)
    patches = (model.config.vision_config.image_size // model.config.vision_config.patch_size) ** 2
    listed = cases(name, model.config.image_seq_length, patches)
    for case in listed:
        values = capture(name, case, model, tokenizer, processor)
        save_file(values, folder / f"{case['name']}.safetensors")
        print(name, case["name"], len(values), values["greedy"].tolist())
    chat = [{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "Is there a red circle?"}]}]
    rendered = tokenizer.apply_chat_template(chat, tokenize=False, add_generation_prompt=True)
    (folder / "cases.json").write_text(json.dumps({"chat": rendered, "cases": listed}, indent=1))
    provenance = {
        "command": f"python tests/goldens/capture.py {name}",
        "versions": {
            "python": platform.python_version(), "torch": torch.__version__, "transformers": transformers.__version__,
            "tokenizers": tokenizers.__version__, "numpy": np.__version__,
        },
        "machine": platform.machine(), "weights": "bfloat16", "computed_in": "float32", "attention": "eager",
        "tolerance": {"relative_l2_per_hook_point": TOLERANCE, "greedy_tokens": "equal"},
    }  # fmt: skip
    (folder / "provenance.json").write_text(json.dumps(provenance, indent=1))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sets", nargs="*", default=["tiny-gqa-tied", "tiny-full-old-names", "shapes"])
    draw_pictures()
    for name in parser.parse_args().sets:
        write_set(name)


if __name__ == "__main__":
    sys.exit(main())
