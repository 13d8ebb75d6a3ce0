"""Writes the checkpoint zoo: tiny models in the layouts of real repositories, with what transformers answers, or the error.

    python make.py [ROW ...]          default: all rows

A row is a file `rows/NAME.json`: the text files of a folder, the name, dtype and shape of each tensor in each weight file, and
the reference: for two pictures the 20 likeliest first tokens with their log-probs, and 6 greedy tokens. Weights are not stored:
`values` draws them from a tensor's name, here and in tests/it/zoo.rs alike. A row without a reference is one that must be refused;
its message is a snapshot of the test.

Rows of transformers layouts are loaded from the folder by transformers itself. Folders of the original LLaVA, which transformers
does not read, are answered for by a transformers model with the same weights, whose visual tokens are put together here as
llava/model/llava_arch.py does it. To add a row, add a function decorated with @row.

Versions: requirements.txt.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path

import torch
import transformers
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import load_file

from zoo import (
    HERE, ROWS, VOCAB, Folder, agrees, by_hand, by_transformers, clip, hf, internvl, internvl_words, llava, load, old, old_internvl, original, parameters, preprocessor,
    refused, row, siglip, text, values,
)  # fmt: skip


# Repositories of transformers layouts


@row
def llava_1_5_7b_hf():
    """llava-hf/llava-1.5-7b-hf, llava-hf/llava-1.5-13b-hf"""
    return agrees(hf(llava(decoder=text(vocab_size=VOCAB + 12)), shards=2))


@row
def llava_v1_6_vicuna_hf():
    """llava-hf/llava-v1.6-vicuna-7b-hf, llava-hf/llava-v1.6-vicuna-13b-hf"""
    return agrees(hf(llava("llava_next"), dtype="BF16"))


@row
def llava_v1_6_mistral_hf():
    """llava-hf/llava-v1.6-mistral-7b-hf"""
    return agrees(hf(llava("llava_next", decoder=text("mistral", sliding_window=None, rope_theta=1e6))))


@row
def llava_v1_6_34b_hf():
    """llava-hf/llava-v1.6-34b-hf"""
    return agrees(hf(llava("llava_next", decoder=text(rope_theta=5e6))))


@row
def llama3_llava_next_hf():
    """llava-hf/llama3-llava-next-8b-hf"""
    return agrees(hf(llava("llava_next", decoder=text(rope_theta=5e5, num_key_value_heads=1))))


@row
def llava_next_qwen_hf():
    """llava-hf/llava-next-72b-hf, llava-hf/llava-next-110b-hf"""
    return agrees(hf(llava("llava_next", decoder=text("qwen2", rope_theta=1e6))))


@row
def llava_onevision_own_head_hf():
    """llava-hf/llava-onevision-qwen2-7b-ov-hf and its relatives of 7b and 72b"""
    return agrees(hf(llava("llava_onevision"), dtype="BF16"))


@row
def llava_onevision_tied_hf():
    """llava-hf/llava-onevision-qwen2-0.5b-ov-hf, llava-hf/llava-onevision-qwen2-0.5b-si-hf"""
    decoder = text("qwen2", tie_word_embeddings=True)
    return agrees(hf(llava("llava_onevision", decoder=decoder, tie_word_embeddings=True)))


@row
def llava_interleave_qwen_hf():
    """llava-hf/llava-interleave-qwen-0.5b-hf"""
    decoder = text("qwen2", tie_word_embeddings=True)
    config = llava(vision=siglip(), decoder=decoder, vision_feature_layer=-1, vision_feature_select_strategy="full", tie_word_embeddings=True)
    return agrees(hf(config))


@row
def bakllava_hf():
    """llava-hf/bakLlava-v1-hf"""
    return agrees(hf(llava(decoder=text("mistral", sliding_window=8))))


@row
def tiny_llava_v1_hf():
    """bczhou/tiny-llava-v1-hf"""
    return agrees(hf(llava(decoder=text(num_key_value_heads=4))))


@row
def xtuner_llama3():
    """xtuner/llava-llama-3-8b-v1_1-transformers"""
    return agrees(hf(llava(decoder=text(rope_theta=5e5))))


@row
def vip_llava_hf():
    """llava-hf/vip-llava-7b-hf"""
    config = llava("vipllava", vision_feature_layers=[-2, -3, 1], projector_layernorm_eps=1e-5)
    del config["vision_feature_layer"], config["vision_feature_select_strategy"]
    return agrees(hf(config))


@row
def llava_phi_3():
    """xtuner/llava-phi-3-mini-hf"""
    return agrees(hf(llava(decoder=text("phi3", num_key_value_heads=4, sliding_window=8))))


def of_internvl(config: dict, **layout):
    """A folder of InternVL with the words of its tokenizer."""
    folder = hf(config, **({"names": old_internvl} | layout))
    folder.files |= internvl_words()
    return agrees(folder)


@row
def internvl3_1b_hf():
    """OpenGVLab/InternVL3-1B-hf and its relatives whose head is tied"""
    return of_internvl(internvl(text("qwen2", tie_word_embeddings=True)), dtype="BF16")


@row
def internvl3_8b_hf():
    """OpenGVLab/InternVL3-8B-hf, OpenGVLab/InternVL3-14B-hf"""
    return of_internvl(internvl(text("qwen2", rope_theta=1e6)), dtype="BF16", shards=2)


@row
def internvl3_38b_hf():
    """OpenGVLab/InternVL3-38B-hf, OpenGVLab/InternVL3-78B-hf: InternViT-6B's norms"""
    return of_internvl(internvl(norm_type="rms_norm", use_qk_norm=True, attention_bias=False), dtype="BF16")


@row
def internvl3_5_8b_hf():
    """OpenGVLab/InternVL3_5-8B-HF and its relatives over Qwen3"""
    return of_internvl(internvl(text("qwen3", head_dim=8)), names=lambda name: name)


@row
def internvl_llama():
    """A Llama decoder; a tower without positions and without bias, with a mask token, normed behind its last layer"""
    fields = {"use_mean_pooling": False, "use_absolute_position_embeddings": False, "use_mask_token": True, "attention_bias": False}
    return of_internvl(internvl(text(), **fields), names=lambda name: name)


def around_zero(name: str) -> str:
    """The norms of Gemma's decoders multiply by one more than their weights, which are drawn as all else is."""
    return name.replace("norm", "scale") if "language_model" in name else name


@row
def llava_gemma_2b():
    """Intel/llava-gemma-2b"""
    return agrees(hf(llava(decoder=text("gemma", head_dim=8, num_key_value_heads=1)), seeds=around_zero))


@row
def llava_gemma_2():
    """A Gemma 2 decoder"""
    return agrees(hf(llava(decoder=text("gemma2", head_dim=8, sliding_window=8, query_pre_attn_scalar=8)), seeds=around_zero))


@row
def llava_qwen_3():
    """A Qwen3 decoder"""
    return agrees(hf(llava(decoder=text("qwen3", head_dim=8))))


ROPES = {
    "llama3": {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 64},
    "dynamic": {"rope_type": "dynamic", "factor": 2.0},
    "yarn": {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 256},
}  # fmt: skip
for name, scaling in ROPES.items():
    ROWS[f"rope-{name}"] = lambda scaling=scaling: agrees(hf(llava(decoder=text(rope_scaling=scaling))))


@row
def feature_layers():
    """vision_feature_layer with two layers"""
    return agrees(hf(llava(vision_feature_layer=[-2, -3])))


# Details of layouts


@row
def names_of_4_52():
    """The names of transformers 4.52, `model.` first, in f32"""
    return agrees(hf(llava(), names=lambda name: name, dtype="F32"))


@row
def pickled_shards():
    """pytorch_model.bin in two shards"""
    return agrees(hf(llava("llava_next"), kind="bin", shards=2, dtype="BF16"))


@row
def siglip_default():
    """A SigLIP tower with vision_feature_select_strategy "default": transformers drops the first patch"""
    return agrees(hf(llava(vision=siglip())))


@row
def siglip_default_next():
    """The same in llava_next, where transformers fails"""
    return refused(hf(llava("llava_next", vision=siglip())))


@row
def feature_layer_1():
    """vision_feature_layer 1"""
    return agrees(hf(llava(vision_feature_layer=1)))


@row
def class_token_kept():
    """vision_feature_select_strategy "full", vision_feature_layer -1"""
    return agrees(hf(llava(vision_feature_layer=-1, vision_feature_select_strategy="full")))


@row
def next_full():
    """llava_next with "full\""""
    return refused(hf(llava("llava_next", vision_feature_select_strategy="full")))


@row
def biases():
    """attention_bias, mlp_bias, head_dim of its own; a projector without bias, silu"""
    decoder = text(attention_bias=True, mlp_bias=True, head_dim=12)
    return agrees(hf(llava(decoder=decoder, multimodal_projector_bias=False, projector_hidden_act="silu")))


@row
def qwen_window():
    """Qwen2 with a sliding window from layer 1"""
    decoder = text("qwen2", use_sliding_window=True, sliding_window=8, max_window_layers=1)
    return agrees(hf(llava(decoder=decoder)))


@row
def rope_linear():
    """rope_scaling linear under the old key `type`"""
    return agrees(hf(llava(decoder=text(rope_scaling={"type": "linear", "factor": 2.0}))))


def tied(kind: str, top: bool | None, inner: bool | None, head: bool) -> Folder:
    """A folder whose configuration ties, with a head of its own or none."""
    decoder = text("qwen2" if kind == "llava_onevision" else "llama")
    config = llava(kind, decoder=decoder)
    del config["tie_word_embeddings"]
    shapes = parameters(config | {"tie_word_embeddings": False})
    folder = Folder()
    if top is not None:
        config["tie_word_embeddings"] = top
    if inner is not None:
        decoder["tie_word_embeddings"] = inner
    folder.files = {"config.json": config, "preprocessor_config.json": preprocessor(config)}
    for name, shape in shapes.items():
        if head or name != "lm_head.weight":
            folder.put("model.safetensors", old(name), "F32", shape, name)
    return folder


for kind in ("llava", "llava_next", "llava_onevision"):
    for place, top, inner in (("top", True, None), ("text", None, True)):
        short = kind.replace("_", "-")
        ROWS[f"own-head-{short}-{place}"] = lambda kind=kind, top=top, inner=inner: agrees(tied(kind, top, inner, True))
        ROWS[f"tied-{short}-{place}"] = lambda kind=kind, top=top, inner=inner: (
            # transformers would draw a head at random there.
            refused(tied(kind, top, inner, False)) if kind == "llava_next" and inner else agrees(tied(kind, top, inner, False))
        )


@row
def image_token_of_another():
    """image_token_index that is not the tokenizer's <image>"""
    return refused(hf(llava(image_token_index=7)))


# Folders of the original LLaVA


def flat(config: dict, **changes) -> dict:
    """config.json of the original for the decoder and tower of `config`."""
    classes = {"llama": ("llava_llama", "LlavaLlamaForCausalLM"), "mistral": ("llava_mistral", "LlavaMistralForCausalLM"), "qwen2": ("llava_qwen", "LlavaQwenForCausalLM")}
    kind, architecture = classes[config["text_config"]["model_type"]]
    out = config["text_config"] | {"model_type": kind, "architectures": [architecture], "mm_vision_tower": "tower", "mm_projector_type": "mlp2x_gelu",
                                   "mm_vision_select_layer": -2, "mm_vision_select_feature": "patch", "mm_use_im_start_end": False,
                                   "mm_use_im_patch_token": False, "image_aspect_ratio": "square", "tie_word_embeddings": False}  # fmt: skip
    return out | changes


def bare_tokenizer() -> str:
    """A tokenizer without an image token, as language models have it."""
    from zoo import SHAPES

    return (SHAPES / "tokenizer.json").read_text().replace('"<image>"', '"<nothing>"')


def theirs(config: dict, *, inside: bool = False, kind: str = "bin", layers: int | None = None, drop=(), **changes) -> Folder:
    """A folder of the original repository; the tower in a folder `tower` within, its weights there or (`inside`) in the checkpoint."""
    folder = Folder()
    whole = config["vision_config"]["model_type"].split("_")[0]
    folder.files = {
        "config.json": flat(config, **changes),
        "tokenizer.json": bare_tokenizer(),
        "tower/config.json": {"model_type": whole, "vision_config": config["vision_config"], "text_config": {}},
        "tower/preprocessor_config.json": preprocessor({"model_type": "clip", "vision_config": config["vision_config"]}),
    }
    tower = "tower/pytorch_model.bin" if kind == "bin" else "tower/model.safetensors"
    for name, shape in parameters(config).items():
        if name.startswith(tuple(drop)) and drop:
            continue
        if name.startswith("model.vision_tower.") and not inside:
            folder.put(tower, old(name).removeprefix("vision_tower."), "F16", shape, name)
        else:
            folder.put("model.safetensors", original(name), "F16", shape, name)
    if not inside and kind == "bin":
        # As openai/clip-vit-large-patch14-336 has it: integers, and the text tower.
        rows = (config["vision_config"]["image_size"] // config["vision_config"]["patch_size"]) ** 2 + 1
        folder.put(tower, "vision_model.embeddings.position_ids", "I64", [1, rows], "position_ids")
        folder.put(tower, "text_model.embeddings.position_ids", "I64", [1, 77], "position_ids")
        folder.put(tower, "text_model.embeddings.token_embedding.weight", "F16", [8, 4], "unused")
    return folder


def twin(config: dict) -> Folder:
    """The transformers folder of the same weights."""
    return hf(config, dtype="F16")


ANYRES = {"image_aspect_ratio": "anyres", "mm_patch_merge_type": "spatial_unpad",
          "image_grid_pinpoints": [[56, 28], [28, 56], [56, 56], [28, 84], [84, 28]]}  # fmt: skip
GRIDS = {"image_aspect_ratio": "anyres_max_2", "mm_patch_merge_type": "spatial_unpad",
         "image_grid_pinpoints": [[28 * c, 28 * r] for c in range(1, 4) for r in range(1, 4)]}  # fmt: skip


@row
def liuhaotian_v1_5():
    """liuhaotian/llava-v1.5-7b, liuhaotian/llava-v1.5-13b; the tower as openai/clip-vit-large-patch14-336 has it"""
    return theirs(llava(), image_aspect_ratio="pad"), by_hand(twin(llava()), pad=True)


@row
def liuhaotian_v1_5_square():
    """The same, image_aspect_ratio square, safetensors, model_type "llava\""""
    return theirs(llava(), kind="safetensors", model_type="llava"), by_hand(twin(llava()))


@row
def liuhaotian_cls_patch():
    """mm_vision_select_feature cls_patch"""
    config = llava(vision_feature_select_strategy="full")
    return theirs(config, mm_vision_select_feature="cls_patch"), by_hand(twin(config))


@row
def liuhaotian_v1_6_vicuna():
    """liuhaotian/llava-v1.6-vicuna-7b: the tower within the checkpoint"""
    return theirs(llava("llava_next"), inside=True, **ANYRES), by_hand(twin(llava("llava_next")))


@row
def liuhaotian_v1_6_mistral():
    """liuhaotian/llava-v1.6-mistral-7b"""
    config = llava("llava_next", decoder=text("mistral", sliding_window=None))
    return theirs(config, inside=True, **ANYRES), by_hand(twin(config))


@row
def liuhaotian_v1_linear():
    """liuhaotian/LLaVA-7b-v1: a projector of one layer, a picture between <im_start> and <im_end>"""
    folder = theirs(llava(), mm_use_im_start_end=True, mm_use_im_patch_token=True, mm_projector_type=None, vocab_size=VOCAB + 3)
    del folder.files["config.json"]["mm_projector_type"]
    config = llava(decoder=text(vocab_size=VOCAB + 3))
    folder.weights["model.safetensors"] = {}
    for name, shape in parameters(config).items():
        if "linear_2" in name or name.startswith("model.vision_tower."):
            continue
        folder.put("model.safetensors", original(name).replace("mm_projector.0.", "mm_projector."), "F16", shape, name)
    weight, bias = (values(f"model.multi_modal_projector.linear_1.{p}", s).half().float() for p, s in (("weight", [32, 32]), ("bias", [32])))
    return folder, by_hand(twin(config), projector=lambda x: x @ weight.T + bias, around=(VOCAB + 1, VOCAB + 2))


@row
def original_mlp3x():
    """mm_projector_type mlp3x_gelu"""
    folder = theirs(llava(), mm_projector_type="mlp3x_gelu")
    for part, shape in (("weight", [32, 32]), ("bias", [32])):
        folder.put("model.safetensors", f"model.mm_projector.4.{part}", "F16", shape, f"linear_3.{part}")
    layers = [[values(seed.format(p), s).half().float() for p, s in (("weight", [32, 32]), ("bias", [32]))]
              for seed in ("model.multi_modal_projector.linear_1.{}", "model.multi_modal_projector.linear_2.{}", "linear_3.{}")]  # fmt: skip

    def forward(x):
        for i, (weight, bias) in enumerate(layers):
            x = torch.nn.functional.gelu(x) if i else x
            x = x @ weight.T + bias
        return x

    return folder, by_hand(twin(llava()), projector=forward)


@row
def original_identity():
    """mm_projector_type identity, where the widths are equal"""
    folder = theirs(llava(), mm_projector_type="identity")
    for name in [n for n in folder.weights["model.safetensors"] if "mm_projector" in n]:
        del folder.weights["model.safetensors"][name]
    return folder, by_hand(twin(llava()), projector=lambda x: x)


@row
def original_start_end():
    """mm_use_im_start_end in 1.5's layout"""
    config = llava(decoder=text(vocab_size=VOCAB + 2))
    return theirs(config, mm_use_im_start_end=True), by_hand(twin(config), around=(VOCAB, VOCAB + 1))


@row
def original_start_end_without_rows():
    """mm_use_im_start_end, and no embeddings of the two tokens: the original draws them at random"""
    return refused(theirs(llava(), mm_use_im_start_end=True))


@row
def original_merge_flat():
    """anyres, mm_patch_merge_type flat, with an image_newline that nobody reads"""
    config = llava("llava_next")
    return theirs(config, inside=True, **ANYRES | {"mm_patch_merge_type": "flat"}), by_hand(twin(config), merge="flat")


@row
def original_merge_unsaid():
    """anyres without mm_patch_merge_type, which means flat, and without image_newline"""
    config = llava("llava_next")
    folder = theirs(config, inside=True, drop=("model.image_newline",), **ANYRES)
    del folder.files["config.json"]["mm_patch_merge_type"]
    return folder, by_hand(twin(config), merge="flat")


@row
def original_merge_spatial():
    """anyres, mm_patch_merge_type spatial"""
    config = llava("llava_next")
    return theirs(config, inside=True, drop=("model.image_newline",), **ANYRES | {"mm_patch_merge_type": "spatial"}), by_hand(twin(config), merge="spatial")


@row
def original_merge_unpad():
    """mm_patch_merge_type unpad, which the original refuses as well"""
    return refused(theirs(llava("llava_next"), inside=True, **ANYRES | {"mm_patch_merge_type": "unpad"}))


def onevision() -> dict:
    """The original reads the last but one layer of the whole SigLIP tower."""
    return llava("llava_onevision", vision_feature_layer=-2)


@row
def lmms_lab_onevision():
    """lmms-lab/llava-onevision-qwen2-7b-ov: model_type "llava", 26 of the tower's 27 layers in the checkpoint"""
    last = ("model.vision_tower.encoder.layers.2.", "model.vision_tower.vision_model.encoder.layers.2.")
    return theirs(onevision(), inside=True, drop=last, model_type="llava", **GRIDS), by_hand(twin(onevision()))


@row
def lmms_lab_onevision_whole_tower():
    """The same with model_type "llava_qwen", the tower elsewhere and whole, sizes as a range of grids"""
    folder = theirs(onevision(), kind="safetensors", **GRIDS | {"image_grid_pinpoints": "(1x1),...,(3x3)"})
    return folder, by_hand(twin(onevision()))


@row
def lmms_lab_next_interleave():
    """lmms-lab/llava-next-interleave-qwen-0.5b: SigLIP, anyres, tied"""
    decoder = text("qwen2", tie_word_embeddings=True)
    config = llava("llava_next", vision=siglip(), decoder=decoder, vision_feature_select_strategy="full", tie_word_embeddings=True)
    # transformers' llava_next counts a class token that SigLIP has not; its LLaVA-OneVision packs the same way.
    same = llava("llava_onevision", decoder=decoder, vision_feature_layer=-2, tie_word_embeddings=True, vision_aspect_ratio="anyres_max_99", image_grid_pinpoints=config["image_grid_pinpoints"])
    return theirs(config, kind="safetensors", tie_word_embeddings=True, **ANYRES), by_hand(twin(same))


@row
def original_siglip_pad():
    """A SigLIP tower, image_aspect_ratio pad, mm_vision_select_feature patch: the original keeps all patches"""
    config = llava(vision=siglip(), vision_feature_select_strategy="full")
    return theirs(config, kind="safetensors", image_aspect_ratio="pad"), by_hand(twin(config), pad=True)


@row
def mobilevlm():
    """mtgv/MobileVLM-1.7B"""
    return refused(theirs(llava(), model_type="mobilevlm", architectures=["MobileLlamaForCausalLM"], mm_projector_type="ldpnet", mm_vision_tower="mtgv/clip-vit"))


@row
def bunny():
    """BAAI/Bunny-v1_0-3B"""
    return refused(theirs(llava(), model_type="bunny-phi", architectures=["BunnyPhiForCausalLM"], mm_vision_tower="google/siglip"))


# What is refused by name


def config_alone(config: dict, *files: str) -> Folder:
    folder = Folder()
    folder.files = {"config.json": config}
    folder.empty = list(files)
    return folder


@row
def mistral3():
    """mistralai/Mistral-Small-3.1-24B-Instruct-2503"""
    return refused(config_alone({"model_type": "mistral3", "vision_config": {"model_type": "pixtral"}, "text_config": {"model_type": "mistral"}}, "model.safetensors"))


@row
def llava_onevision_1_5():
    """lmms-lab/LLaVA-OneVision-1.5-8B-Instruct"""
    return refused(config_alone({"model_type": "llavaonevision1_5", "architectures": ["LLaVAOneVision1_5_ForConditionalGeneration"]}, "model.safetensors"))


@row
def internvl_original():
    """OpenGVLab/InternVL2-8B, OpenGVLab/InternVL3-8B: the layout of their own code"""
    return refused(config_alone({"model_type": "internvl_chat", "architectures": ["InternVLChatModel"]}, "model.safetensors"))


@row
def tinyllava():
    """tinyllava/TinyLLaVA-Phi-2-SigLIP-3.1B"""
    return refused(config_alone({"model_type": "tinyllava", "llm_model_name_or_path": "microsoft/phi-2", "vision_config": {"model_type": "siglip_vision_model"}}, "model.safetensors"))


@row
def a_text_decoder_of_tomorrow():
    """A decoder that is not there"""
    return refused(config_alone(llava(decoder=text("rwkv")), "model.safetensors"))


def adapter_config(**changes) -> dict:
    return {"peft_type": "LORA", "base_model_name_or_path": "llava-hf/llava-1.5-7b-hf", "r": 4, "lora_alpha": 8, "target_modules": ["q_proj"]} | changes


@row
def liuhaotian_lora_alone():
    """liuhaotian/llava-v1.5-7b-lora as a model"""
    folder = config_alone(flat(llava()), "adapter_model.bin", "non_lora_trainables.bin")
    folder.files["adapter_config.json"] = adapter_config(base_model_name_or_path="lmsys/vicuna-7b-v1.5")
    return refused(folder)


@row
def peft_adapter_alone():
    """A PEFT adapter of llava-hf/llava-1.5-7b-hf as a model"""
    folder = Folder()
    folder.files = {"adapter_config.json": adapter_config()}
    folder.empty = ["adapter_model.safetensors"]
    return refused(folder)


@row
def gguf():
    """A folder of GGUF files"""
    folder = Folder()
    folder.empty = ["ggml-model-q4_k.gguf", "mmproj-model-f16.gguf"]
    return refused(folder)


QUANTISED = {
    "awq-gemv": {"quant_method": "awq", "bits": 4, "group_size": 128, "zero_point": True, "version": "gemv"},
    "gptq-marlin": {"quant_method": "gptq", "bits": 4, "group_size": 128, "desc_act": False, "checkpoint_format": "marlin"},
    "compressed-tensors": {"quant_method": "compressed-tensors", "format": "float-quantized"},
    "fp8": {"quant_method": "fp8", "activation_scheme": "dynamic"},
}  # fmt: skip
for name, settings in QUANTISED.items():
    ROWS[f"quantised-{name}"] = lambda settings=settings: refused(config_alone(llava() | {"quantization_config": settings}, "model.safetensors"))
for dtype in ("F8_E4M3", "F64"):
    ROWS[f"dtype-{dtype.lower().replace('_', '-')}"] = lambda dtype=dtype: refused(hf(llava(), dtype=dtype))


# Adapters


def merged(base: Folder, lora: LoraConfig, seed: str, *, rename=None) -> tuple[Folder, list[dict]]:
    """An adapter with drawn weights as PEFT saves it, and what `merge_and_unload` of it answers."""
    with tempfile.TemporaryDirectory() as place:
        folder, saved = Path(place) / "base", Path(place) / "adapter"
        folder.mkdir()
        base.write(folder)
        peft = get_peft_model(load(folder), lora)
        seeds = {}
        for name, tensor in peft.named_parameters():
            if "lora_" in name or "modules_to_save" in name or (lora.bias != "none" and tensor.requires_grad):
                # The lengths of DoRA are drawn as norms are.
                key = f"{seed}.{name}" + (".norm.weight" if "magnitude" in name else "")
                seeds[name.replace(".default", "").replace("modules_to_save.", "")] = key
                tensor.data = values(key, list(tensor.shape))
        peft.save_pretrained(saved)
        tensors = load_file(saved / "adapter_model.safetensors")
        adapter = Folder()
        adapter.files = {"adapter_config.json": json.loads((saved / "adapter_config.json").read_text())}
        for name, tensor in tensors.items():
            if ".base_layer.weight" in name:
                # PEFT saves tables that an adapter changes whole as well.
                key = name.removeprefix("base_model.model.").replace(".base_layer.", ".")
                assert torch.equal(tensor, values(key, list(tensor.shape)).half().float()), name
                adapter.put("adapter_model.safetensors", name, "F16", list(tensor.shape), key)
                continue
            key = seeds[name if name in seeds else f"{name}.weight"]
            assert torch.equal(tensor, values(key, list(tensor.shape))), name
            adapter.put("adapter_model.safetensors", rename(name) if rename else name, "F32", list(tensor.shape), key)
        base.adapter = {"files": adapter.files, "weights": adapter.weights}
        merged = PeftModel.from_pretrained(load(folder), saved).merge_and_unload().eval()
        return base, by_transformers(folder, merged)


SMALL = {"r": 2, "lora_alpha": 3, "lora_dropout": 0.05, "bias": "none", "task_type": "CAUSAL_LM"}


@row
def adapter_peft():
    """A PEFT adapter of llava-hf/llava-1.5-7b-hf: attention of the decoder"""
    return merged(hf(llava()), LoraConfig(**SMALL, target_modules=r".*language_model.*\.(q_proj|v_proj)"), "plain")


@row
def adapter_everything():
    """all-linear, rslora, ranks and alphas by pattern, a module that was trained whole"""
    lora = LoraConfig(**SMALL, use_rslora=True, target_modules=["q_proj", "k_proj", "gate_proj", "fc1", "linear_1"], rank_pattern={"gate_proj": 3}, alpha_pattern={".*layers.1.self_attn.q_proj": 7}, modules_to_save=["linear_2"])
    return merged(hf(llava()), lora, "everything")


@row
def adapter_dora():
    """A weight-decomposed adapter (DoRA)"""
    return merged(hf(llava()), LoraConfig(**SMALL, use_dora=True, target_modules=["o_proj", "down_proj"]), "dora")


@row
def adapter_of_old_names():
    """The same with the names of transformers before 4.52"""

    def former(name: str) -> str:
        return name.replace("base_model.model.model.language_model.", "base_model.model.language_model.model.")

    return merged(hf(llava()), LoraConfig(**SMALL, target_modules=["q_proj", "down_proj"]), "old", rename=former)


@row
def adapter_embeddings():
    """An adapter of the embedding table and of the head"""
    return merged(hf(llava()), LoraConfig(**SMALL, target_modules=["embed_tokens", "lm_head"]), "embeddings")


@row
def adapter_biases():
    """bias "all": the biases of the whole model were trained"""
    return merged(hf(llava()), LoraConfig(**SMALL | {"bias": "all"}, target_modules=["fc1", "q_proj"]), "biases")


@row
def pinpoints_that_differ():
    """image_grid_pinpoints of config.json and of preprocessor_config.json differ"""
    return refused(hf(llava("llava_next"), image_grid_pinpoints=[[28, 56], [56, 28]]))


@row
def adapter_liuhaotian_lora():
    """liuhaotian/llava-v1.5-7b-lora merged onto lmsys/vicuna-7b-v1.5"""
    config = llava()
    base, adapter = Folder(), Folder()
    whole = theirs(config, image_aspect_ratio="pad")
    base.files = whole.files | {"config.json": config["text_config"] | {"architectures": ["LlamaForCausalLM"]}}
    base.weights = {"tower/pytorch_model.bin": whole.weights["tower/pytorch_model.bin"]}
    adapter.files = {
        "config.json": whole.files["config.json"],
        "adapter_config.json": adapter_config(r=4, lora_alpha=8, target_modules=["q_proj", "up_proj"], base_model_name_or_path="lmsys/vicuna-7b-v1.5", bias="none", fan_in_fan_out=False, lora_dropout=0.05, enable_lora=None),
    }
    for name, (dtype, shape, seed) in whole.weights["model.safetensors"].items():
        if "mm_projector" in name:
            adapter.put("non_lora_trainables.bin", f"base_model.model.{name}", dtype, shape, seed)
        else:
            base.put("model.safetensors", name, dtype, shape, seed)
    changed = []
    for name, (_, (rows, columns), seed) in [(n, t) for n, t in base.weights["model.safetensors"].items() if n.endswith(("q_proj.weight", "up_proj.weight"))]:
        module = name.removesuffix(".weight")
        for part, shape in (("A", [4, columns]), ("B", [rows, 4])):
            adapter.put("adapter_model.bin", f"base_model.model.{module}.lora_{part}.weight", "F16", shape, f"{module}.{part}")
        changed.append((seed, module, rows, columns))

    def adjust(model):
        state = dict(model.named_parameters())
        for seed, module, rows, columns in changed:
            a, b = (values(f"{module}.{part}", shape).half().float() for part, shape in (("A", [4, columns]), ("B", [rows, 4])))
            state[seed].data += b @ a * (8 / 4)

    base.adapter = {"files": adapter.files, "weights": adapter.weights}
    return base, by_hand(twin(config), pad=True, adjust=adjust)


def misfit(**changes) -> Folder:
    """A base and an adapter that do not fit."""
    base, adapter = hf(llava()), Folder()
    adapter.files = {"adapter_config.json": adapter_config(**changes.pop("config", {}))}
    for name, shape in changes.items():
        adapter.put("adapter_model.safetensors", f"base_model.model.model.language_model.layers.{name.replace('__', '.')}.weight", "F32", shape, "x")
    base.adapter = {"files": adapter.files, "weights": adapter.weights}
    return base


Q = {"0__self_attn__q_proj__lora_A": [4, 32], "0__self_attn__q_proj__lora_B": [32, 4]}
for name, changes in {
    "another-base": Q | {"0__self_attn__q_proj__lora_A": [4, 48]},
    "another-rank": Q | {"config": {"r": 8}},
    "no-such-layer": {n.replace("0__", "7__"): s for n, s in Q.items()},
    "half": {"0__self_attn__q_proj__lora_A": [4, 32]},
    "not-a-target": Q | {"config": {"target_modules": ["v_proj"]}},
    "unknown-field": Q | {"config": {"use_tomorrow": {"x": 1}}},
    "pissa": Q | {"config": {"init_lora_weights": "pissa"}},
    "loha": Q | {"config": {"peft_type": "LOHA"}},
    "unused": Q | {"0__self_attn__extra": [3]},
}.items():
    ROWS[f"adapter-misfit-{name}"] = lambda changes=changes: refused(misfit(**changes))


def main() -> None:
    transformers.logging.set_verbosity_error()
    out = HERE / "rows"
    out.mkdir(exist_ok=True)
    for name in sys.argv[1:] or ROWS:
        torch.manual_seed(0)
        folder, cases = ROWS[name]()
        content = {"repository": (ROWS[name].__doc__ or "").strip(), "files": folder.files, "weights": folder.weights}
        content |= {"empty": folder.empty} if folder.empty else {}
        content |= {"around": folder.around} if hasattr(folder, "around") else {}
        content |= {"adapter": folder.adapter} if hasattr(folder, "adapter") else {}
        content |= {"reference": cases} if cases else {}
        (out / f"{name}.json").write_text(json.dumps(content, sort_keys=True) + "\n")
        print(name, "agrees" if cases else "refused", flush=True)


if __name__ == "__main__":
    main()
