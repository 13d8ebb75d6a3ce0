"""Writes a GGUF pair of LLaVA-1.5-7B's sizes with random weights: 4.7 GB for Q4_K_M, 7.8 GB for Q8_0.

    python benches/large_gguf.py FOLDER [--kind Q4_K_M|Q8_0]
    scotoma serve --chat-template vicuna_v1 --model big=FOLDER/language-Q4_K_M.gguf

Needs the packages gguf, numpy and sentencepiece. Which matrices Q4_K_M keeps in Q6_K is llama.cpp's choice. The vocabulary is that of
tests/zoo's SentencePiece model, filled up.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import gguf
import numpy as np
from gguf import GGMLQuantizationType as Kind
from sentencepiece import sentencepiece_model_pb2

ROOT = Path(__file__).parent.parent
WIDTH, HIDDEN, LAYERS, HEADS, VOCABULARY = 4096, 11008, 32, 32, 32064
# The tower of CLIP-L/14 at 336, without its last layer, as llama.cpp's conversion leaves it out.
TOWER_WIDTH, TOWER_HIDDEN, TOWER_LAYERS, TOWER_HEADS = 1024, 4096, 23, 16
# Scales in the blocks of a format, by the place of their f16: weights of about 0.02.
SCALES = {Kind.Q4_K: {0: 1.3e-4, 2: 9.75e-4}, Kind.Q6_K: {208: 1.5e-5}, Kind.Q8_0: {0: 2.7e-4}}
MEAN, DEVIATION = [0.48145466, 0.4578275, 0.40821073], [0.26862954, 0.26130258, 0.27577711]


def drawn(kind: Kind, rows: int, columns: int, rng: np.random.Generator) -> np.ndarray:
    """Random blocks of a matrix, `(rows, bytes)`."""
    numbers, width = gguf.GGML_QUANT_SIZES[kind]
    blocks = rng.integers(0, 256, (rows * columns // numbers, width), dtype=np.uint8)
    for at, scale in SCALES[kind].items():
        blocks[:, at : at + 2] = np.float16(scale).reshape(1).view(np.uint8)
    return blocks.reshape(rows, -1)


def write_language(path: Path, kind: str) -> None:
    rng, mixed = np.random.default_rng(7), kind == "Q4_K_M"
    base, better = (Kind.Q4_K, Kind.Q6_K) if mixed else (Kind.Q8_0, Kind.Q8_0)
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_context_length(4096)
    writer.add_embedding_length(WIDTH)
    writer.add_block_count(LAYERS)
    writer.add_feed_forward_length(HIDDEN)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(HEADS)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_freq_base(10000.0)
    writer.add_rope_dimension_count(WIDTH // HEADS)
    writer.add_vocab_size(VOCABULARY)
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_Q4_K_M if mixed else gguf.LlamaFileType.MOSTLY_Q8_0)
    add_vocabulary(writer)

    def add(name: str, rows: int, columns: int, own: Kind) -> None:
        writer.add_tensor(f"{name}.weight", drawn(own, rows, columns, rng), raw_dtype=own)

    add("token_embd", VOCABULARY, WIDTH, base)
    writer.add_tensor("output_norm.weight", np.ones(WIDTH, np.float32))
    add("output", VOCABULARY, WIDTH, better)
    for layer in range(LAYERS):
        eighth = LAYERS // 8
        is_finer = layer < eighth or layer >= 7 * eighth or (layer - eighth) % 3 == 2
        finer = better if is_finer else base
        for norm in ("attn_norm", "ffn_norm"):
            writer.add_tensor(f"blk.{layer}.{norm}.weight", np.ones(WIDTH, np.float32))
        for part in ("attn_q", "attn_k", "attn_output"):
            add(f"blk.{layer}.{part}", WIDTH, WIDTH, base)
        add(f"blk.{layer}.attn_v", WIDTH, WIDTH, finer)
        add(f"blk.{layer}.ffn_gate", HIDDEN, WIDTH, base)
        add(f"blk.{layer}.ffn_up", HIDDEN, WIDTH, base)
        add(f"blk.{layer}.ffn_down", WIDTH, HIDDEN, finer)
    finish(writer)


def add_vocabulary(writer: gguf.GGUFWriter) -> None:
    model = ROOT / "tests" / "zoo" / "tokenizers" / "plain.model"
    own = sentencepiece_model_pb2.ModelProto.FromString(model.read_bytes()).pieces
    more = [f"<filler{i}>" for i in range(VOCABULARY - len(own) - 1)]
    writer.add_tokenizer_model("llama")
    writer.add_tokenizer_pre("default")
    writer.add_token_list([piece.piece for piece in own] + ["<image>", *more])
    writer.add_token_scores([piece.score for piece in own] + [-1000.0] * (len(more) + 1))
    kinds = [gguf.TokenType.CONTROL] + [gguf.TokenType.UNUSED] * len(more)
    writer.add_token_types([piece.type for piece in own] + kinds)
    writer.add_unk_token_id(0)
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_add_bos_token(True)
    writer.add_add_eos_token(False)


def write_tower(path: Path) -> None:
    rng = np.random.default_rng(8)
    writer = gguf.GGUFWriter(path, "clip")
    writer.add_bool("clip.has_text_encoder", False)
    writer.add_bool("clip.has_vision_encoder", True)
    writer.add_bool("clip.has_llava_projector", True)
    writer.add_string("clip.projector_type", "mlp")
    writer.add_bool("clip.use_gelu", False)
    for key, value in {
        "image_size": 336, "patch_size": 14, "embedding_length": TOWER_WIDTH, "feed_forward_length": TOWER_HIDDEN,
        "projection_dim": 768, "attention.head_count": TOWER_HEADS, "block_count": TOWER_LAYERS,
    }.items():  # fmt: skip
        writer.add_uint32(f"clip.vision.{key}", value)
    writer.add_float32("clip.vision.attention.layer_norm_epsilon", 1e-5)
    writer.add_array("clip.vision.image_mean", MEAN)
    writer.add_array("clip.vision.image_std", DEVIATION)

    def matrix(name: str, *shape: int) -> None:
        writer.add_tensor(name, (rng.standard_normal(shape, dtype=np.float32) * 0.02).astype(np.float16))

    def vector(name: str, value: float, size: int) -> None:
        writer.add_tensor(name, np.full(size, value, np.float32))

    def linear(name: str, rows: int, columns: int) -> None:
        matrix(f"{name}.weight", rows, columns)
        vector(f"{name}.bias", 0, rows)

    def norm(name: str) -> None:
        vector(f"{name}.weight", 1, TOWER_WIDTH)
        vector(f"{name}.bias", 0, TOWER_WIDTH)

    vector("v.class_embd", 0.01, TOWER_WIDTH)
    matrix("v.patch_embd.weight", TOWER_WIDTH, 3, 14, 14)
    matrix("v.position_embd.weight", 577, TOWER_WIDTH)
    norm("v.pre_ln")
    for layer in range(TOWER_LAYERS):
        for part in ("attn_q", "attn_k", "attn_v", "attn_out"):
            linear(f"v.blk.{layer}.{part}", TOWER_WIDTH, TOWER_WIDTH)
        norm(f"v.blk.{layer}.ln1")
        norm(f"v.blk.{layer}.ln2")
        # As old conversions name them: the first of the two is "down".
        linear(f"v.blk.{layer}.ffn_down", TOWER_HIDDEN, TOWER_WIDTH)
        linear(f"v.blk.{layer}.ffn_up", TOWER_WIDTH, TOWER_HIDDEN)
    linear("mm.0", WIDTH, TOWER_WIDTH)
    linear("mm.2", WIDTH, WIDTH)
    finish(writer)


def finish(writer: gguf.GGUFWriter) -> None:
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--kind", choices=["Q4_K_M", "Q8_0"], default="Q4_K_M")
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    write_language(arguments.folder / f"language-{arguments.kind}.gguf", arguments.kind)
    write_tower(arguments.folder / "mmproj-f16.gguf")


if __name__ == "__main__":
    main()
