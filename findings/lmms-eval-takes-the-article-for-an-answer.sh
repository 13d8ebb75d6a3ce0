#!/bin/sh
# lmms-eval 0.7.3: its reader of multiple-choice answers (MMStar and others) takes the article "A" for the answer A, and no small letter
# for any.
#
# `extract_mcq_answer` of lmms_eval/tasks/_task_utils/mcq_extract.py, which the tasks call with the choices A to D:
#   "A red circle"                                -> "A"    a sentence
#   "The correct option is C because A is wrong"  -> "A"    the option that it excludes
#   "I am not sure, A or B"                       -> "B"    one of two
#   "b", "(b)", "The answer is b."                -> ""     counted as wrong
# A model that writes sentences is therefore marked right on the items whose answer is A, and one that writes small letters never is: two
# models differ by how they write, not by what they see.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
# The reader needs nothing of what the tool needs to run models.
"$folder/venv/bin/pip" install -q --disable-pip-version-check --no-deps lmms-eval==0.7.3
"$folder/venv/bin/python" - <<'PYTHON'
import importlib.util
import sysconfig
from pathlib import Path

file = Path(sysconfig.get_paths()["purelib"], "lmms_eval/tasks/_task_utils/mcq_extract.py")
spec = importlib.util.spec_from_file_location("mcq_extract", file)
module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)

expected = {
    "B": "B",
    "The answer is B.": "B",
    "A red circle": "A",
    "The correct option is C because A is wrong": "A",
    "I am not sure, A or B": "B",
    "b": "",
    "(b)": "",
    "The answer is b.": "",
}
seen = {text: module.extract_mcq_answer(text, choices=["A", "B", "C", "D"]) for text in expected}
print(seen)
assert seen == expected, seen
PYTHON
