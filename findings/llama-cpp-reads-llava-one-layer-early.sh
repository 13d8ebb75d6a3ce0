#!/bin/sh
# llama.cpp (in xllamacpp 2026.10.11549): of a LLaVA-1.5 mmproj file, the last CLIP layer is loaded and never run.
#
# LLaVA reads the output of CLIP's layer before the last. convert_image_encoder_to_gguf.py drops the last layer therefore and writes
# clip.vision.block_count without it; where clip.vision.feature_layer is absent, clip.cpp then leaves out one more: 22 of the 24 layers
# where LLaVA runs 23. No warning, other features, other answers. Known there: https://github.com/ggml-org/llama.cpp/issues/25817, labelled
# stale and closed, its pull request 25845 closed too.
#
# Seen with a tiny random pair, written below: three CLIP layers, as the converter leaves of four. Ids and log-probabilities of the answer:
#   as-converted       260: -2.1380 268: -2.8496 283: -3.2953
#   layer-0-changed    260: -1.4339 259: -1.9742 302: -3.3724
#   layer-1-changed    268: -3.0686 304: -3.1203 260: -3.3611
#   layer-2-changed    260: -2.1380 268: -2.8496 283: -3.2953    the last layer's weights times -1.5: no difference
#   feature_layer-2    260: -2.1380 268: -2.8496 283: -3.2953    what an absent clip.vision.feature_layer means
#   feature_layer-3    260: -1.8225 268: -3.2506 304: -3.7520    what LLaVA means: said in the file, the last layer runs
#
# Exits with 0 as long as the last layer changes nothing.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check xllamacpp==2026.10.11549 gguf==0.19.0 pillow==13.0.0
cd "$folder"
cat > write.py <<'PYTHON'
import gguf
import numpy as np
from PIL import Image

WIDTH, INNER, HEADS, LAYERS, LETTERS = 32, 48, 4, 3, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ:?"


def write(path, architecture, fields, tensors):
    writer = gguf.GGUFWriter(path, architecture)
    fields(writer)
    for name, data in tensors.items():
        writer.add_tensor(name, np.ascontiguousarray(data, dtype=np.float16 if data.ndim > 1 and "position" not in name else np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def drawn(rng, *shape):
    return rng.normal(0, 0.3, shape)


def language(rng):
    tokens = ["<unk>", "<s>", "</s>"] + [f"<0x{byte:02X}>" for byte in range(256)] + ["\u2581", *LETTERS]
    types = [gguf.TokenType.UNKNOWN] + [gguf.TokenType.CONTROL] * 2 + [gguf.TokenType.BYTE] * 256 + [gguf.TokenType.NORMAL] * (len(LETTERS) + 1)

    def fields(writer):
        writer.add_context_length(512)
        writer.add_embedding_length(WIDTH)
        writer.add_block_count(2)
        writer.add_feed_forward_length(INNER)
        writer.add_head_count(HEADS)
        writer.add_head_count_kv(HEADS)
        writer.add_layer_norm_rms_eps(1e-5)
        writer.add_rope_dimension_count(WIDTH // HEADS)
        writer.add_vocab_size(len(tokens))
        writer.add_tokenizer_model("llama")
        writer.add_tokenizer_pre("default")
        writer.add_token_list(tokens)
        writer.add_token_scores([-float(n) for n in range(len(tokens))])
        writer.add_token_types(types)
        writer.add_unk_token_id(0)
        writer.add_bos_token_id(1)
        writer.add_eos_token_id(2)

    tensors = {"token_embd.weight": drawn(rng, len(tokens), WIDTH), "output_norm.weight": np.ones(WIDTH),
               "output.weight": drawn(rng, len(tokens), WIDTH)}
    tensors["output.weight"][:259] = 0  # so that the answer is a letter
    for n in range(2):
        tensors |= {f"blk.{n}.{norm}.weight": np.ones(WIDTH) for norm in ("attn_norm", "ffn_norm")}
        tensors |= {f"blk.{n}.attn_{part}.weight": drawn(rng, WIDTH, WIDTH) for part in ("q", "k", "v", "output")}
        tensors |= {f"blk.{n}.ffn_{part}.weight": drawn(rng, INNER, WIDTH) for part in ("gate", "up")}
        tensors[f"blk.{n}.ffn_down.weight"] = drawn(rng, WIDTH, INNER)
    write("language.gguf", "llama", fields, tensors)


def tower(rng):
    """Three layers, as the converter leaves of a CLIP of four, under its names: fc1 is ffn_down there."""
    tensors = {"v.class_embd": drawn(rng, WIDTH), "v.patch_embd.weight": drawn(rng, WIDTH, 3, 7, 7), "v.position_embd.weight": drawn(rng, 17, WIDTH),
               "v.pre_ln.weight": np.ones(WIDTH), "v.pre_ln.bias": drawn(rng, WIDTH)}
    for n in range(LAYERS):
        sizes = {f"attn_{part}": (WIDTH, WIDTH) for part in ("q", "k", "v", "out")} | {"ffn_down": (INNER, WIDTH), "ffn_up": (WIDTH, INNER)}
        for part, (rows, columns) in sizes.items():
            tensors |= {f"v.blk.{n}.{part}.weight": drawn(rng, rows, columns), f"v.blk.{n}.{part}.bias": drawn(rng, rows)}
        for norm in ("ln1", "ln2"):
            tensors |= {f"v.blk.{n}.{norm}.weight": np.ones(WIDTH), f"v.blk.{n}.{norm}.bias": drawn(rng, WIDTH)}
    for part in ("mm.0", "mm.2"):
        tensors |= {f"{part}.weight": drawn(rng, WIDTH, WIDTH), f"{part}.bias": drawn(rng, WIDTH)}
    return tensors


def fields_of(feature_layer):
    def fields(writer):
        writer.add_bool("clip.has_text_encoder", False)
        writer.add_bool("clip.has_vision_encoder", True)
        writer.add_bool("clip.has_llava_projector", True)
        writer.add_string("clip.projector_type", "mlp")
        writer.add_bool("clip.use_gelu", False)
        for key, value in {"image_size": 28, "patch_size": 7, "embedding_length": WIDTH, "feed_forward_length": INNER, "projection_dim": WIDTH,
                           "attention.head_count": HEADS, "block_count": LAYERS}.items():
            writer.add_uint32(f"clip.vision.{key}", value)
        writer.add_float32("clip.vision.attention.layer_norm_epsilon", 1e-5)
        writer.add_array("clip.vision.image_mean", [0.48145466, 0.4578275, 0.40821073])
        writer.add_array("clip.vision.image_std", [0.26862954, 0.26130258, 0.27577711])
        if feature_layer:
            writer.add_array("clip.vision.feature_layer", [feature_layer])

    return fields


rng = np.random.default_rng(1)
language(rng)
tensors = tower(rng)
for changed in (None, *range(LAYERS)):
    other = {name: -1.5 * data if name.startswith(f"v.blk.{changed}.") else data for name, data in tensors.items()}
    write("as-converted.gguf" if changed is None else f"layer-{changed}-changed.gguf", "clip", fields_of(None), other)
for layer in (2, 3):
    write(f"feature_layer-{layer}.gguf", "clip", fields_of(layer), tensors)
Image.fromarray(rng.integers(0, 256, (28, 28, 3), dtype=np.uint8)).save("picture.png")
PYTHON
cat > ask.py <<'PYTHON'
import base64
import json
import os
import sys

import xllamacpp

params = xllamacpp.CommonParams()
params.model.path, params.mmproj.path = "language.gguf", sys.argv[1]
params.n_parallel, params.n_ctx, params.cpuparams.n_threads, params.warmup = 1, 512, 1, False
params.use_jinja = True
params.chat_template = "{% for m in messages %}USER: {{ m['content'] }} ASSISTANT:{% endfor %}"
server = xllamacpp.Server(params)
picture = base64.b64encode(open("picture.png", "rb").read()).decode()
parts = [{"type": "image_url", "image_url": {"url": f"data:image/png;base64,{picture}"}}, {"type": "text", "text": "What is it?"}]
ask = {"messages": [{"role": "user", "content": parts}], "max_tokens": 1, "temperature": 0, "logprobs": True, "top_logprobs": 3}
answer = server.handle_chat_completions(ask)
answer = answer if isinstance(answer, dict) else json.loads(answer)
top = answer["choices"][0]["logprobs"]["content"][0]["top_logprobs"]
open(sys.argv[2], "w").write(" ".join(f"{token['id']}: {token['logprob']:.4f}" for token in top) + "\n")
os._exit(0)
PYTHON
venv/bin/python write.py
for file in as-converted layer-0-changed layer-1-changed layer-2-changed feature_layer-2 feature_layer-3; do
    venv/bin/python ask.py "$file.gguf" "$file.txt" > log 2>&1 || { cat log; exit 1; }
    echo "$file: $(cat "$file.txt")"
done
for file in layer-0-changed layer-1-changed feature_layer-3; do
    ! cmp -s as-converted.txt "$file.txt" || { echo "$file changes nothing"; exit 1; }
done
cmp as-converted.txt layer-2-changed.txt
cmp as-converted.txt feature_layer-2.txt
