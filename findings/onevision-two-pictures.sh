#!/bin/sh
# transformers 5.17.0, LLaVA-OneVision: the same two pictures are other inputs as a flat list than as a nested list. Flat, each picture is
# cut into tiles as if it came alone; nested (what apply_chat_template makes of a message with two pictures), each is padded to a
# square and seen as one view. No warning, other numbers of visual tokens, other answers.
#
# Seen with LlavaOnevisionImageProcessorPil at its defaults and pictures of 400 x 300 and 300 x 900: 4 views each (the batch is padded) as a
# flat list, 1 each as a nested list.
#
# Exits with 0 as long as the two differ so.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q transformers==5.17.0 pillow==13.0.0 numpy==2.4.6
"$folder/venv/bin/python" - <<'PYTHON'
import sys
from PIL import Image
from transformers.models.llava_onevision.image_processing_pil_llava_onevision import LlavaOnevisionImageProcessorPil

processor = LlavaOnevisionImageProcessorPil()
pictures = [Image.new("RGB", (400, 300)), Image.new("RGB", (300, 900))]
shapes = {}
for name, images in {"flat": pictures, "nested": [pictures]}.items():
    found = processor(images=images, return_tensors="np")
    shapes[name] = tuple(found["pixel_values"].shape)
    print(name, "pixel_values", shapes[name], "batch_num_images", [int(n) for n in found["batch_num_images"]])
sys.exit(not (shapes["nested"][1] == 1 and shapes["flat"][1] > 1))
PYTHON
