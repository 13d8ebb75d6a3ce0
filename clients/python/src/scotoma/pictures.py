"""Pictures as people hold them, to the bytes of a file."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import PIL.Image


def png(image: PIL.Image.Image) -> bytes:
    """Returns the PNG of a Pillow image of any mode, converted as `image.convert("RGB")` does.

    Grey of 16 bits, and the modes I and F, are clipped at 255, not scaled: that is what Pillow does.

    Raises ValueError where Pillow has no such conversion (mode La).
    """
    try:
        converted = image.convert("RGB")
    except ValueError as error:
        raise ValueError(f"a picture of mode {image.mode} cannot become RGB: {error}") from error
    out = io.BytesIO()
    converted.save(out, "PNG")
    return out.getvalue()


def array_image(array: np.ndarray[Any, Any]) -> PIL.Image.Image:
    """Returns the Pillow image of an array of shape (height, width), (height, width, 3) or (height, width, 4).

    Values are whole numbers of 0 to 255, of any dtype. What else would be cut to 8 bits in silence is refused: floats
    of 0 to 1, which would become black, fractions, and numbers outside of 0 to 255.

    Raises ValueError that says what to do.
    """
    import PIL.Image

    if array.size == 0 or not (array.ndim == 2 or (array.ndim == 3 and array.shape[2] in (3, 4))):
        shapes = "(height, width), (height, width, 3) or (height, width, 4)"
        raise ValueError(f"an array of shape {array.shape} is no picture; {shapes} is needed")
    if array.dtype != np.uint8:
        array = _levels(array)
    return PIL.Image.fromarray(array)


def _levels(array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    kind = array.dtype.kind
    if kind == "b":
        raise ValueError("an array of booleans is no picture; (array * 255).astype(np.uint8) makes it one")
    if kind not in "iuf":
        raise ValueError(f"an array of {array.dtype} is no picture; uint8 of 0 to 255 is needed")
    low, high = array.min(), array.max()
    if not (np.isfinite(low) and np.isfinite(high)):
        raise ValueError("the array holds values that are not finite; uint8 of 0 to 255 is needed")
    if kind == "f" and low >= 0 and high <= 1:
        raise ValueError(
            "an array of floats of 0 to 1 would become black; (array * 255).round().astype(np.uint8) is its picture"
        )
    if low < 0 or high > 255:
        raise ValueError(f"the array holds values of {low} to {high}; 0 to 255 are needed (of 16 bits: array // 257)")
    levels = array.astype(np.uint8)
    if kind == "f" and not np.array_equal(levels, array):
        raise ValueError("the array holds fractions; array.round().astype(np.uint8) is its picture")
    return levels
