"""What make.py makes rows of: deterministic weights, configurations and layouts of tiny models, and the references."""

from __future__ import annotations

import copy
import json
import math
import shutil
import struct
import tempfile
from pathlib import Path

import blake3
import numpy as np
import torch
from PIL import Image
from safetensors.torch import save_file
from transformers import (
    AutoConfig, AutoModelForImageTextToText, AutoTokenizer, InternVLProcessor, LlavaNextProcessor, LlavaOnevisionProcessor,
    LlavaOnevisionVideoProcessor, LlavaProcessor,
)  # fmt: skip
from transformers.image_processing_utils import select_best_resolution
from transformers.models.got_ocr2.image_processing_pil_got_ocr2 import GotOcr2ImageProcessorPil
from transformers.models.internvl.video_processing_internvl import InternVLVideoProcessor
from transformers.models.llava.image_processing_pil_llava import LlavaImageProcessorPil
from transformers.models.llava_next.image_processing_pil_llava_next import LlavaNextImageProcessorPil
from transformers.models.llava_onevision.image_processing_pil_llava_onevision import LlavaOnevisionImageProcessorPil

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
SHAPES = ROOT / "models" / "shapes"
PICTURES = ROOT / "tests" / "goldens" / "pictures"
PROMPT = "USER: <image>\nWhat is it? ASSISTANT:"
VOCAB, IMAGE = 452, 3
ROWS: dict[str, callable] = {}


def row(function):
    """Registers a row by its function's name."""
    ROWS[function.__name__.replace("_", "-")] = function
    return function


# Weights


def values(seed: str, shape: list[int]) -> torch.Tensor:
    """The values of a tensor by the name `seed`: uniform in -a..a, norms around 1. In f32, to the bit as tests/it/zoo.rs draws them."""
    start = np.uint64(struct.unpack("<Q", blake3.blake3(seed.encode()).digest()[:8])[0])
    with np.errstate(over="ignore"):
        z = (np.arange(math.prod(shape), dtype=np.uint64) + start) * np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    unit = ((z ^ (z >> np.uint64(31))) >> np.uint64(40)).astype(np.float32) / np.float32(1 << 24)
    signed = np.float32(2) * unit - np.float32(1)
    if "norm" in seed or "layrnorm" in seed:
        drawn = signed * np.float32(0.125)
        drawn = drawn + np.float32(1) if seed.endswith("weight") else drawn
    else:
        drawn = signed * np.float32(0.375)
    return torch.from_numpy(drawn.reshape(shape))


DTYPES = {"F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16, "F64": torch.float64, "I64": torch.int64,
          "I8": torch.int8, "U8": torch.uint8, "F8_E4M3": torch.float8_e4m3fn}  # fmt: skip


class Folder:
    """A checkpoint: text files, and weight files as {file: {tensor: [dtype, shape, seed]}}."""

    def __init__(self):
        self.files: dict[str, object] = {}
        self.weights: dict[str, dict[str, list]] = {}
        self.empty: list[str] = []

    def put(self, file: str, name: str, dtype: str, shape, seed: str) -> None:
        self.weights.setdefault(file, {})[name] = [dtype, list(shape), seed]

    def write(self, folder: Path) -> None:
        for name, content in self.files.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(content if isinstance(content, str) else json.dumps(content))
        for file, tensors in self.weights.items():
            drawn = {n: values(seed, shape).to(DTYPES[dtype]) for n, (dtype, shape, seed) in tensors.items()}
            (folder / file).parent.mkdir(parents=True, exist_ok=True)
            if file.endswith(".safetensors"):
                save_file(drawn, folder / file, metadata={"format": "pt"})
            else:
                torch.save(drawn, folder / file)
        for name in self.empty:
            (folder / name).write_bytes(b"")
        for name in ("tokenizer.json", "tokenizer_config.json"):
            if name not in self.files and "tokenizer.model" not in self.empty:
                shutil.copy(SHAPES / name, folder / name)


# Configurations


def clip(**changes) -> dict:
    return {"model_type": "clip_vision_model", "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 3,
            "num_attention_heads": 4, "image_size": 28, "patch_size": 7, "projection_dim": 16, **changes}  # fmt: skip


def siglip(**changes) -> dict:
    return {"model_type": "siglip_vision_model", "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 3,
            "num_attention_heads": 4, "image_size": 28, "patch_size": 7, "vision_use_head": False, **changes}  # fmt: skip


def text(kind: str = "llama", **changes) -> dict:
    return {"model_type": kind, "vocab_size": VOCAB, "hidden_size": 32, "intermediate_size": 56, "num_hidden_layers": 2,
            "num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 1024, "rms_norm_eps": 1e-5,
            "bos_token_id": 0, "eos_token_id": 1, "pad_token_id": 2, **changes}  # fmt: skip


def llava(kind: str = "llava", vision: dict | None = None, decoder: dict | None = None, **changes) -> dict:
    config = {"model_type": kind, "vision_config": vision or clip(), "text_config": decoder or text(), "image_token_index": IMAGE,
              "vision_feature_layer": -2, "vision_feature_select_strategy": "default", "projector_hidden_act": "gelu",
              "tie_word_embeddings": False}  # fmt: skip
    if kind == "llava_next":
        config["image_grid_pinpoints"] = [[28, 56], [56, 28], [56, 56], [84, 28], [28, 84]]
    if kind == "llava_onevision":
        config |= {"vision_config": vision or siglip(), "text_config": decoder or text("qwen2"), "vision_feature_layer": -1,
                   "vision_feature_select_strategy": "full", "vision_aspect_ratio": "anyres_max_2",
                   "image_grid_pinpoints": [[28 * r, 28 * c] for r in range(1, 4) for c in range(1, 4)]}  # fmt: skip
    return config | changes


def internvl(decoder: dict | None = None, **vision) -> dict:
    tower = {"model_type": "internvl_vision", "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2,
             "num_attention_heads": 4, "image_size": [28, 28], "patch_size": [7, 7], "attention_bias": True, **vision}  # fmt: skip
    decoder = (decoder or text("qwen2")) | {"vocab_size": VOCAB + 3}
    return {"model_type": "internvl", "vision_config": tower, "text_config": decoder, "image_token_id": IMAGE, "image_seq_length": 4,
            "downsample_ratio": 0.5, "projector_hidden_act": "gelu", "vision_feature_layer": -1,
            "vision_feature_select_strategy": "default", "tie_word_embeddings": decoder.get("tie_word_embeddings", False)}  # fmt: skip


def internvl_words() -> dict[str, object]:
    """The tokenizer of `shapes` with InternVL's words for pictures."""
    words = json.loads((SHAPES / "tokenizer.json").read_text())
    special = next(token for token in words["added_tokens"] if token["content"] == "<image>")
    special["content"] = "<IMG_CONTEXT>"
    words["model"]["vocab"]["<IMG_CONTEXT>"] = words["model"]["vocab"].pop("<image>")
    words["added_tokens"] += [special | {"id": VOCAB + i, "content": word} for i, word in enumerate(("<img>", "</img>", "<video>"))]
    config = json.loads((SHAPES / "tokenizer_config.json").read_text())
    config["extra_special_tokens"] = {"context_image_token": "<IMG_CONTEXT>", "start_image_token": "<img>", "end_image_token": "</img>",
                                      "video_token": "<video>"}  # fmt: skip
    template = (SHAPES / "chat_template.jinja").read_text().replace("<image>", "<IMG_CONTEXT>")
    return {"tokenizer.json": words, "tokenizer_config.json": config, "chat_template.jinja": template}


def preprocessor(config: dict, **changes) -> dict:
    """preprocessor_config.json, as the repositories have it."""
    mean, std = [0.48145466, 0.4578275, 0.40821073], [0.26862954, 0.26130258, 0.27577711]
    if config["model_type"] == "internvl":
        # As the repositories have it: the processor cuts into tiles whatever `crop_to_patches` says.
        return {"crop_to_patches": False, "do_center_crop": None, "crop_size": None, "do_resize": True, "do_rescale": True,
                "do_normalize": True, "do_convert_rgb": True, "image_mean": [0.485, 0.456, 0.406], "image_std": [0.229, 0.224, 0.225],
                "image_processor_type": "GotOcr2ImageProcessor", "min_patches": 1, "max_patches": 12, "resample": 3,
                "rescale_factor": 1 / 255, "size": {"height": 28, "width": 28}}  # fmt: skip
    if config["vision_config"]["model_type"].startswith("siglip"):
        size = {"height": 28, "width": 28}
        settings = {"image_mean": [0.5] * 3, "image_std": [0.5] * 3, "size": size, "do_center_crop": False}
    else:
        size = {"shortest_edge": 28}
        settings = {"image_mean": mean, "image_std": std, "size": size, "crop_size": {"height": 28, "width": 28}, "do_center_crop": True}
    kinds = {"llava_next": "LlavaNextImageProcessor", "llava_onevision": "LlavaOnevisionImageProcessor"}
    settings |= {"image_processor_type": kinds.get(config["model_type"], "CLIPImageProcessor"), "do_resize": True, "resample": 3,
                 "do_rescale": True, "rescale_factor": 1 / 255, "do_normalize": True, "do_convert_rgb": True}  # fmt: skip
    if "image_grid_pinpoints" in config:
        settings["image_grid_pinpoints"] = config["image_grid_pinpoints"]
        settings["do_pad"] = True
    return settings | changes


# Layouts


def parameters(config: dict) -> dict[str, list[int]]:
    """Names and shapes of a transformers model in memory: `model.` first."""
    with torch.device("meta"):
        model = AutoModelForImageTextToText.from_config(AutoConfig.for_model(**copy.deepcopy(config)))
    tensors = {k: list(v.shape) for k, v in model.state_dict().items() if not k.endswith("position_ids")}
    if model.config.tie_word_embeddings or (config["model_type"] != "llava_next" and config["text_config"].get("tie_word_embeddings")):
        tensors.pop("lm_head.weight", None)
    return tensors


def old(name: str) -> str:
    """As transformers before 4.52 saved it, and the hub has it."""
    for new, former in [("model.language_model.", "language_model.model."), ("lm_head.", "language_model.lm_head."),
                        ("model.vision_tower.vision_model.", "vision_tower.vision_model."),
                        ("model.vision_tower.", "vision_tower.vision_model."),
                        ("model.multi_modal_projector.", "multi_modal_projector."), ("model.image_newline", "image_newline")]:  # fmt: skip
        if name.startswith(new):
            return former + name[len(new) :]
    raise KeyError(name)


def old_internvl(name: str) -> str:
    """As the hub has it."""
    return name if name.startswith("lm_head.") else old(name).replace("vision_tower.vision_model.", "vision_tower.")


def original(name: str) -> str:
    """As the original LLaVA has it, its tower within."""
    for new, former in [("model.language_model.", "model."), ("lm_head.", "lm_head."),
                        ("model.vision_tower.vision_model.", "model.vision_tower.vision_tower.vision_model."),
                        ("model.vision_tower.", "model.vision_tower.vision_tower.vision_model."),
                        ("model.multi_modal_projector.linear_1.", "model.mm_projector.0."),
                        ("model.multi_modal_projector.linear_2.", "model.mm_projector.2."),
                        ("model.image_newline", "model.image_newline")]:  # fmt: skip
        if name.startswith(new):
            return former + name[len(new) :]
    raise KeyError(name)


def hf(config: dict, *, names=old, seeds=lambda name: name, dtype="F16", shards=1, kind="safetensors", extra=(), **processor) -> Folder:
    """A folder as transformers writes it."""
    folder = Folder()
    folder.files = {"config.json": config, "preprocessor_config.json": preprocessor(config, **processor)}
    tensors = list(parameters(config).items()) + list(extra)
    single, part = ("model.safetensors", "model-{:05}-of-{:05}.safetensors") if kind == "safetensors" else ("pytorch_model.bin", "pytorch_model-{:05}-of-{:05}.bin")  # fmt: skip
    index = {}
    for i, (name, shape) in enumerate(tensors):
        file = single if shards == 1 else part.format(i * shards // len(tensors) + 1, shards)
        folder.put(file, names(name), dtype, shape, seeds(name))
        index[names(name)] = file
    if shards > 1:
        folder.files[f"{single}.index.json"] = {"metadata": {"total_size": 0}, "weight_map": index}
    return folder


# References


def processor_of(folder: Path, config):
    if config.model_type == "internvl":
        return InternVLProcessor(
            GotOcr2ImageProcessorPil.from_pretrained(folder), AutoTokenizer.from_pretrained(folder), InternVLVideoProcessor(),
            image_seq_length=config.image_seq_length,
        )  # fmt: skip
    tokenizer = AutoTokenizer.from_pretrained(SHAPES)
    patch, strategy = config.vision_config.patch_size, getattr(config, "vision_feature_select_strategy", "default")
    class_token = 0 if config.vision_config.model_type.startswith("siglip") else 1
    if config.model_type == "llava_next":
        return LlavaNextProcessor(LlavaNextImageProcessorPil.from_pretrained(folder), tokenizer, patch_size=patch,
                                  vision_feature_select_strategy=strategy, num_additional_image_tokens=class_token)  # fmt: skip
    if config.model_type == "llava_onevision":
        return LlavaOnevisionProcessor(
            LlavaOnevisionImageProcessorPil.from_pretrained(folder), tokenizer, LlavaOnevisionVideoProcessor(),
            num_image_tokens=(config.vision_config.image_size // patch) ** 2, vision_feature_select_strategy=strategy,
            vision_aspect_ratio=config.vision_aspect_ratio,
        )  # fmt: skip
    return LlavaProcessor(LlavaImageProcessorPil.from_pretrained(folder), tokenizer, patch_size=patch,
                          vision_feature_select_strategy=strategy, num_additional_image_tokens=class_token)  # fmt: skip


def load(folder: Path):
    model = AutoModelForImageTextToText.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager")
    return model.eval()


def pictures() -> dict[str, Image.Image]:
    return {name: Image.open(PICTURES / f"{name}.png").convert("RGB") for name in ("square", "wide")}


def case(name: str, logits: torch.Tensor, tokens: list[int], vocabulary: int | None = None) -> dict:
    best = logits[:vocabulary].double().log_softmax(-1).topk(20)
    return {"picture": name, "top": [[int(i), float(v)] for i, v in zip(best.indices, best.values)], "tokens": tokens}


@torch.no_grad()
def by_transformers(folder: Path, model=None) -> list[dict]:
    """What transformers answers for the folder: AutoModel, its processor on Pillow, generate."""
    model = model or load(folder)
    processor = processor_of(folder, model.config)
    cases = []
    for name, picture in pictures().items():
        prompt = PROMPT.replace("<image>", getattr(processor, "image_token", "<image>"))
        inputs = processor(text=prompt, images=[picture], return_tensors="pt")
        logits = model(**inputs).logits[0, -1]
        out = model.generate(**inputs, do_sample=False, max_new_tokens=6)
        cases.append(case(name, logits, out[0, inputs["input_ids"].shape[1] :].tolist()))
    return cases


@torch.no_grad()
def by_hand(twin: Folder, merge: str | None = None, prompt: str = PROMPT, projector=None, pad: bool = False, around=(), adjust=None) -> list[dict]:
    """What the original LLaVA answers: chunks of the prompt around the picture's tokens. `twin` is a transformers folder with
    the same weights, whose tower and decoder run; `merge` says how views are put together, None takes transformers' way.
    `projector` takes the place of the twin's; `around` are the ids before and after a picture; `adjust` changes its weights."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        twin.write(folder)
        model = load(folder)
        processor = processor_of(folder, model.config).image_processor
    tokenizer = AutoTokenizer.from_pretrained(SHAPES)
    if adjust:
        adjust(model)
    if projector:
        model.model.multi_modal_projector.forward = projector
    if merge:
        model.model.pack_image_features = lambda features, sizes, *args, **kwargs: packed(features, sizes, merge, model)
    table = model.get_input_embeddings()
    chunks = [tokenizer(part, add_special_tokens=i == 0).input_ids for i, part in enumerate(prompt.split("<image>"))]
    cases = []
    for name, picture in pictures().items():
        picture = square(picture, processor) if pad else picture
        inputs = processor(images=[picture], return_tensors="pt")
        known = {k: inputs[k] for k in ("pixel_values", "image_sizes") if k in inputs}
        visual = model.model.get_image_features(**known).pooler_output
        visual = visual[0] if isinstance(visual, (list, tuple)) else visual.flatten(0, -2)
        ids = [table(torch.tensor(chunk, dtype=torch.long)) for chunk in chunks]
        wrap = [table(torch.tensor([i])) for i in around] or [visual[:0], visual[:0]]
        x = torch.cat([ids[0], wrap[0], visual, wrap[1], ids[1]])[None]
        tokens, first = [], None
        for _ in range(6):
            hidden = model.model.language_model(inputs_embeds=x, use_cache=False).last_hidden_state[0, -1]
            logits = model.lm_head(hidden)
            first = logits if first is None else first
            tokens.append(int(logits.argmax()))
            if tokens[-1] == model.config.text_config.eos_token_id:
                break
            x = torch.cat([x, table(torch.tensor([[tokens[-1]]]))], dim=1)
        cases.append(case(name, first, tokens))
    return cases


def square(picture: Image.Image, processor) -> Image.Image:
    """expand2square of llava/mm_utils.py, in the mean colour."""
    side = max(picture.size)
    out = Image.new("RGB", (side, side), tuple(int(m * 255) for m in processor.image_mean))
    out.paste(picture, ((side - picture.width) // 2, (side - picture.height) // 2))
    return out


def packed(features, sizes, merge: str, model):
    """mm_patch_merge_type flat and spatial of prepare_inputs_labels_for_multimodal, llava/model/llava_arch.py."""
    side = model.config.vision_config.image_size // model.config.vision_config.patch_size
    found = []
    for views, size in zip(features, sizes):
        if merge == "flat" or views.shape[0] == 1:
            found.append(views.flatten(0, 1))
            continue
        best = select_best_resolution(tuple(int(s) for s in size), model.config.image_grid_pinpoints)
        rows, columns = best[0] // 28, best[1] // 28
        canvas = views[1:].view(rows, columns, side, side, -1).permute(0, 2, 1, 3, 4).flatten(0, 3)
        found.append(torch.cat([views[0], canvas]))
    return found, torch.tensor([f.shape[0] for f in found])


def agrees(folder: Folder) -> tuple[Folder, list[dict]]:
    with tempfile.TemporaryDirectory() as place:
        folder.write(Path(place))
        return folder, by_transformers(Path(place))


def refused(folder: Folder) -> tuple[Folder, None]:
    return folder, None
