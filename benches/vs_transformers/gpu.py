"""Scotoma against Hugging Face transformers on the same device, in one run: the same sizes, random weights, dtype, tokens.

    python benches/vs_transformers/gpu.py [--device cuda:0] [--dtype bf16] [--only llava,eval,onevision] [--binary PATH] [--out FOLDER]

Needs the binary, built with the feature cuda for a card, and the packages of tests/goldens/requirements.txt. Transformers runs with its own
choice of attention (SDPA), eagerly; decoding also with StaticCache, captured in a CUDA graph. All numbers are medians of five after one
that does not count. Rows are printed as they are measured, and are in FOLDER/table.json from then on. The floor is the larger of the
row's operations at the rate of the fastest product and its bytes at the bandwidth of a copy, both measured in this run, by torch and by
`scotoma bench`, of which the better counts.

`--layers` cuts all stacks short and `--quick` makes them narrow, to try the script on a machine without a card.
"""

from __future__ import annotations

import base64
import contextlib
import gc
import io
import json
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
import transformers
from PIL import Image
from transformers import (
    AutoConfig,
    AutoModelForImageTextToText,
    CLIPImageProcessorPil,
    DynamicCache,
    StaticCache,
)

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT / "tests" / "gpu"))

from serving import Results, arguments_of, picture, serving  # noqa: E402

QUESTION_TOKENS = 50
STEPS = 16
ANSWER = 16
DTYPES = {"bf16": torch.bfloat16, "f16": torch.float16, "f32": torch.float32}
LLAVA, ONEVISION = "llava-1.5-7b", "llava-onevision-7b"
PICTURE_PROMPT, LONG = 1535, 7000
"""Tokens of LLaVA-OneVision's prompts: a picture of two views and a question, and one of nine tiles."""
PATIENCE = 80
"""Seconds after which an evaluation is cut; what it has answered counts."""
VARIANTS = {
    "permuted": [{"permuteTokens": {"seed": "1"}}], "dropped": [{"dropLayers": {"layers": [1]}}],
    "occluded": [{"occludePatches": {"random": {"ratio": 0.5, "seed": "1"}}}],
}  # fmt: skip


@dataclass
class Row:
    """One line of the table; times in seconds."""

    name: str
    scotoma: float | None = None
    transformers: float | None = None
    graphs: float | None = None
    floor: float | None = None
    note: str = ""

    def line(self) -> str:
        times = [show(s) for s in (self.scotoma, self.transformers, self.graphs)]
        ratios = [f"{t / self.scotoma:.2f}" if t and self.scotoma else "" for t in (self.transformers, self.graphs)]
        share = f"{100 * self.floor / self.scotoma:.0f} %" if self.floor and self.scotoma else ""
        return f"| {' | '.join([self.name, *times, *ratios, show(self.floor), share, self.note])} |"


HEAD = """| | Scotoma | transformers | with CUDA graphs | ratio | ratio to graphs | floor | floor / Scotoma | |
|---|---|---|---|---|---|---|---|---|"""


def show(seconds: float | None) -> str:
    return "" if seconds is None else f"{1e3 * seconds:.4g} ms"


class Table:
    """Rows, on standard output and in a file as they come."""

    def __init__(self, results: Results) -> None:
        self.results, self.rows = results, []
        print(f"\n{HEAD}", flush=True)

    def add(self, row: Row) -> None:
        self.rows.append(row)
        print(row.line(), flush=True)
        self.results.write(rows=[asdict(r) for r in self.rows])


def folder_of(size: str, layers: int | None, quick: bool, into: Path) -> Path:
    """The files of a model of real size, its stacks cut to `layers`; where `quick`, narrow ones."""
    shutil.copytree(ROOT / "models" / "sizes" / size, into, dirs_exist_ok=True)
    for file in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja"):
        shutil.copy(ROOT / "models" / "shapes" / file, into / file)
    config = json.loads((into / "config.json").read_text())
    text, vision = config["text_config"], config["vision_config"]
    if quick:
        layers = layers or 2
        text |= {"hidden_size": 128, "intermediate_size": 320, "num_attention_heads": 4, "num_key_value_heads": 2, "vocab_size": 2048}
        vision |= {"hidden_size": 64, "intermediate_size": 128, "num_attention_heads": 4}
    if layers:
        text["num_hidden_layers"] = layers
        vision["num_hidden_layers"] = layers + 1
    (into / "config.json").write_text(json.dumps(config))
    return into


def bench(binary: Path, folder: Path, device: str, dtype: str, *flags: str) -> dict:
    """What `scotoma bench` measures of a model with random weights."""
    command = [binary, "bench", "--device", device, "--dtype", dtype, "--random-weights", folder, "--json", *flags]
    done = subprocess.run([str(c) for c in command], stdout=subprocess.PIPE, stderr=sys.stderr)  # noqa: S603
    if done.returncode:
        raise RuntimeError(f"scotoma bench ended with {done.returncode}")
    return json.loads(done.stdout)


class Ours:
    """The rows of a report."""

    def __init__(self, report: dict) -> None:
        self.report = report
        self.rows = {row["what"]: row for row in report["rows"]}

    def seconds(self, name: str) -> float | None:
        return self.rows[name]["seconds"] if name in self.rows else None

    def work(self, *names: str) -> tuple[float, float]:
        """Operations, and bytes that must be read."""
        rows = [self.rows.get(name, {}) for name in names]
        return sum(row.get("flops") or 0 for row in rows), sum(row.get("bytes") or 0 for row in rows)

    def named(self, start: str) -> list[str]:
        return [name for name in self.rows if name.startswith(start)]


class Device:
    """A device, its clock and its ceilings."""

    def __init__(self, name: str, dtype: torch.dtype, quick: bool) -> None:
        self.device, self.dtype = torch.device(name), dtype
        self.is_card = self.device.type == "cuda"
        self.title = torch.cuda.get_device_name(self.device) if self.is_card else platform.processor() or platform.machine()
        side, size = (8192, 4 << 30) if self.is_card else (256, 1 << 24) if quick else (2048, 1 << 28)
        a, b = (torch.randn(side, side, device=self.device, dtype=dtype) for _ in range(2))
        self.rate = 2 * side**3 / self.time(lambda: a @ b)
        source = torch.zeros(size, device=self.device, dtype=torch.uint8)
        target = torch.empty_like(source)
        self.bandwidth = 2 * size / self.time(lambda: target.copy_(source))
        del a, b, source, target
        self.clear()

    def clear(self) -> None:
        gc.collect()
        if self.is_card:
            torch.cuda.empty_cache()

    def wait(self) -> None:
        if self.is_card:
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

    def floor(self, flops: float, read: float) -> float | None:
        return max(flops / self.rate, read / self.bandwidth) or None


class Peer:
    """Transformers, as people run it."""

    def __init__(self, folder: Path, on: Device) -> None:
        self.config = config = AutoConfig.from_pretrained(folder)
        self.on, self.device = on, on.device
        before = torch.get_default_dtype()
        torch.set_default_dtype(on.dtype)
        with on.device:
            self.model = AutoModelForImageTextToText.from_config(config, dtype=on.dtype).eval()
        torch.set_default_dtype(before)
        self.side = config.vision_config.image_size
        self.visual = (self.side // config.vision_config.patch_size) ** 2
        self.language = self.model.model.language_model

    def views(self, count: int) -> float:
        pixels = torch.randn(count, 3, self.side, self.side, device=self.device, dtype=self.on.dtype)
        tower, projector = self.model.model.vision_tower, self.model.model.multi_modal_projector
        layer = self.config.vision_feature_layer
        first = 1 if self.config.vision_feature_select_strategy == "default" else 0
        return self.on.time(lambda: projector(tower(pixels, output_hidden_states=True).hidden_states[layer][:, first:]))

    def read(self, batch: int, prompt: int, cache: DynamicCache | None = None) -> torch.Tensor:
        ids = torch.full((batch, prompt), 4, device=self.device)
        hidden = self.language(input_ids=ids, past_key_values=cache, use_cache=cache is not None).last_hidden_state
        return self.model.lm_head(hidden[:, -1:])

    def prefill(self, batch: int, prompt: int) -> float:
        return self.on.time(lambda: self.read(batch, prompt))

    @torch.inference_mode()
    def decode(self, batch: int, prompt: int) -> float:
        cache = DynamicCache(config=self.config.text_config)
        token = self.read(batch, prompt, cache).argmax(-1)
        seconds = []
        for _ in range(STEPS + 2):
            self.on.wait()
            start = time.perf_counter()
            hidden = self.language(input_ids=token, past_key_values=cache, use_cache=True).last_hidden_state
            token = self.model.lm_head(hidden).argmax(-1)
            token.tolist()
            seconds.append(time.perf_counter() - start)
        return statistics.median(seconds[2:])

    @torch.inference_mode()
    def decode_by_graph(self, batch: int, prompt: int) -> float:
        """A step over keys and values of fixed size, captured once and replayed; where there is no card the step itself."""
        cache = StaticCache(config=self.config.text_config, max_cache_len=(prompt + 64 + 63) // 64 * 64)
        ids = torch.full((batch, prompt), 4, device=self.device)
        at = torch.arange(prompt, device=self.device)
        self.language(input_ids=ids, past_key_values=cache, use_cache=True, cache_position=at)
        token, place = torch.full((batch, 1), 4, device=self.device), torch.tensor([prompt], device=self.device)
        places = place[None].expand(batch, 1)

        def step() -> torch.Tensor:
            hidden = self.language(
                input_ids=token, past_key_values=cache, use_cache=True, cache_position=place, position_ids=places
            ).last_hidden_state
            return self.model.lm_head(hidden).argmax(-1)

        if not self.on.is_card:
            return self.on.time(step)
        beside = torch.cuda.Stream()
        beside.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(beside):
            for _ in range(3):
                step()
        torch.cuda.current_stream().wait_stream(beside)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            step()
        seconds = self.on.time(graph.replay, 2 * STEPS)
        del graph
        return seconds

    @torch.inference_mode()
    def drop_each_layer(self) -> float:
        """One forward pass, picture and all, for each layer that is left out; after one that does not count."""
        ids = self.prompts(1)
        pixels = torch.randn(1, 3, self.side, self.side, device=self.device, dtype=self.on.dtype)

        def once() -> None:
            self.model(input_ids=ids, pixel_values=pixels, logits_to_keep=1)

        once()
        self.on.wait()
        start = time.perf_counter()
        for layer in self.language.layers:
            hook = layer.register_forward_hook(lambda _m, args, _out: args[0])
            once()
            hook.remove()
        self.on.wait()
        return time.perf_counter() - start

    def prompts(self, batch: int) -> torch.Tensor:
        """A picture and a question, `batch` times."""
        ids = torch.full((batch, self.visual + QUESTION_TOKENS), 4, device=self.device)
        ids[:, : self.visual] = self.config.image_token_id
        return ids

    @torch.inference_mode()
    def answer(self, folder: Path, pictures: list[bytes], at_once: int) -> float:
        """Seconds an answer of ANSWER tokens, from the picture's file on; after one batch that does not count."""
        processor = CLIPImageProcessorPil.from_pretrained(folder)
        seconds = []
        for start in range(-at_once, len(pictures), at_once):
            batch = pictures[max(start, 0) :][:at_once]
            begun = time.perf_counter()
            images = [Image.open(io.BytesIO(p)).convert("RGB") for p in batch]
            pixels = processor(images=images, return_tensors="pt")["pixel_values"].to(self.device, self.on.dtype)
            ids = self.prompts(len(batch))
            out = self.model.generate(
                input_ids=ids, attention_mask=torch.ones_like(ids), pixel_values=pixels, do_sample=False, max_new_tokens=ANSWER,
                min_new_tokens=ANSWER, pad_token_id=0,
            )  # fmt: skip
            out.tolist()
            seconds.append((time.perf_counter() - begun) / len(batch))
        return statistics.mean(seconds[1:])


def peers(ask: Callable[[], float]) -> float | None:
    """A peer's number; nothing where the peer fails, which is said."""
    try:
        return ask()
    except Exception as error:  # noqa: BLE001 (the other rows are wanted all the same)
        print(f"  transformers: {type(error).__name__}: {str(error)[:200]}", flush=True)
        return None


def llava(table: Table, ours: Ours | None, peer: Peer, on: Device) -> None:
    """The rows of LLaVA-1.5-7B."""
    prompt = peer.visual + QUESTION_TOKENS
    ours = ours or Ours({"rows": []})
    for count in (1, 8):
        names = (f"vision tower, {count} views", f"projector, {count} views")
        if count == 1 or names[0] in ours.rows:
            parts = [ours.seconds(name) for name in names]
            row = Row(f"tower and projector, {count} views", sum(parts) if all(parts) else None, floor=on.floor(*ours.work(*names)))
            row.transformers = peers(lambda: peer.views(count))  # noqa: B023
            table.add(row)
    for count in (1, 8):
        name = f"prefill, {count} x {prompt} tokens"
        row = Row(f"prefill {count} x {prompt}", ours.seconds(name), floor=on.floor(*ours.work(name)))
        row.transformers = peers(lambda: peer.prefill(count, prompt))  # noqa: B023
        table.add(row)
    for count in (1, 8, 32):
        name = f"decode, {count} at once"
        row = Row(name, ours.seconds(name), floor=on.floor(*ours.work(name)))
        row.transformers = peers(lambda: peer.decode(count, prompt))  # noqa: B023
        row.graphs = peers(lambda: peer.decode_by_graph(count, prompt))  # noqa: B023
        on.clear()
        table.add(row)
    name = next(iter(ours.named("sweep: drop one layer")), "")
    row = Row(name.removeprefix("sweep: ") or "drop one layer", ours.seconds(name), floor=on.floor(*ours.work(name)))
    row.transformers = peers(peer.drop_each_layer)
    table.add(row)


def onevision(table: Table, ours: Ours | None, peer: Peer, on: Device) -> None:
    """The rows of LLaVA-OneVision-7B: what a picture of two views takes, and a long prompt."""
    ours = ours or Ours({"rows": []})
    for name in ours.named("prefill, "):
        batch, prompt = (int(n) for n in name.removeprefix("prefill, ").removesuffix(" tokens").split(" x "))
        row = Row(f"OneVision, prefill {batch} x {prompt}", ours.seconds(name), floor=on.floor(*ours.work(name)))
        row.transformers = peers(lambda: peer.prefill(batch, prompt))  # noqa: B023
        row.note = ours.rows[name].get("note", "")
        on.clear()
        table.add(row)
    for name in ours.named("vision tower, "):
        count = int(name.removeprefix("vision tower, ").removesuffix(" views"))
        names = (name, name.replace("vision tower", "projector"))
        parts = [ours.seconds(n) for n in names]
        total = sum(parts) if all(parts) else None
        row = Row(f"OneVision, tower and projector, {count} views", total, floor=on.floor(*ours.work(*names)))
        row.transformers = peers(lambda: peer.views(count))  # noqa: B023
        table.add(row)


def evaluate(binary: Path, folder: Path, device: str, dtype: str, items: int, scratch: Path, side: int) -> tuple[float, dict]:
    """Seconds an answer by `scotoma eval` against a fresh server, four variants of each question; what came back."""
    tables = {}
    for name, count in (("warm", 8), ("items", items)):
        tables[name] = scratch / f"{name}.tsv"
        with tables[name].open("w") as file:
            file.write("index\timage\tquestion\tA\tB\tanswer\tcategory\n")
            for i in range(count):
                seed = i if name == "items" else 10_000 + i
                png = base64.b64encode(picture(seed, side)).decode()
                file.write(f"{i}\t{png}\tIs there a red circle?\tyes\tno\tA\tx\n")
    variants = [f"--variant={name}={json.dumps(listed)}" for name, listed in VARIANTS.items()]

    def run(name: str, server: str) -> tuple[float, list[dict]]:
        out = scratch / f"{name}.jsonl"
        command = [
            str(binary), "eval", "shapes", "--data", str(tables[name]), "--server", f"http://{server}", "--max-tokens", str(ANSWER),
            "--out", str(out), *variants,
        ]  # fmt: skip
        start = time.perf_counter()
        with contextlib.suppress(subprocess.TimeoutExpired):
            subprocess.run(command, stdout=subprocess.DEVNULL, stderr=sys.stderr, check=False, timeout=PATIENCE)  # noqa: S603
        seconds = time.perf_counter() - start
        return seconds, [json.loads(line) for line in out.read_text().splitlines()] if out.exists() else []

    with serving(binary, device, "--random-weights", str(folder), "--dtype", dtype) as server:
        run("warm", server.address)
        seconds, found = run("items", server.address)
    failed = [r for r in found if r.get("error")]
    tokens = [int(r.get("usage", {}).get("generationTokens", 0)) for r in found if not r.get("error")]
    facts = {
        "answers": len(found), "failed": len(failed), "tokens_an_answer": sum(tokens) / max(1, len(tokens)), "seconds": seconds,
        "ready_seconds": server.seconds, "first_failure": str(failed[0]["error"])[:300] if failed else "",
    }  # fmt: skip
    return seconds / max(1, len(found) - len(failed)), facts


def main() -> None:
    """Measures both, and prints the table."""
    parser = arguments_of(__doc__ or "")
    parser.add_argument("--dtype", default="bf16", choices=list(DTYPES))
    parser.add_argument("--only", default="llava,eval,onevision")
    parser.add_argument("--layers", type=int)
    parser.add_argument("--items", type=int, default=128, help="pictures of the evaluation")
    parser.add_argument("--long", type=int, default=LONG, help="tokens of the long prompt")
    arguments = parser.parse_args()
    wanted, failed = set(arguments.only.split(",")), False
    if arguments.quick:
        arguments.items, arguments.long = 4, 300
    results = Results(arguments.out, "table")
    device, dtype = arguments.device, arguments.dtype

    def measured(work: Callable[[], object]) -> object:
        nonlocal failed
        try:
            return work()
        except Exception as error:  # noqa: BLE001 (the other rows are wanted all the same)
            print(f"  Scotoma: {type(error).__name__}: {str(error)[:300]}", flush=True)
            failed = True
            return None

    with tempfile.TemporaryDirectory() as scratch:
        folders = {s: folder_of(s, arguments.layers, arguments.quick, Path(scratch) / s) for s in (LLAVA, ONEVISION)}
        on = Device(device, DTYPES[dtype], arguments.quick)
        versions = f"torch {torch.__version__}, transformers {transformers.__version__}"
        binary = subprocess.run([str(arguments.binary), "--version"], capture_output=True, text=True).stdout.strip()  # noqa: S603
        print(f"{on.title}, {dtype}; {binary}; {versions}")
        print(f"ceilings by torch: a product {on.rate / 1e12:.3g} TFLOP/s, a copy {on.bandwidth / 1e12:.3g} TB/s", flush=True)
        ceilings = {"product": on.rate, "copy": on.bandwidth}
        results.write(device=on.title, dtype=dtype, binary=binary, versions=versions, ceilings=ceilings)

        def ours_of(size: str, *flags: str) -> Ours | None:
            report = measured(lambda: bench(arguments.binary, folders[size], device, dtype, *flags))
            if report is None:
                return None
            results.write(**{f"bench_{size}": report})
            rate, copy = report["matrix_rate"], report["bandwidth"]
            on.rate, on.bandwidth = max(on.rate, rate), max(on.bandwidth, copy)
            print(f"{size} by scotoma bench: a product {rate / 1e12:.3g} TFLOP/s, a copy {copy / 1e12:.3g} TB/s", flush=True)
            return Ours(report)

        ours = ours_of(LLAVA, "--parts", "stages,decode,sweeps") if "llava" in wanted else None
        answers = None
        if "eval" in wanted:
            side = json.loads((folders[LLAVA] / "config.json").read_text())["vision_config"]["image_size"]
            folder = folders[LLAVA]
            answers = measured(
                lambda: evaluate(arguments.binary, folder, device, dtype, arguments.items, Path(scratch), side)
            )
        table = Table(results)
        if wanted & {"llava", "eval"}:
            peer = Peer(folders[LLAVA], on)
            if "llava" in wanted:
                llava(table, ours, peer, on)
            if "eval" in wanted:
                seconds, facts = answers or (None, {})
                results.write(evaluate=facts)
                failed |= bool(facts.get("failed")) or not facts.get("answers")
                pictures = [picture(i, peer.side) for i in range(32 if on.is_card else 2)]
                note = (
                    f"{facts['answers']} answers, {facts['failed']} failed, {facts['tokens_an_answer']:.1f} tokens each; "
                    f"{1 / seconds:.1f} answers/s" if facts.get("answers") else "no answer"
                )  # fmt: skip
                for at_once in (1, len(pictures)):
                    row = Row(f"eval, an answer of {ANSWER} tokens; transformers {at_once} at once", seconds, note=note)
                    some = pictures[: max(8, at_once)]
                    row.transformers = peers(lambda: peer.answer(folders[LLAVA], some, at_once))  # noqa: B023
                    table.add(row)
            del peer
            on.clear()
        if "onevision" in wanted:
            # The long one first, so that the memory that it takes shows.
            shapes = f"1x{arguments.long},1x{PICTURE_PROMPT},8x{PICTURE_PROMPT}"
            ours = ours_of(ONEVISION, "--parts", "stages", "--prefill", shapes)
            peer = Peer(folders[ONEVISION], on)
            onevision(table, ours, peer, on)
    results.finish(not failed)


if __name__ == "__main__":
    main()
