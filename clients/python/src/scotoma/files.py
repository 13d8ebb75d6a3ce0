"""Files that commands of this package write: tables and figures."""

from __future__ import annotations

import csv
import os
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import matplotlib.axes


def write_table(rows: Iterable[Mapping[str, Any]], path: str | os.PathLike[str]) -> None:
    """Writes rows as CSV, with the columns of the first."""
    table = list(rows)
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(table[0]))
        writer.writeheader()
        writer.writerows(table)


def write_figure(plot: Callable[[], matplotlib.axes.Axes], path: str | os.PathLike[str]) -> None:
    """Writes what `plot` draws, of the type that the file's name says; needs no screen."""
    import matplotlib as mpl

    mpl.use("agg")
    figure: Any = plot().figure
    figure.savefig(path)
