#!/bin/sh
# ms-vlmeval 0.0.20 (VLMEvalKit): the options or pictures of a list column that pandas has written to a TSV become one.
#
# pandas reads a Parquet column of lists as NumPy arrays and writes them to text without commas: ['red' 'blue']. `toliststr` gives that to
# Python's eval, which joins texts that stand beside each other: ['redblue']. Nothing is said. Seen with pandas 3.1.1, pyarrow 26.0.1,
# Python 3.11, 2026-11-27; exits with 1 once this is no longer so.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q pandas==3.1.1 pyarrow==26.0.1
"$folder/venv/bin/pip" install -q --no-deps ms-vlmeval==0.0.20
cd "$folder"
"$folder/venv/bin/python" - <<'PYTHON'
import ast
import importlib.util
from pathlib import Path

import pandas as pd

pd.DataFrame({"options": [["red", "blue"]]}).to_parquet("items.parquet")
pd.read_parquet("items.parquet").to_csv("items.tsv", sep="\t", index=False)
cell = pd.read_csv("items.tsv", sep="\t")["options"][0]
# The function alone: its module wants the packages of many models.
package = importlib.util.find_spec("vlmeval")
source = (Path(package.submodule_search_locations[0]) / "smp/misc.py").read_text()
own = next(n for n in ast.parse(source).body if isinstance(n, ast.FunctionDef) and n.name == "toliststr")
names = {}
exec(compile(ast.Module([own], []), "toliststr", "exec"), names)
print(cell, "->", names["toliststr"](cell))
raise SystemExit(names["toliststr"](cell) != ["redblue"])
PYTHON
