"""Writes a tiny LLaVA quantised by AWQ, GPTQ and bitsandbytes, and digests of what their libraries dequantise it to.

    python quantized.py

quantized/ has the tensors that stay as they are (rest.safetensors), the quantised ones of each variant, and values.json with each
variant's `quantization_config` and the SHA-256 of every matrix as f32; blocks.json has that of the table in the blocks of the package gguf. bitsandbytes dequantises by its own functions; of AutoAWQ and
GPTQModel, which do not install everywhere, the formulas stand below: `dequantize_gemm`, and `dequantize_weight` after the conversion
of the first layout to the second.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import bitsandbytes.functional as bnb
import gguf
import numpy as np
import torch
from bitsandbytes.backends.default.ops import _dequantize_4bit_compute
from safetensors.torch import save_file
from transformers import LlavaConfig, LlavaForConditionalGeneration

HERE = Path(__file__).parent
FOLDER = HERE / "quantized"
GROUP = 32
AWQ_ORDER = [0, 4, 1, 5, 2, 6, 3, 7]
"""Which four bits of a word each of its outputs stands in."""


def model() -> LlavaForConditionalGeneration:
    config = json.loads((HERE / "tiny-gqa-tied/model/config.json").read_text())
    config["tie_word_embeddings"] = config["text_config"]["tie_word_embeddings"] = False
    config["text_config"] |= {"hidden_size": 64, "head_dim": 16, "intermediate_size": 128, "num_hidden_layers": 1}
    config["vision_config"] |= {"num_hidden_layers": 2}
    (FOLDER / "config.json").write_text(json.dumps(config, indent=1) + "\n")
    torch.manual_seed(23)
    return LlavaForConditionalGeneration(LlavaConfig(**config)).to(torch.bfloat16)


def words(bits: np.ndarray) -> torch.Tensor:
    """Words of bits `(..., 32 n)`, the lowest first, as int32 `(..., n)`."""
    return torch.from_numpy(np.packbits(bits.astype(np.uint8), axis=-1, bitorder="little").view(np.int32))


def fields(codes: np.ndarray, bits: int) -> torch.Tensor:
    """Words of the codes of each row, one after the other."""
    flat = (codes[..., None] >> np.arange(bits)) & 1
    return words(flat.reshape(*codes.shape[:-1], -1))


def unpacked(packed: torch.Tensor, bits: int) -> np.ndarray:
    flat = np.unpackbits(packed.numpy().view(np.uint8), axis=-1, bitorder="little")
    return (flat.reshape(*packed.shape[:-1], -1, bits) << np.arange(bits)).sum(-1)


def awq(weight: torch.Tensor, rng: np.random.Generator) -> tuple[dict, torch.Tensor]:
    out, input = weight.shape
    codes, zeros = rng.integers(0, 16, (input, out)), rng.integers(0, 16, (input // GROUP, out))
    scales = torch.from_numpy(rng.uniform(0.004, 0.02, zeros.shape)).to(torch.float16)

    def pack(codes: np.ndarray) -> torch.Tensor:
        placed = np.empty_like(codes).reshape(len(codes), -1, 8)
        placed[..., AWQ_ORDER] = codes.reshape(placed.shape)
        return fields(placed.reshape(codes.shape), 4)

    tensors = {"qweight": pack(codes), "qzeros": pack(zeros), "scales": scales}
    difference = torch.from_numpy(codes - zeros.repeat(GROUP, 0)).to(torch.int8)
    return tensors, (difference * scales.repeat_interleave(GROUP, 0)).T


def gptq(weight: torch.Tensor, rng: np.random.Generator, bits: int, act_order: bool, first: bool) -> tuple[dict, torch.Tensor]:
    out, input = weight.shape
    codes, zeros = rng.integers(0, 1 << bits, (input, out)), rng.integers(0, 1 << bits, (input // GROUP, out))
    scales = torch.from_numpy(rng.uniform(0.16, 0.3, zeros.shape) / (1 << bits)).to(torch.float16)
    group = np.arange(input) // GROUP
    if act_order:
        group = rng.permutation(group)
    ones = torch.tensor((2**32 - 1) // (2**bits - 1), dtype=torch.int64).to(torch.int32)
    packed = fields((zeros - 1) & 7, 3) if first and bits == 3 else fields(zeros, bits) - (ones if first and bits != 3 else 0)
    tensors = {
        "qweight": fields(codes.T, bits).T, "qzeros": packed, "scales": scales, "g_idx": torch.from_numpy(group).to(torch.int32),
    }  # fmt: skip
    # As the file is read: one is added to whole words, but for 3 bits, whose fields lie across them.
    if first and bits == 3:
        zeros = (unpacked(packed, 3) + 1) & 7
    else:
        zeros = unpacked(packed + (ones if first else 0), bits)
    difference = torch.from_numpy(codes - zeros[group]).to(torch.int32)
    return tensors, (scales[tensors["g_idx"].long()] * difference).T


def four(weight: torch.Tensor, kind: str, nested: bool, dtype: torch.dtype) -> tuple[dict, torch.Tensor]:
    codes, state = bnb.quantize_4bit(weight.to(dtype).contiguous(), quant_type=kind, compress_statistics=nested)
    scales = bnb.dequantize_blockwise(state.absmax, state.state2) + state.offset if nested else state.absmax
    # What every device but a CPU with AVX-512 computes.
    values = _dequantize_4bit_compute(codes.flatten(), scales, state.code, state.blocksize, weight.shape, dtype)
    parts = {f"weight.{name}": value for name, value in state.as_dict(packed=True).items()}
    return {"weight": codes, **parts}, values


def eight(weight: torch.Tensor) -> tuple[dict, torch.Tensor]:
    codes, scales, _ = bnb.int8_vectorwise_quant(weight.to(torch.float16))
    tensors = {"weight": codes, "SCB": scales, "weight_format": torch.tensor(0, dtype=torch.uint8)}
    return tensors, bnb.int8_vectorwise_dequant(codes, scales)


def variants(rng: np.random.Generator) -> dict:
    four_bit = {"quant_method": "bitsandbytes", "load_in_4bit": True}

    def gptq_config(bits: int, act_order: bool, form: str) -> dict:
        return {"quant_method": "gptq", "bits": bits, "group_size": GROUP, "desc_act": act_order, "checkpoint_format": form}

    return {
        "awq": ({"quant_method": "awq", "bits": 4, "group_size": GROUP, "version": "gemm", "zero_point": True}, lambda w: awq(w, rng)),
        "gptq": (gptq_config(4, True, "gptq"), lambda w: gptq(w, rng, 4, True, True)),
        "gptq-2": (gptq_config(2, False, "gptq_v2"), lambda w: gptq(w, rng, 2, False, False)),
        "gptq-3": (gptq_config(3, True, "gptq"), lambda w: gptq(w, rng, 3, True, True)),
        "gptq-8": (gptq_config(8, False, "gptq"), lambda w: gptq(w, rng, 8, False, True)),
        "nf4": ({**four_bit, "bnb_4bit_quant_type": "nf4"}, lambda w: four(w, "nf4", False, torch.bfloat16)),
        "nf4-double": (
            {**four_bit, "bnb_4bit_quant_type": "nf4", "bnb_4bit_use_double_quant": True},
            lambda w: four(w, "nf4", True, torch.float16),
        ),
        "fp4": ({**four_bit, "bnb_4bit_quant_type": "fp4"}, lambda w: four(w, "fp4", False, torch.float32)),
        "int8": ({"quant_method": "bitsandbytes", "load_in_8bit": True}, eight),
    }  # fmt: skip


def main() -> None:
    FOLDER.mkdir(exist_ok=True)
    tensors = {name: value.contiguous() for name, value in model().state_dict().items()}
    matrices = {n: v for n, v in tensors.items() if "language_model" in n and "proj.weight" in n or n == "lm_head.weight"}
    save_file({n: v for n, v in tensors.items() if n not in matrices}, FOLDER / "rest.safetensors")
    table = tensors["model.language_model.embed_tokens.weight"].float().numpy()
    kinds = {"q8_0": gguf.GGMLQuantizationType.Q8_0, "q4_0": gguf.GGMLQuantizationType.Q4_0}
    blocks = {name: hashlib.sha256(gguf.quants.quantize(table, kind).tobytes()).hexdigest() for name, kind in kinds.items()}
    (FOLDER / "blocks.json").write_text(json.dumps(blocks, indent=1) + "\n")
    written = {}
    for variant, (config, quantize) in variants(np.random.default_rng(23)).items():
        packed, digests = {}, {}
        for name, weight in matrices.items():
            # Words of other matrices would not be whole.
            if variant != "nf4-double" and name == "lm_head.weight" or variant == "gptq-3" and min(weight.shape) < 32:
                packed[name] = weight
                continue
            parts, values = quantize(weight)
            packed |= {f"{name.removesuffix('weight')}{part}": value.contiguous() for part, value in parts.items()}
            bits = values.float().contiguous().numpy().tobytes()
            digests[name] = {"shape": list(values.shape), "sha256": hashlib.sha256(bits).hexdigest()}
        save_file(packed, FOLDER / f"{variant}.safetensors")
        written[variant] = {"quantization_config": config, "matrices": digests}
    (FOLDER / "values.json").write_text(json.dumps(written, indent=1) + "\n")


if __name__ == "__main__":
    main()
