"""Writes benchmark.tsv: held-out items of the `shapes` benchmark, as many of each category.

    python benchmark.py OUT.tsv [--each 60] [--seed 9001]

The seed is none of train.py's. Columns are VLMEvalKit's: index, image (base64 PNG), question, A to D, answer, category.
The answer is a letter where there are options.
"""

from __future__ import annotations

import argparse
import base64
import io
import random

from scenes import CATEGORIES, ask, draw_scene


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out")
    parser.add_argument("--each", type=int, default=60, help="items of each category")
    parser.add_argument("--seed", type=int, default=9001)
    args = parser.parse_args()
    rng = random.Random(args.seed)
    with open(args.out, "w", encoding="utf-8") as out:
        out.write("index\timage\tquestion\tA\tB\tC\tD\tanswer\tcategory\n")
        for number in range(args.each * len(CATEGORIES)):
            category = CATEGORIES[number % len(CATEGORIES)]
            question = None
            while question is None:
                scene = draw_scene(rng)
                question = ask(scene, rng, category)
            png = io.BytesIO()
            scene.image.save(png, "PNG", optimize=True)
            options = [*question.options, *[""] * (4 - len(question.options))]
            picture = base64.b64encode(png.getvalue()).decode()
            cells = [str(number), picture, question.text, *options, question.target(), category]
            out.write("\t".join(cells) + "\n")


if __name__ == "__main__":
    main()
