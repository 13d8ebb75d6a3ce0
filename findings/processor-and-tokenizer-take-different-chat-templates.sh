#!/bin/sh
# transformers 5.17.0, AutoProcessor and AutoTokenizer on one folder that has chat_template.json (what older processors saved) and
# chat_template.jinja (what newer ones save), as a repository has it that was saved again without removing the old file.
#
# Expected: one template for the folder, or an error that there are two.
# Seen: AutoProcessor renders chat_template.json, whose name the source calls legacy, and passes over chat_template.jinja;
# AutoTokenizer, and what goes through it, renders chat_template.jinja. Neither says a word. An update of the .jinja alone changes
# nothing for the processor.
#
# Exits 0 while that is so, 1 when it changes.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q transformers==5.17.0 tokenizers==0.23.3 jinja2==3.1.6 pillow==13.0.0 numpy
cd "$folder"
"$folder/venv/bin/python" - <<'PYTHON'
import json, pathlib, sys

from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import AutoProcessor, AutoTokenizer

model = pathlib.Path("model")
model.mkdir()
tokenizer = Tokenizer(models.WordLevel({"<unk>": 0, "<image>": 1, "hi": 2}, unk_token="<unk>"))
tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
tokenizer.save(str(model / "tokenizer.json"))
write = lambda name, value: (model / name).write_text(json.dumps(value))
write("config.json", {"model_type": "llava"})
write("tokenizer_config.json", {"tokenizer_class": "TokenizersBackend", "unk_token": "<unk>"})
write("preprocessor_config.json", {"image_processor_type": "CLIPImageProcessor", "size": {"shortest_edge": 28}, "crop_size": 28})
write("processor_config.json", {"processor_class": "LlavaProcessor", "patch_size": 14})
write("chat_template.json", {"chat_template": "from chat_template.json"})
(model / "chat_template.jinja").write_text("from chat_template.jinja")
messages = [{"role": "user", "content": "hi"}]
processor = AutoProcessor.from_pretrained("model").apply_chat_template(messages, tokenize=False)
tokenizer = AutoTokenizer.from_pretrained("model").apply_chat_template(messages, tokenize=False)
print("AutoProcessor:", processor, "\nAutoTokenizer:", tokenizer)
sys.exit(0 if processor.endswith(".json") and tokenizer.endswith(".jinja") else 1)
PYTHON
