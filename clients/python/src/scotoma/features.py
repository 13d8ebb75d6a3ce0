"""What features of a sparse autoencoder fire on: counts over many inputs, and where each is strongest."""

from __future__ import annotations

import html
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from blake3 import blake3

from scotoma import paint
from scotoma.v1 import inference_service_pb2 as pb
from scotoma.views import Activation

if TYPE_CHECKING:
    import pandas as pd

# Most features of a row that a capture tells.
MOST_ACTIVE = 1000


@dataclass(frozen=True)
class Example:
    """Where a feature is strong."""

    value: float
    item: int
    """Number of the item among those that were given."""
    token: int
    """Number of the token."""
    label: str
    """The text of the token, or the place of its patch."""
    patch: pb.TracePatch | None
    """The place of its patch in the picture; None where it shows none."""


@dataclass
class Feature:
    """What is known of one feature."""

    number: int
    tokens: int = 0
    """Tokens at which it fires."""
    items: int = 0
    """Items in which it fires."""
    total: float = 0.0
    """The sum of its values."""
    top: list[Example] = field(default_factory=list)
    """Where it is strongest, strongest first: one token of each picture, or of each item for text."""
    _sources: list[bytes] = field(default_factory=list, repr=False)

    @property
    def mean(self) -> float:
        """The mean value where it fires."""
        return self.total / self.tokens if self.tokens else 0.0

    @property
    def largest(self) -> float:
        """The largest value; 0 where it never fires."""
        return self.top[0].value if self.top else 0.0

    def keep(self, example: Example, source: bytes, most: int) -> None:
        """Keeps an example if it is among the strongest."""
        # Several questions about one picture would fill the list with it.
        if source in self._sources:
            known = self._sources.index(source)
            if self.top[known].value >= example.value:
                return
            del self.top[known], self._sources[known]
        place = sum(own.value >= example.value for own in self.top)
        self.top.insert(place, example)
        self._sources.insert(place, source)
        del self.top[most:], self._sources[most:]


class FeatureTable(Mapping[int, Feature]):
    """Features that fired, by number; a notebook shows those that fire at most tokens."""

    def __init__(self, top: int = 10) -> None:
        """Keeps so many examples of each."""
        self._top = top
        self._features: dict[int, Feature] = {}
        self.items_seen = 0
        """Items that were looked at."""
        self.tokens_seen = 0
        """Tokens that were looked at."""

    def __getitem__(self, number: int) -> Feature:
        """One that fired."""
        return self._features[number]

    def __iter__(self) -> Any:  # noqa: ANN401 (typing has no shorter name)
        """Numbers, those that fire at most tokens first."""
        return iter(sorted(self._features, key=lambda number: (-self._features[number].tokens, number)))

    def __len__(self) -> int:
        """How many fired."""
        return len(self._features)

    def __repr__(self) -> str:
        """Counts."""
        return f"<FeatureTable {len(self)} features that fire at {self.tokens_seen} tokens of {self.items_seen} items>"

    def add(self, captured: Iterable[Activation], pictures: list[bytes]) -> None:
        """Takes what was captured of one item; `pictures` tells its pictures from others."""
        best: dict[int, Example] = {}
        for own in captured:
            for token, row, position in zip(own.tokens, own.features, own.positions, strict=True):
                self.tokens_seen += 1
                for number, value in row.items():
                    feature = self._features.setdefault(number, Feature(number))
                    feature.tokens += 1
                    feature.total += value
                    if number not in best or best[number].value < value:
                        patch = position.patches[0] if position.patches else None
                        best[number] = Example(value, self.items_seen, token, position.label, patch)
        for number, example in best.items():
            at = None if example.patch is None else example.patch.image
            known = at is not None and at < len(pictures)
            source = pictures[at] if known and at is not None else str(self.items_seen).encode()
            self._features[number].items += 1
            self._features[number].keep(example, source, self._top)
        self.items_seen += 1

    def rows(self) -> list[dict[str, Any]]:
        """A row for each feature that fired, those that fire most first; `tokens` and `items` are shares of all."""
        return [
            {
                "feature": own.number,
                "tokens": own.tokens / max(self.tokens_seen, 1),
                "items": own.items / max(self.items_seen, 1),
                "mean": own.mean,
                "largest": own.largest,
                "strongest": "; ".join(f"{e.value:.2f} {e.label.strip()} of {e.item}" for e in own.top[:3]),
            }
            for own in map(self.__getitem__, self)
        ]

    def to_pandas(self) -> pd.DataFrame:
        """The rows as a table (`scotoma[data]`)."""
        import pandas as pd

        return pd.DataFrame(self.rows(), columns=["feature", "tokens", "items", "mean", "largest", "strongest"])

    def _repr_html_(self) -> str:
        return f"<p>{html.escape(repr(self)[1:-1])}</p>" + paint.table(self.rows()[:50])


def picture_names(images: Iterable[pb.Image]) -> list[bytes]:
    """What tells pictures apart: their digests."""
    return [blake3(own.data or own.handle.encode()).digest() for own in images]
