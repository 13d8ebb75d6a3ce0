"""Captures the goldens of encoders that stand by themselves from Hugging Face transformers: SigLIP's two towers, DINOv2, and the
features of tiny-clip and tiny-dino, whose checkpoints capture.py writes.

    python towers.py [SET ...]          default: all of SETS

A set is a folder: a tiny seeded checkpoint with the files that its model has on the hub, and golden/features.safetensors with what
each layer puts out for three pictures (the class token's row, and the mean over patches), the pooled embeddings, by head the
attention of the last block's class token to the patches of `square`, and for texts the ids, the layers' means over a text's own
tokens and the pooled embeddings. requirements.txt, and sentencepiece.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path

import sentencepiece
import tokenizers
import torch
from PIL import Image
from safetensors.torch import save_file
from sentencepiece import sentencepiece_model_pb2
from transformers import (
    AutoTokenizer,
    CLIPModel,
    Dinov2Config,
    Dinov2ForImageClassification,
    Dinov2Model,
    Dinov2WithRegistersConfig,
    Dinov2WithRegistersModel,
    SiglipConfig,
    SiglipModel,
    ViTModel,
)
from transformers.models.bit.image_processing_pil_bit import BitImageProcessorPil
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil
from transformers.models.siglip.image_processing_pil_siglip import SiglipImageProcessorPil
from transformers.models.vit.image_processing_pil_vit import ViTImageProcessorPil

HERE = Path(__file__).parent
PICTURES = ("square", "wide", "tall")
POSITIONS = 12
WORDS = "a photo of the red blue green circle square triangle cat dog two three small large hello world its ice cream stra\u00dfe caf\u00e9"
TEXTS = (
    "a photo of a red circle",
    "A photo of a CAT.",
    "Hello,  world! It's",
    "ice-cream \u0130 \u03a3\u03a3",
    "  x\u00bd \u00a8a\u3000b\uff21 ",
    "\u2581a\u2581photo",
    "\u00bd\u0301 a",
    "!!!",
    "caf\u00e9 cafe\u0301 \x1c\x85 stra\u00dfe",
    "\u65e5\u672c a",
    "two small red dogs and three large blue cats on a square of green triangles",
)
SENTENCEPIECE_RULES = ("FF41\t61", "BD\t31 2F 32", "A8\t20 308", "E9\t65 301")
"""A few of the rules of nmt_nfkc, whose table would be 240 kB."""


def pictures() -> list[Image.Image]:
    return [Image.open(HERE / "pictures" / f"{name}.png").convert("RGB") for name in PICTURES]


def unsettle(model: torch.nn.Module) -> None:
    """Adds noise to all parameters: what is initialised to zeros or ones would test nothing."""
    for parameter in model.parameters():
        parameter.add_(torch.randn_like(parameter) * 0.15)


def image_features(tower: torch.nn.Module, pixels: torch.Tensor, before: int) -> dict[str, torch.Tensor]:
    """What the layers of a tower put out, of which `before` rows stand before the patches, the first of them the class token."""
    outputs = tower(pixels, output_hidden_states=True, output_attentions=True)
    found = {}
    for layer, rows in enumerate(outputs.hidden_states[1:]):
        found[f"image.blocks.{layer}.patches"] = rows[:, before:].mean(1)
        if before:
            found[f"image.blocks.{layer}.class"] = rows[:, 0]
    last = outputs.attentions[-1][0]
    found["attention"] = last[:, 0, before:] if before else last.mean(1)
    return found


def text_features(tower: torch.nn.Module, rows: list[tuple[list[int], range]]) -> dict[str, torch.Tensor]:
    """What the layers make of texts: their ids, and the places of their own tokens among these."""
    found: dict[str, list[torch.Tensor]] = {}
    for ids, own in rows:
        outputs = tower(input_ids=torch.tensor([ids]), output_hidden_states=True)
        for layer, hidden in enumerate(outputs.hidden_states[1:]):
            found.setdefault(f"text.blocks.{layer}", []).append(hidden[0, own.start : own.stop].mean(0))
    return {name: torch.stack(each) for name, each in found.items()}


def write(folder: Path, golden: dict[str, torch.Tensor], **metadata: object) -> None:
    (folder / "golden").mkdir(exist_ok=True, parents=True)
    contiguous = {name: tensor.contiguous() for name, tensor in golden.items()}
    save_file(contiguous, folder / "golden" / "features.safetensors", metadata={k: json.dumps(v) for k, v in metadata.items()})


def sentencepiece_model(folder: Path) -> None:
    """spiece.model, a unigram model as SigLIP's: `<pad>` 0, `</s>` 1, `<unk>` 2, no `<s>`."""
    with tempfile.TemporaryDirectory() as work:
        (Path(work) / "rules.tsv").write_text("\n".join(SENTENCEPIECE_RULES) + "\n")
        words = WORDS.split()
        lines = [" ".join(words[(i * k) % len(words)] for k in range(1, 9)) for i in range(1, 2000)]
        (Path(work) / "text").write_text("\n".join(lines))
        sentencepiece.SentencePieceTrainer.train(
            input=f"{work}/text", model_prefix=f"{work}/spiece", vocab_size=90, model_type="unigram", pad_id=0, eos_id=1, unk_id=2,
            bos_id=-1, hard_vocab_limit=False, normalization_rule_tsv=f"{work}/rules.tsv", num_threads=1, minloglevel=2,
        )  # fmt: skip
        proto = sentencepiece_model_pb2.ModelProto.FromString((Path(work) / "spiece.model").read_bytes())
    # Places of this run, which would be other ones in the next.
    proto.ClearField("trainer_spec")
    proto.trainer_spec.model_type = sentencepiece_model_pb2.TrainerSpec.UNIGRAM
    proto.trainer_spec.unk_id, proto.trainer_spec.eos_id, proto.trainer_spec.bos_id, proto.trainer_spec.pad_id = 2, 1, -1, 0
    proto.normalizer_spec.ClearField("normalization_rule_tsv")
    (folder / "spiece.model").write_bytes(proto.SerializeToString())


def siglip(folder: Path, vocabulary: int, pad: int, seed: int) -> SiglipModel:
    text = {
        "hidden_size": 24, "intermediate_size": 40, "num_hidden_layers": 2, "num_attention_heads": 3, "vocab_size": vocabulary,
        "max_position_embeddings": POSITIONS, "projection_size": 32, "pad_token_id": pad, "bos_token_id": None, "eos_token_id": 1,
    }  # fmt: skip
    vision = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 3, "num_attention_heads": 4, "image_size": 28, "patch_size": 7}
    torch.manual_seed(seed)
    model = SiglipModel._from_config(SiglipConfig(text_config=text, vision_config=vision), attn_implementation="eager").eval()
    unsettle(model)
    model.save_pretrained(folder)
    SiglipImageProcessorPil(size={"height": 28, "width": 28}).save_pretrained(folder)
    return model


def write_siglip(folder: Path, model: SiglipModel) -> None:
    """The goldens of both towers; texts as `padding="max_length"` has them, and no mask."""
    processor = SiglipImageProcessorPil.from_pretrained(folder)
    pixels = processor(images=pictures(), return_tensors="pt")["pixel_values"]
    tokenizer = AutoTokenizer.from_pretrained(folder)
    rows = []
    for text in TEXTS:
        encoded = tokenizer(text, padding="max_length", truncation=True, max_length=POSITIONS, return_attention_mask=True)
        own = [place for place, is_own in enumerate(encoded["attention_mask"]) if is_own]
        rows.append((encoded["input_ids"], range(own[0], own[-1] + 1)))
    ids = torch.tensor([ids for ids, _ in rows])
    print(folder.name, type(tokenizer).__name__, *(f"{text!r} {row}" for text, (row, _) in zip(TEXTS, rows)), sep="\n  ")
    golden = image_features(model.vision_model, pixels, 0) | text_features(model.text_model, rows)
    golden["image.embedding"] = model.get_image_features(pixel_values=pixels).pooler_output
    golden["text.embedding"] = model.get_text_features(input_ids=ids).pooler_output
    golden["text.ids"] = ids
    write(folder, golden, texts=TEXTS)


@torch.no_grad()
def write_tiny_siglip() -> None:
    """SigLIP as google/siglip-base-patch16-224 is. It has tokenizer.json, too, which others wrote and transformers does not read."""
    folder = HERE / "tiny-siglip"
    folder.mkdir(exist_ok=True)
    sentencepiece_model(folder)
    proto = sentencepiece.SentencePieceProcessor(model_file=str(folder / "spiece.model"))
    model = siglip(folder, proto.get_piece_size(), 1, 21)
    config = {
        "added_tokens_decoder": {
            str(id): {"content": text, "lstrip": True, "normalized": False, "rstrip": True, "single_word": False, "special": True}
            for id, text in ((1, "</s>"), (2, "<unk>"))
        },
        "additional_special_tokens": [], "do_lower_case": True, "eos_token": "</s>", "model_input_names": ["input_ids"],
        "model_max_length": POSITIONS, "pad_token": "</s>", "sp_model_kwargs": {}, "tokenizer_class": "SiglipTokenizer", "unk_token": "<unk>",
    }  # fmt: skip
    (folder / "tokenizer_config.json").write_text(json.dumps(config, indent=2))
    vocabulary = [(proto.id_to_piece(i), proto.get_score(i)) for i in range(proto.get_piece_size())]
    other = tokenizers.Tokenizer(tokenizers.models.Unigram(vocabulary, unk_id=2))
    normalizers, regex = tokenizers.normalizers, tokenizers.Regex
    other.normalizer = normalizers.Sequence(
        [
            normalizers.Lowercase(), normalizers.Replace(regex(r"""[!"#$%&'()*+,\-./:;<=>?@\[\\\]\^_`{|}~]"""), ""),
            normalizers.Replace(regex(r"\s+"), " "), normalizers.Strip(),
        ]
    )  # fmt: skip
    other.pre_tokenizer = tokenizers.pre_tokenizers.Metaspace(prepend_scheme="always", split=False)
    other.post_processor = tokenizers.processors.TemplateProcessing("$A </s>", special_tokens=[("</s>", 1)])
    other.add_special_tokens(["</s>", "<unk>"])
    other.save(str(folder / "tokenizer.json"), pretty=False)
    write_siglip(folder, model)


@torch.no_grad()
def write_tiny_siglip2() -> None:
    """SigLIP 2 of a fixed resolution: the same model with Gemma's tokenizer, which keeps capitals."""
    folder = HERE / "tiny-siglip2"
    folder.mkdir(exist_ok=True)
    first = ["<pad>", "<eos>", "<bos>", "<unk>", "<mask>", *(f"<0x{byte:02X}>" for byte in range(256))]
    trained = tokenizers.Tokenizer(tokenizers.models.BPE())
    trained.normalizer = tokenizers.normalizers.Replace(" ", "\u2581")
    trained.pre_tokenizer = tokenizers.pre_tokenizers.Split(" ", "merged_with_previous")
    trainer = tokenizers.trainers.BpeTrainer(vocab_size=90, show_progress=False)
    trained.train_from_iterator([f"{WORDS} Cat A Hello"] * 3, trainer)
    learned = json.loads(trained.to_str())["model"]
    words = [*first, *sorted(learned["vocab"], key=learned["vocab"].get)]
    merges = [tuple(merge) for merge in learned["merges"]]
    model = tokenizers.models.BPE(
        {word: id for id, word in enumerate(words)}, merges, unk_token="<unk>", byte_fallback=True, fuse_unk=True
    )
    tokenizer = tokenizers.Tokenizer(model)
    tokenizer.normalizer, tokenizer.pre_tokenizer = trained.normalizer, trained.pre_tokenizer
    tokenizer.post_processor = tokenizers.processors.TemplateProcessing("$A <eos>", special_tokens=[("<eos>", 1)])
    tokenizer.add_special_tokens(first[:5])
    tokenizer.save(str(folder / "tokenizer.json"), pretty=False)
    config = {
        "add_bos_token": False, "add_eos_token": True, "bos_token": "<bos>", "eos_token": "<eos>", "pad_token": "<pad>", "unk_token": "<unk>",
        "model_input_names": ["input_ids"], "model_max_length": 1000000000000000019884624838656, "padding_side": "right",
        "tokenizer_class": "GemmaTokenizer",
    }  # fmt: skip
    (folder / "tokenizer_config.json").write_text(json.dumps(config, indent=2))
    write_siglip(folder, siglip(folder, tokenizer.get_vocab_size(), 0, 22))


def write_dinov2(name: str, kind: type, config: Dinov2Config | Dinov2WithRegistersConfig, seed: int, registers: int = 0) -> None:
    """DINOv2 that was trained on other sizes of pictures than its processor makes."""
    folder = HERE / name
    config._attn_implementation = "eager"
    torch.manual_seed(seed)
    model = kind(config).eval()
    unsettle(model)
    model.save_pretrained(folder)
    processor = BitImageProcessorPil(
        size={"shortest_edge": 32}, crop_size={"height": 28, "width": 28}, image_mean=[0.485, 0.456, 0.406], image_std=[0.229, 0.224, 0.225]
    )
    processor.save_pretrained(folder)
    pixels = processor(images=pictures(), return_tensors="pt")["pixel_values"]
    tower = getattr(model, "dinov2", model)
    golden = image_features(tower, pixels, 1 + registers)
    golden["image.embedding"] = tower(pixels).pooler_output
    write(folder, golden)


SIZES = {"hidden_size": 24, "num_hidden_layers": 2, "num_attention_heads": 3, "patch_size": 7, "layerscale_value": 0.7}


@torch.no_grad()
def write_tiny_dinov2() -> None:
    """Positions of 7 x 7 patches for pictures of 4 x 4, and a head that classifies."""
    write_dinov2("tiny-dinov2", Dinov2ForImageClassification, Dinov2Config(**SIZES, image_size=49, num_labels=3), 23)


@torch.no_grad()
def write_tiny_dinov2_registers() -> None:
    """Registers, and positions that are shrunk with antialias."""
    config = Dinov2WithRegistersConfig(**SIZES, image_size=63, num_register_tokens=3)
    write_dinov2("tiny-dinov2-registers", Dinov2WithRegistersModel, config, 24, registers=3)


@torch.no_grad()
def write_tiny_dinov2_giant() -> None:
    """SwiGLU, as the giant has it, no biases of queries, keys and values, and positions that are enlarged."""
    config = Dinov2Config(**SIZES, image_size=21, use_swiglu_ffn=True, use_mask_token=False, qkv_bias=False)
    write_dinov2("tiny-dinov2-giant", Dinov2Model, config, 25)


@torch.no_grad()
def write_tiny_clip() -> None:
    """The features of tiny-clip."""
    folder = HERE / "tiny-clip"
    model = CLIPModel.from_pretrained(folder, attn_implementation="eager").eval()
    pixels = CLIPImageProcessorPil.from_pretrained(folder)(images=pictures(), return_tensors="pt")["pixel_values"]
    tokenizer = tokenizers.Tokenizer.from_file(str(folder / "tokenizer.json"))
    texts = ["a photo of a red circle", "blue"]
    rows = [(ids := tokenizer.encode(text).ids, range(len(ids))) for text in texts]
    golden = image_features(model.vision_model, pixels, 1) | text_features(model.text_model, rows)
    golden["image.embedding"] = model.get_image_features(pixel_values=pixels).pooler_output
    embeddings = [model.get_text_features(input_ids=torch.tensor([ids])).pooler_output for ids, _ in rows]
    write(folder, golden | {"text.embedding": torch.cat(embeddings)}, texts=texts)


@torch.no_grad()
def write_tiny_dino() -> None:
    """The features of tiny-dino."""
    folder = HERE / "tiny-dino"
    model = ViTModel.from_pretrained(folder, attn_implementation="eager").eval()
    pixels = ViTImageProcessorPil.from_pretrained(folder)(images=pictures(), return_tensors="pt")["pixel_values"]
    write(folder, image_features(model, pixels, 1) | {"image.embedding": model(pixels).pooler_output})


SETS = {
    "tiny-siglip": write_tiny_siglip, "tiny-siglip2": write_tiny_siglip2, "tiny-dinov2": write_tiny_dinov2,
    "tiny-dinov2-registers": write_tiny_dinov2_registers, "tiny-dinov2-giant": write_tiny_dinov2_giant, "tiny-clip": write_tiny_clip,
    "tiny-dino": write_tiny_dino,
}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sets", nargs="*", choices=[*SETS, []], default=[])
    for name in parser.parse_args().sets or SETS:
        SETS[name]()


if __name__ == "__main__":
    main()
