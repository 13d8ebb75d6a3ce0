"""What capture.py needs of the families whose towers or pictures are not those of the others: Pixtral and InternVL.

How interventions act on them, here and in the server (the rules of the other families, carried on):

Pixtral
- A picture is one view of rows x columns patches, whatever its shape; pictures never look at one another.
- Each row of patches ends with a token of its own, as LLaVA-NeXT's rows end with a newline: [IMG_BREAK], and behind the
  last row [IMG_END]. They are visual tokens (NAMED_VISUAL, NAMED_NEWLINE), whose values come from the embedding table:
  N = rows * (columns + 1), numbered as they are read. `projector.hook_tokens` holds them in their places, the other
  points of tower and projector hold the patches alone. A permutation that is drawn leaves them where they are.
- `input_ids` has the image token at all N places.
- Blocks partition the rows x columns patches, in the tower and among the visual tokens. Where `occlude_patches` has
  no `grid`, its cells are the picture's own rows x columns patches, numbered row by row.

InternVL
- Views are numbered as in every family: the base view (transformers' thumbnail, which it puts last) first, then the tiles
  row by row. A picture of one tile is a base view alone. The canvas is the whole picture, stretched to the tiles.
- Visual tokens are read in transformers' order: tile after tile, each row by row, then those of the base view.
  <img> and </img> around them are words of the prompt (NAMED_TEXT), not visual tokens.
- A visual token is the square of patches that the projector reads together (`downsample_ratio`). Blocks partition
  patches in the tower, visual tokens behind it. `occlude_patches` counts patches where it has no `grid`.
- `hook_attn_out` and `hook_mlp_out` of the tower hold what is added to the stream: behind the layer scale.
"""

from __future__ import annotations

import json
from pathlib import Path

import torch
from PIL import Image
from transformers import (
    InternVLConfig,
    InternVLForConditionalGeneration,
    InternVLProcessor,
    InternVLVisionConfig,
    LlavaConfig,
    LlavaForConditionalGeneration,
    MistralConfig,
    PixtralProcessor,
    PixtralVisionConfig,
    PreTrainedModel,
    Qwen2Config,
)
from transformers.models.got_ocr2.image_processing_pil_got_ocr2 import GotOcr2ImageProcessorPil, get_optimal_tiled_canvas
from transformers.models.internvl.video_processing_internvl import InternVLVideoProcessor
from transformers.models.pixtral.image_processing_pil_pixtral import PixtralImageProcessorPil

SHAPES = Path(__file__).parent.parent.parent / "models" / "shapes"
COMMON = {
    "hidden_size": 32, "intermediate_size": 56, "num_hidden_layers": 3, "num_attention_heads": 4, "num_key_value_heads": 2,
    "max_position_embeddings": 1024, "initializer_range": 0.2, "bos_token_id": 0, "eos_token_id": 1, "pad_token_id": 2,
}  # fmt: skip


def save_words(folder: Path, marker: str, added: list[str], names: dict[str, str]) -> None:
    """The tokenizer and the chat template of `shapes` with `marker` in place of `<image>` and `added` behind all tokens;
    `names` are attributes of the tokenizer."""
    tokenizer = json.loads((SHAPES / "tokenizer.json").read_text())
    special = next(token for token in tokenizer["added_tokens"] if token["content"] == "<image>")
    special["content"] = marker
    vocabulary = tokenizer["model"]["vocab"]
    if "<image>" in vocabulary:
        vocabulary[marker] = vocabulary.pop("<image>")
    first = json.loads((SHAPES / "config.json").read_text())["text_config"]["vocab_size"]
    tokenizer["added_tokens"] += [special | {"id": first + i, "content": token} for i, token in enumerate(added)]
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer, indent=1, ensure_ascii=False))
    config = json.loads((SHAPES / "tokenizer_config.json").read_text())
    config["extra_special_tokens"] = names or [marker, *added]
    (folder / "tokenizer_config.json").write_text(json.dumps(config, indent=2))
    template = (SHAPES / "chat_template.jinja").read_text()
    (folder / "chat_template.jinja").write_text(template.replace("<image>", marker))


class Pixtral:
    """LlavaForConditionalGeneration over a Pixtral tower."""

    tower = "transformer", "layers", "ln_pre"
    names = {
        "attention": "attention", "attn_out": "attention", "ln1": "attention_norm", "ln2": "ffn_norm", "o": "o_proj",
        "mlp": "feed_forward", "pre": "gate_proj", "linear": "up_proj", "post": "down_proj",
    }  # fmt: skip
    added = ["[IMG_BREAK]", "[IMG_END]"]
    PATCH, EDGE = 7, 35

    @classmethod
    def tiny(cls, vocabulary: int) -> PreTrainedModel:
        """At most 5 x 5 patches under a Mistral whose window is shorter than most prompts."""
        vision = PixtralVisionConfig(
            hidden_size=32, intermediate_size=48, num_hidden_layers=3, num_attention_heads=4, image_size=cls.EDGE,
            patch_size=cls.PATCH, hidden_act="silu", initializer_range=0.2,
            rope_parameters={"rope_type": "axial", "rope_theta": 10000.0},
        )  # fmt: skip
        text = MistralConfig(**COMMON, vocab_size=vocabulary + len(cls.added), head_dim=12, sliding_window=24)
        torch.manual_seed(31)
        return LlavaForConditionalGeneration(
            LlavaConfig(
                vision_config=vision, text_config=text, image_token_index=3, vision_feature_layer=-1,
                vision_feature_select_strategy="full", multimodal_projector_bias=True, image_seq_length=1,
            )  # fmt: skip
        )

    @classmethod
    def save(cls, folder: Path) -> None:
        save_words(folder, "[IMG]", cls.added, {})
        PixtralImageProcessorPil(
            size={"longest_edge": cls.EDGE}, patch_size={"height": cls.PATCH, "width": cls.PATCH}
        ).save_pretrained(folder)
        config = {
            "image_break_token": "[IMG_BREAK]", "image_end_token": "[IMG_END]", "image_token": "[IMG]", "patch_size": cls.PATCH,
            "processor_class": "PixtralProcessor", "spatial_merge_size": 1,
        }  # fmt: skip
        (folder / "processor_config.json").write_text(json.dumps(config, indent=2))

    def __init__(self, model: PreTrainedModel, tokenizer, source) -> None:
        self.model = model
        self.tokenizer = tokenizer
        self.processor = PixtralImageProcessorPil.from_pretrained(source)
        self.patch = model.config.vision_config.patch_size
        self.together = PixtralProcessor(self.processor, tokenizer, patch_size=self.patch)

    def text(self, text: str) -> str:
        return text.replace("<image>", "[IMG]")

    def ids(self, ids: torch.Tensor) -> torch.Tensor:
        ends = torch.tensor(self.together.image_token_ids)
        return torch.where(torch.isin(ids, ends), self.model.config.image_token_id, ids)

    def views(self, inputs: dict) -> list[torch.Tensor]:
        """The views of each picture, (1, 3, H, W)."""
        sizes = inputs["image_sizes"].tolist()
        return [pixels[None, :, :height, :width] for pixels, (height, width) in zip(inputs["pixel_values"], sizes, strict=True)]

    def inputs(self, views: list[torch.Tensor]) -> dict:
        """What the model's forward pass takes of them."""
        sizes = torch.tensor([view.shape[2:] for view in views], device=views[0].device)
        height, width = sizes.amax(0).tolist()
        padded = [torch.nn.functional.pad(v, (0, width - v.shape[3], 0, height - v.shape[2])) for v in views]
        return {"pixel_values": torch.cat(padded), "image_sizes": sizes}

    def features(self, packed, given: dict, views: list[torch.Tensor], recorder):
        """get_image_features, a picture at a time: the tower knows one sequence alone, whose pictures it masks from one another."""
        rows, outputs = [], None
        for view in views:
            recorder.next_picture()
            outputs = packed(**(given | self.inputs([view])))
            height, width = (side // self.patch for side in view.shape[2:])
            patches = outputs.pooler_output[0].view(height, width, -1)
            table = self.model.get_input_embeddings().weight
            _, middle, last = self.together.image_token_ids
            ends = torch.stack([table[middle]] * (height - 1) + [table[last]])[:, None]
            rows.append(torch.cat([patches, ends], 1).flatten(0, 1))
        return outputs, rows

    def joined(self, rows: list[torch.Tensor]) -> list[torch.Tensor]:
        return rows

    def grid(self, view: torch.Tensor) -> tuple[int, int]:
        """Patches of a view."""
        return view.shape[-2] // self.patch, view.shape[-1] // self.patch

    def places(self, views: torch.Tensor, picture: Image.Image) -> list[tuple[int, int, int, int, int] | None]:
        """As `Changes.places`."""
        rows, columns = self.grid(views)
        return [None if c == columns else (0, r, c, rows, columns) for r in range(rows) for c in range(columns + 1)]

    def tiles(self, picture: Image.Image) -> tuple[int, int]:
        return 1, 1

    @staticmethod
    def more() -> dict[str, list[dict]]:
        """Cases that only grids which are not square, and rows with ends, can get wrong."""
        blocks = lambda *chosen: {"anyOf": [{"blocks": {"grid": 2, "indices": list(chosen)}}]}  # noqa: E731
        return {
            "permute-drawn": [{"permuteTokens": {"seed": "21"}}],
            "permute-blocks": [{"permuteTokens": {"seed": "22", "scope": "SCOPE_WITHIN_BLOCKS", "blocks": 2}}],
            "replace-newline": [{"replaceTokens": {"tokens": {"anyOf": [{"named": "NAMED_NEWLINE"}]}, "constant": "CONSTANT_ZERO"}}],
            "knock-out-blocks": [
                {"knockOutAttention": {"stack": "STACK_VISION_TOWER", "from": blocks(0), "to": blocks(1, 3)}}
            ],
        }  # fmt: skip


class InternVL:
    """InternVLForConditionalGeneration."""

    tower = "encoder", "layer", "embeddings"
    names = {
        "attention": "attention", "attn_out": "attention", "ln1": "layernorm_before", "ln2": "layernorm_after",
        "o": "projection_layer", "mlp": "mlp", "pre": "fc1", "post": "fc2",
    }  # fmt: skip
    added = ["<img>", "</img>", "<video>"]
    PATCH, EDGE = 7, 28

    @classmethod
    def tiny(cls, vocabulary: int) -> PreTrainedModel:
        """4 x 4 patches a tile, 2 x 2 visual tokens, under a Qwen2 with a head of its own."""
        vision = InternVLVisionConfig(
            hidden_size=32, intermediate_size=48, num_hidden_layers=3, num_attention_heads=4, image_size=[cls.EDGE, cls.EDGE],
            patch_size=[cls.PATCH, cls.PATCH], attention_bias=True, use_qk_norm=True, initializer_range=0.2,
            layer_scale_init_value=0.5,
        )  # fmt: skip
        text = Qwen2Config(**COMMON, vocab_size=vocabulary + len(cls.added), tie_word_embeddings=False)
        torch.manual_seed(32)
        model = InternVLForConditionalGeneration(
            InternVLConfig(
                vision_config=vision, text_config=text, image_token_id=3, image_seq_length=4, tie_word_embeddings=False,
            )  # fmt: skip
        )
        with torch.no_grad():
            for name, parameter in model.model.vision_tower.named_parameters():
                if name.endswith(("cls_token", "position_embeddings")):
                    parameter.normal_(0.0, 0.5)
                elif "lambda" in name or "_norm" in name:
                    parameter.add_(torch.randn_like(parameter) * 0.2)
        return model

    @classmethod
    def save(cls, folder: Path) -> None:
        names = {
            "context_image_token": "<IMG_CONTEXT>", "end_image_token": "</img>", "start_image_token": "<img>", "video_token": "<video>",
        }  # fmt: skip
        save_words(folder, "<IMG_CONTEXT>", cls.added, names)
        GotOcr2ImageProcessorPil(
            size={"height": cls.EDGE, "width": cls.EDGE}, crop_to_patches=True, max_patches=4,
            image_mean=[0.485, 0.456, 0.406], image_std=[0.229, 0.224, 0.225],
        ).save_pretrained(folder)  # fmt: skip
        config = {"image_seq_length": 4, "processor_class": "InternVLProcessor"}
        (folder / "processor_config.json").write_text(json.dumps(config, indent=2))

    def __init__(self, model: PreTrainedModel, tokenizer, source) -> None:
        self.model = model
        self.tokenizer = tokenizer
        self.processor = GotOcr2ImageProcessorPil.from_pretrained(source)
        length = model.config.image_seq_length
        self.together = InternVLProcessor(self.processor, tokenizer, InternVLVideoProcessor(), image_seq_length=length)

    def text(self, text: str) -> str:
        return text.replace("<image>", "<IMG_CONTEXT>")

    def ids(self, ids: torch.Tensor) -> torch.Tensor:
        return ids

    def views(self, inputs: dict) -> list[torch.Tensor]:
        """The views of each picture, the base view first, (V, 3, S, S)."""
        return [pixels.roll(1, 0) for pixels in inputs["pixel_values"].split(torch.as_tensor(inputs["num_patches"]).tolist())]

    def inputs(self, views: list[torch.Tensor]) -> dict:
        """What the model's forward pass takes of them: base views first, which `features` puts last again."""
        return {"pixel_values": torch.cat(views)}

    def features(self, packed, given: dict, views: list[torch.Tensor], recorder):
        outputs = packed(**(given | self.inputs(views)))
        rows = outputs.pooler_output.split([len(v) for v in views])
        return outputs, [r.roll(-1, 0).flatten(0, 1) for r in rows]

    def joined(self, rows: list[torch.Tensor]) -> torch.Tensor:
        return torch.cat(rows)[None]

    def grid(self, view: torch.Tensor) -> tuple[int, int]:
        """Patches of a view."""
        patch = self.model.config.vision_config.patch_size
        return view.shape[-2] // patch[0], view.shape[-1] // patch[1]

    def places(self, views: torch.Tensor, picture: Image.Image) -> list[tuple[int, int, int, int, int] | None]:
        """As `Changes.places`."""
        side = int(self.grid(views)[0] * self.model.config.downsample_ratio)
        rows, columns = self.tiles(picture)
        base = [(0, r, c, side, side) for r in range(side) for c in range(side)]
        if rows * columns == 1:
            return base
        return [
            (1 + tile, tile // columns * side + r, tile % columns * side + c, rows * side, columns * side)
            for tile in range(rows * columns)
            for _, r, c, _, _ in base
        ] + base

    def tiles(self, picture: Image.Image) -> tuple[int, int]:
        size = self.processor.size
        columns, rows = get_optimal_tiled_canvas(
            (picture.height, picture.width), (size["height"], size["width"]), self.processor.min_patches, self.processor.max_patches
        )
        return rows, columns

    @staticmethod
    def more() -> dict[str, list[dict]]:
        """Cases that only tiles in front of the base view can get wrong."""
        zero = lambda one: [{"replaceTokens": {"tokens": {"anyOf": [one]}, "constant": "CONSTANT_ZERO"}}]  # noqa: E731
        class_token = {"anyOf": [{"named": "NAMED_CLASS"}]}
        return {
            "permute-drawn": [{"permuteTokens": {"seed": "21"}}],
            "permute-tiles": [{"permuteTokens": {"seed": "22", "scope": "SCOPE_WITHIN_TILES"}}],
            "permute-blocks": [{"permuteTokens": {"seed": "23", "scope": "SCOPE_WITHIN_BLOCKS", "blocks": 2}}],
            "replace-base": zero({"named": "NAMED_BASE_VIEW"}),
            "replace-tile": zero({"tile": 1}),
            "knock-out-class": [{"knockOutAttention": {"stack": "STACK_VISION_TOWER", "layers": [1], "to": class_token}}],
        }


OTHERS = {"tiny-pixtral": Pixtral, "tiny-internvl": InternVL}


def kind_of(config) -> type[Pixtral] | type[InternVL] | None:
    """The class above that a configuration is of, if any."""
    return {"pixtral": Pixtral, "internvl_vision": InternVL}.get(config.vision_config.model_type)
