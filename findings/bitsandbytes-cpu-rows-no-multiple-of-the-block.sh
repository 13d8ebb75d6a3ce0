#!/bin/sh
# bitsandbytes 0.50.2 (PyPI), on a CPU with AVX-512: `dequantize_4bit` is wrong for matrices whose last dimension is larger than the block
# (64) and no multiple of it, such as (96, 160). What was quantised comes back with errors of 0.1 where a step of nf4 is 0.025; the library's
# own implementation in torch, `_dequantize_4bit_compute`, is right on the same numbers, and both agree on (96, 128).
#
# Seen with torch 2.15 on 2026-11-28 (x86-64 with AVX-512, Linux):
#     (96, 128): largest error 0.023, of the implementation in torch 0.023
#     (96, 160): largest error 0.111, of the implementation in torch 0.023
#
# Processors without AVX-512 were not tried. Dequantise by the formula, code[nibble] * absmax[block], or make rows a multiple of the block.
# Ends with another code than 0 once both shapes are right.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q bitsandbytes==0.50.2 numpy==2.4.6 torch==2.15.0
"$folder/venv/bin/python" - <<'PYTHON'
import sys

import torch
from bitsandbytes.backends.default.ops import _dequantize_4bit_compute
from bitsandbytes.functional import dequantize_4bit, quantize_4bit

wrong = {}
for shape in ((96, 128), (96, 160)):
    torch.manual_seed(0)
    weight = torch.randn(shape) * 0.05
    packed, state = quantize_4bit(weight, quant_type="nf4", compress_statistics=False)
    kernel = dequantize_4bit(packed, state)
    torch_ = _dequantize_4bit_compute(packed.flatten(), state.absmax, state.code, 64, shape, weight.dtype)
    errors = [(found - weight).abs().max().item() for found in (kernel, torch_)]
    print(f"{shape}: largest error {errors[0]:.3f}, of the implementation in torch {errors[1]:.3f}")
    wrong[shape] = errors[0] > 2 * errors[1]
sys.exit(wrong != {(96, 128): False, (96, 160): True})
PYTHON
