"""Pixel values by the image processors that results are made with: processors.json.

    pip install -r requirements.txt; pip install --target pillow12 pillow==12.3.0
    python processors.py pillow torchvision
    PYTHONPATH=pillow12 python processors.py pillow-12

For 210 pictures a family: side, width, height, views, half the SHA-256 of the pixel values (f32, little-endian) and the first of them.
200 random sizes at a side of 28 pixels, ten at the real side. `llava_onevision_padded` is the first of two pictures in a nested list. `pixtral`'s side is its
longest edge, in patches of 7 pixels, or of 16 at the real one. Of `internvl` the base view comes first, as everywhere here. Pictures are patterns that
any language can draw. torchvision's values are those of a processor with AVX2 or AVX-512 (bicubic kernels have the same everywhere).
"""

import hashlib
import json
import random
import sys
from pathlib import Path

import numpy as np
import PIL
import torch
import torchvision
import transformers
from PIL import Image
from transformers.models.clip.image_processing_clip import CLIPImageProcessor
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil
from transformers.models.got_ocr2.image_processing_got_ocr2 import GotOcr2ImageProcessor
from transformers.models.got_ocr2.image_processing_pil_got_ocr2 import GotOcr2ImageProcessorPil
from transformers.models.llava.image_processing_llava import LlavaImageProcessor
from transformers.models.llava.image_processing_pil_llava import LlavaImageProcessorPil
from transformers.models.llava_next.image_processing_llava_next import LlavaNextImageProcessor
from transformers.models.llava_next.image_processing_pil_llava_next import LlavaNextImageProcessorPil
from transformers.models.llava_onevision.image_processing_llava_onevision import LlavaOnevisionImageProcessor
from transformers.models.llava_onevision.image_processing_pil_llava_onevision import LlavaOnevisionImageProcessorPil
from transformers.models.pixtral.image_processing_pil_pixtral import PixtralImageProcessorPil
from transformers.models.pixtral.image_processing_pixtral import PixtralImageProcessor

OUT = Path(__file__).parent / "processors.json"
NEXT = [(1, 2), (2, 1), (2, 2), (3, 1), (1, 3)]
ONEVISION = [(rows, columns) for rows in range(1, 7) for columns in range(1, 7)]
PILLOW = {"pillow": "13.0.0", "pillow-12": "12.3.0"}


def pattern(width: int, height: int) -> Image.Image:
    """(7 x + 13 y + 29 c + x y) mod 256."""
    y, x, c = np.meshgrid(np.arange(height), np.arange(width), np.arange(3), indexing="ij")
    return Image.fromarray(((7 * x + 13 * y + 29 * c + x * y) % 256).astype(np.uint8))


def families(side: int, torchvision: bool) -> dict:
    """By name: a processor for pictures of `side` pixels."""
    square = {"height": side, "width": side}
    short = {"size": {"shortest_edge": side}, "crop_size": square}
    tiles = lambda grid: [[rows * side, columns * side] for rows, columns in grid]  # noqa: E731
    clip, llava, llava_next, onevision = (
        (CLIPImageProcessor, LlavaImageProcessor, LlavaNextImageProcessor, LlavaOnevisionImageProcessor)
        if torchvision
        else (CLIPImageProcessorPil, LlavaImageProcessorPil, LlavaNextImageProcessorPil, LlavaOnevisionImageProcessorPil)
    )
    pixtral = PixtralImageProcessor if torchvision else PixtralImageProcessorPil
    internvl = GotOcr2ImageProcessor if torchvision else GotOcr2ImageProcessorPil
    patch = 7 if side == 28 else 16
    # As llava-onevision checkpoints set them; the mean is not a level, so that padding shows how it is rounded.
    tiled = onevision(size=square, image_grid_pinpoints=tiles(ONEVISION), image_mean=[0.5] * 3, image_std=[0.5] * 3)
    return {
        "llava": clip(**short),
        "llava_padded": llava(**short, do_pad=True),
        "llava_next": llava_next(**short, image_grid_pinpoints=tiles(NEXT)),
        "llava_onevision": tiled,
        "llava_onevision_padded": tiled,
        "pixtral": pixtral(size={"longest_edge": side}, patch_size={"height": patch, "width": patch}),
        "internvl": internvl(
            size=square, crop_to_patches=True, image_mean=[0.485, 0.456, 0.406], image_std=[0.229, 0.224, 0.225]
        ),
    }


def rows(name: str, torchvision: bool) -> list[list]:
    rng = random.Random(name)
    small, real = families(28, torchvision)[name], {"pixtral": 1024, "internvl": 448}.get(name, 384 if "onevision" in name else 336)
    sizes = [(28, *(round(2 ** rng.uniform(0, 8)) for _ in range(2))) for _ in range(200)]
    if name == "pixtral":
        # Nothing is left of longer ones.
        sizes = [(28, min(width, 28 * height), min(height, 28 * width)) for _, width, height in sizes]
    sizes += [(real, *(round(2 ** rng.uniform(6, 10)) for _ in range(2))) for _ in range(10)]
    large = families(real, torchvision)[name]
    found = []
    for side, width, height in sizes:
        picture = pattern(width, height)
        images = [[picture, pattern(5, 5)]] if name.endswith("_padded") and "onevision" in name else [picture]
        pixels = (small if side == 28 else large)(images=images, return_tensors="pt")["pixel_values"]
        pixels = pixels.roll(1, 0) if name == "internvl" else pixels[0]
        pixels = np.ascontiguousarray(pixels.numpy() if hasattr(pixels, "numpy") else pixels, dtype="<f4")
        pixels = pixels[None] if pixels.ndim == 3 else pixels
        if len(images[0] if isinstance(images[0], list) else images) == 2:
            pixels = pixels[:1]
        digest = hashlib.sha256(pixels.tobytes()).hexdigest()[:32]
        found.append([side, width, height, len(pixels), digest, float(pixels.flat[0])])
    return found


def main() -> None:
    out = json.loads(OUT.read_text()) if OUT.exists() else {}
    torch.set_num_threads(1)
    for backend in sys.argv[1:]:
        if PIL.__version__ != PILLOW.get(backend, "13.0.0"):
            sys.exit(f"{backend}: this is Pillow {PIL.__version__}")
        versions = {"pillow": PIL.__version__, "transformers": transformers.__version__}
        if backend == "torchvision":
            versions |= {"torch": torch.__version__, "torchvision": torchvision.__version__}
        names = families(28, True)
        out[backend] = {"versions": versions, **{name: rows(name, backend == "torchvision") for name in names}}
    lines = lambda value: ",\n".join(json.dumps(row, separators=(",", ":")) for row in value)  # noqa: E731
    parts = [
        f'"{backend}": {{"versions": {json.dumps(found["versions"])},\n'
        + ",\n".join(f'"{name}": [\n{lines(value)}]' for name, value in found.items() if name != "versions")
        + "}"
        for backend, found in sorted(out.items())
    ]
    OUT.write_text("{" + ",\n".join(parts) + "}\n")


main()
