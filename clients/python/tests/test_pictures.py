"""Pictures of every mode and arrays of every kind, as bytes; no server."""

import io
import re

import numpy as np
import pytest
from PIL import Image

from scotoma import pictures
from scotoma.messages import image_message

VALUES = np.random.default_rng(0).integers(0, 256, (5, 7, 3)).astype(np.uint8)
MODES = ("1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBX", "RGBa", "CMYK", "YCbCr", "LAB", "HSV", "I", "I;16", "F")


def sent(image: object) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(image_message(image).data)))  # type: ignore[arg-type]


def of_mode(mode: str) -> Image.Image:
    if mode in ("I", "I;16", "F"):
        dtype = {"I": np.int32, "I;16": np.uint16, "F": np.float32}[mode]
        return Image.fromarray(VALUES[:, :, 0].astype(dtype) * 3)
    if mode == "LAB":
        return Image.merge("LAB", Image.fromarray(VALUES).split())
    via = {"PA": "P", "RGBa": "RGBA"}.get(mode)
    return (Image.fromarray(VALUES).convert(via) if via else Image.fromarray(VALUES)).convert(mode)


@pytest.mark.parametrize("mode", MODES)
def test_a_picture_of_any_mode_is_what_pillow_converts_it_to(mode: str) -> None:
    image = of_mode(mode)
    assert np.array_equal(sent(image), np.asarray(image.convert("RGB")))


def test_a_mode_that_pillow_does_not_convert_is_named() -> None:
    with pytest.raises(ValueError, match="a picture of mode La cannot become RGB"):
        pictures.png(Image.new("La", (2, 2)))


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int64", "float32", "float64"])
def test_whole_numbers_of_any_dtype_are_a_picture(dtype: str) -> None:
    assert np.array_equal(sent(VALUES.astype(dtype)), VALUES)
    assert np.array_equal(sent(VALUES[:, :, 0].astype(dtype)), VALUES[:, :, :1].repeat(3, axis=2))


@pytest.mark.parametrize(
    ("array", "why"),
    [
        (VALUES / 255, "floats of 0 to 1 would become black"),
        (np.zeros((2, 2, 3)), "floats of 0 to 1 would become black"),
        (VALUES * 0.5, "fractions"),
        (VALUES.astype(np.int16) - 300, "values of -"),
        (VALUES.astype(np.uint16) * 257, "array // 257"),
        (np.full((2, 2, 3), np.nan), "not finite"),
        (VALUES > 7, "booleans"),
        (VALUES.astype(complex), "complex128"),
        (VALUES.transpose(2, 0, 1), re.escape("shape (3, 5, 7)")),
        (np.zeros((0, 3, 3), np.uint8), "no picture"),
    ],
)
def test_what_would_be_cut_in_silence_is_refused(array: np.ndarray, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        image_message(array)
