"""Sparse autoencoders of every kind that is read, tiny and random, with what their libraries' formulas make of random rows.

    python tests/goldens/saes.py

writes tests/goldens/saes/NAME: the files as SAELens 6, dictionary_learning and sparsify write them, and expected.safetensors with
`NAME.values (8, 24)`, all features of `rows (8, 16)`, and `NAME.set (8, 16)`, the rows after features 3 and 7 were set to 2: x + (new
- old) d, with the reconstruction error kept. The formulas are those of the libraries' `encode` and `decode`, from their documents.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch.nn.functional import relu

OUT = Path(__file__).parent / "saes"
WIDTH, FEATURES, K = 16, 24, 4
HOOK = "language_model.blocks.0.hook_resid_post"
SET, VALUE = [3, 7], 2.0


def top(product: torch.Tensor, k: int) -> torch.Tensor:
    values, places = product.topk(k, dim=-1)
    return torch.zeros_like(product).scatter_(-1, places, relu(values))


class Kind:
    """One autoencoder: its tensors under one spelling, and its formulas."""

    def __init__(self, rule: str, *, centres: bool = True, normalize: str = "none", by_norm: bool = False, out: int = WIDTH):
        draw = lambda *shape: torch.randn(*shape) * 0.5  # noqa: E731
        self.rule, self.centres, self.normalize, self.by_norm = rule, centres, normalize, by_norm
        self.enc, self.dec = draw(WIDTH, FEATURES), draw(FEATURES, out)
        self.dec = self.dec / self.dec.norm(dim=1, keepdim=True) * (torch.rand(FEATURES, 1) + 0.5 if by_norm else 1)
        self.b_enc, self.b_dec = draw(FEATURES), draw(out)
        self.threshold = torch.rand(FEATURES) * 2
        self.r_mag, self.b_mag = draw(FEATURES), draw(FEATURES)

    def encode(self, x: torch.Tensor) -> torch.Tensor:
        if self.normalize == "constant_norm_rescale":
            x = x * (WIDTH**0.5 / x.norm(dim=-1, keepdim=True))
        if self.normalize == "layer_norm":
            x = x - x.mean(dim=-1, keepdim=True)
            x = x / (x.std(dim=-1, keepdim=True) + 1e-5)
        product = (x - self.b_dec if self.centres else x) @ self.enc
        if self.rule == "gated":
            return (product + self.b_enc > 0) * relu(product * self.r_mag.exp() + self.b_mag)
        product = product + self.b_enc
        if self.by_norm:
            product = product * self.dec.norm(dim=-1)
        if self.rule == "topk":
            return top(product, K)
        if self.rule == "jumprelu":
            return relu(product) * (product > self.threshold)
        if self.rule == "batchtopk":
            return relu(product) * (relu(product) > self.threshold[0])
        return relu(product)

    def decode(self, x: torch.Tensor, features: torch.Tensor) -> torch.Tensor:
        if self.by_norm:
            features = features / self.dec.norm(dim=-1)
        decoded = features @ self.dec + self.b_dec
        if self.normalize == "constant_norm_rescale":
            decoded = decoded * x.norm(dim=-1, keepdim=True) / WIDTH**0.5
        if self.normalize == "layer_norm":
            decoded = decoded * x.std(dim=-1, keepdim=True) + x.mean(dim=-1, keepdim=True)
        return decoded

    def after(self, x: torch.Tensor) -> torch.Tensor:
        features = self.encode(x)
        error = x - self.decode(x, features)
        features[:, SET] = VALUE
        return self.decode(x, features) + error


def sae_lens(kind: Kind, architecture: str, **more) -> tuple[dict, dict]:
    config = {
        "d_in": WIDTH, "d_sae": FEATURES, "dtype": "float32", "device": "cpu", "apply_b_dec_to_input": kind.centres,
        "normalize_activations": kind.normalize, "reshape_activations": "none", "architecture": architecture,
        "metadata": {"sae_lens_version": "6.54.12", "hook_name": "blocks.0.hook_resid_post", "model_name": "tiny"}, **more,
    }
    state = {"W_enc": kind.enc, "W_dec": kind.dec, "b_dec": kind.b_dec}
    if kind.rule == "gated":
        state |= {"b_gate": kind.b_enc, "r_mag": kind.r_mag, "b_mag": kind.b_mag}
    else:
        state |= {"b_enc": kind.b_enc}
    if kind.rule == "jumprelu":
        state |= {"threshold": kind.threshold}
    return config, state


def old_sae_lens(kind: Kind) -> tuple[dict, dict]:
    """As versions 3 to 5 wrote it: everything at the top, and a top k as the activation of a standard one."""
    config = {
        "d_in": WIDTH, "d_sae": FEATURES, "dtype": "torch.float32", "device": "cpu", "model_name": "tiny", "hook_layer": 0,
        "hook_name": "blocks.0.hook_resid_post", "hook_head_index": None, "activation_fn_str": "topk",
        "activation_fn_kwargs": {"k": K}, "apply_b_dec_to_input": kind.centres, "normalize_activations": "none",
        "context_size": 128, "prepend_bos": True, "dataset_path": "none", "finetuning_scaling_factor": False,
        "sae_lens_training_version": "3.12.0",
    }
    return config, sae_lens(kind, "standard")[1]


def dictionary_learning(kind: Kind, dict_class: str, **more) -> tuple[dict, dict]:
    trainer = {"dict_class": dict_class, "activation_dim": WIDTH, "dict_size": FEATURES, "layer": 0, "lm_name": "tiny"}
    trainer |= {"submodule_name": "resid_post_layer_0", "lr": 1e-4, **more}
    state = {"encoder.weight": kind.enc.T.contiguous(), "decoder.weight": kind.dec.T.contiguous()}
    if dict_class == "AutoEncoder":
        state |= {"encoder.bias": kind.b_enc, "bias": kind.b_dec}
    elif dict_class == "AutoEncoderNew":
        state |= {"encoder.bias": kind.b_enc, "decoder.bias": kind.b_dec}
    elif dict_class == "GatedAutoEncoder":
        state |= {"gate_bias": kind.b_enc, "mag_bias": kind.b_mag, "r_mag": kind.r_mag, "decoder_bias": kind.b_dec}
    elif dict_class in ("JumpReluAutoEncoder", "MatryoshkaBatchTopKSAE"):
        state = {"W_enc": kind.enc, "b_enc": kind.b_enc, "W_dec": kind.dec, "b_dec": kind.b_dec}
        state |= {"threshold": kind.threshold}
    else:
        state |= {"encoder.bias": kind.b_enc, "b_dec": kind.b_dec}
    if dict_class in ("AutoEncoderTopK", "BatchTopKSAE", "MatryoshkaBatchTopKSAE"):
        state |= {"k": torch.tensor(K, dtype=torch.int), "threshold": kind.threshold[0].clone()}
    if "group_sizes" in more:
        state |= {"group_sizes": torch.tensor(more["group_sizes"])}
    return {"trainer": trainer, "buffer": {"d_submodule": WIDTH, "ctx_len": 128}}, state


def sparsify(kind: Kind, **more) -> tuple[dict, dict]:
    config = {
        "activation": "topk", "expansion_factor": 32, "normalize_decoder": True, "num_latents": FEATURES, "k": K,
        "multi_topk": False, "skip_connection": False, "transcode": False, "d_in": WIDTH, **more,
    }
    state = {"encoder.weight": kind.enc.T.contiguous(), "encoder.bias": kind.b_enc, "W_dec": kind.dec, "b_dec": kind.b_dec}
    return config, state


def main() -> None:
    torch.manual_seed(11)
    rows = torch.randn(8, WIDTH)
    cases: dict[str, tuple[Kind, tuple[dict, dict], str]] = {}

    def case(name: str, kind: Kind, files: tuple[dict, dict], file: str) -> None:
        cases[name] = kind, files, file

    weights = "sae_weights.safetensors"
    for name, kind, architecture, more in [
        ("saelens-standard", Kind("relu"), "standard", {}),
        ("saelens-uncentred", Kind("relu", centres=False), "standard", {}),
        ("saelens-topk", Kind("topk"), "topk", {"k": K, "rescale_acts_by_decoder_norm": False}),
        ("saelens-topk-norm", Kind("topk", by_norm=True), "topk", {"k": K, "rescale_acts_by_decoder_norm": True}),
        ("saelens-jumprelu", Kind("jumprelu"), "jumprelu", {}),
        ("saelens-gated", Kind("gated"), "gated", {}),
        ("saelens-constant-norm", Kind("relu", normalize="constant_norm_rescale"), "standard", {}),
        ("saelens-layer-norm", Kind("jumprelu", normalize="layer_norm"), "jumprelu", {}),
        ("saelens-transcoder", Kind("relu", centres=False, out=12), "transcoder", {"d_out": 12}),
    ]:
        case(name, kind, sae_lens(kind, architecture, **more), weights)
    kind = Kind("topk")
    case("saelens-3", kind, old_sae_lens(kind), weights)
    for dict_class, kind, more in [
        ("AutoEncoder", Kind("relu"), {}),
        ("AutoEncoderNew", Kind("relu", centres=False), {}),
        ("GatedAutoEncoder", Kind("gated"), {}),
        ("AutoEncoderTopK", Kind("topk"), {"k": K}),
        ("BatchTopKSAE", Kind("batchtopk"), {"k": K}),
        ("JumpReluAutoEncoder", Kind("jumprelu", centres=False), {}),
        ("MatryoshkaBatchTopKSAE", Kind("batchtopk"), {"k": K, "group_sizes": [6, 6, 12]}),
    ]:
        config, state = dictionary_learning(kind, dict_class, **more)
        if dict_class.startswith("Matryoshka"):
            state["threshold"] = kind.threshold[0].clone()
        case(f"dictionary-{dict_class}", kind, (config, state), "ae.pt")
    kind = Kind("topk")
    case("sparsify", kind, sparsify(kind), "sae.safetensors")

    shutil.rmtree(OUT, ignore_errors=True)
    expected = {"rows": rows}
    for name, (kind, (config, state), file) in cases.items():
        # sparsify says by the folder which module was read.
        folder = OUT / name / "layers.0" if name == "sparsify" else OUT / name
        folder.mkdir(parents=True)
        if file == "ae.pt":
            (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n")
            torch.save(state, folder / file)
        else:
            (folder / "cfg.json").write_text(json.dumps(config, indent=2) + "\n")
            save_file({key: value.contiguous() for key, value in state.items()}, folder / file)
        expected[f"{name}.values"] = kind.encode(rows)
        if kind.dec.shape[1] == WIDTH:
            expected[f"{name}.set"] = kind.after(rows)
    save_file({key: value.contiguous() for key, value in expected.items()}, OUT / "expected.safetensors")
    print(f"{len(cases)} autoencoders in {OUT}")


if __name__ == "__main__":
    main()
