"""Captures the goldens from Hugging Face transformers; the only writer of this folder's sets.

    python capture.py [SET ...]          default: all of SETS, sizes.json, the vectors of tests/vectors, tiny-dino and tiny-clip;
                                         `generation` alone: tests/vectors/generation.json and sampling.json
    python capture.py --model PATH_OR_ID [--out FOLDER] [--dtype float32]
    python capture.py --full-size FAMILY --out FOLDER

The second form makes a golden set for any checkpoint of the families, in PATH/goldens, where `scotoma parity` looks for it.
For a model of 7 billion parameters it takes 30 GB of memory in float32 and writes about 0.5 GB. The third form writes a
checkpoint with the dimensions of a family's 7B model, two layers that run in each stack and random weights, and its golden
set; for `scotoma parity --model FOLDER`.

A set is a folder: model/ (a tiny seeded checkpoint; the set of `shapes` is models/shapes/goldens), cases.json, one safetensors file a case
with the value at every hook point as rows, the logits at all positions and the greedy tokens. Interventions are applied
with PyTorch forward hooks, written here from their definitions and not from the server's code.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib
import inspect
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
from PIL import Image
from safetensors.torch import load_file, save_file
from transformers import (
    AutoModelForImageTextToText,
    AutoTokenizer,
    CLIPConfig,
    CLIPImageProcessorPil,
    CLIPModel,
    CLIPVisionConfig,
    Gemma2Config,
    GemmaConfig,
    GenerationConfig,
    LlamaConfig,
    LlavaConfig,
    LlavaForConditionalGeneration,
    LlavaNextConfig,
    LlavaNextForConditionalGeneration,
    LlavaNextProcessor,
    LlavaOnevisionConfig,
    LlavaOnevisionForConditionalGeneration,
    LlavaOnevisionProcessor,
    LlavaOnevisionVideoProcessor,
    MistralConfig,
    Phi3Config,
    PreTrainedModel,
    Qwen2Config,
    Qwen3Config,
    SiglipVisionConfig,
    ViTConfig,
    ViTModel,
    VipLlavaConfig,
    VipLlavaForConditionalGeneration,
)
from transformers.image_processing_utils import get_patch_output_size, select_best_resolution
from transformers.utils import cached_file

from families import OTHERS, kind_of
from interventions import Changes, Draws, donor_picture, intervention_cases
from transformers.models.llava.image_processing_pil_llava import LlavaImageProcessorPil
from transformers.models.llava_next.image_processing_pil_llava_next import LlavaNextImageProcessorPil
from transformers.models.vit.image_processing_pil_vit import ViTImageProcessorPil
from transformers.models.llava_onevision.image_processing_pil_llava_onevision import LlavaOnevisionImageProcessorPil

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
SHAPES = ROOT / "models" / "shapes"
TOLERANCE = 1e-5
TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja")
SIZES = {"square": (84, 84), "wide": (120, 50), "tall": (40, 97), "tiny": (9, 7), "huge": (420, 330)}
TINY = ("tiny-gqa-tied", "tiny-full-old-names", "tiny-next-llama", "tiny-next-mistral", "tiny-onevision")
DECODERS = ("tiny-phi3", "tiny-gemma", "tiny-gemma2", "tiny-qwen3", "tiny-vipllava")
"""What other decoders, kinds of rotary embedding and features differ in; with a choice of the cases."""
FEWER = (
    "wide", "tiny", "two", "none", "longer", "permute", "drop", "drop-tower", "swap", "together", "select-compact", "repeat", "repeat-tower",
    "exit", "exit-tower", "noise-additive", "noise-scores", "steer", "steer-head", "project-tower", "scale-pattern", "ablate",
    "patch", "knock-out", "prune", "prune-all-look", "composed-0",
)  # fmt: skip
SETS = (*TINY, *DECODERS, *OTHERS, "shapes")
NEXT_PINPOINTS = [[1, 2], [2, 1], [2, 2], [3, 1], [1, 3]]
ONEVISION_PINPOINTS = [[rows, columns] for rows in range(1, 7) for columns in range(1, 7)]


def draw_pictures(folder: Path) -> None:
    """Seeded pictures: flat blocks under noise, so that resizing has edges and texture to get wrong; the huge one is all
    blocks, to be small as a file."""
    folder.mkdir(exist_ok=True, parents=True)
    rng = np.random.default_rng(5)
    for name, (width, height) in SIZES.items():
        blocks = rng.integers(0, 256, (max(1, height // 12), max(1, width // 12), 3), dtype=np.uint8)
        picture = np.asarray(Image.fromarray(blocks).resize((width, height), Image.Resampling.NEAREST), dtype=int)
        noise = rng.integers(-20, 21, picture.shape) if name != "huge" else 0
        picture = np.clip(picture + noise, 0, 255).astype(np.uint8)
        Image.fromarray(picture).save(folder / f"{name}.png", optimize=True)


def vocabulary() -> int:
    return json.loads((SHAPES / "config.json").read_text())["text_config"]["vocab_size"]


def tiny_next(name: str) -> LlavaNextForConditionalGeneration:
    """A CLIP tower under a Llama, or under a Mistral whose window is shorter than any prompt."""
    vision = CLIPVisionConfig(
        hidden_size=32, intermediate_size=48, num_hidden_layers=3, num_attention_heads=4, image_size=28, patch_size=7,
        projection_dim=16, initializer_factor=4.0,
    )  # fmt: skip
    common = {
        "vocab_size": vocabulary(), "hidden_size": 32, "intermediate_size": 56, "num_hidden_layers": 3,
        "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 8, "max_position_embeddings": 1024,
        "initializer_range": 0.2, "bos_token_id": 0, "eos_token_id": 1, "pad_token_id": 2,
    }  # fmt: skip
    text = MistralConfig(**common, sliding_window=24) if name == "tiny-next-mistral" else LlamaConfig(**common)
    torch.manual_seed(13)
    return LlavaNextForConditionalGeneration(
        LlavaNextConfig(
            vision_config=vision, text_config=text, image_token_index=3, vision_feature_layer=-2, pad_token_id=2,
            vision_feature_select_strategy="default", image_grid_pinpoints=tiles_of(NEXT_PINPOINTS, 28),
        )  # fmt: skip
    )


def tiny_decoder(name: str) -> PreTrainedModel:
    """Phi-3 under LongRoPE with parts of heads rotated; Gemma with one key-value head; Gemma 2 under YaRN over three layers of the
    tower; Qwen3 with windows above the first layer, under Llama 3's frequencies; ViP-LLaVA."""
    common = {
        "vocab_size": vocabulary(), "hidden_size": 32, "intermediate_size": 56, "num_hidden_layers": 3,
        "num_attention_heads": 4, "initializer_range": 0.2, "bos_token_id": 0, "eos_token_id": 1, "pad_token_id": 2,
    }  # fmt: skip
    sizes = {
        "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 3, "num_attention_heads": 4, "image_size": 28,
        "patch_size": 7,
    }  # fmt: skip
    clip = CLIPVisionConfig(**sizes, projection_dim=16, initializer_factor=4.0)
    shared = {"vision_config": clip, "image_token_index": 3, "pad_token_id": 2}
    torch.manual_seed(20 + DECODERS.index(name))
    if name == "tiny-phi3":
        # "two" begins beyond the original length, "longer" comes to it while it writes.
        text = Phi3Config(
            **common, num_key_value_heads=2, max_position_embeddings=256, original_max_position_embeddings=40, sliding_window=24,
            rope_parameters={
                "rope_type": "longrope", "rope_theta": 10000.0, "partial_rotary_factor": 0.5, "short_factor": [1.1, 1.7],
                "long_factor": [2.0, 9.5],
            },
        )  # fmt: skip
        return LlavaForConditionalGeneration(LlavaConfig(**shared, text_config=text, image_seq_length=16))
    if name == "tiny-gemma":
        text = GemmaConfig(
            **common, num_key_value_heads=1, head_dim=12, max_position_embeddings=512,
            rope_parameters={"rope_type": "dynamic", "rope_theta": 5000.0, "factor": 4.0},
        )  # fmt: skip
        return LlavaNextForConditionalGeneration(
            LlavaNextConfig(
                **shared, text_config=text, image_grid_pinpoints=tiles_of(NEXT_PINPOINTS, 28), tie_word_embeddings=True
            )
        )
    if name == "tiny-gemma2":
        text = Gemma2Config(
            **common, num_key_value_heads=2, head_dim=12, max_position_embeddings=256, sliding_window=20,
            tie_word_embeddings=False, query_pre_attn_scalar=20, attn_logit_softcapping=3.0, final_logit_softcapping=5.0,
            rope_parameters={
                "rope_type": "yarn", "rope_theta": 10000.0, "factor": 4.0, "original_max_position_embeddings": 64,
                "beta_fast": 8.0, "beta_slow": 1.0,
            },
        )  # fmt: skip
        config = LlavaConfig(**shared, text_config=text, vision_feature_layer=[-1, 1, -2], image_seq_length=16)
        return LlavaForConditionalGeneration(config)
    if name == "tiny-qwen3":
        text = Qwen3Config(
            **common, num_key_value_heads=2, head_dim=12, max_position_embeddings=1024, attention_bias=True,
            use_sliding_window=True, sliding_window=24, max_window_layers=1,
            rope_parameters={
                "rope_type": "llama3", "rope_theta": 10000.0, "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
                "original_max_position_embeddings": 64,
            },
        )  # fmt: skip
        vision = SiglipVisionConfig(**sizes, vision_use_head=False)
        return LlavaOnevisionForConditionalGeneration(
            LlavaOnevisionConfig(
                vision_config=vision, text_config=text, image_token_index=3, vision_aspect_ratio="anyres_max_2",
                image_grid_pinpoints=tiles_of(ONEVISION_PINPOINTS, 28), pad_token_id=2,
            )  # fmt: skip
        )
    text = LlamaConfig(
        **common, num_key_value_heads=2, max_position_embeddings=256,
        rope_parameters={
            "rope_type": "yarn", "rope_theta": 10000.0, "factor": 8.0, "original_max_position_embeddings": 32, "mscale": 1.2,
            "mscale_all_dim": 0.8, "truncate": False,
        },
    )  # fmt: skip
    config = VipLlavaConfig(**shared, text_config=text, vision_feature_layers=[-2, 1], image_seq_length=16)
    return VipLlavaForConditionalGeneration(config)


def tiny_onevision() -> LlavaOnevisionForConditionalGeneration:
    """A SigLIP tower under a Qwen2 with a tied head; more than two tiles' worth of tokens are scaled down."""
    vision = SiglipVisionConfig(
        hidden_size=32, intermediate_size=48, num_hidden_layers=3, num_attention_heads=4, image_size=28, patch_size=7,
        vision_use_head=False,
    )  # fmt: skip
    text = Qwen2Config(
        vocab_size=vocabulary(), hidden_size=32, intermediate_size=56, num_hidden_layers=3, num_attention_heads=4,
        num_key_value_heads=2, max_position_embeddings=1024, initializer_range=0.2, bos_token_id=0, eos_token_id=1,
        pad_token_id=2, tie_word_embeddings=True,
    )  # fmt: skip
    torch.manual_seed(14)
    return LlavaOnevisionForConditionalGeneration(
        LlavaOnevisionConfig(
            vision_config=vision, text_config=text, image_token_index=3, vision_aspect_ratio="anyres_max_2",
            image_grid_pinpoints=tiles_of(ONEVISION_PINPOINTS, 28), tie_word_embeddings=True, pad_token_id=2,
        )  # fmt: skip
    )


def tiles_of(pinpoints: list[list[int]], side: int) -> list[list[int]]:
    return [[rows * side, columns * side] for rows, columns in pinpoints]


def tiny(name: str) -> PreTrainedModel:
    """A seeded checkpoint whose norms, biases and projector are not at their initial values."""
    if name in DECODERS:
        model = tiny_decoder(name)
    elif name in OTHERS:
        model = OTHERS[name].tiny(vocabulary())
    elif name.startswith("tiny-next"):
        model = tiny_next(name)
    elif name == "tiny-onevision":
        model = tiny_onevision()
    else:
        model = tiny_llava(name)
    with torch.no_grad():
        for parameter_name, parameter in model.named_parameters():
            if "norm" in parameter_name or "bias" in parameter_name:
                parameter.add_(torch.randn_like(parameter) * 0.1)
            elif name == "tiny-gemma" and "embed_tokens" in parameter_name:
                # As large as they begin, a tied head would answer with the last token for ever.
                parameter.mul_(0.1)
            elif "multi_modal_projector" in parameter_name or "patch_embedding" in parameter_name:
                parameter.normal_(0.0, 0.2)
    return model.to(torch.bfloat16).eval()


def tiny_llava(name: str) -> LlavaForConditionalGeneration:
    """Two checkpoints that differ in all that LLaVA-1.5 configurations differ in."""
    gqa = name == "tiny-gqa-tied"
    vision = CLIPVisionConfig(
        hidden_size=32, intermediate_size=48, num_hidden_layers=3, num_attention_heads=4, image_size=28, patch_size=7,
        projection_dim=16, initializer_factor=4.0, hidden_act="quick_gelu" if gqa else "gelu",
    )  # fmt: skip
    text = LlamaConfig(
        vocab_size=vocabulary(), hidden_size=32, intermediate_size=56, num_hidden_layers=3, num_attention_heads=4,
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
    return LlavaForConditionalGeneration(config)


def save_tiny(name: str) -> Path:
    """Writes the checkpoint, its tokenizer and its image processor; the second one sharded, under the hub's old names."""
    folder = HERE / name / "model"
    shutil.rmtree(folder, ignore_errors=True)
    model = tiny(name)
    model.save_pretrained(folder)
    if name in OTHERS:
        OTHERS[name].save(folder)
        return with_second(name, model)
    for file in TOKENIZER_FILES:
        shutil.copy(SHAPES / file, folder / file)
    square = {"height": 28, "width": 28}
    if model.config.model_type == "llava_next":
        LlavaNextImageProcessorPil(
            size={"shortest_edge": 28}, crop_size=square, image_grid_pinpoints=model.config.image_grid_pinpoints
        ).save_pretrained(folder)
    elif model.config.model_type == "llava_onevision":
        LlavaOnevisionImageProcessorPil(
            size=square, image_grid_pinpoints=model.config.image_grid_pinpoints
        ).save_pretrained(folder)
    elif name == "tiny-gqa-tied" or name in DECODERS:
        CLIPImageProcessorPil(size={"shortest_edge": 32}, crop_size=square).save_pretrained(folder)
    else:
        LlavaImageProcessorPil(size={"shortest_edge": 28}, crop_size=square, do_pad=True).save_pretrained(folder)
        rename_and_shard(folder)
    return with_second(name, model)


def with_second(name: str, model: PreTrainedModel) -> Path:
    """The checkpoint of a set, with a second projector beside it."""
    second = {k: v.float().flip(0).to(torch.bfloat16).contiguous() for k, v in projector_weights(model).items()}
    save_file(second, HERE / name / "second_projector.safetensors")
    return HERE / name / "model"


def projector_weights(model: PreTrainedModel) -> dict[str, torch.Tensor]:
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


def as_pickles(folder: Path) -> None:
    """PyTorch's zip files in place of safetensors: two shards with an index, and the second projector as the original LLaVA
    writes it."""
    model = folder / "model"
    tensors = load_file(model / "model.safetensors")
    (model / "model.safetensors").unlink()
    keys = sorted(tensors)
    shards = {"pytorch_model-00001-of-00002.bin": keys[::2], "pytorch_model-00002-of-00002.bin": keys[1::2]}
    for file, members in shards.items():
        torch.save({k: tensors[k] for k in members}, model / file)
    index = {"metadata": {}, "weight_map": {k: f for f, members in shards.items() for k in members}}
    (model / "pytorch_model.bin.index.json").write_text(json.dumps(index, indent=1, sort_keys=True))
    second = load_file(folder / "second_projector.safetensors")
    (folder / "second_projector.safetensors").unlink()
    original = {"linear_1": "0", "linear_2": "2"}
    named = {}
    for key, value in second.items():
        _, layer, kind = key.split(".")
        named[f"model.mm_projector.{original[layer]}.{kind}"] = value
    torch.save(named, folder / "mm_projector.bin")


def full_size(family: str) -> PreTrainedModel:
    """The real dimensions of a 7B model, but for the layers: two run in each stack."""
    clip = CLIPVisionConfig(
        hidden_size=1024, intermediate_size=4096, num_hidden_layers=3, num_attention_heads=16, image_size=336,
        patch_size=14, projection_dim=768,
    )  # fmt: skip
    ids = {"bos_token_id": 0, "eos_token_id": 1, "pad_token_id": 2}
    torch.manual_seed(15)
    if family == "llava":
        text = LlamaConfig(
            vocab_size=32064, hidden_size=4096, intermediate_size=11008, num_hidden_layers=2, num_attention_heads=32,
            max_position_embeddings=4096, rms_norm_eps=1e-5, **ids,
        )  # fmt: skip
        config = LlavaConfig(vision_config=clip, text_config=text, image_token_index=3, image_seq_length=576)
        return LlavaForConditionalGeneration(config)
    if family == "llava_next":
        text = MistralConfig(
            vocab_size=32064, hidden_size=4096, intermediate_size=14336, num_hidden_layers=2, num_attention_heads=32,
            num_key_value_heads=8, max_position_embeddings=32768, rms_norm_eps=1e-5, sliding_window=None,
            rope_parameters={"rope_type": "default", "rope_theta": 1e6}, **ids,
        )  # fmt: skip
        pinpoints = tiles_of(NEXT_PINPOINTS, 336)
        return LlavaNextForConditionalGeneration(
            LlavaNextConfig(vision_config=clip, text_config=text, image_token_index=3, image_grid_pinpoints=pinpoints)
        )
    siglip = SiglipVisionConfig(
        hidden_size=1152, intermediate_size=4304, num_hidden_layers=2, num_attention_heads=16, image_size=384,
        patch_size=14, vision_use_head=False,
    )  # fmt: skip
    text = Qwen2Config(
        vocab_size=152000, hidden_size=3584, intermediate_size=18944, num_hidden_layers=2, num_attention_heads=28,
        num_key_value_heads=4, max_position_embeddings=32768, rope_parameters={"rope_type": "default", "rope_theta": 1e6},
        **ids,
    )  # fmt: skip
    return LlavaOnevisionForConditionalGeneration(
        LlavaOnevisionConfig(vision_config=siglip, text_config=text, image_token_index=3)
    )


def write_full_size(family: str, folder: Path) -> None:
    model = full_size(family).to(torch.bfloat16).eval()
    model.save_pretrained(folder)
    for file in TOKENIZER_FILES:
        shutil.copy(SHAPES / file, folder / file)
    processor = {
        "llava": lambda: CLIPImageProcessorPil(size={"shortest_edge": 336}, crop_size={"height": 336, "width": 336}),
        "llava_next": lambda: LlavaNextImageProcessorPil(
            size={"shortest_edge": 336}, crop_size={"height": 336, "width": 336},
            image_grid_pinpoints=tiles_of(NEXT_PINPOINTS, 336),
        ),
        "llava_onevision": LlavaOnevisionImageProcessorPil,
    }[family]  # fmt: skip
    processor().save_pretrained(folder)
    del model
    draw_pictures(folder / "goldens" / "pictures")
    write("full", folder, folder / "goldens", torch.float32, f"capture.py --full-size {family}", ("tiny", "none"), 2)


def features_of(config) -> tuple[str, list[int]]:
    """The field that names the layers of the tower whose outputs are read, and their entries in its hidden states."""
    field = "vision_feature_layers" if config.model_type == "vipllava" else "vision_feature_layer"
    layers = getattr(config, field)
    entries = config.vision_config.num_hidden_layers + 1
    return field, [layer % entries for layer in ([layers] if isinstance(layers, int) else layers)]


class Recorder:
    """Records the value at every hook point, as rows, and applies changes on the way."""

    def __init__(self, model: PreTrainedModel, changes: Changes, family=None, views: list[torch.Tensor] = ()) -> None:
        self.model, self.changes, self.family, self.views = model, changes, family, views
        self.values: dict[str, torch.Tensor] = {}
        self.handles: list = []
        self.layers: dict[int, tuple[str, int]] = {}
        """By id of an attention module: its prefix and its layer."""
        self.at = ""
        """The prefix of the attention that runs."""
        self.recording = self.active = True
        self.pictures: dict[str, list[torch.Tensor]] | None = None
        """By name: the values of each picture, where a tower sees them one by one."""

    def keep(self, name: str, value: torch.Tensor, *, heads: str = "") -> torch.Tensor:
        """Changes and records a value (B, R, D). `heads`: "flat" where R x (H Dh), "first" where (B, H, R, Dh or S)."""
        if not self.active:
            return value
        rows = value.transpose(1, 2) if heads == "first" else value
        if heads == "flat":
            config = self.model.config.text_config if name.startswith("language") else self.model.config.vision_config
            count = config.num_attention_heads
            if name.endswith(("hook_k", "hook_v")):
                count = getattr(config, "num_key_value_heads", None) or count
            rows = rows.unflatten(-1, (count, -1))
        rows = torch.stack([self.changes.at(name, r, view, rows.shape[1]) for view, r in enumerate(rows)])
        if self.recording:
            kept = rows.transpose(1, 2) if name.endswith(("scores", "pattern")) else rows
            kept = torch.where(kept < -1e30, 0.0, kept.float())
            if name.startswith("language_model.ln_final"):
                gone = set(self.changes.left_before(1 << 30))
                kept = kept[:, [i for i in range(kept.shape[1]) if i not in gone]]
            self.values[name] = kept.detach().contiguous().clone()
            if self.pictures is not None and not name.startswith("language_model"):
                self.pictures.setdefault(name, []).append(self.values[name])
                self.values[name] = torch.cat([value.flatten() for value in self.pictures[name]])
        rows = rows.flatten(-2) if heads == "flat" else rows
        return rows.transpose(1, 2) if heads == "first" else rows

    def next_picture(self) -> None:
        """The tower sees one more picture by itself."""
        if self.active:
            self.pictures = self.pictures or {}

    def on(self, module: torch.nn.Module, hook) -> None:
        self.handles.append(module.register_forward_hook(hook))

    def out(self, module: torch.nn.Module, name: str, heads: str = "", scale: torch.Tensor | float = 1.0) -> None:
        def hook(_m, _a, output):
            if isinstance(output, tuple):
                return (self.keep(name, output[0] * scale, heads=heads), *output[1:])
            return self.keep(name, output * scale, heads=heads)

        self.on(module, hook)

    def parts(self, module: torch.nn.Module, names: tuple[str, ...], shares: tuple[int, ...], heads: str = "") -> None:
        """The output of a fused layer, which holds the values of several hook points side by side."""

        def hook(_m, _a, output):
            widths = [output.shape[-1] // sum(shares) * share for share in shares]
            values = zip(names, output.split(widths, dim=-1), strict=True)
            return torch.cat([self.keep(name, value, heads=heads) for name, value in values], dim=-1)

        self.on(module, hook)

    def into(self, module: torch.nn.Module, name: str, heads: str = "") -> None:
        def hook(_m, args, kwargs):
            if args:
                return (self.keep(name, args[0], heads=heads), *args[1:]), kwargs
            return args, kwargs | {"hidden_states": self.keep(name, kwargs["hidden_states"], heads=heads)}

        self.handles.append(module.register_forward_pre_hook(hook, with_kwargs=True))

    def block(self, layer: torch.nn.Module, at: str, index: int, names: dict[str, str]) -> None:
        attention = getattr(layer, names.get("attention", "self_attn"))
        self.layers[id(attention)] = (at, index)
        ln1 = getattr(layer, names["ln1"])
        self.handles.append(ln1.register_forward_pre_hook(lambda _m, _a: setattr(self, "at", at)))
        self.into(layer, f"{at}.hook_resid_pre")
        self.out(ln1, f"{at}.ln1.hook_normalized")
        scale = self.moved(layer, "lambda_1")
        self.out(getattr(layer, names.get("attn_out", "self_attn")), f"{at}.hook_attn_out", scale=scale)
        if hasattr(attention, "qkv_proj"):
            config = attention.config
            shares = (config.num_attention_heads, config.num_key_value_heads, config.num_key_value_heads)
            self.parts(attention.qkv_proj, tuple(f"{at}.attn.hook_{letter}" for letter in "qkv"), shares, "flat")
        else:
            for letter in "qkv":
                self.out(getattr(attention, f"{letter}_proj"), f"{at}.attn.hook_{letter}", "flat")
        self.into(getattr(attention, names["o"]), f"{at}.attn.hook_z", "flat")
        # Where a block adds the attention's output to the stream its norm reads the sum; there it is only recorded.
        self.into(getattr(layer, names["ln2"]), f"{at}.hook_resid_mid")
        self.out(getattr(layer, names["ln2"]), f"{at}.ln2.hook_normalized")
        self.out(layer, f"{at}.hook_resid_post")

    def moved(self, layer: torch.nn.Module, name: str) -> torch.Tensor | float:
        """The layer scale `name` of a tower's layer, which has ones in its place until the end: a hook multiplies by it."""
        scale = getattr(layer, name, None)
        if scale is None:
            return 1.0
        self.stacks.append((layer, name, scale))
        setattr(layer, name, torch.nn.Parameter(torch.ones_like(scale)))
        return scale.detach()

    def install(self) -> None:
        model = self.model.model
        tower = model.vision_tower
        field, features = features_of(self.model.config)
        run = max(features)
        self.stacks: list = []
        first = "pre_layrnorm" if hasattr(tower, "pre_layrnorm") else "embeddings"
        names = {"ln1": "layer_norm1", "ln2": "layer_norm2", "o": "out_proj", "mlp": "mlp", "pre": "fc1", "post": "fc2"}
        stack, list_name = "encoder", "layers"
        if self.family:
            (stack, list_name, first), names = self.family.tower, self.family.names
        self.out(getattr(tower, first), "vision_tower.hook_embed")
        owner = getattr(tower, stack)
        layers = list(getattr(owner, list_name))
        for index, layer in enumerate(layers[:run]):
            at = f"vision_tower.blocks.{index}"
            self.block(layer, at, index, names)
            mlp = getattr(layer, names["mlp"])
            self.out(getattr(mlp, names["pre"]), f"{at}.mlp.hook_pre")
            if "linear" in names:
                self.out(getattr(mlp, names["linear"]), f"{at}.mlp.hook_pre_linear")
            self.into(getattr(mlp, names["post"]), f"{at}.mlp.hook_post")
            self.out(getattr(mlp, names["post"]), f"{at}.hook_mlp_out", scale=self.moved(layer, "lambda_2"))
        for index, layer in enumerate(layers[run:]):
            self.layers[id(getattr(layer, names.get("attention", "self_attn")))] = ("", run + index)
        path = self.changes.path("STACK_VISION_TOWER", run)
        self.stacks.append((owner, list_name, getattr(owner, list_name)))
        setattr(owner, list_name, torch.nn.ModuleList([layers[i] for i in path] + layers[run:]))
        if len(features) > 1:
            # Where layers are left out or run again, an entry is what the last pass through a layer below it has left.
            self.stacks.append((self.model.config, field, getattr(self.model.config, field)))
            reads = [max((i + 1 for i, layer in enumerate(path) if layer < entry), default=0) for entry in features]
            setattr(self.model.config, field, reads)
        projector = model.multi_modal_projector
        norms = (getattr(projector, name, None) for name in ("projector_layernorm", "layer_norm"))
        self.into(next((norm for norm in norms if norm is not None), projector.linear_1), "projector.hook_in")
        self.out(projector.linear_1, "projector.hook_pre")
        self.into(projector.linear_2, "projector.hook_post")
        self.out(projector, "projector.hook_out")
        language = model.language_model

        def embed(_m, args, kwargs):
            return args, kwargs | {"inputs_embeds": self.keep("language_model.hook_embed", kwargs["inputs_embeds"])}

        self.handles.append(language.register_forward_pre_hook(embed, with_kwargs=True))
        layers = list(language.layers)
        for index, layer in enumerate(layers):
            at = f"language_model.blocks.{index}"
            # What Gemma 2 norms after a part, the stream gets normed.
            after = hasattr(layer, "pre_feedforward_layernorm")
            names = {
                "ln1": "input_layernorm", "ln2": "pre_feedforward_layernorm" if after else "post_attention_layernorm",
                "o": "o_proj", "attn_out": "post_attention_layernorm" if after else "self_attn",
            }  # fmt: skip
            self.block(layer, at, index, names)
            if hasattr(layer.mlp, "gate_up_proj"):
                self.parts(layer.mlp.gate_up_proj, (f"{at}.mlp.hook_pre", f"{at}.mlp.hook_pre_linear"), (1, 1))
            else:
                self.out(layer.mlp.gate_proj, f"{at}.mlp.hook_pre")
                self.out(layer.mlp.up_proj, f"{at}.mlp.hook_pre_linear")
            self.into(layer.mlp.down_proj, f"{at}.mlp.hook_post")
            self.out(layer.post_feedforward_layernorm if after else layer.mlp, f"{at}.hook_mlp_out")
        path = self.changes.path("STACK_LANGUAGE_MODEL", len(layers))
        self.stacks.append((language, "layers", language.layers))
        language.layers = torch.nn.ModuleList([layers[i] for i in path])
        self.depth = language.config.num_hidden_layers
        if types := getattr(language.config, "layer_types", None):
            self.stacks.append((language.config, "layer_types", types))
            language.config.layer_types = [types[i] for i in path]
        language.config.num_hidden_layers = len(path)
        self.out(language.norm, "language_model.ln_final.hook_normalized")
        self.out(self.model.lm_head, "language_model.hook_logits")

    def pack(self, *args, **kwargs):
        """The model's get_image_features, with the tokens of each picture changed."""
        given = inspect.signature(self.packed).bind(*args, **kwargs)
        given = given.arguments.pop("kwargs", {}) | given.arguments
        if self.family:
            outputs, outputs.pooler_output = self.family.features(self.packed, given, self.views, self)
        else:
            outputs = self.packed(*args, **kwargs)

        def donor_of(data: bytes) -> torch.Tensor:
            self.active = False
            inputs = self.donor(donor_picture(data))
            if self.family:
                found = self.family.features(self.packed, given, self.family.views(inputs), self)[1][0]
            else:
                found = self.packed(**(given | inputs)).pooler_output[0]
            self.active = True
            return found.float().cpu()

        # Changes are computed in full precision wherever the model runs.
        rows = enumerate(outputs.pooler_output)
        tokens = [self.changes.tokens(t.float().cpu(), i, donor_of).to(t) for i, t in rows]
        if self.recording:
            self.values["projector.hook_tokens"] = torch.cat(tokens).float().contiguous().clone()
        if self.family:
            outputs.pooler_output = self.family.joined(tokens)
        else:
            outputs.pooler_output = torch.stack(tokens) if torch.is_tensor(outputs.pooler_output) else tokens
        return outputs

    def attend(self, module, query, key, value, attention_mask, scaling, dropout=0.0, softcap=None, **_kwargs):
        """Eager attention, with scores and pattern in between."""
        at, layer = self.layers[id(module)]
        groups = query.shape[1] // key.shape[1]
        key, value = key.repeat_interleave(groups, 1), value.repeat_interleave(groups, 1)
        scores = query @ key.transpose(2, 3) * scaling
        if softcap is not None:
            scores = torch.tanh(scores / softcap) * softcap
        if attention_mask is not None:
            scores = scores + attention_mask[..., : key.shape[-2]]
            scores = torch.where(scores < -1e30, -torch.inf, scores)
        language = at.startswith("language")
        if at:
            scores = self.keep(f"{at}.attn.hook_attn_scores", scores, heads="first")
            stack = "STACK_LANGUAGE_MODEL" if language else "STACK_VISION_TOWER"
            hidden = self.changes.hidden(stack, layer, *scores.shape[1:]) if self.active else None
            if hidden is not None:
                scores = scores.masked_fill(hidden.to(scores.device), -torch.inf)
        if language:
            scores[..., self.changes.left_before(layer)] = -torch.inf
        pattern = torch.softmax(scores, dim=-1, dtype=torch.float32).nan_to_num(0.0).to(query.dtype)
        if at:
            pattern = self.keep(f"{at}.attn.hook_pattern", pattern, heads="first")
        if language:
            self.changes.prune(layer, pattern[0].float().cpu())
        return (pattern @ value).transpose(1, 2).contiguous(), pattern

    def __enter__(self):
        self.install()
        kinds = self.model.config.text_config.model_type, self.model.config.vision_config.model_type.split("_")[0]
        text, vision = (importlib.import_module(f"transformers.models.{kind}.modeling_{kind}") for kind in kinds)
        self.patched = [(m, n, getattr(m, n)) for m, n in (
            (text, "apply_rotary_pos_emb"), (text, "eager_attention_forward"), (vision, "eager_attention_forward"),
        )]  # fmt: skip
        if hasattr(vision, "apply_rotary_pos_emb"):
            self.patched.append((vision, "apply_rotary_pos_emb", vision.apply_rotary_pos_emb))
        self.packed = self.model.model.get_image_features
        self.model.model.get_image_features = self.pack

        def rotating(turn):
            def rotate(q, k, *args, **kwargs):
                q, k = turn(q, k, *args, **kwargs)
                at = f"{self.at}.attn"
                return self.keep(f"{at}.hook_rot_q", q, heads="first"), self.keep(f"{at}.hook_rot_k", k, heads="first")

            return rotate

        for owner, name, turn in self.patched:
            if name == "apply_rotary_pos_emb":
                setattr(owner, name, rotating(turn))
        text.eager_attention_forward = vision.eager_attention_forward = self.attend
        return self

    def __exit__(self, *_exc):
        for owner, name, old in self.patched + self.stacks:
            setattr(owner, name, old)
        self.model.model.language_model.config.num_hidden_layers = self.depth
        del self.model.model.get_image_features
        for handle in self.handles:
            handle.remove()


def retouch(
    pixels: torch.Tensor, picture: Image.Image, changes: Changes, image: int, processor, tiles: tuple[int, int] | None = None
) -> torch.Tensor:
    """The views of one picture (V, 3, S, S) after the changes of pictures, which see 8-bit values: on the base view, and on the
    part of the canvas that the picture covers: all of it where `tiles` (rows, columns) are given."""
    mean, std = (np.float32(v) for v in (processor.image_mean, processor.image_std))
    side = pixels.shape[-1]
    old = np.rint((pixels.permute(0, 2, 3, 1).numpy() * std + mean) * 255).astype(np.uint8)
    views, exact = old.copy(), np.zeros(old.shape, bool)
    areas, means = [views[0]], [exact[0]]
    if len(views) > 1:
        size = (picture.height, picture.width)
        if tiles:
            height, width = tiles[0] * side, tiles[1] * side
        else:
            height, width = select_best_resolution(size, processor.image_grid_pinpoints)
        rows, columns = height // side, width // side
        whole = lambda tiles: tiles.reshape(rows, columns, side, side, 3).transpose(0, 2, 1, 3, 4).reshape(height, width, 3).copy()  # noqa: E731
        canvas, canvas_exact = whole(views[1:]), whole(exact[1:])
        inner = (height, width) if tiles else get_patch_output_size(np.zeros((3, *size)), (height, width), "channels_first")
        top, left = (height - inner[0]) // 2, (width - inner[1]) // 2
        areas.append(canvas[top : top + inner[0], left : left + inner[1]])
        means.append(canvas_exact[top : top + inner[0], left : left + inner[1]])
    changes.pictures(areas, means, processor.image_mean, processor.image_std, image)
    if len(views) > 1:
        for all_views, of in ((views, canvas), (exact, canvas_exact)):
            all_views[1:] = of.reshape(rows, side, columns, side, 3).transpose(0, 2, 1, 3, 4).reshape(-1, side, side, 3)
    new = torch.from_numpy(((views.astype(np.float32) * np.float32(1 / 255)) - mean) / std).permute(0, 3, 1, 2)
    changed = torch.where(torch.from_numpy(old != views).permute(0, 3, 1, 2), new, pixels)
    return torch.where(torch.from_numpy(exact).permute(0, 3, 1, 2), 0.0, changed)


def cases(swap: bool, every: bool, model, inputs_of) -> list[dict]:
    """Pictures of all shapes; one in front, in the middle, two, three, none; then each intervention, and several together."""
    ask = "Is there a red circle?"
    one = {"text": f"USER: <image>\n{ask} ASSISTANT:", "images": ["wide"]}
    tokens = int((inputs_of(one)[1]["input_ids"] == model.config.image_token_id).sum())
    if inputs_of.family:
        rows, columns = inputs_of.family.grid(inputs_of.views(one)[0])
        patches = rows * columns
    else:
        patches = (model.config.vision_config.image_size // model.config.vision_config.patch_size) ** 2
    shuffled = lambda seed: random.Random(seed).sample(range(tokens), tokens)  # noqa: E731
    half = sorted(random.Random(3).sample(range(patches), patches // 2))
    listed = [{"name": size, "text": one["text"], "images": [size]} for size in SIZES]
    listed += [
        {"name": "middle", "text": f"USER: Look: <image> {ask} ASSISTANT:", "images": ["wide"]},
        {"name": "two", "text": "USER: <image>\nand <image>\nWhat colour? ASSISTANT:", "images": ["square", "tall"]},
        {"name": "three", "text": "USER: <image> <image>\n<image> ASSISTANT:", "images": ["tall", "tiny", "wide"]},
        {"name": "none", "text": f"USER: {ask} ASSISTANT:", "images": []},
    ]
    permute = lambda seed: {"permuteTokens": {"order": {"indices": shuffled(seed)}}}  # noqa: E731
    occlude = lambda cells: {"occludePatches": {"indices": {"indices": cells}}}  # noqa: E731
    drop_tower = lambda *layers: {"dropLayers": {"stack": "STACK_VISION_TOWER", "layers": list(layers)}}  # noqa: E731
    changes = {
        "permute": [permute(1)],
        "occlude": [occlude(half)],
        "drop": [{"dropLayers": {"layers": [1]}}],
        "drop-tower": [drop_tower(0)],
        "swap": [{"swapProjector": {"name": "second"}}],
        "together": [occlude(half[:3]), drop_tower(1), permute(2), {"dropLayers": {"layers": [0, 2]}}],
    }
    if not swap:
        del changes["swap"]
    if every:
        changes |= intervention_cases(model, tokens, inputs_of(one)[1]["input_ids"].shape[1])
    if inputs_of.family:
        changes |= inputs_of.family.more()
        # By its width in pixels: pictures that are not square have no side that a default could be a part of.
        changes["occlude-blur"][0]["occludePatches"]["blurSigma"] = 1.5
    if model.config.text_config.model_type == "phi3":
        listed.append({"name": "longer", "text": f"USER: <image>\n{ask} Is there a blue square? ASSISTANT:", "images": ["wide"]})
    for case in listed:
        case["question"] = ask
    listed += [{"name": key, **one, "question": ask, "interventions": listed} for key, listed in changes.items()]
    return listed


def preparer(model, tokenizer, processor, pictures_in: Path):
    """A function from a case to its pictures and the model's inputs, visual tokens counted by Hugging Face's processor."""
    config = model.config
    patch = config.vision_config.patch_size
    family = {
        "llava_next": lambda: LlavaNextProcessor(
            processor, tokenizer, patch_size=patch, vision_feature_select_strategy="default",
            num_additional_image_tokens=1,
        ),
        "llava_onevision": lambda: LlavaOnevisionProcessor(
            processor, tokenizer, LlavaOnevisionVideoProcessor(), num_image_tokens=(config.vision_config.image_size // patch) ** 2,
            vision_feature_select_strategy="full", vision_aspect_ratio=config.vision_aspect_ratio,
        ),
    }.get(config.model_type)  # fmt: skip
    together = family() if family else None
    kind = kind_of(config)
    own = kind(model, tokenizer, model.name_or_path) if kind else None

    def raw(case: dict) -> tuple[list[Image.Image], dict]:
        """As transformers' own processor has them."""
        pictures = [Image.open(pictures_in / f"{p}.png").convert("RGB") for p in case["images"]]
        inputs = dict(own.together(text=own.text(case["text"]), images=pictures or None, return_tensors="pt"))
        inputs.pop("attention_mask", None)
        return pictures, inputs

    def views(case: dict) -> list[torch.Tensor]:
        pictures = [Image.open(pictures_in / f"{p}.png").convert("RGB") for p in case["images"]]
        return own.views(dict(own.processor(images=pictures, return_tensors="pt"))) if pictures else []

    def inputs_of(case: dict) -> tuple[list[Image.Image], dict]:
        if own:
            pictures, inputs = raw(case)
            return pictures, {"input_ids": own.ids(inputs["input_ids"])} | (own.inputs(views(case)) if pictures else {})
        pictures = [Image.open(pictures_in / f"{p}.png").convert("RGB") for p in case["images"]]
        if together and pictures:
            inputs = dict(together(text=case["text"], images=[pictures], return_tensors="pt"))
            inputs.pop("attention_mask")
            return pictures, inputs
        inputs = {}
        if pictures:
            inputs["pixel_values"] = processor(images=pictures, return_tensors="pt")["pixel_values"]
        ids = []
        for token in tokenizer(case["text"]).input_ids:
            ids += [token] * (config.image_seq_length if token == config.image_token_id else 1)
        return pictures, inputs | {"input_ids": torch.tensor([ids])}

    inputs_of.tokenizer, inputs_of.family, inputs_of.raw, inputs_of.views = tokenizer, own, raw, views
    return inputs_of


def views_of(pixels: torch.Tensor, picture: int, model, size: tuple[int, int], several: bool) -> int:
    """How many of the views that `pixels` holds for a picture are real; the rest pads a batch."""
    if pixels.dim() == 4:
        return 1
    if model.config.model_type == "llava_onevision" and several:
        return 1
    side = model.config.vision_config.image_size
    height, width = select_best_resolution(size, model.config.image_grid_pinpoints)
    return 1 + (height // side) * (width // side)


def changed_inputs(case: dict, model, inputs_of, processor, plain=None):
    """A case's token ids and their positions, its other inputs, its changes resolved against them, and the views of its pictures."""
    listed = case.get("interventions", [])
    pictures, inputs = inputs_of(case)
    changes = Changes(listed, model.config, [])
    changes.plain, changes.measured = plain or (None, {})
    views, family = [], inputs_of.family
    if pictures and family:
        views = inputs_of.views(case)
        if len(pictures) == 1:
            changes.patches, changes.places = family.grid(views[0]), family.places(views[0], pictures[0])
        views = [retouch(v, p, changes, i, processor, family.tiles(p)) for i, (v, p) in enumerate(zip(views, pictures, strict=True))]
        inputs |= family.inputs(views)
    elif pictures:
        pixels = inputs["pixel_values"]
        for i, picture in enumerate(pictures):
            real = views_of(pixels, i, model, (picture.height, picture.width), len(pictures) > 1)
            own = pixels[i : i + 1] if pixels.dim() == 4 else pixels[i][:real]
            views.append(retouch(own, picture, changes, i, processor))
            if pixels.dim() == 4:
                pixels[i : i + 1] = views[-1]
            else:
                pixels[i][:real] = views[-1]
    ids = inputs["input_ids"][0]
    image = model.config.image_token_id
    positions = list(range(len(ids)))
    if listed:
        # One picture: what is left of its tokens, and where it stands.
        count = int((ids == image).sum())
        changes.tokens(torch.zeros(count, 4), 0, lambda _: torch.zeros(count, 4))
        start = int((ids == image).nonzero()[0])
        after = ids[start + count :]
        ids = torch.cat([ids[:start], torch.full((len(changes.offsets),), image), after])
        positions = list(range(start)) + [start + o for o in changes.offsets]
        positions += [start + changes.extent + i for i in range(len(after))]
    changes.visual = [int(i) == image for i in ids]
    changes.asked = asked(case, ids, image, inputs_of)
    return ids, positions, {k: v for k, v in inputs.items() if k != "input_ids"}, changes, views


def donor_inputs(processor, picture: Image.Image) -> dict:
    """What the model's tower takes of a donor picture."""
    found = processor(images=[picture], return_tensors="pt")
    return {k: v for k, v in found.items() if k in ("pixel_values", "image_sizes", "num_patches")}


@torch.no_grad()
def capture(name: str, folder: Path, case: dict, model, inputs_of, processor, answer: int) -> dict[str, torch.Tensor]:
    listed, family = case.get("interventions", []), inputs_of.family
    plain = None
    if any(word in json.dumps(listed) for word in ('"measured"', '"merge"')):
        ids, positions, rest, changes, views = changed_inputs({**case, "interventions": []}, model, inputs_of, processor)
        with Recorder(model, changes, family, views) as recorder:
            model(**whole(ids, positions), **rest)
        plain = changes, recorder.values
    ids, positions, rest, changes, views = changed_inputs(case, model, inputs_of, processor, plain)
    own = projector_weights(model)
    if changes.named("swapProjector"):
        swap_projector(model, load_file(folder / "second_projector.safetensors"))
    with Recorder(model, changes, family, views) as recorder:
        recorder.donor = lambda picture: donor_inputs(processor, picture)
        model(**whole(ids, positions), **rest)
        recorder.recording = False
        if listed:
            greedy = by_whole_passes(model, ids, positions, rest, answer)
        else:
            every = torch.ones_like(ids)[None]
            out = model.generate(input_ids=ids[None], **rest, do_sample=False, max_new_tokens=answer, attention_mask=every)
            greedy = out[0, len(ids) :]
    swap_projector(model, own)
    if family and not listed:
        check(model, inputs_of.raw(case)[1], recorder.values["language_model.hook_logits"], greedy)
    values = {k: v for k, v in recorder.values.items() if kept(name, case["name"], k, bool(listed))}
    if not listed and name in (*TINY, *DECODERS, *OTHERS) and views:
        values["pixel_values"] = torch.cat([v.flatten() for v in views] if family else views).float().contiguous()
    values["input_ids"] = ids.to(torch.int64).contiguous()
    values["greedy"] = greedy.to(torch.int64).contiguous()
    return values


def check(model, inputs: dict, logits: torch.Tensor, greedy: torch.Tensor) -> None:
    """Fails where transformers finds something else by itself, from what its own processor makes of text and pictures."""
    inputs = {k: v for k, v in inputs.items() if k != "num_patches"}
    alone = model(**inputs).logits[0]
    error = float((alone - logits.view_as(alone)).norm() / alone.norm())
    every = torch.ones_like(inputs["input_ids"])
    out = model.generate(**inputs, do_sample=False, max_new_tokens=len(greedy), attention_mask=every)
    answer = out[0, inputs["input_ids"].shape[1] :]
    if error > TOLERANCE / 10 or not torch.equal(answer, greedy):
        sys.exit(f"transformers by itself: {error:.1e}, {answer.tolist()} and not {greedy.tolist()}")


def whole(ids: torch.Tensor, positions: list[int]) -> dict:
    """The arguments of one forward pass. Without a mask transformers takes a gap in the positions for a new sequence."""
    mask, places = torch.ones_like(ids)[None], torch.tensor([positions], device=ids.device)
    return {"input_ids": ids[None], "position_ids": places, "attention_mask": mask, "use_cache": False}


def by_whole_passes(model, ids: torch.Tensor, positions: list[int], rest: dict, answer: int) -> torch.Tensor:
    """The likeliest tokens, each by a forward pass of its own over all before it."""
    end = model.generation_config.eos_token_id
    # A whole pass would take an image token of the answer for a picture: there the answer ends too.
    ends = [*(end if isinstance(end, list) else [end]), model.config.image_token_id]
    prompt = len(ids)
    for _ in range(answer):
        logits = model(**whole(ids, positions), **rest).logits
        ids = torch.cat([ids, logits[0, -1:].argmax(-1)])
        positions = [*positions, positions[-1] + 1]
        if int(ids[-1]) in ends:
            break
    return ids[prompt:]


def asked(case: dict, ids: torch.Tensor, image: int, inputs_of) -> list[bool]:
    """By position: whether the user wrote it."""
    text = inputs_of.family.text(case["text"]) if inputs_of.family else case["text"]
    if inputs_of.family and hasattr(inputs_of.family.together, "start_image_token"):
        start, end = inputs_of.family.together.start_image_token, inputs_of.family.together.end_image_token
        marker = inputs_of.family.together.image_token
        text = text.replace(marker, f"{start}{marker}{end}")
    start = text.find(case["question"])
    end = start + len(case["question"])
    encoded = inputs_of.tokenizer(text, return_offsets_mapping=True)
    by_word = [start >= 0 and a < end and start < b for a, b in encoded.offset_mapping]
    words = iter([w for w, i in zip(by_word, encoded.input_ids, strict=True) if i != image])
    return [False if int(i) == image else next(words) for i in ids]


def kept(name: str, case: str, point: str, changed: bool) -> bool:
    """One or two cases of a tiny set hold every hook point; the others, and `shapes`, what keeps the repository small."""
    tiled = name.startswith(("tiny-next", "tiny-onevision", "tiny-gemma", "tiny-qwen3")) and name != "tiny-gemma2"
    if name in DECODERS and case in (("tiny",) if tiled else ("wide",)):
        return True
    if name in OTHERS and case == "wide":
        return True
    if name in OTHERS and case == "two" and point.startswith(("vision_tower", "projector")):
        return point.endswith(("hook_embed", "hook_resid_post", "hook_pattern", "hook_in", "hook_out", "hook_tokens"))
    if name in DECODERS and case in ("two", "together") and point.endswith("hook_resid_post"):
        return True
    if name in TINY and case in (("tiny",) if tiled else ("wide", "together")):
        return True
    with_layers = ("wide",) if name == "shapes" else ("wide", "together") if name in (*TINY, *OTHERS) else ("tiny", "none")
    if case in with_layers and point.endswith("hook_resid_post"):
        return True
    if changed and name in (*TINY, *DECODERS, *OTHERS):
        return point.endswith("ln_final.hook_normalized")
    return point.endswith(("projector.hook_tokens", "ln_final.hook_normalized"))


def swap_projector(model, weights: dict[str, torch.Tensor]) -> None:
    state = {k.removeprefix("multi_modal_projector."): v.float() for k, v in weights.items()}
    model.model.multi_modal_projector.load_state_dict(state)


def write_set(name: str) -> None:
    folder = SHAPES / "goldens" if name == "shapes" else HERE / name
    only = FEWER if name in DECODERS else ()
    write(name, SHAPES if name == "shapes" else save_tiny(name), folder, torch.float32, f"capture.py {name}", only)
    if name == "tiny-next-llama":
        as_pickles(folder)


def again(name: str, only: tuple[str, ...]) -> None:
    """Captures the cases `only` of the tiny set `name` anew, adds those that it does not have yet, and leaves the others as they
    are."""
    folder = HERE / name
    model, _, inputs_of, processor = opened(folder / "model", folder, torch.float32)
    held = json.loads((folder / "cases.json").read_text())
    names = {case["name"] for case in held["cases"]}
    listed = cases((folder / "second_projector.safetensors").exists(), True, model, inputs_of)
    held["cases"] += [case for case in listed if case["name"] in only and case["name"] not in names]
    (folder / "cases.json").write_text(json.dumps(held, indent=1))
    for case in held["cases"]:
        if case["name"] in only:
            save_file(capture(name, folder, case, model, inputs_of, processor, 8), folder / f"{case['name']}.safetensors")
            print(name, case["name"])


def opened(source: Path | str, folder: Path, dtype: torch.dtype):
    """A model in `source`, its tokenizer, what prepares its inputs, and its image processor."""
    model = AutoModelForImageTextToText.from_pretrained(source, dtype=dtype, attn_implementation="eager").eval()
    tokenizer = AutoTokenizer.from_pretrained(source)
    config = json.loads(Path(cached_file(source, "preprocessor_config.json")).read_text())
    kinds = {
        "llava": LlavaImageProcessorPil if config.get("do_pad") else CLIPImageProcessorPil,
        "llava_next": LlavaNextImageProcessorPil,
        "llava_onevision": LlavaOnevisionImageProcessorPil,
        "vipllava": CLIPImageProcessorPil,
    }
    if kind := kind_of(model.config):
        processor = kind(model, tokenizer, source).processor
    else:
        processor = kinds[model.config.model_type].from_pretrained(source)
    own = folder / "pictures"
    return model, tokenizer, preparer(model, tokenizer, processor, own if own.exists() else HERE / "pictures"), processor


def write(
    name: str, source: Path | str, folder: Path, dtype: torch.dtype, command: str, only: tuple[str, ...] = (), answer: int = 8
) -> None:
    """Captures the set `name` from the model in `source` (a folder or a hub id) to `folder`: all cases or `only` some, with
    greedy answers of up to `answer` tokens."""
    folder.mkdir(exist_ok=True, parents=True)
    for old in folder.glob("*.safetensors"):
        if old.name != "second_projector.safetensors":
            old.unlink()
    model, tokenizer, inputs_of, processor = opened(source, folder, dtype)
    listed = cases((folder / "second_projector.safetensors").exists(), name in (*TINY, *DECODERS, *OTHERS), model, inputs_of)
    listed = [case for case in listed if not only or case["name"] in only]
    for case in listed:
        values = capture(name, folder, case, model, inputs_of, processor, answer)
        save_file(values, folder / f"{case['name']}.safetensors")
        print(name, case["name"], len(values), values["greedy"].tolist())
    chat = [{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "Is there a red circle?"}]}]
    rendered = tokenizer.apply_chat_template(chat, tokenize=False, add_generation_prompt=True)
    (folder / "cases.json").write_text(json.dumps({"chat": rendered, "cases": listed}, indent=1))
    provenance = {
        "command": f"python {command}",
        "versions": {
            "python": platform.python_version(), "torch": torch.__version__, "transformers": transformers.__version__,
            "tokenizers": tokenizers.__version__, "numpy": np.__version__,
        },
        "machine": platform.machine(), "computed_in": str(dtype).removeprefix("torch."), "attention": "eager",
        "tolerance": {"relative_l2_per_hook_point": TOLERANCE, "greedy_tokens": "equal"},
    }  # fmt: skip
    (folder / "provenance.json").write_text(json.dumps(provenance, indent=1))


def pattern(width: int, height: int) -> Image.Image:
    """A picture that any language can draw: (7 x + 13 y + 29 c + x y) mod 256."""
    y, x, c = np.meshgrid(np.arange(height), np.arange(width), np.arange(3), indexing="ij")
    return Image.fromarray(((7 * x + 13 * y + 29 * c + x * y) % 256).astype(np.uint8))


def write_sizes() -> None:
    """sizes.json: for 200 random sizes a family at the real resolutions, the canvas and the number of visual tokens by
    Hugging Face's processors; and the SHA-256 of the pixel values (f32, little-endian) at the tiny resolutions."""
    rng = random.Random(9)
    tokenizer = AutoTokenizer.from_pretrained(SHAPES)
    square = {"height": 28, "width": 28}
    families = {
        "llava": (None, 336, CLIPImageProcessorPil(size={"shortest_edge": 28}, crop_size=square)),
        "llava_padded": (
            None, 336, LlavaImageProcessorPil(size={"shortest_edge": 28}, crop_size=square, do_pad=True),
        ),
        "llava_next": (
            LlavaNextProcessor(
                LlavaNextImageProcessorPil(image_grid_pinpoints=tiles_of(NEXT_PINPOINTS, 336)), tokenizer, patch_size=14,
                vision_feature_select_strategy="default", num_additional_image_tokens=1,
            ),
            336,
            LlavaNextImageProcessorPil(
                size={"shortest_edge": 28}, crop_size=square, image_grid_pinpoints=tiles_of(NEXT_PINPOINTS, 28)
            ),
        ),
        "llava_onevision": (
            LlavaOnevisionProcessor(
                LlavaOnevisionImageProcessorPil(), tokenizer, LlavaOnevisionVideoProcessor(), num_image_tokens=729,
                vision_feature_select_strategy="full", vision_aspect_ratio="anyres_max_9",
            ),
            384,
            LlavaOnevisionImageProcessorPil(size=square, image_grid_pinpoints=tiles_of(ONEVISION_PINPOINTS, 28)),
        ),
    }  # fmt: skip
    out = {}
    for name, (processor, side, small) in families.items():
        rows = []
        for _ in range(200):
            width, height = (round(2 ** rng.uniform(1, 12)) for _ in range(2))
            tokens, canvas = 576, (side, side)
            if processor:
                tokens = processor._get_number_of_features(height, width, side, side) - (name == "llava_next")
                canvas = select_best_resolution((height, width), processor.image_processor.image_grid_pinpoints)
            tiny_width, tiny_height = (round(2 ** rng.uniform(1, 8)) for _ in range(2))
            pixels = small(images=pattern(tiny_width, tiny_height), return_tensors="np")["pixel_values"][0]
            pixels = pixels[None] if pixels.ndim == 3 else pixels
            digest = hashlib.sha256(np.ascontiguousarray(pixels, dtype="<f4").tobytes()).hexdigest()
            rows.append(
                {
                    "width": width, "height": height, "tokens": tokens, "canvas": list(canvas),
                    "tiny_width": tiny_width, "tiny_height": tiny_height, "views": len(pixels), "sha256": digest,
                }
            )  # fmt: skip
        out[name] = rows
    (HERE / "sizes.json").write_text(json.dumps(out, indent=0))


def write_vectors() -> None:
    """tests/vectors/random.json: random choices that any language can check."""
    rows = []
    for seed, index, image, key, point in (
        (7, 0, 0, "", ""), (2**64 - 1, 3, 1, "item 12", ""), (5, 63, 0, "é", "language_model.blocks.1.hook_resid_pre"),
    ):  # fmt: skip
        draws = lambda: Draws(seed, index, image, key, point)  # noqa: B023, E731
        normal = draws()
        rows.append(
            {
                "seed": str(seed), "index": index, "image": image, "sample_key": key, "point": point,
                "permutation_of_12": draws().permutation(12), "permutation_of_36": draws().permutation(36),
                "subset_4_of_30": draws().subset(30, 4),
                "below_1000": draws().below(1000), "unit": draws().unit(), "gaussians": [normal.gaussian() for _ in range(3)],
                "uniform_noise_row_2_of_5": [float(v) for v in draws().noise(2, 5, False)],
                "gaussian_noise_row_3_of_4": [float(v) for v in draws().noise(3, 4, True)],
            }
        )  # fmt: skip
    folder = ROOT / "tests" / "vectors"
    folder.mkdir(exist_ok=True)
    (folder / "random.json").write_text(json.dumps(rows, indent=1, ensure_ascii=False))


GENERATION = {
    "plain": {},
    "repetition_penalty": {"repetition_penalty": 1.5},
    "repetition_penalty below 1": {"repetition_penalty": 0.7},
    "encoder_repetition_penalty": {"encoder_repetition_penalty": 1.8},
    "no_repeat_ngram_size 1": {"no_repeat_ngram_size": 1},
    "no_repeat_ngram_size 2": {"no_repeat_ngram_size": 2},
    "encoder_no_repeat_ngram_size": {"encoder_no_repeat_ngram_size": 1},
    "suppress_tokens": {"suppress_tokens": "first 3"},
    "begin_suppress_tokens": {"begin_suppress_tokens": "first 2"},
    "bad_words_ids": {"bad_words_ids": "pairs"},
    "sequence_bias": {"sequence_bias": "pairs"},
    "ends": {"eos_token_id": "third"},
    "min_new_tokens": {"eos_token_id": "third", "min_new_tokens": 6},
    "min_length": {"eos_token_id": "fifth", "min_length": 35},
    "min_new_tokens before min_length": {"eos_token_id": "fifth", "min_length": 40, "min_new_tokens": 5},
    "forced_eos_token_id": {"forced_eos_token_id": 9},
    "forced_eos_token_id, two": {"forced_eos_token_id": [9, 8]},
    "exponential_decay_length_penalty": {"exponential_decay_length_penalty": [3, 1.6]},
    "penalty and n-grams": {"repetition_penalty": 1.3, "no_repeat_ngram_size": 2, "suppress_tokens": "first 3"},
    "all": {
        "repetition_penalty": 1.2, "no_repeat_ngram_size": 3, "suppress_tokens": "first 2", "begin_suppress_tokens": [40, 41],
        "bad_words_ids": [[205], [43, 44]], "sequence_bias": [[[368], -3.0], [[65, 207], 2.0]], "eos_token_id": "third",
        "min_new_tokens": 5, "exponential_decay_length_penalty": [6, 1.1], "encoder_repetition_penalty": 1.1,
        "renormalize_logits": True,
    },
}  # fmt: skip
"""Fields of generation_config.json; words stand for tokens of the plain answer."""

WARPERS = [
    {}, {"temperature": 0.7}, {"top_k": 5}, {"top_p": 0.6}, {"min_p": 0.2}, {"typical_p": 0.4}, {"epsilon_cutoff": 0.02},
    {"eta_cutoff": 0.05}, {"top_h": 0.4}, {"temperature": 1.7, "top_k": 20, "top_p": 0.9}, {"top_p": 0.95, "min_p": 0.05},
    {"temperature": 0.8, "top_k": 30, "typical_p": 0.7, "epsilon_cutoff": 0.01}, {"top_h": 0.6, "top_k": 8, "eta_cutoff": 0.3},
    {"temperature": 1.3, "top_h": 0.8, "top_k": 25, "top_p": 0.85, "min_p": 0.02, "typical_p": 0.8, "epsilon_cutoff": 0.005, "eta_cutoff": 0.01},
]  # fmt: skip


@torch.no_grad()
def write_generation() -> None:
    """tests/vectors/generation.json: greedy answers of tiny-gqa-tied to its case `wide` under fields of generation_config.json;
    sampling.json: what sampling keeps of some logits, and its probabilities."""
    folder = HERE / "tiny-gqa-tied" / "model"
    model = AutoModelForImageTextToText.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager").eval()
    inputs_of = preparer(
        model, AutoTokenizer.from_pretrained(folder), CLIPImageProcessorPil.from_pretrained(folder), HERE / "pictures"
    )
    _, inputs = inputs_of({"text": "USER: <image>\nIs there a red circle? ASSISTANT:", "images": ["wide"]})
    prompt = inputs["input_ids"].shape[1]

    def answer(fields: dict) -> list[int]:
        model.generation_config = GenerationConfig.from_dict({"eos_token_id": 1, "pad_token_id": 2} | fields)
        out = model.generate(**inputs, attention_mask=torch.ones_like(inputs["input_ids"]), do_sample=False, max_new_tokens=12)
        return out[0, prompt:].tolist()

    plain = answer({})
    words = {
        "first 3": sorted(set(plain[:3])), "first 2": sorted(set(plain[:2])), "third": plain[2], "fifth": plain[4],
    }  # fmt: skip
    rows = []
    for name, fields in GENERATION.items():
        filled = {key: words.get(value, value) if isinstance(value, str) else value for key, value in fields.items()}
        if filled.get("bad_words_ids") == "pairs":
            filled["bad_words_ids"] = [plain[:2], [plain[0], plain[0]], [plain[3]]]
        if filled.get("sequence_bias") == "pairs":
            filled["sequence_bias"] = [[plain[:2], -20.0], [[plain[2]], -3.5], [[60], 1.5]]
        rows.append({"name": name, "config": {"eos_token_id": 1} | filled, "tokens": answer(filled)})
        print(name, rows[-1]["tokens"])
    out = {"prompt": inputs["input_ids"][0].tolist(), "max_new_tokens": 12, "cases": rows}
    (ROOT / "tests" / "vectors" / "generation.json").write_text(json.dumps(out, indent=0))
    rng = np.random.default_rng(23)
    kept = []
    for number in range(4):
        logits = torch.from_numpy((rng.normal(size=(1, 60)) * (1 + 2 * number)).astype(np.float32))
        for fields in WARPERS:
            config = GenerationConfig(do_sample=True, **({"top_k": 0} | fields))
            config._eos_token_tensor = None
            processors = model._get_logits_processor(config, input_ids_seq_length=3, device="cpu")
            shares = torch.softmax(processors(torch.zeros(1, 3, dtype=torch.long), logits.clone())[0].double(), -1)
            chosen = [i for i in range(len(shares)) if shares[i] > 0]
            row = {"logits": number, "config": fields, "kept": chosen, "probabilities": [float(shares[i]) for i in chosen]}
            kept.append(row)
        kept[-len(WARPERS)]["values"] = logits[0].tolist()
    (ROOT / "tests" / "vectors" / "sampling.json").write_text(json.dumps(kept, indent=0))


@torch.no_grad()
def write_dino() -> None:
    """tiny-dino: a ViT as DINO's are, and the attention of its last block's class token to the patches of `square`, by head."""
    folder = HERE / "tiny-dino"
    torch.manual_seed(16)
    config = ViTConfig(
        hidden_size=32, intermediate_size=48, num_hidden_layers=3, num_attention_heads=4, image_size=28, patch_size=7,
        initializer_range=0.3, attn_implementation="eager",
    )  # fmt: skip
    model = ViTModel(config).eval()
    model.save_pretrained(folder)
    processor = ViTImageProcessorPil(
        size={"height": 28, "width": 28}, image_mean=[0.485, 0.456, 0.406], image_std=[0.229, 0.224, 0.225]
    )
    processor.save_pretrained(folder)
    picture = Image.open(HERE / "pictures" / "square.png").convert("RGB")
    pixels = processor(images=picture, return_tensors="pt")["pixel_values"]
    attention = model(pixels, output_attentions=True).attentions[-1][0, :, 0, 1:]
    save_file({"attention": attention.contiguous()}, folder / "golden" / "attention.safetensors")


@torch.no_grad()
def write_clip() -> None:
    """tiny-clip: a CLIP with both towers, the embeddings of three pictures and of texts of several lengths, one cut off."""
    folder = HERE / "tiny-clip"
    torch.manual_seed(17)
    words = ["<|startoftext|>", "a", "photo", "of", "red", "blue", "circle", "square", ",", "<|endoftext|>"]
    text = {"vocab_size": len(words), "max_position_embeddings": 9, "eos_token_id": len(words) - 1, "bos_token_id": 0, "pad_token_id": 1}
    sizes = {"hidden_size": 24, "intermediate_size": 40, "num_hidden_layers": 2, "num_attention_heads": 3}
    vision = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 3, "num_attention_heads": 4, "image_size": 28, "patch_size": 7}
    model = CLIPModel(CLIPConfig(text_config={**sizes, **text}, vision_config=vision, projection_dim=16)).eval()
    for parameter in model.parameters():
        parameter.add_(torch.randn_like(parameter) * 0.2)
    model.save_pretrained(folder)
    tokenizer = tokenizers.Tokenizer(tokenizers.models.WordLevel({word: i for i, word in enumerate(words)}, unk_token="a"))
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    tokenizer.normalizer = tokenizers.normalizers.Lowercase()
    ends = [(words[0], 0), (words[-1], len(words) - 1)]
    tokenizer.post_processor = tokenizers.processors.TemplateProcessing(f"{words[0]} $A {words[-1]}", special_tokens=ends)
    tokenizer.save(str(folder / "tokenizer.json"))
    processor = CLIPImageProcessorPil(size={"shortest_edge": 28}, crop_size={"height": 28, "width": 28})
    processor.save_pretrained(folder)
    texts = ["a photo of a red circle", "blue", "a photo of a blue square , a red circle , a red square"]
    pictures = [Image.open(HERE / "pictures" / f"{name}.png").convert("RGB") for name in ("square", "wide", "tall")]
    pixels = processor(images=pictures, return_tensors="pt")["pixel_values"]
    images = model.get_image_features(pixel_values=pixels).pooler_output
    found = []
    for each in texts:
        ids = tokenizer.encode(each).ids
        ids = ids if len(ids) <= 9 else [*ids[:8], ids[-1]]
        found.append(model.get_text_features(input_ids=torch.tensor([ids])).pooler_output)
    unit = torch.nn.functional.normalize
    golden = {"images": unit(images, dim=-1).contiguous(), "texts": unit(torch.cat(found), dim=-1).contiguous()}
    (folder / "golden").mkdir(exist_ok=True)
    save_file(golden, folder / "golden" / "embeddings.safetensors", metadata={"texts": json.dumps(texts)})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sets", nargs="*", default=[*SETS, "sizes", "vectors", "generation", "dino", "clip"])
    parser.add_argument("--model", help="a folder or a hub id")
    parser.add_argument("--only", nargs="+", default=[], help="capture these cases of tiny sets anew, from the models that are there")
    parser.add_argument("--full-size", choices=("llava", "llava_next", "llava_onevision"))
    parser.add_argument("--out", type=Path, help="folder of the golden set; default: MODEL/goldens")
    parser.add_argument("--dtype", default="float32", choices=("float32", "bfloat16", "float16"))
    args = parser.parse_args()
    if args.full_size:
        if not args.out:
            parser.error("--out is needed")
        write_full_size(args.full_size, args.out)
        return
    if args.model:
        out = args.out or Path(args.model) / "goldens"
        if not args.out and not Path(args.model).is_dir():
            parser.error("--out is needed where --model is a hub id")
        draw_pictures(out / "pictures")
        write("model", args.model, out, getattr(torch, args.dtype), f"capture.py --model {Path(args.model).name}")
        return
    if args.only:
        for name in args.sets:
            again(name, tuple(args.only))
        return
    for folder in (HERE / "pictures", SHAPES / "goldens" / "pictures"):
        draw_pictures(folder)
    extras = {"sizes": write_sizes, "vectors": write_vectors, "generation": write_generation, "dino": write_dino, "clip": write_clip}
    for name in args.sets:
        if name in extras:
            extras[name]()
        else:
            write_set(name)


if __name__ == "__main__":
    sys.exit(main())
