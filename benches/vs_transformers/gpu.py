"""`scotoma bench` against Hugging Face transformers on the same device, in one run: the same sizes, random weights, dtype, tokens.

    python benches/vs_transformers/gpu.py [--device cuda:0] [--size llava-1.5-7b] [--dtype bf16] [--layers N]

Needs the release binary, built with the feature cuda for a card, and the packages of tests/goldens/requirements.txt. Transformers runs
with its own choice of attention (SDPA), eagerly; its numbers are medians of five after one that does not count, as ours are. `--layers`
cuts both stacks short, to try the script on a machine without a card.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch
from transformers import AutoConfig, DynamicCache, LlavaForConditionalGeneration

ROOT = Path(__file__).parent.parent.parent
BINARY = ROOT / "target" / "release" / "scotoma"
QUESTION_TOKENS = 50
STEPS = 16
DTYPES = {"bf16": torch.bfloat16, "f16": torch.float16, "f32": torch.float32}


def folder_of(size: str, layers: int | None, into: Path) -> Path:
    """The files of a model of real size, its stacks cut to `layers`."""
    shutil.copytree(ROOT / "models" / "sizes" / size, into, dirs_exist_ok=True)
    for file in ("tokenizer.json", "chat_template.jinja"):
        shutil.copy(ROOT / "models" / "shapes" / file, into / file)
    config = json.loads((into / "config.json").read_text())
    if layers:
        config["text_config"]["num_hidden_layers"] = layers
        config["vision_config"]["num_hidden_layers"] = layers + 1
    (into / "config.json").write_text(json.dumps(config))
    return into


class Peer:
    """Transformers, as people run it."""

    def __init__(self, folder: Path, device: str, dtype: torch.dtype) -> None:
        config = AutoConfig.from_pretrained(folder)
        torch.set_default_dtype(dtype)
        with torch.device(device):
            self.model = LlavaForConditionalGeneration(config).eval()
        self.device, self.dtype = torch.device(device), dtype
        grid = config.vision_config.image_size // config.vision_config.patch_size
        self.prompt = grid * grid + QUESTION_TOKENS
        self.side = config.vision_config.image_size
        self.language = self.model.model.language_model

    def wait(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)

    @torch.inference_mode()
    def time(self, work: Callable[[], object], repeat: int = 5) -> float:
        seconds = []
        for _ in range(repeat + 1):
            self.wait()
            start = time.perf_counter()
            work()
            self.wait()
            seconds.append(time.perf_counter() - start)
        return statistics.median(seconds[1:])

    def views(self, count: int) -> float:
        pixels = torch.randn(count, 3, self.side, self.side, device=self.device, dtype=self.dtype)
        tower, projector = self.model.model.vision_tower, self.model.model.multi_modal_projector
        return self.time(lambda: projector(tower(pixels, output_hidden_states=True).hidden_states[-2][:, 1:]))

    def read(self, batch: int, cache: DynamicCache | None = None) -> torch.Tensor:
        ids = torch.full((batch, self.prompt), 4, device=self.device)
        hidden = self.language(input_ids=ids, past_key_values=cache, use_cache=cache is not None).last_hidden_state
        return self.model.lm_head(hidden[:, -1:])

    @torch.inference_mode()
    def decode(self, batch: int) -> float:
        cache = DynamicCache(config=self.model.config.text_config)
        token = self.read(batch, cache).argmax(-1)
        for step in range(STEPS + 2):
            if step == 2:
                self.wait()
                start = time.perf_counter()
            hidden = self.language(input_ids=token, past_key_values=cache, use_cache=True).last_hidden_state
            token = self.model.lm_head(hidden).argmax(-1)
            token.tolist()
        return (time.perf_counter() - start) / STEPS

    @torch.inference_mode()
    def drop_each_layer(self) -> float:
        """One forward pass, picture and all, for each layer that is left out."""
        layers = self.language.layers
        prompt = self.model.config.image_token_id
        ids = torch.full((1, self.prompt), 4, device=self.device)
        ids[0, : self.prompt - QUESTION_TOKENS] = prompt
        pixels = torch.randn(1, 3, self.side, self.side, device=self.device, dtype=self.dtype)
        start = time.perf_counter()
        for layer in layers:
            hook = layer.register_forward_hook(lambda _m, args, _out: args[0])
            self.model(input_ids=ids, pixel_values=pixels, logits_to_keep=1)
            hook.remove()
        self.wait()
        return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda:0")
    parser.add_argument("--size", default="llava-1.5-7b", choices=["llava-1.5-7b"])
    parser.add_argument("--dtype", default="bf16", choices=list(DTYPES))
    parser.add_argument("--layers", type=int)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = folder_of(arguments.size, arguments.layers, Path(scratch))
        command = [BINARY, "bench", "--device", arguments.device, "--dtype", arguments.dtype, "--random-weights", folder, "--json"]
        report = json.loads(subprocess.run([str(c) for c in command], check=True, capture_output=True).stdout)  # noqa: S603
        peer = Peer(folder, arguments.device, DTYPES[arguments.dtype])
    ours = {row["what"]: row for row in report["rows"]}
    prompt = peer.prompt
    sweep = next(name for name in ours if name.startswith("sweep: drop one layer"))
    # What the sweep's prompt is short of a question of QUESTION_TOKENS tokens is nothing against its picture.
    rows: list[tuple[str, float, float]] = []
    for count in (1, 8):
        names = (f"vision tower, {count} views", f"projector, {count} views")
        if names[0] in ours:
            rows.append((f"tower and projector, {count} views", sum(ours[n]["seconds"] for n in names), peer.views(count)))
    for count in (1, 8):
        name = f"prefill, {count} x {prompt} tokens"
        rows.append((name, ours[name]["seconds"], peer.time(lambda: peer.read(count))))  # noqa: B023
    for count in (1, 8, 32):
        name = f"decode, {count} at once"
        rows.append((name, ours[name]["seconds"], peer.decode(count)))
    rows.append((sweep.removeprefix("sweep: "), ours[sweep]["seconds"], peer.drop_each_layer()))
    print(f"{arguments.size}, {arguments.dtype} on {arguments.device}; torch {torch.__version__}")
    print(f"a large product {report['matrix_rate'] / 1e12:.2f} TFLOP/s, a copy {report['bandwidth'] / 1e9:.0f} GB/s\n")
    print("| | transformers | Scotoma | ratio | of the device |\n|---|---|---|---|---|")
    for name, seconds, theirs in rows:
        row = ours.get(name, {})
        share = row.get("matrix_share") or row.get("bandwidth_share")
        share = f"{100 * share:.0f} %" if share else ""
        print(f"| {name} | {1e3 * theirs:.2f} ms | {1e3 * seconds:.2f} ms | {theirs / seconds:.2f} | {share} |", flush=True)


if __name__ == "__main__":
    main()
