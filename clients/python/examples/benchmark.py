"""A benchmark under interventions, as a table and a plot: benchmark.py TABLE.tsv [RULE] [--server ADDRESS]."""

import argparse
from pathlib import Path

from scotoma import Client, drop_layers, occlude_random, permute_tokens

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("data", type=Path)
parser.add_argument("rule", nargs="?", default="shapes")
parser.add_argument("--server", default="127.0.0.1:7878")
parser.add_argument("--out", type=Path, default=Path("benchmark.png"))
asked = parser.parse_args()

variants = {
    "original": [],
    "permuted": [permute_tokens(1)],
    "half occluded": [occlude_random(0.5, 1)],
    "without layer 6": [drop_layers([6])],
}
with Client(asked.server) as client:
    run = client.evaluate(asked.rule, asked.data, variants=variants, progress=True)
    answers = run.to_pandas()
    print(answers.pivot_table(index="category", columns="variant", values="right", sort=False).round(3))
    for other in run.finished.comparisons:
        print(
            f"{other.variant}: {100 * other.difference:+.1f} points [{100 * other.low:+.1f}, {100 * other.high:+.1f}]"
        )
    run.plot().figure.savefig(asked.out, dpi=150)
    print(asked.out)
