"""Names that people get wrong, and the nearest right ones."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

_FEW = 12


def nearest(name: str, known: Iterable[str]) -> str:
    """Returns what to say of a name that there is not: the nearest that there are, or all of them."""
    every = sorted(known)
    close = difflib.get_close_matches(name, every, n=3, cutoff=0.6)
    if close and len(every) > _FEW:
        return f"{name!r} is not known; did you mean {' or '.join(close)}?"
    return f"{name!r} is not known; {', '.join(every)} are" + (f" (did you mean {close[0]}?)" if close else "")
