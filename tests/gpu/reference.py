"""What transformers itself loses in bf16 on a device: the golden sets by the code that captured them, run in bf16.

    python tests/gpu/reference.py SET OUT.json [--device cuda:0]

Writes, for each case, the relative error of every hook point of the golden file, and how many tokens of the golden answer are certain
in bf16: those before the first step at which the two likeliest logits are nearer than what rounding may move them.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path

import torch
from safetensors.torch import load_file

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT / "tests" / "goldens"))

import capture as goldens  # noqa: E402

BOUND = 1.5
"""Errors of the server may be this many times those of transformers."""


def folders(name: str) -> tuple[Path, Path]:
    """The model of a set, and its golden files."""
    if name == "shapes":
        return goldens.SHAPES, goldens.SHAPES / "goldens"
    return goldens.HERE / name / "model", goldens.HERE / name


def second_projector(folder: Path) -> dict[str, torch.Tensor]:
    """The further projector of a set, in transformers' names."""
    file = folder / "second_projector.safetensors"
    if file.exists():
        return load_file(file)
    # As the original LLaVA writes it: a sequence of layers with an activation between them.
    found = {}
    for key, value in torch.load(folder / "mm_projector.bin").items():
        layer, weight = key.removeprefix("model.mm_projector.").split(".")
        found[f"multi_modal_projector.linear_{1 if layer == '0' else 2}.{weight}"] = value
    return found


def chooses_by_value(case: dict) -> bool:
    """Whether a rounding can change which tokens a case keeps, so that its error says nothing."""
    return any("pruneTokens" in i and "randomSeed" not in i["pruneTokens"] for i in case.get("interventions", []))


class Reference:
    """A model of a golden set in one dtype on a device."""

    def __init__(self, name: str, device: str, dtype: torch.dtype) -> None:
        source, self.folder = folders(name)
        model, _, self.inputs_of, self.processor = goldens.opened(source, self.folder, dtype)
        self.model, self.device, self.dtype = model.to(device), device, dtype

    def here(self, value):
        """A tensor on the device, in the dtype if it is of floats."""
        if not torch.is_tensor(value):
            return value
        return value.to(self.device, self.dtype) if value.is_floating_point() else value.to(self.device)

    @torch.no_grad()
    def run(self, case: dict, answer: list[int]) -> tuple[dict[str, torch.Tensor], torch.Tensor]:
        """The value at every hook point for the prompt, and the logits from which each token of `answer` is chosen."""
        ids, positions, rest, changes, views = goldens.changed_inputs(case, self.model, self.inputs_of, self.processor)
        rest = {k: self.here(v) for k, v in rest.items()}
        views, ids = [self.here(v) for v in views], ids.to(self.device)
        own = goldens.projector_weights(self.model)
        if changes.named("swapProjector"):
            goldens.swap_projector(self.model, second_projector(self.folder))
        with goldens.Recorder(self.model, changes, self.inputs_of.family, views) as recorder:
            recorder.donor = lambda picture: {
                k: self.here(v) for k, v in goldens.donor_inputs(self.processor, picture).items()
            }
            self.model(**goldens.whole(ids, positions), **rest)
            recorder.recording = False
            # One pass over the golden answer: a row sees only what stands before it. An image token would ask for a picture.
            image = self.model.config.image_token_id
            answer = answer[: answer.index(image) + 1] if image in answer else answer
            more = torch.tensor(answer[:-1], dtype=ids.dtype, device=ids.device)
            places = positions + [positions[-1] + 1 + i for i in range(len(more))]
            logits = self.model(**goldens.whole(torch.cat([ids, more]), places), **rest).logits[0, len(ids) - 1 :]
        goldens.swap_projector(self.model, own)
        values = recorder.values
        if views:
            values["pixel_values"] = torch.cat([v.flatten() for v in views]).float()
        return values, logits.float().cpu()


def relative_error(found: torch.Tensor, expected: torch.Tensor) -> float:
    """|found - expected| / |expected|."""
    found, expected = found.flatten().double().cpu(), expected.flatten().double()
    error = float((found - expected).norm() / expected.norm().clamp_min(1e-300))
    return error if error == error else float("inf")


def certain(half: torch.Tensor, full: torch.Tensor) -> int:
    """How many tokens are certain, by logits (T, V) in bf16 and in f32: their two best differ by more than rounding moves any logit
    of both implementations."""
    for step, (a, b) in enumerate(zip(half, full, strict=True)):
        first, second = a.topk(2).values.tolist()
        if first - second <= (1 + BOUND) * float((a - b).abs().max()):
            return step
    return len(half)


def measure(name: str, out: Path, device: str) -> None:
    """Measures every case of a set, and writes after each what is there."""
    start = time.perf_counter()
    _, folder = folders(name)
    half, full = (Reference(name, device, dtype) for dtype in (torch.bfloat16, torch.float32))
    cases: dict[str, dict] = {}
    for case in json.loads((folder / "cases.json").read_text())["cases"]:
        stored = load_file(folder / f"{case['name']}.safetensors")
        answer = stored.pop("greedy").tolist()
        stored.pop("input_ids")
        values, logits = half.run(case, answer)
        _, exact = full.run(case, answer)
        errors = {k: relative_error(values[k], v) for k, v in stored.items()}
        cases[case["name"]] = {
            "errors": errors, "answer": answer, "certain": certain(logits, exact), "judged": not chooses_by_value(case),
        }  # fmt: skip
        found = {"set": name, "device": device, "seconds": time.perf_counter() - start, "cases": cases}
        out.with_suffix(".part").write_text(json.dumps(found))
        out.with_suffix(".part").replace(out)


def main() -> None:
    """Measures one set."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("set", choices=goldens.SETS)
    parser.add_argument("out", type=Path)
    parser.add_argument("--device", default="cuda:0")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    measure(arguments.set, arguments.out, arguments.device)


if __name__ == "__main__":
    main()
