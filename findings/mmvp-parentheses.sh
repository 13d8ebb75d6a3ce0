#!/bin/sh
# lmms-eval 0.7.3, task mmvp: an option with words in parentheses is dropped from the prompt without a word.
#
# `_parse_options` takes of "(a) .. (b) .." what holds no opening parenthesis, so "(a) Red (dark) (b) Blue" has one option, Blue, which
# then stands as A. The answer's letter stays what it was. Seen with Python 3.11, 2026-11-27; exits with 1 once this is no longer so.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --no-deps lmms-eval==0.7.3 loguru==0.7.3
"$folder/venv/bin/python" - <<'PYTHON'
import importlib.util
from pathlib import Path

package = importlib.util.find_spec("lmms_eval")
path = Path(package.submodule_search_locations[0]) / "tasks/mmvp/utils.py"
spec = importlib.util.spec_from_file_location("mmvp", path)
mmvp = importlib.util.module_from_spec(spec)
spec.loader.exec_module(mmvp)
doc = {"Question": "Which colour is it?", "Options": "(a) Red (dark) (b) Blue", "Correct Answer": "(a)"}
prompt = mmvp.mmvp_doc_to_text(doc)
print(prompt, "| right:", mmvp.mmvp_doc_to_target(doc))
raise SystemExit(prompt != "Which colour is it?\nA. Blue")
PYTHON
