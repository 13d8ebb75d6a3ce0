"""The server against a naive loop over Hugging Face transformers: the same weights, machine, threads and run.

    python benches/vs_transformers/cpu.py [--threads 2] [--only prefill,decode,...] [--trace-layers 0,5,10,15]

Needs the packages of tests/goldens/requirements.txt and the Python client. Makes a random LLaVA-1.5 of 0.58 billion parameters
(CLIP-L/14-336; a language model of 16 layers, 1024 wide; 626 tokens) in target/bench, in f32. The peer is what people write
today: one forward pass after the other, changed by forward hooks. Both must find the same tokens.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import re
import resource
import shutil
import socket
import statistics
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import numpy as np
import torch
from PIL import Image
from transformers import AutoTokenizer, CLIPImageProcessorPil, CLIPVisionConfig, LlamaConfig, LlavaConfig
from transformers import LlavaForConditionalGeneration

from scotoma import Client, drop_layers, intervention, permute_tokens
from scotoma.v1 import inference_service_pb2 as pb
from scotoma.v1 import inference_service_pb2_grpc as rpc
from scotoma.v1.intervention_pb2 import Intervention

ROOT = Path(__file__).parent.parent.parent
SHAPES = ROOT / "models" / "shapes"
LARGE = ROOT / "target" / "bench" / "llava-0.6b"
# 626 tokens with the 576 of the picture.
QUESTION = " ".join(["Is there a red circle?"] * 6) + " Yes or no?"
GROUPS = 6
# Cells of a grid that the peer runs.
TRACED = 18


def picture(seed: int, side: int) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 256, (side, side, 3), dtype=np.uint8)
    png = io.BytesIO()
    Image.fromarray(pixels).save(png, "PNG")
    return png.getvalue()


def make_large() -> None:
    """Random weights at the dimensions that BENCHMARKS.md names, with the tokenizer of `shapes`."""
    if (LARGE / "model.safetensors").exists():
        return
    torch.manual_seed(0)
    vision = CLIPVisionConfig(
        hidden_size=1024, intermediate_size=4096, num_hidden_layers=24, num_attention_heads=16, image_size=336, patch_size=14
    )
    text = LlamaConfig(
        hidden_size=1024, intermediate_size=2816, num_hidden_layers=16, num_attention_heads=16, vocab_size=32000,
        max_position_embeddings=2048,
    )
    shapes = LlavaConfig.from_pretrained(SHAPES)
    config = LlavaConfig(vision_config=vision, text_config=text, image_token_id=shapes.image_token_id)
    LARGE.mkdir(parents=True, exist_ok=True)
    for file in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja"):
        shutil.copy(SHAPES / file, LARGE / file)
    CLIPImageProcessorPil(size={"shortest_edge": 336}, crop_size={"height": 336, "width": 336}).save_pretrained(LARGE)
    LlavaForConditionalGeneration(config).save_pretrained(LARGE)


class Peer:
    """Hugging Face transformers, request by request."""

    def __init__(self, folder: Path) -> None:
        self.model = LlavaForConditionalGeneration.from_pretrained(folder, dtype=torch.float32).eval()
        self.processor = CLIPImageProcessorPil.from_pretrained(folder)
        self.tokenizer = AutoTokenizer.from_pretrained(folder)
        self.layers = self.model.model.language_model.layers
        grid = self.model.config.vision_config
        self.side = grid.image_size // grid.patch_size
        self.tokens = self.side * self.side

    def inputs(self, png: bytes, question: str) -> dict[str, torch.Tensor]:
        content = [{"type": "image"}, {"type": "text", "text": question}]
        text = self.tokenizer.apply_chat_template(
            [{"role": "user", "content": content}], tokenize=False, add_generation_prompt=True
        )
        image = self.tokenizer.convert_ids_to_tokens(self.model.config.image_token_id)
        ids = self.tokenizer(text.replace(image, image * self.tokens), return_tensors="pt")
        pixels = self.processor(Image.open(io.BytesIO(png)).convert("RGB"), return_tensors="pt")
        return {**ids, **pixels}

    @torch.inference_mode()
    def generate(self, png: bytes, question: str, count: int) -> list[int]:
        inputs = self.inputs(png, question)
        inputs.pop("token_type_ids", None)
        out = self.model.generate(**inputs, max_new_tokens=count, min_new_tokens=count, do_sample=False)
        return out[0, inputs["input_ids"].shape[1] :].tolist()

    @torch.inference_mode()
    def residuals(self, png: bytes, question: str) -> tuple[list[torch.Tensor], torch.Tensor]:
        """What enters each layer, and the log-probabilities of the next token."""
        inputs = self.inputs(png, question)
        inputs.pop("token_type_ids", None)
        out = self.model(**inputs, output_hidden_states=True, logits_to_keep=1)
        return list(out.hidden_states), out.logits[0, -1].double().log_softmax(0)

    @torch.inference_mode()
    def patched(self, png: bytes, question: str, layer: int, rows: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
        """Log-probabilities of the next token with `rows` of what enters a layer replaced."""

        def write(_module: object, args: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
            x = args[0].clone()
            x[:, rows] = values[:, rows]
            return (x, *args[1:])

        inputs = self.inputs(png, question)
        inputs.pop("token_type_ids", None)
        hook = self.layers[layer].register_forward_pre_hook(write)
        try:
            out = self.model(**inputs, logits_to_keep=1)
        finally:
            hook.remove()
        return out.logits[0, -1].double().log_softmax(0)

    @contextlib.contextmanager
    def without(self, layer: int) -> Iterator[None]:
        hook = self.layers[layer].register_forward_hook(lambda _m, args, _out: args[0])
        yield
        hook.remove()

    @contextlib.contextmanager
    def only_group(self, group: int) -> Iterator[None]:
        keep = torch.tensor([group_of(i, self.side) == group for i in range(self.tokens)])

        def zero(_module: object, _args: object, out: torch.Tensor) -> torch.Tensor:
            return torch.where(keep[:, None], out, 0.0)

        hook = self.model.model.multi_modal_projector.register_forward_hook(zero)
        yield
        hook.remove()

    @contextlib.contextmanager
    def permuted(self, order: list[int]) -> Iterator[None]:
        hook = self.model.model.multi_modal_projector.register_forward_hook(lambda _m, _a, out: out[:, order])
        yield
        hook.remove()


def group_of(token: int, side: int) -> int:
    row, column = divmod(token, side)
    return row * GROUPS // side * GROUPS + column * GROUPS // side


def only_group(group: int, side: int) -> Intervention:
    others = [i for i in range(side * side) if group_of(i, side) != group]
    return intervention("replace_tokens", tokens={"any_of": [{"indices": {"indices": others}}]}, constant="CONSTANT_ZERO")


class Server:
    """The release binary on the same weights."""

    def __init__(self, folder: Path, threads: int) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.address = f"127.0.0.1:{free.getsockname()[1]}"
        binary = str(ROOT / "target" / "release" / "scotoma")
        command = [binary, "--threads", str(threads), "serve", "--listen", self.address, "--model", f"m={folder}", "--log", "warn"]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL)  # noqa: S603
        self.client = Client(self.address)
        for _ in range(600):
            with contextlib.suppress(Exception):
                self.client.list_models(timeout=1)
                return
            time.sleep(0.1)
        raise RuntimeError("the server does not start")

    def generate(self, png: bytes, question: str, count: int, *changes: Intervention) -> list[int]:
        answer = self.client.generate(question, png, interventions=changes, max_tokens=count)
        return [token.id for token in answer]

    def sweep(self, png: bytes, variants: list[list[Intervention]], count: int) -> tuple[list[list[int]], int, int]:
        """Digests of the answers, (row, layer) pairs computed, and those of a naive run."""
        found: list[list[int]] = [[] for _ in variants]
        computed = naive = 0
        for result in self.client.sweep(QUESTION, png, variants=variants, max_tokens=count):
            usage = result.generated.usage
            computed += usage.rows_computed
            naive += usage.rows_computed + usage.rows_reused
            found[result.variant] = result.generated.provenance.output_digest
        return found, computed, naive

    def trace(self, clean: bytes, corrupted: bytes, layers: list[int]) -> tuple[dict[tuple[int, int], float], pb.TraceFinished]:
        """The divergence from the clean run with each layer's groups of visual tokens restored, by layer and group."""
        inputs = [pb.TraceInput(prompt=pb.Prompt(text=QUESTION, images=[pb.Image(data=png)])) for png in (clean, corrupted)]
        blocks = pb.TracePositions(patches=pb.TracePatches(by=pb.TracePatches.BY_BLOCK, grid=GROUPS))
        request = pb.TraceRequest(
            clean=inputs[0], corrupted=inputs[1], metric=pb.Metric(divergence=pb.Divergence()),
            grid=pb.TraceGrid(points=["language_model.blocks.{l}.hook_resid_pre"], layers=layers, positions=[blocks]),
        )  # fmt: skip
        with grpc.insecure_channel(self.address) as channel:
            events = list(rpc.InferenceServiceStub(channel).Trace(request))
        cells = {(layers[e.cell.layer], e.cell.position): e.cell.value for e in events if e.HasField("cell")}
        return cells, events[-1].finished

    def peak(self) -> float:
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(r"VmHWM:\s+(\d+)", status)[1]) / 1e6  # type: ignore[index]

    def processor_time(self) -> float:
        """Seconds of processor time that its process has had."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def close(self) -> None:
        self.client.close()
        self.process.terminate()
        self.process.wait()


def timed(work: Callable[[], object]) -> tuple[float, object]:
    start = time.perf_counter()
    result = work()
    return time.perf_counter() - start, result


def line(name: str, ours: float, theirs: float, note: str = "") -> None:
    print(f"| {name} | {theirs:.2f} s | {ours:.2f} s | {theirs / ours:.1f} | {note} |", flush=True)


def digest(ids: list[int]) -> str:
    import blake3

    return blake3.blake3(b"".join(i.to_bytes(4, "little") for i in ids)).hexdigest()


def large(threads: int, wanted: set[str], traced: list[int]) -> None:
    make_large()
    peer, server = Peer(LARGE), Server(LARGE, threads)
    try:
        compare(peer, server, wanted, traced)
    finally:
        server.close()


def compare(peer: Peer, server: Server, wanted: set[str], traced: list[int]) -> None:
    png = lambda seed: picture(seed, 336)  # noqa: E731
    server.generate(png(1), QUESTION, 1)
    peer.generate(png(1), QUESTION, 1)
    if "prefill" in wanted:
        ours, theirs = [], []
        for seed in range(2, 5):
            seconds, a = timed(lambda: server.generate(png(seed), QUESTION, 1))  # noqa: B023
            ours.append(seconds)
            seconds, b = timed(lambda: peer.generate(png(seed), QUESTION, 1))  # noqa: B023
            theirs.append(seconds)
            assert a == b, "other tokens"
        line("one prefill (picture and 626 tokens)", statistics.median(ours), statistics.median(theirs))
    if "decode" in wanted:
        first, _ = timed(lambda: server.generate(png(10), QUESTION, 1))
        whole, a = timed(lambda: server.generate(png(11), QUESTION, 33))
        first_peer, _ = timed(lambda: peer.generate(png(10), QUESTION, 1))
        whole_peer, b = timed(lambda: peer.generate(png(11), QUESTION, 33))
        assert a == b, "other tokens"
        line("32 more tokens", whole - first, whole_peer - first_peer)
    if "layers" in wanted:
        layers = len(peer.layers)
        seconds, (found, computed, naive) = timed(
            lambda: server.sweep(png(20), [[drop_layers([layer])] for layer in range(layers)], 1)
        )

        def naive_layers() -> list[str]:
            answers = []
            for layer in range(layers):
                with peer.without(layer):
                    answers.append(digest(peer.generate(png(20), QUESTION, 1)))
            return answers

        seconds_peer, answers = timed(naive_layers)
        assert found == answers, "other tokens"
        tokens = peer.inputs(png(20), QUESTION)["input_ids"].shape[1]
        tower = (peer.tokens + 1) * 23
        expected = tower + (layers * (layers - 1) // 2 + layers - 1) * tokens
        note = f"rows {computed:,} of {naive:,}; expected {expected:,} of {layers * (tower + (layers - 1) * tokens):,}"
        line(f"drop one layer, {layers} variants", seconds, seconds_peer, note)
    if "groups" in wanted:
        variants = [[only_group(group, peer.side)] for group in range(GROUPS * GROUPS)]
        seconds, (found, computed, naive) = timed(lambda: server.sweep(png(30), variants, 1))

        def naive_groups() -> list[str]:
            answers = []
            for group in range(GROUPS * GROUPS):
                with peer.only_group(group):
                    answers.append(digest(peer.generate(png(30), QUESTION, 1)))
            return answers

        seconds_peer, answers = timed(naive_groups)
        assert found == answers, "other tokens"
        line("keep one of 36 groups, 36 variants", seconds, seconds_peer, f"rows {computed:,} of {naive:,}")
    if "trace" in wanted:
        compare_traces(peer, server, traced or list(range(len(peer.layers))))
    if "questions" in wanted:
        questions = [f"Are there {i} circles?" for i in range(20)]
        seconds, found = timed(lambda: [server.generate(png(40), q, 2) for q in questions])
        seconds_peer, answers = timed(lambda: [peer.generate(png(40), q, 2) for q in questions])
        assert found == answers, "other tokens"
        line("20 questions on one picture, 2 tokens each", seconds, seconds_peer)
    if "mixed" in wanted:
        orders = [torch.randperm(peer.tokens, generator=torch.Generator().manual_seed(i)).tolist() for i in range(32)]

        def changes(i: int) -> list[Intervention]:
            return [[], [drop_layers([i % 16])], [permute_tokens(order=orders[i])], [only_group(i, peer.side)]][i % 4]

        def one(i: int) -> list[int]:
            return server.generate(png(50 + i % 8), QUESTION, 8, *changes(i))

        def naive_one(i: int) -> list[int]:
            hooks = [contextlib.nullcontext(), peer.without(i % 16), peer.permuted(orders[i]), peer.only_group(i)]
            with hooks[i % 4]:
                return peer.generate(png(50 + i % 8), QUESTION, 8)

        with ThreadPoolExecutor(32) as pool:
            seconds, found = timed(lambda: list(pool.map(one, range(32))))
        seconds_peer, answers = timed(lambda: [naive_one(i) for i in range(32)])
        assert found == answers, "other tokens"
        line("32 mixed requests at once, 8 pictures, 8 tokens each", seconds, seconds_peer)
    mine = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    print(f"\nPeak memory: transformers {mine:.1f} GB, server {server.peak():.1f} GB (weights 2.3 GB in f32).")
    with urllib.request.urlopen(f"http://{server.address}/metrics") as response:
        for text in response.read().decode().splitlines():
            if text.startswith(("scotoma_rows_", "scotoma_prefix_cache", "scotoma_image_cache")):
                print("   ", text)


def compare_traces(peer: Peer, server: Server, layers: list[int]) -> None:
    """A grid of activation patching; of the peer's cells some are run, spread over the grid, and the rest is told from them."""
    clean, corrupted = picture(60, 336), picture(61, 336)
    spent = server.processor_time()
    seconds, (cells, finished) = timed(lambda: server.trace(clean, corrupted, layers))
    spent = server.processor_time() - spent
    values, reference = peer.residuals(clean, QUESTION)
    ids = peer.inputs(clean, QUESTION)["input_ids"][0]
    first = int((ids == peer.model.config.image_token_id).nonzero()[0])
    places = sorted(cells)[:: len(cells) // TRACED]

    def loop() -> dict[tuple[int, int], float]:
        found = {}
        for layer, group in places:
            rows = torch.tensor([first + i for i in range(peer.tokens) if group_of(i, peer.side) == group])
            logprobs = peer.patched(corrupted, QUESTION, layer, rows, values[layer])
            found[layer, group] = float((reference.exp() * (reference - logprobs)).sum())
        return found

    before = time.process_time()
    seconds_peer, found = timed(loop)
    share = len(cells) / len(places)
    spent_peer = (time.process_time() - before) * share
    worst = max(abs(found[place] - cells[place]) / abs(found[place]) for place in places)
    assert worst < 1e-3, f"other divergences: {worst}"
    rows = f"rows {finished.rows_computed:,} of {finished.rows_computed + finished.rows_reused:,}"
    note = f"{rows}; {len(places)} of the peer's cells run, at most {worst:.0e} apart"
    # Beside other programs the clock says little.
    note += f"; processor time {spent_peer:.0f} s and {spent:.0f} s, {spent_peer / spent:.1f}"
    line(f"patch {len(layers)} layers x {GROUPS * GROUPS} groups", seconds, seconds_peer * share, note)


def small(threads: int) -> None:
    peer, server = Peer(SHAPES), Server(SHAPES, threads)
    pictures = [picture(i, 84) for i in range(64)]
    with ThreadPoolExecutor(32) as pool:
        list(pool.map(lambda i: server.generate(pictures[i], QUESTION, 4), range(4)))
        peer.generate(pictures[0], QUESTION, 4)
        seconds, found = timed(
            lambda: list(pool.map(lambda i: len(server.generate(pictures[i % 64], f"Count {i}?", 4)), range(256)))
        )
    seconds_peer, _ = timed(lambda: [peer.generate(pictures[i % 64], f"Count {i}?", 4) for i in range(256)])
    line("`shapes`: 256 requests of up to 4 tokens, 32 at once", seconds, seconds_peer, f"{256 / seconds:.0f} requests/s")
    server.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--only", default="prefill,decode,layers,groups,trace,questions,mixed,shapes")
    parser.add_argument("--trace-layers", help="layers of the grid that is traced, such as 0,5,10,15; unset for all")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    wanted = set(arguments.only.split(","))
    print("| | transformers | Scotoma | ratio | |\n|---|---|---|---|---|")
    if "shapes" in wanted:
        small(arguments.threads)
    if wanted - {"shapes"}:
        traced = [int(layer) for layer in (arguments.trace_layers or "").split(",") if layer]
        large(arguments.threads, wanted, traced)


if __name__ == "__main__":
    main()
