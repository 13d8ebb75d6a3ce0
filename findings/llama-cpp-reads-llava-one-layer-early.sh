#!/bin/sh
# llama.cpp (xllamacpp 2026.10.11549) reads LLaVA-1.5's picture features one layer too early.
#
# convert_image_encoder_to_gguf.py drops CLIP's last layer, since LLaVA reads the output of the one before it, and writes
# block_count without it. clip.cpp then runs block_count - 1 layers where clip.vision.feature_layer is absent: 22 of the 24 where
# LLaVA runs 23. Here the last layer of a tiny mmproj file is changed, and the answer's log-probabilities stay as they are, while a
# changed first layer moves them. Run it in this repository: the files are those of tests/goldens/tiny-gguf.
#
# Exits with 1 once the last layer matters.
set -eu
goldens="$(cd "$(dirname "$0")/../tests/goldens" && pwd)"
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install -q xllamacpp==2026.10.11549 gguf==0.19.0
cp "$goldens"/tiny-gguf/model/*.gguf "$goldens/pictures/square.png" .
cat > change.py <<'END'
import shutil

import gguf
import numpy as np

for layer in (0, 1):
    out = f"changed-{layer}.gguf"
    shutil.copy("mmproj-f16.gguf", out)
    for tensor in gguf.GGUFReader(out, "r+").tensors:
        if tensor.name.startswith(f"v.blk.{layer}."):
            tensor.data[...] = tensor.data * np.array(-1.5, dtype=tensor.data.dtype)
END
cat > ask.py <<'END'
import base64
import json
import os
import sys

import xllamacpp

params = xllamacpp.CommonParams()
params.model.path, params.mmproj.path = "language-Q4_K_M.gguf", sys.argv[1]
params.n_parallel, params.n_ctx, params.cpuparams.n_threads, params.warmup = 1, 512, 1, False
params.use_jinja = True
params.chat_template = "{% for m in messages %}USER: {{ m['content'] }} ASSISTANT:{% endfor %}"
server = xllamacpp.Server(params)
picture = base64.b64encode(open("square.png", "rb").read()).decode()
parts = [{"type": "image_url", "image_url": {"url": f"data:image/png;base64,{picture}"}}, {"type": "text", "text": "Is there a red circle?"}]
ask = {"messages": [{"role": "user", "content": parts}], "max_tokens": 1, "temperature": 0, "logprobs": True, "top_logprobs": 5}
answer = server.handle_chat_completions(ask)
answer = answer if isinstance(answer, dict) else json.loads(answer)
print([(top["id"], round(top["logprob"], 5)) for top in answer["choices"][0]["logprobs"]["content"][0]["top_logprobs"]], flush=True)
os._exit(0)
END
venv/bin/python change.py
for file in mmproj-f16 changed-0 changed-1; do
    venv/bin/python ask.py "$file.gguf" 2> /dev/null | tail -1 > "$file.txt"
    echo "$file: $(cat "$file.txt")"
done
cmp -s mmproj-f16.txt changed-0.txt && { echo "the first layer changes nothing"; exit 1; }
cmp mmproj-f16.txt changed-1.txt
