"""Linear probes: what of each layer's activations tells labels apart (`pip install scotoma[probe]`).

    python -m scotoma.probe shapes --only category=colour --label answer --plot probe.png

fits, for each layer, a logistic regression (scikit-learn's) to the activations of questions, and reports its accuracy
on questions that it was not fitted on, beside that of a probe of shuffled labels, which shows what a probe of this size
finds where there is nothing to find. Weights are kept as vectors for `steer`.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from scotoma._sync.client import Client
from scotoma.errors import ScotomaError
from scotoma.files import write_figure, write_table
from scotoma.local import LocalServer, find_binary
from scotoma.questions import read_file
from scotoma.selectors import TargetLike, target, tokens
from scotoma.v1 import benchmark_service_pb2 as bench

if TYPE_CHECKING:
    import matplotlib.axes

Label = str | int | bool
# Most steps of the solver; it stops before where it has converged.
_STEPS = 2000
_NORMAL = 1.959964


@dataclass(frozen=True)
class Probe:
    """The probe of one hook point."""

    point: str
    """Name of the hook point."""
    accuracy: float
    """Share of items whose label was told right by a probe that was fitted without their group."""
    interval: tuple[float, float]
    """Its 95 % interval (Wilson's), of as many trials as there are groups."""
    control: float
    """The same of probes that were fitted to shuffled labels."""
    control_interval: tuple[float, float]
    """Its interval."""
    weights: npt.NDArray[np.float64]
    """(labels, width): the logit of each label rises along its row; fitted to all items."""
    bias: npt.NDArray[np.float64]
    """(labels)."""
    means: npt.NDArray[np.float64]
    """(labels, width): the mean activation of each label."""


class Probes(Sequence[Probe]):
    """Probes of several points, by their order."""

    def __init__(self, labels: Sequence[Label], majority: float, items: int, groups: int, of: Iterable[Probe]) -> None:
        """Holds what was fitted."""
        self.labels = list(labels)
        """The labels, as the rows of weights are ordered."""
        self.majority = majority
        """The share of the most frequent label: what a constant answer gets."""
        self.items = items
        """Items that probes were fitted to."""
        self.groups = groups
        """Groups of items that were held out together."""
        self._probes = list(of)

    def __getitem__(self, place: Any) -> Any:  # noqa: ANN401 (overloads say no more)
        """One by its place, or by the name of its point."""
        if isinstance(place, str):
            named = {own.point: own for own in self._probes}
            if place not in named:
                raise KeyError(f"{place}: no such point; there are {', '.join(named)}")
            return named[place]
        return self._probes[place]

    def __len__(self) -> int:
        """How many."""
        return len(self._probes)

    def __repr__(self) -> str:
        """Counts."""
        return f"<Probes of {len(self)} points, {len(self.labels)} labels, {self.items} items>"

    def vector(self, point: str | int, label: Label, other: Label | None = None) -> npt.NDArray[np.float32]:
        """A vector for `steer` at the point: along the probe's direction from `other` (or all others) to `label`.

        It is as long as takes the mean of the ones to the mean of the other along that direction: strength 1 moves a
        row by the difference that the labels make there.
        """
        own: Probe = self[point]
        to = self._place(label)
        away = [at for at in range(len(self.labels)) if at != to] if other is None else [self._place(other)]
        direction = own.weights[to] - own.weights[away].mean(0)
        direction = direction / np.linalg.norm(direction)
        between = own.means[to] - own.means[away].mean(0)
        return np.asarray(direction * (between @ direction), dtype=np.float32)

    def _place(self, label: Label) -> int:
        if label not in self.labels:
            raise ValueError(f"label: {label!r}; there are {', '.join(map(repr, self.labels))}")
        return self.labels.index(label)

    def rows(self) -> Iterator[dict[str, Any]]:
        """Yields a row for each point."""
        for own in self._probes:
            yield {
                "point": own.point,
                "accuracy": own.accuracy,
                "low": own.interval[0],
                "high": own.interval[1],
                "control": own.control,
                "control_low": own.control_interval[0],
                "control_high": own.control_interval[1],
                "majority": self.majority,
                "items": self.items,
                "groups": self.groups,
            }

    def plot(self, ax: matplotlib.axes.Axes | None = None) -> matplotlib.axes.Axes:
        """Draws accuracy by point, with the control and what a constant answer gets (`scotoma[plot]`)."""
        import matplotlib.pyplot as plt

        if ax is None:
            _, ax = plt.subplots(figsize=(7, 4), layout="constrained")
        places = np.arange(len(self))
        shown: tuple[tuple[str, str, list[float], list[tuple[float, float]]], ...] = (
            ("held out", "#1b6ca8", [own.accuracy for own in self], [own.interval for own in self]),
            ("shuffled labels", "#c8553d", [own.control for own in self], [own.control_interval for own in self]),
        )
        for name, colour, values, intervals in shown:
            low, high = np.array(intervals).T
            ax.plot(places, values, color=colour, marker="o", label=name)
            ax.fill_between(places, low, high, color=colour, alpha=0.2, linewidth=0)
        ax.axhline(self.majority, color="#888", linewidth=1, linestyle="--", label="most frequent label")
        layers = [layer_of(own.point) for own in self]
        named = "layer" if all(layers) else "hook point"
        ax.set_xticks(places, layers if all(layers) else [own.point for own in self])
        if named != "layer":
            ax.tick_params(axis="x", rotation=60)
        ax.set(xlabel=named, ylabel=f"accuracy, {len(self.labels)} labels", ylim=(0, 1.02))
        ax.legend(loc="lower right")
        return ax

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes everything as .npz: weights, bias and means (points, labels, ...), and the rest by name."""
        table = list(self.rows())
        numbers = {name: np.array([row[name] for row in table]) for name in table[0] if name != "point"}
        arrays = {name: np.stack([getattr(own, name) for own in self]) for name in ("weights", "bias", "means")}
        names = {"points": np.array([own.point for own in self]), "labels": np.array(json.dumps(self.labels))}
        savez: Any = np.savez  # whose types take names for flags
        with open(path, "wb") as file:
            savez(file, **arrays, **numbers, **names)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Probes:
        """Reads what `save` has written."""
        with np.load(path, allow_pickle=False) as held:
            probes = [
                Probe(
                    str(point),
                    float(held["accuracy"][at]),
                    (float(held["low"][at]), float(held["high"][at])),
                    float(held["control"][at]),
                    (float(held["control_low"][at]), float(held["control_high"][at])),
                    held["weights"][at],
                    held["bias"][at],
                    held["means"][at],
                )
                for at, point in enumerate(held["points"])
            ]
            labels, counts = json.loads(str(held["labels"])), (int(held["items"][0]), int(held["groups"][0]))
            return cls(labels, float(held["majority"][0]), *counts, probes)


def fit(
    activations: Mapping[str, npt.ArrayLike],
    labels: Sequence[Label],
    *,
    groups: Sequence[Any] | None = None,
    folds: int = 5,
    c: float = 1.0,
    seed: int = 0,
    progress: bool = False,
) -> Probes:
    """Fits a probe to the activations of each point, (items, width) or (items, heads, width).

    Accuracy is that of `folds` fits, each on what the others were not fitted on; items of one group (such as those
    about one picture) are held out together. `c` is scikit-learn's: smaller is simpler. The control has the same folds
    with the labels shuffled, by `seed`.
    """
    from sklearn.preprocessing import StandardScaler

    rows = {point: _matrix(point, own, len(labels)) for point, own in activations.items()}
    known, y = _known(labels)
    held = _held(groups, len(y))
    splits = _splits(y, held, folds, seed)
    shuffled = np.random.default_rng(seed).permutation(y)
    trials = len(np.unique(held))
    found = []
    for point, x in _shown(rows, progress):
        scaler = StandardScaler().fit(x)
        model = _model(c).fit(scaler.transform(x), y)
        weights, bias = _both(model.coef_, model.intercept_)
        # As of rows that nobody has scaled: a weight is a direction of activations.
        weights = weights / scaler.scale_
        bias = bias - weights @ scaler.mean_
        right, control = (_held_out(x, own, splits, c) for own in (y, shuffled))
        means = np.stack([x[y == at].mean(0) for at in range(len(known))])
        intervals = wilson(right, trials), wilson(control, trials)
        found.append(Probe(point, right, intervals[0], control, intervals[1], weights, bias, means))
    return Probes(known, float(np.bincount(y).max() / len(y)), len(y), trials, found)


def _known(labels: Sequence[Label]) -> tuple[list[Label], npt.NDArray[Any]]:
    """The labels that there are, and the place of each item's among them."""
    known = sorted(set(labels), key=lambda label: (str(type(label)), label))
    return known, np.array([known.index(label) for label in labels])


def _held(groups: Sequence[Any] | None, items: int) -> npt.NDArray[Any]:
    """The group of each item, as a number."""
    if groups is None:
        return np.arange(items)
    return np.unique([str(own) for own in groups], return_inverse=True)[1]


def _matrix(point: str, given: npt.ArrayLike, items: int) -> npt.NDArray[np.float64]:
    rows = np.asarray(given, dtype=np.float64)
    if len(rows) != items:
        raise ValueError(f"{point}: {len(rows)} rows and {items} labels; one label for each row is needed")
    if not np.isfinite(rows).all():
        raise ValueError(f"{point}: activations that are not finite")
    return rows.reshape(items, -1)


def _splits(
    y: npt.NDArray[Any], held: npt.NDArray[Any], folds: int, seed: int
) -> list[tuple[npt.NDArray[Any], npt.NDArray[Any]]]:
    from sklearn.model_selection import StratifiedGroupKFold

    if folds < 2:
        raise ValueError(f"folds: {folds}; at least 2 are needed")
    labels = np.unique(y)
    if len(labels) < 2:
        raise ValueError("labels: all are the same; at least two are needed")
    fewest = min(len(np.unique(held[y == at])) for at in labels)
    if fewest < folds:
        raise ValueError(
            f"folds: {folds}, and a label has {fewest} groups of items; take fewer folds, or leave out rare labels"
        )
    split = StratifiedGroupKFold(folds, shuffle=True, random_state=seed)
    return list(split.split(np.zeros((len(y), 1)), y, held))


def _model(c: float) -> Any:  # noqa: ANN401 (scikit-learn's)
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression(C=c, max_iter=_STEPS)


def _held_out(x: npt.NDArray[Any], y: npt.NDArray[Any], splits: Iterable[tuple[Any, Any]], c: float) -> float:
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    right = 0
    for train, test in splits:
        # Shuffled labels may leave a fold with one of them.
        if len(np.unique(y[train])) < 2:
            right += int((y[test] == y[train][0]).sum())
            continue
        model = make_pipeline(StandardScaler(), _model(c)).fit(x[train], y[train])
        right += int((model.predict(x[test]) == y[test]).sum())
    return right / len(y)


def _both(weights: npt.NDArray[Any], bias: npt.NDArray[Any]) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    """A row for each label: of two scikit-learn has one for the second alone."""
    if len(weights) > 1:
        return weights, bias
    return np.concatenate([-weights, weights]) / 2, np.concatenate([-bias, bias]) / 2


def _shown(rows: Mapping[str, Any], progress: bool) -> Iterable[tuple[str, Any]]:
    from tqdm.auto import tqdm

    return tqdm(list(rows.items()), desc="probes", unit=" points", disable=not progress)


def wilson(share: float, n: int) -> tuple[float, float]:
    """Wilson's 95 % interval of a share of n trials."""
    z2 = _NORMAL**2
    middle = (share + z2 / (2 * n)) / (1 + z2 / n)
    half = _NORMAL * math.sqrt(share * (1 - share) / n + z2 / (4 * n * n)) / (1 + z2 / n)
    return max(0.0, middle - half), min(1.0, middle + half)


def layer_of(point: str) -> str:
    """The layer of a point, by its name; empty where it has none."""
    return next((part for part in point.split(".") if part.isdecimal()), "")


def _value(question: bench.Sample, name: str) -> str:
    own = ("id", "answer", "category", "group")
    if name in own:
        return str(getattr(question, name))
    if name not in question.fields:
        raise ValueError(f"{name}: no such column; there are {', '.join([*own, *question.fields])}")
    return str(question.fields[name])


@dataclass
class Labelled:
    """Questions with their labels."""

    questions: list[bench.Sample]
    labels: list[str]
    pictures: list[str]
    """What tells their pictures apart: those about one picture are held out together."""


def read(
    rule: str,
    data: str | os.PathLike[str] | None = None,
    *,
    label: str = "answer",
    only: Mapping[str, str] | None = None,
    limit: int = 0,
    binary: str | os.PathLike[str] | None = None,
) -> Labelled:
    """Reads the questions of a benchmark, as `scotoma eval` does, by the program (`find_binary`).

    `label` is what they are told apart by: answer, category, group or another column. `only` leaves those whose columns
    have these values.
    """
    found = Labelled([], [], [])
    for asked in read_file(find_binary(binary), rule, data, limit=limit):
        question = asked.question
        if any(_value(question, name) != value for name, value in (only or {}).items()):
            continue
        found.questions.append(question)
        found.labels.append(_value(question, label))
        found.pictures.append(asked.picture)
    if not found.questions:
        raise ValueError(f"{rule}: no question is left")
    return found


def probe(
    client: Client,
    given: Labelled,
    hook: TargetLike,
    *,
    model: str = "",
    folds: int = 5,
    c: float = 1.0,
    seed: int = 0,
    progress: bool = False,
) -> Probes:
    """Captures a hook point of questions, the mean over its tokens, and fits probes to it, as `fit` does.

    `model` is the name of a resident model; the first one by default.
    """
    # Before anything is captured: labels that no probe can be fitted to.
    _, y = _known(given.labels)
    _splits(y, _held(given.pictures, len(y)), folds, seed)
    rows = client.activations(given.questions, hook, progress=progress, model=model)
    return fit(rows, given.labels, groups=given.pictures, folds=folds, c=c, seed=seed, progress=progress)


def main(arguments: Sequence[str] | None = None) -> int:
    """Fits probes to a benchmark's questions, prints their accuracy, and writes weights, table and plot."""
    parsed = _parser().parse_args(arguments)
    try:
        named = getattr(tokens, {"class": "class_"}.get(parsed.tokens, parsed.tokens))
        wanted = target(parsed.hook, tokens=named)
        given = read(parsed.rule, parsed.data, label=parsed.label, only=dict(parsed.only), limit=parsed.limit)
        fitted: dict[str, Any] = {"folds": parsed.folds, "c": parsed.c, "seed": parsed.seed, "progress": True}
        with _client(parsed.server, parsed.model) as (client, model):
            found = probe(client, given, wanted, model=model, **fitted)
        found.save(parsed.out)
        if parsed.csv is not None:
            write_table(found.rows(), parsed.csv)
        if parsed.plot is not None:
            write_figure(found.plot, parsed.plot)
    except ImportError as error:
        print(f"error: {error}; pip install 'scotoma[probe,plot]'", file=sys.stderr)
        return 1
    except (OSError, RuntimeError, ScotomaError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    _print(found)
    print(f"{parsed.out}: weights of {len(found)} points")
    return 0


def _parser() -> argparse.ArgumentParser:
    about = (__doc__ or "").split("\n", 1)[0]
    parser = argparse.ArgumentParser(prog="python -m scotoma.probe", description=about)
    add = parser.add_argument
    add("rule", help="a benchmark, such as mmvp; `scotoma eval list` prints all")
    add("--data", type=Path, help="file of questions, as `scotoma eval` takes it; `shapes` needs none")
    add("--hook", default="language_model.blocks.{l}.hook_resid_post", help="hook point, {l} for all layers")
    names = ["all", "visual", "text", "question", "last", "class"]
    add("--tokens", choices=names, default="last", help="tokens whose mean is read; default last")
    add("--label", default="answer", help="what is told apart: answer, category, group or another column")
    add(
        "--only", action="append", type=_pair, default=[], metavar="COLUMN=VALUE", help="only questions with this value"
    )
    add("--limit", type=int, default=0, help="read the first rows only; 0 reads all")
    add("--folds", type=int, default=5, help="parts that are held out in turn; default 5")
    add("--c", type=float, default=1.0, help="scikit-learn's C: smaller is simpler; default 1")
    add("--seed", type=int, default=0, help="of folds and shuffled labels")
    add("--server", help="address of a server; without it one is started. Questions are read by the program here")
    add("--model", help="model of a server that is started, default shapes; or the name of one of --server's")
    add("--out", type=Path, default=Path("probe.npz"), help="weights, for Probes.load; default probe.npz")
    add("--csv", type=Path, help="accuracies as a table, such as probe.csv")
    add("--plot", type=Path, help="accuracy by layer, such as probe.png")
    return parser


def _pair(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals:
        raise argparse.ArgumentTypeError("COLUMN=VALUE is needed")
    return name, value


@contextmanager
def _client(server: str | None, model: str | None) -> Iterator[tuple[Client, str]]:
    """A client, and which model of its server is meant: the first one where it is empty."""
    if server is not None:
        with Client(server) as client:
            yield client, model or ""
        return
    with LocalServer(model=model or "shapes") as own, Client(own.address) as client:
        yield client, ""


def _print(found: Probes) -> None:
    print(
        f"{found.items} questions, {found.groups} pictures, {len(found.labels)} labels; a constant answer gets "
        f"{found.majority:.3f}\n"
    )
    print(f"{'held out [95 %]':>22} {'shuffled labels':>22}  point")
    for own in found:
        shown = [f"{share:.3f} [{low:.2f}, {high:.2f}]" for share, (low, high) in _shares(own)]
        print(f"{shown[0]:>22} {shown[1]:>22}  {own.point}")


def _shares(own: Probe) -> list[tuple[float, tuple[float, float]]]:
    return [(own.accuracy, own.interval), (own.control, own.control_interval)]


if __name__ == "__main__":
    sys.exit(main())
