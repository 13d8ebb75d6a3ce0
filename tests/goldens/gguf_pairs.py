"""Writes GGUF pairs as llama.cpp does for LLaVA-1.5 and 1.6, and captures goldens of what their blocks mean by the package gguf.

    python gguf_pairs.py [SET ...]

A set is a folder as capture.py writes them, but that model/ has a language model and its mmproj file. The reference is the
Hugging Face model of the dequantised tensors, so that it shows names, orders, hyperparameters, vocabulary and blocks to be read
rightly; kernels are held to the dequantised model elsewhere. K-quants are drawn as blocks: the package cannot quantise to them.
"""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
from pathlib import Path

import gguf
import numpy as np
import torch
from gguf import GGMLQuantizationType as Kind
from sentencepiece import sentencepiece_model_pb2
from transformers import CLIPVisionConfig, LlamaConfig, LlamaTokenizer, LlavaConfig, LlavaForConditionalGeneration
from transformers import LlavaNextConfig, LlavaNextForConditionalGeneration
from transformers.models.llava.image_processing_pil_llava import LlavaImageProcessorPil
from transformers.models.llava_next.image_processing_pil_llava_next import LlavaNextImageProcessorPil

from capture import HERE, ROOT, SHAPES, TOKENIZER_FILES, tiles_of, vocabulary, write

SETS = ("tiny-gguf", "tiny-gguf-next")
MEAN, DEVIATION = [0.48145466, 0.4578275, 0.40821073], [0.26862954, 0.26130258, 0.27577711]
PINPOINTS = [[1, 2], [2, 1], [2, 2]]
K_QUANTS = {Kind.Q2_K: (80, 82), Kind.Q3_K: (108,), Kind.Q4_K: (0, 2), Kind.Q5_K: (0, 2), Kind.Q6_K: (208,)}
"""Where the f16 scales of a block stand: of the values, and of what is subtracted."""
SCALES = {Kind.Q2_K: 4e-3, Kind.Q3_K: 8e-4, Kind.Q4_K: 3e-4, Kind.Q5_K: 1.5e-4, Kind.Q6_K: 4e-5}
OFFSETS = {Kind.Q2_K: 1.5, Kind.Q4_K: 7.5, Kind.Q5_K: 15.0}

LAYER = {
    "attn_norm": "input_layernorm", "ffn_norm": "post_attention_layernorm", "attn_q": "self_attn.q_proj", "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj", "attn_output": "self_attn.o_proj", "ffn_gate": "mlp.gate_proj", "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}  # fmt: skip
FORMATS = [
    {"attn_q": Kind.Q4_K, "attn_k": Kind.Q5_K, "attn_v": Kind.Q6_K, "attn_output": Kind.Q8_0, "ffn_gate": Kind.Q4_0, "ffn_up": Kind.Q4_K,
     "ffn_down": Kind.Q6_K},
    {"attn_q": Kind.Q8_0, "attn_k": Kind.Q4_0, "attn_v": Kind.Q5_1, "attn_output": Kind.Q2_K, "ffn_gate": Kind.Q3_K, "ffn_up": Kind.Q5_0,
     "ffn_down": Kind.Q4_1},
]  # fmt: skip


def drawn(kind: Kind, rows: int, columns: int, rng: np.random.Generator) -> np.ndarray:
    """Blocks of a random matrix, `(rows, bytes)`."""
    if kind not in K_QUANTS:
        return gguf.quants.quantize(rng.normal(0, 0.07, (rows, columns)).astype(np.float32), kind)
    size, width = gguf.GGML_QUANT_SIZES[kind]
    blocks = rng.integers(0, 256, (rows * columns // size, width), dtype=np.uint8)
    value = SCALES[kind] * rng.uniform(0.5, 1.5, len(blocks))
    for at, scale in zip(K_QUANTS[kind], (value, value * OFFSETS.get(kind, 0))):
        blocks[:, at : at + 2] = scale.astype(np.float16).view(np.uint8).reshape(-1, 2)
    return blocks.reshape(rows, -1)


def halves(weight: torch.Tensor, heads: int) -> torch.Tensor:
    """The rows of heads whose pairs stand side by side, as Hugging Face has them: first all firsts, then all seconds."""
    return weight.unflatten(0, (heads, -1, 2)).transpose(1, 2).flatten(0, 2)


def pairs(weight: torch.Tensor, heads: int) -> torch.Tensor:
    return weight.unflatten(0, (heads, 2, -1)).transpose(1, 2).flatten(0, 2)


def model_of(name: str):
    big = name == "tiny-gguf"
    vision = CLIPVisionConfig(
        hidden_size=32, intermediate_size=48, num_hidden_layers=3, num_attention_heads=4, image_size=28, patch_size=7,
        projection_dim=16, initializer_factor=4.0, hidden_act="quick_gelu" if big else "gelu",
    )  # fmt: skip
    rows = vocabulary() if big else len(pieces().pieces) + 1
    text = LlamaConfig(
        vocab_size=rows, hidden_size=256 if big else 32, intermediate_size=256 if big else 64, num_hidden_layers=2,
        num_attention_heads=4, num_key_value_heads=1 if big else 2, max_position_embeddings=512, initializer_range=0.2, rms_norm_eps=1e-5,
        bos_token_id=0 if big else 1, eos_token_id=1 if big else 2, tie_word_embeddings=big,
        rope_parameters={"rope_type": "default", "rope_theta": 10000.0} if big
        else {"rope_type": "linear", "rope_theta": 5000.0, "factor": 2.0},
    )  # fmt: skip
    shared = {"vision_config": vision, "text_config": text, "image_token_index": 3 if big else rows - 1, "tie_word_embeddings": big}
    torch.manual_seed(31 if big else 32)
    if big:
        model = LlavaForConditionalGeneration(LlavaConfig(**shared, image_seq_length=16))
    else:
        tiles = tiles_of(PINPOINTS, 28)
        model = LlavaNextForConditionalGeneration(LlavaNextConfig(**shared, image_grid_pinpoints=tiles))
    with torch.no_grad():
        for key, value in model.named_parameters():
            if "norm" in key or "bias" in key:
                value.add_(torch.randn_like(value) * 0.1)
            elif "multi_modal_projector" in key or "patch_embedding" in key:
                value.normal_(0.0, 0.2)
    return model.float().eval()


def pieces() -> sentencepiece_model_pb2.ModelProto:
    path = ROOT / "tests" / "zoo" / "tokenizers" / "plain.model"
    return sentencepiece_model_pb2.ModelProto.FromString(path.read_bytes())


def add(writer: gguf.GGUFWriter, name: str, value: torch.Tensor, parameter: torch.Tensor, kind: Kind = Kind.F32) -> None:
    """Writes a tensor in a format, and gives the model's `parameter` the values that it then has."""
    data = value.detach().numpy()
    if kind == Kind.F16:
        data = data.astype(np.float16)
        writer.add_tensor(name, data)
    elif kind == Kind.F32:
        writer.add_tensor(name, data)
    else:
        data = gguf.quants.quantize(data, kind)
        writer.add_tensor(name, data, raw_dtype=kind)
        data = gguf.quants.dequantize(data, kind)
    with torch.no_grad():
        parameter.copy_(torch.from_numpy(np.ascontiguousarray(data, dtype=np.float32)))


def add_sizes(writer: gguf.GGUFWriter, config) -> None:
    """Writes the keys that every language model has."""
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_rope_freq_base(config.rope_parameters["rope_theta"])


def write_language(name: str, model, path: Path, template: str) -> None:
    big, config, rng = name == "tiny-gguf", model.config.text_config, np.random.default_rng(7)
    state, own = dict(model.named_parameters()), "model.language_model."
    writer = gguf.GGUFWriter(path, "llama")
    add_sizes(writer, config)
    writer.add_rope_dimension_count(config.head_dim)
    writer.add_vocab_size(config.vocab_size)
    if not big:
        writer.add_rope_scaling_type(gguf.RopeScalingType.LINEAR)
        writer.add_rope_scaling_factor(config.rope_parameters["factor"])
    (byte_level if big else sentence_pieces)(writer)
    writer.add_chat_template(template)
    table = state[f"{own}embed_tokens.weight"]
    add(writer, "token_embd.weight", table, table, Kind.Q4_0 if big else Kind.F16)
    add(writer, "output_norm.weight", state[f"{own}norm.weight"], state[f"{own}norm.weight"])
    if not big:
        add(writer, "output.weight", state["lm_head.weight"], state["lm_head.weight"], Kind.Q8_0)
    heads = {"attn_q": config.num_attention_heads, "attn_k": config.num_key_value_heads}
    for layer in range(config.num_hidden_layers):
        for part, theirs in LAYER.items():
            parameter, tensor = state[f"{own}layers.{layer}.{theirs}.weight"], f"blk.{layer}.{part}.weight"
            kind = FORMATS[layer].get(part) if big else Kind.Q8_0 if "ffn" in part and parameter.ndim == 2 else Kind.F16
            if parameter.ndim == 1:
                add(writer, tensor, parameter, parameter)
            elif big:
                blocks = drawn(kind, *parameter.shape, rng)
                writer.add_tensor(tensor, blocks, raw_dtype=kind)
                values = torch.from_numpy(gguf.quants.dequantize(blocks, kind).astype(np.float32))
                with torch.no_grad():
                    parameter.copy_(halves(values, heads[part]) if part in heads else values)
            else:
                value = pairs(parameter, heads[part]).contiguous() if part in heads else parameter
                add(writer, tensor, value, value.detach() if part in heads else parameter, kind)
                if part in heads:
                    with torch.no_grad():
                        parameter.copy_(parameter.half().float())
    finish(writer)


def byte_level(writer: gguf.GGUFWriter) -> None:
    tokenizer = json.loads((SHAPES / "tokenizer.json").read_text())
    tokens = sorted(tokenizer["model"]["vocab"], key=tokenizer["model"]["vocab"].get)
    special = {token["content"] for token in tokenizer["added_tokens"]}
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("smollm")
    writer.add_token_list(tokens)
    writer.add_token_types([gguf.TokenType.CONTROL if token in special else gguf.TokenType.NORMAL for token in tokens])
    writer.add_token_merges([" ".join(merge) for merge in tokenizer["model"]["merges"]])
    writer.add_bos_token_id(0)
    writer.add_eos_token_id(1)
    writer.add_pad_token_id(2)
    writer.add_add_bos_token(True)


def sentence_pieces(writer: gguf.GGUFWriter) -> None:
    own = pieces().pieces
    writer.add_tokenizer_model("llama")
    writer.add_tokenizer_pre("default")
    writer.add_token_list([piece.piece for piece in own] + ["<image>"])
    writer.add_token_scores([piece.score for piece in own] + [-1000.0])
    writer.add_token_types([piece.type for piece in own] + [gguf.TokenType.CONTROL])
    writer.add_unk_token_id(0)
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_add_bos_token(True)
    writer.add_add_eos_token(False)


def write_tower(name: str, model, path: Path) -> None:
    """The tower without its last layer, under the names of convert_image_encoder_to_gguf.py."""
    big, config = name == "tiny-gguf", model.config.vision_config
    writer = gguf.GGUFWriter(path, "clip")
    writer.add_bool("clip.has_text_encoder", False)
    writer.add_bool("clip.has_vision_encoder", True)
    writer.add_bool("clip.has_llava_projector", True)
    writer.add_string("clip.projector_type", "mlp")
    writer.add_bool("clip.use_gelu", config.hidden_act == "gelu")
    for key, value in {
        "image_size": config.image_size, "patch_size": config.patch_size, "embedding_length": config.hidden_size,
        "feed_forward_length": config.intermediate_size, "projection_dim": 16, "attention.head_count": config.num_attention_heads,
        "block_count": config.num_hidden_layers - 1,
    }.items():  # fmt: skip
        writer.add_uint32(f"clip.vision.{key}", value)
    writer.add_float32("clip.vision.attention.layer_norm_epsilon", config.layer_norm_eps)
    writer.add_array("clip.vision.image_mean", MEAN)
    writer.add_array("clip.vision.image_std", DEVIATION)
    if not big:
        writer.add_array("clip.vision.image_grid_pinpoints", [28 * n for rows, columns in PINPOINTS for n in (columns, rows)])
        writer.add_string("clip.vision.image_aspect_ratio", "anyres")
        writer.add_string("clip.vision.mm_patch_merge_type", "spatial_unpad")
    for key, parameter in model.named_parameters():
        if key == "model.image_newline":
            add(writer, key, parameter, parameter)
        elif key.startswith("model.multi_modal_projector."):
            tensor = key.replace("model.multi_modal_projector", "mm").replace("linear_1", "0").replace("linear_2", "2")
            add(writer, tensor, parameter, parameter, Kind.F16 if parameter.ndim == 2 else Kind.F32)
        elif key.startswith("model.vision_tower.") and "layers.2." not in key and "post_layernorm" not in key:
            tensor = "v." + key.removeprefix("model.vision_tower.").removeprefix("vision_model.")
            for theirs, here in {
                "encoder.layers": "blk", "embeddings.": "", "_proj": "", "self_attn.": "attn_", "layer_norm": "ln", "layrnorm": "ln",
                "mlp.fc1": "ffn_down", "mlp.fc2": "ffn_up", "embedding": "embd",
            }.items():  # fmt: skip
                tensor = tensor.replace(theirs, here)
            add(writer, tensor, parameter, parameter, Kind.F16 if parameter.ndim > 1 else Kind.F32)
    finish(writer)


def finish(writer: gguf.GGUFWriter) -> None:
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def save_reference(name: str, model, folder: Path) -> None:
    """The Hugging Face folder of the same model, for capture.py."""
    model.save_pretrained(folder)
    square = {"height": 28, "width": 28}
    if name == "tiny-gguf":
        for file in TOKENIZER_FILES:
            shutil.copy(SHAPES / file, folder / file)
        LlavaImageProcessorPil(size={"shortest_edge": 28}, crop_size=square, do_pad=True).save_pretrained(folder)
        return
    shutil.copy(ROOT / "tests" / "zoo" / "tokenizers" / "plain.model", folder / "tokenizer.model")
    image = {"content": "<image>", "lstrip": False, "normalized": False, "rstrip": False, "single_word": False, "special": True}
    config = {
        "tokenizer_class": "LlamaTokenizer", "legacy": False, "add_bos_token": True, "add_eos_token": False,
        "added_tokens_decoder": {str(model.config.image_token_id): image},
    }  # fmt: skip
    (folder / "tokenizer_config.json").write_text(json.dumps(config))
    LlamaTokenizer.from_pretrained(folder).save_pretrained(folder)
    shutil.copy(SHAPES / "chat_template.jinja", folder / "chat_template.jinja")
    LlavaNextImageProcessorPil(
        size={"shortest_edge": 28}, crop_size=square, image_grid_pinpoints=model.config.image_grid_pinpoints
    ).save_pretrained(folder)


def main() -> None:
    for name in sys.argv[1:] or SETS:
        folder = HERE / name / "model"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        model = model_of(name)
        write_language(name, model, folder / "language-Q4_K_M.gguf", (SHAPES / "chat_template.jinja").read_text())
        write_tower(name, model, folder / "mmproj-f16.gguf")
        with tempfile.TemporaryDirectory() as reference:
            save_reference(name, model, Path(reference))
            write(name, reference, HERE / name, torch.float32, f"gguf_pairs.py {name}", ("wide",) if name == "tiny-gguf" else ("wide", "none"))


if __name__ == "__main__":
    sys.exit(main())
