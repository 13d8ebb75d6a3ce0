"""Small pictures for notebooks, drawn with NumPy alone: heat maps as PNG, lines as SVG, tables as HTML."""

from __future__ import annotations

import base64
import html
import math
import struct
import zlib
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

_RED, _BLUE, _PAPER = (178, 36, 36), (40, 84, 160), (247, 247, 247)
_SIDE = 240
_MOST_ROWS = 50


def png(rgb: npt.NDArray[np.uint8]) -> bytes:
    """Returns the PNG of an array (height, width, 3)."""
    height, width = rgb.shape[:2]
    lines = np.zeros((height, 1 + 3 * width), np.uint8)
    lines[:, 1:] = rgb.reshape(height, -1)

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    body = chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(lines.tobytes())) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


def colours(values: npt.ArrayLike) -> npt.NDArray[np.uint8]:
    """Returns a colour for each number: white at 0, red above, blue below; grey where there is none."""
    array = np.asarray(values, dtype=np.float64)
    is_there = np.isfinite(array)
    most = float(np.abs(array[is_there]).max()) if is_there.any() else 1.0
    share = np.clip(np.where(is_there, array, 0) / (most or 1.0), -1, 1)[..., np.newaxis]
    end = np.where(share > 0, np.array(_RED), np.array(_BLUE))
    mixed = np.array(_PAPER) + np.abs(share) * (end - np.array(_PAPER))
    mixed[~is_there] = 200
    levels: npt.NDArray[np.uint8] = mixed.round().astype(np.uint8)
    return levels


def heat_map(values: npt.ArrayLike, side: int = _SIDE) -> bytes:
    """Returns the PNG of a matrix, a cell for each number, its longer side about `side` pixels where that goes."""
    grid = np.asarray(values, dtype=np.float64)
    grid = grid[:: -(-grid.shape[0] // 1024), :: -(-grid.shape[1] // 1024)]
    scale = max(side // max(grid.shape), 1)
    return png(np.repeat(np.repeat(colours(grid), scale, 0), scale, 1))


def square(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Returns numbers of patches in their square, other lists as one row, and more dimensions as rows of a matrix."""
    if values.ndim == 1:
        side = math.isqrt(values.size)
        return values.reshape((side, side) if side * side == values.size else (1, -1))
    return values.reshape(values.shape[0], -1)


def image(data: bytes, alt: str = "") -> str:
    """Returns an `img` of a PNG."""
    return f'<img src="data:image/png;base64,{base64.b64encode(data).decode()}" alt="{html.escape(alt)}">'


def number(value: object) -> str:
    """Returns a value in few figures."""
    if isinstance(value, (float, np.floating)):
        return f"{value:.4g}"
    if isinstance(value, (list, tuple)):
        return ", ".join(map(number, value))
    return "" if value is None else str(value)


def table(rows: Sequence[dict[str, Any]], caption: str = "") -> str:
    """Returns a table of HTML, a row for each; of many the first ones."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    # Columns in which nothing stands say nothing.
    names = [name for name in names if any(number(row.get(name)) for row in rows)]
    head = "".join(f"<th>{html.escape(str(name))}</th>" for name in names)
    body = "".join(
        "<tr>" + "".join(f"<td>{html.escape(number(row.get(name)))}</td>" for name in names) + "</tr>"
        for row in rows[:_MOST_ROWS]
    )
    more = f"; {len(rows) - _MOST_ROWS} more rows" if len(rows) > _MOST_ROWS else ""
    text = f"<caption>{html.escape(caption + more)}</caption>" if caption or more else ""
    return f"<table>{text}<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def line(xs: Iterable[float], ys: Iterable[float], x: str, y: str) -> str:
    """Returns an SVG of a line through points."""
    points = sorted((float(a), float(b)) for a, b in zip(xs, ys, strict=True))
    width, height, edge = 420, 220, 44
    (left, right), (low, high) = (_ends([p[i] for p in points]) for i in (0, 1))

    def place(a: float, b: float) -> tuple[float, float]:
        across = edge + (a - left) / (right - left) * (width - 2 * edge)
        return across, height - edge - (b - low) / (high - low) * (height - 2 * edge)

    placed = [place(*point) for point in points]
    dots = "".join(f'<circle cx="{a:.1f}" cy="{b:.1f}" r="2.5" fill="#b22424"/>' for a, b in placed)
    path = " ".join(f"{a:.1f},{b:.1f}" for a, b in placed)
    text = 'font-family="sans-serif" font-size="11" fill="currentColor"'
    ticks = "".join(
        f'<text x="{a:.0f}" y="{b:.0f}" text-anchor="{anchor}" {text}>{html.escape(said)}</text>'
        for a, b, anchor, said in (
            (edge, height - edge + 14, "middle", f"{left:.4g}"),
            (width - edge, height - edge + 14, "middle", f"{right:.4g}"),
            (edge - 5, height - edge, "end", f"{low:.3g}"),
            (edge - 5, edge, "end", f"{high:.3g}"),
            (width / 2, height - 8, "middle", x),
            (edge, edge - 16, "start", y),
        )
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" role="img">'
        f'<polyline points="{path}" fill="none" stroke="#b22424" stroke-width="1.5"/>{dots}{ticks}</svg>'
    )


def _ends(values: list[float]) -> tuple[float, float]:
    low, high = min(values), max(values)
    return (low, high) if high > low else (low - 0.5, high + 0.5)
