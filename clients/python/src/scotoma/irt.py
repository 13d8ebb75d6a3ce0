"""Item response theory of what `scotoma items` has written (`pip install scotoma[irt]`).

    python -m scotoma.irt draft/responses.csv --out irt.csv --plot irt.png

fits difficulty and discrimination of each item, and the ability of each respondent (a variant, or another model), to
responses.csv. Several files, one a model, are one table. The models are girth's (marginal maximum likelihood);
abilities are the means of their posteriors under a standard normal prior.
"""

from __future__ import annotations

import argparse
import csv
import os
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from scotoma.files import write_figure, write_table

if TYPE_CHECKING:
    import matplotlib.axes

Model = Literal["1pl", "2pl"]
_CURVES = 200
# Fewer say nothing of how items differ.
_RESPONDENTS = 3
_ITEMS = 2


@dataclass
class Responses:
    """Verdicts of respondents about items: 1 right, 0 wrong, NaN not there."""

    respondents: list[str]
    items: list[str]
    right: npt.NDArray[np.float64]
    """(respondents, items)."""


@dataclass
class Irt:
    """What was fitted: P(right) = 1 / (1 + exp(-discrimination (ability - difficulty)))."""

    model: Model
    items: list[str]
    difficulty: npt.NDArray[np.float64]
    discrimination: npt.NDArray[np.float64]
    respondents: list[str]
    ability: npt.NDArray[np.float64]
    constant: dict[str, bool]
    """Items that all respondents have right (True) or wrong (False), of which nothing can be said."""

    def rows(self) -> Iterator[dict[str, Any]]:
        """Yields a row for each item, the easiest first; constant ones have no numbers."""
        for at in np.argsort(self.difficulty, kind="stable"):
            yield {
                "item": self.items[at],
                "difficulty": float(self.difficulty[at]),
                "discrimination": float(self.discrimination[at]),
                "all": "",
            }
        for item, right in self.constant.items():
            yield {"item": item, "difficulty": "", "discrimination": "", "all": "right" if right else "wrong"}

    def plot(self, ax: matplotlib.axes.Axes | None = None) -> matplotlib.axes.Axes:
        """Draws the curve of each item, and where respondents stand (`scotoma[plot]`)."""
        import matplotlib.pyplot as plt

        if ax is None:
            _, ax = plt.subplots(figsize=(8, 5), layout="constrained")
        ends = [*self.ability, *self.difficulty]
        x = np.linspace(min(ends) - 1, max(ends) + 1, _CURVES)
        for difficulty, discrimination in zip(self.difficulty, self.discrimination, strict=True):
            ax.plot(x, 1 / (1 + np.exp(-discrimination * (x - difficulty))), color="#1b6ca8", alpha=0.35, linewidth=1)
        for name, ability in zip(self.respondents, self.ability, strict=True):
            ax.axvline(ability, color="#c8553d", linewidth=0.8, alpha=0.7)
            ax.annotate(name, (ability, 1.01), xycoords=("data", "axes fraction"), rotation=60, fontsize=7)
        ax.set(
            xlabel="ability of a respondent, difficulty of an item", ylabel="probability of a right answer", ylim=(0, 1)
        )
        return ax


def read(paths: Iterable[str | os.PathLike[str]]) -> Responses:
    """Reads tables of responses.csv's form; respondents of several are called by their folder, too."""
    files = [Path(path) for path in paths]
    found: dict[str, dict[str, float]] = {}
    for path in files:
        with path.open(newline="", encoding="utf-8") as file:
            rows = csv.reader(file)
            items = next(rows, [])[1:]
            if not items:
                raise ValueError(f"{path}: no header with a name and the ids of items")
            for line, row in enumerate(rows, 2):
                if len(row) != len(items) + 1 or not set(row[1:]) <= {"0", "1", ""}:
                    raise ValueError(f"{path}, line {line}: a name and {len(items)} times 1, 0 or nothing are needed")
                name = row[0] if len(files) == 1 else f"{path.parent.name}: {row[0]}"
                if name in found:
                    raise ValueError(f"{path}, line {line}: respondent {name!r} stands there twice")
                found[name] = {item: float(bit) for item, bit in zip(items, row[1:], strict=True) if bit}
    return responses(found)


def responses(rights: Mapping[str, Mapping[str, Any]]) -> Responses:
    """Returns responses from verdicts, true or false, by respondent and item."""
    items = list(dict.fromkeys(item for row in rights.values() for item in row))
    right = np.array([[float(row.get(item, np.nan)) for item in items] for row in rights.values()])
    return Responses(list(rights), items, right.reshape(len(rights), len(items)))


def fit(given: Responses, model: Model = "1pl") -> Irt:
    """Fits one parameter for each item and a common discrimination ("1pl"), or both for each item ("2pl").

    Few respondents say little of discrimination: take "2pl" from some dozens on.
    """
    import girth

    if model not in ("1pl", "2pl"):
        raise ValueError(f"model: {model!r}; 1pl and 2pl are known")
    seen = ~np.isnan(given.right)
    if not seen.any(axis=0).all() or not seen.any(axis=1).all():
        raise ValueError("a respondent or an item has no responses")
    sums = np.nansum(given.right, axis=0)
    varied = (sums > 0) & (sums < seen.sum(axis=0))
    if len(given.respondents) < _RESPONDENTS or varied.sum() < _ITEMS:
        raise ValueError(
            f"{len(given.respondents)} respondents, {varied.sum()} items that some have right and others wrong; "
            f"at least {_RESPONDENTS} and {_ITEMS} are needed"
        )
    own = np.where(seen, given.right, -1)[:, varied].T.astype(int)
    tagged = girth.tag_missing_data(own, [0, 1])
    found = girth.onepl_mml(tagged) if model == "1pl" else girth.twopl_mml_eap(tagged)
    difficulty = np.asarray(found["Difficulty"], dtype=np.float64)
    discrimination = np.broadcast_to(np.asarray(found["Discrimination"], dtype=np.float64), difficulty.shape)
    ability = np.asarray(girth.ability_eap(tagged, difficulty, discrimination), dtype=np.float64)
    constant = {item: bool(sums[i] > 0) for i, item in enumerate(given.items) if not varied[i]}
    items = [item for i, item in enumerate(given.items) if varied[i]]
    return Irt(model, items, difficulty, discrimination, given.respondents, ability, constant)


def write(found: Irt, path: str | os.PathLike[str]) -> None:
    """Writes the rows of the items as CSV."""
    write_table(found.rows(), path)


def main(arguments: Sequence[str] | None = None) -> int:
    """Fits a model to files, prints the abilities, and writes items and plot."""
    about = (__doc__ or "").split("\n", 1)[0]
    parser = argparse.ArgumentParser(prog="python -m scotoma.irt", description=about)
    parser.add_argument(
        "responses", nargs="+", type=Path, help="responses.csv of `scotoma items`; several are one table"
    )
    parser.add_argument("--model", choices=["1pl", "2pl"], default="1pl", help="2pl: a discrimination for each item")
    parser.add_argument("--out", type=Path, default=Path("irt.csv"), help="the items, as CSV; default irt.csv")
    parser.add_argument("--plot", type=Path, help="curves of the items and abilities, such as irt.png")
    parsed = parser.parse_args(arguments)
    try:
        found = fit(read(parsed.responses), parsed.model)
        write(found, parsed.out)
        if parsed.plot is not None:
            write_figure(found.plot, parsed.plot)
    except ImportError as error:
        print(f"error: {error}; pip install 'scotoma[irt,plot]'", file=sys.stderr)
        return 1
    except (OSError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    for at in np.argsort(found.ability)[::-1]:
        print(f"{found.ability[at]:6.2f}  {found.respondents[at]}")
    print(f"{parsed.out}: {len(found.items)} items, {len(found.constant)} that all have right or all wrong")
    return 0


if __name__ == "__main__":
    sys.exit(main())
