#!/bin/sh
# transformers 5.17.0, AutoTokenizer on a folder with tokenizer.model and no tokenizer.json, whose config.json says
# "model_type": "llava" and whose tokenizer_config.json says "tokenizer_class": "LlamaTokenizer": what liuhaotian/llava-v1.5-7b is.
#
# Expected: the ids of sentencepiece, which the model was trained with ("▁Hello" in front), as LlamaTokenizer gives them.
# Seen: "llava" stands in MODELS_WITH_INCORRECT_HUB_TOKENIZER_CLASS, so the class of tokenizer_config.json is passed over and
# TokenizersBackend builds the tokenizer, without the leading "▁" that the model's add_dummy_prefix asks for. Every prompt begins
# with other tokens. LlamaTokenizer.from_pretrained of the same folder agrees with sentencepiece.
#
# Exits 0 while that is so, 1 when it changes.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q transformers==5.17.0 sentencepiece==0.2.3 protobuf
cd "$folder"
"$folder/venv/bin/python" - <<'PYTHON'
import json, pathlib, sys

import sentencepiece
from transformers import AutoTokenizer, LlamaTokenizer

pathlib.Path("corpus.txt").write_text("Hello world, what is in the picture?\n" * 200)
pathlib.Path("llava").mkdir()
sentencepiece.SentencePieceTrainer.train(
    input="corpus.txt", model_prefix="llava/tokenizer", vocab_size=300, hard_vocab_limit=False, model_type="bpe", byte_fallback=True,
    normalization_rule_name="identity", minloglevel=2,
)
pathlib.Path("llava/config.json").write_text(json.dumps({"model_type": "llava"}))
pathlib.Path("llava/tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "LlamaTokenizer", "add_bos_token": True}))
text = "Hello world"
truth = sentencepiece.SentencePieceProcessor(model_file="llava/tokenizer.model").encode(text)
llama = LlamaTokenizer.from_pretrained("llava")(text, add_special_tokens=False).input_ids
found = AutoTokenizer.from_pretrained("llava")
auto = found(text, add_special_tokens=False).input_ids
print("sentencepiece ", truth, "\nLlamaTokenizer", llama, "\nAutoTokenizer ", auto, type(found).__name__)
sys.exit(0 if llama == truth and auto != truth else 1)
PYTHON
