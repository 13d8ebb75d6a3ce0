"""Two pictures for LLaVA-OneVision as a nested and as a flat list, by transformers: multi-image.json.

    pip install -r requirements.txt; python multi_image.py

For each: visual tokens, prompt tokens, and log-probabilities of the five likeliest next tokens, of the model in tiny-onevision.
"""

import json
from pathlib import Path

import torch
from PIL import Image
from transformers import AutoModelForImageTextToText, AutoTokenizer, LlavaOnevisionProcessor, LlavaOnevisionVideoProcessor
from transformers.models.llava_onevision.image_processing_pil_llava_onevision import LlavaOnevisionImageProcessorPil

HERE = Path(__file__).parent
TEXT = "USER: <image>\nand <image>\nWhat colour? ASSISTANT:"


@torch.no_grad()
def main() -> None:
    source = HERE / "tiny-onevision" / "model"
    model = AutoModelForImageTextToText.from_pretrained(source, dtype=torch.float32, attn_implementation="eager").eval()
    vision = model.config.vision_config
    processor = LlavaOnevisionProcessor(
        LlavaOnevisionImageProcessorPil.from_pretrained(source), AutoTokenizer.from_pretrained(source), LlavaOnevisionVideoProcessor(),
        num_image_tokens=(vision.image_size // vision.patch_size) ** 2, vision_feature_select_strategy="full",
        vision_aspect_ratio=model.config.vision_aspect_ratio,
    )  # fmt: skip
    pictures = [Image.open(HERE / "pictures" / f"{name}.png").convert("RGB") for name in ("square", "tall")]
    out = {"text": TEXT, "pictures": ["square", "tall"]}
    for name, images in (("padded", [pictures]), ("tiled", pictures)):
        inputs = processor(text=TEXT, images=images, return_tensors="pt")
        ids = inputs["input_ids"][0]
        top = torch.log_softmax(model(**inputs).logits[0, -1].double(), -1).topk(5)
        out[name] = {
            "image_tokens": int((ids == model.config.image_token_id).sum()), "prompt_tokens": len(ids),
            "top": [[int(i), float(p)] for i, p in zip(top.indices, top.values, strict=True)],
        }  # fmt: skip
    (HERE / "multi-image.json").write_text(json.dumps(out, indent=1) + "\n")


main()
