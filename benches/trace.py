"""A grid of activation patching: one Trace beside a Score request for each cell, and beside the sweep by hand.

    python benches/trace.py --server 127.0.0.1:7878 [--cells N] [--rounds N] [--pid PID]

Needs a server (`scotoma serve`) and the Python client's packages. All of the cells of every layer at every token; of the single requests
`--cells` are run, spread over the grid, and the time of all is told from theirs. Every round runs all three, so that the noise of the
machine is the same for each, and each of them with pictures that the server has not seen: it would answer from what it keeps of earlier
runs. Medians, with the least and the most. With `--pid` also the processor time of server and client together, which other programs
change less. In the end all three run with the same pictures and must find the same bits.
"""

from __future__ import annotations

import argparse
import io
import itertools
import os
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import grpc
from PIL import Image
from scotoma.v1 import inference_service_pb2 as pb
from scotoma.v1 import inference_service_pb2_grpc as rpc
from scotoma.v1 import intervention_pb2 as iv

ROOT = Path(__file__).parent.parent
POINT = "language_model.blocks.{l}.hook_resid_pre"
ANSWERS = (" red", " blue")
T = TypeVar("T")


class Pair:
    """A clean and a corrupted prompt, whose pictures no other pair has."""

    number = itertools.count(1)

    def __init__(self) -> None:
        # One pixel of the background: the answers stay, the digests do not.
        mark = (*next(Pair.number).to_bytes(2), 128)
        self.clean, self.corrupted = self.prompt("red", mark), self.prompt("blue", mark)

    def prompt(self, name: str, mark: tuple[int, ...]) -> pb.Prompt:
        with Image.open(ROOT / "docs" / "pictures" / f"{name}.png") as file:
            picture = file.convert("RGB")
        picture.putpixel((0, 0), mark)
        png = io.BytesIO()
        picture.save(png, "PNG")
        return pb.Prompt(text="What colour is the circle?", images=[pb.Image(data=png.getvalue())])


class Times:
    """Seconds of the rounds: by the clock, and of processor time of the server and this client."""

    def __init__(self, pid: int | None) -> None:
        self.pid = pid
        self.clock: list[float] = []
        self.processor: list[float] = []

    def spent(self) -> float:
        mine = time.process_time()
        if self.pid is None:
            return mine
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return mine + (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def run(self, work: Callable[[], T], share: float = 1) -> T:
        begun, spent = time.perf_counter(), self.spent()
        found = work()
        self.clock.append((time.perf_counter() - begun) * share)
        self.processor.append((self.spent() - spent) * share)
        return found

    def shown(self, name: str, of: Times) -> None:
        middle, spent = statistics.median(self.clock), statistics.mean(self.processor)
        ratios = f"{middle / statistics.median(of.clock):6.1f} x Trace"
        if self.pid is not None:
            ratios += f"   processor {spent:.3f} s {spent / statistics.mean(of.processor):6.1f} x"
        print(f"{name:<34} {middle:8.3f} s   {min(self.clock):.3f} to {max(self.clock):.3f}   {ratios}")


def traced(stub, pair: Pair) -> tuple[pb.TraceStarted, dict]:
    request = pb.TraceRequest(
        clean=pb.TraceInput(prompt=pair.clean), corrupted=pb.TraceInput(prompt=pair.corrupted),
        metric=pb.Metric(logprob_difference=pb.Contrast(answer=ANSWERS[0], other=ANSWERS[1])),
        grid=pb.TraceGrid(points=[POINT]),
    )  # fmt: skip
    events = list(stub.Trace(request))
    cells = {(e.cell.layer, e.cell.position): e.cell.value for e in events if e.HasField("cell")}
    return events[0].started, cells


def patch(layer: int, token: int, handle: str) -> iv.Intervention:
    tokens = iv.TokenSelector(any_of=[iv.Tokens(indices=iv.TokenIndices(indices=[token]))])
    target = iv.Target(point=POINT, layers=[layer], tokens=tokens, steps=iv.Steps(last=0))
    return iv.Intervention(patch=iv.Patch(target=target, handle=handle))


def kept(stub, pair: Pair, layers: int, tokens: int) -> dict:
    """Handles of the clean run's rows, by layer and token: 64 targets a request."""
    handles = {}
    places = [(layer, token) for layer in range(layers) for token in range(tokens)]
    for first in range(0, len(places), 64):
        of_call = places[first : first + 64]
        targets = [pb.CaptureTarget(target=patch(*place, "").patch.target, keep=True) for place in of_call]
        events = list(stub.Capture(pb.CaptureRequest(prompt=pair.clean, targets=targets)))
        for each in events[-1].finished.kept:
            handles[of_call[each.target]] = each.handle
    return handles


def difference(scores: pb.ScoreResponse) -> float:
    return scores.scores[0].logprob - scores.scores[1].logprob


def singles(stub, pair: Pair, handles: dict, places: list) -> dict:
    values = {}
    for place in places:
        request = pb.ScoreRequest(
            prompt=pair.corrupted, interventions=[patch(*place, handles[place])], continuations=ANSWERS
        )
        values[place] = difference(stub.Score(request))
    return values


def swept(stub, pair: Pair, handles: dict) -> dict:
    places = list(handles)
    request = pb.SweepRequest(
        score=pb.ScoreRequest(prompt=pair.corrupted, continuations=ANSWERS),
        variants=[pb.SweepVariant(interventions=[patch(*place, handles[place])]) for place in places],
    )
    values = {}
    for event in stub.Sweep(request):
        if event.HasField("result"):
            values[places[event.result.variant]] = difference(event.result.scored)
    return values


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--server", default="127.0.0.1:7878")
    parser.add_argument("--cells", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--pid", type=int, help="the server's process, to count its processor time")
    args = parser.parse_args()
    stub = rpc.InferenceServiceStub(grpc.insecure_channel(args.server, options=[("grpc.max_receive_message_length", -1)]))
    pair = Pair()
    started, cells = traced(stub, pair)
    layers, tokens = len(started.layers), len(started.positions)
    every = [(layer, token) for layer in range(layers) for token in range(tokens)]
    places = every[:: max(1, len(every) // args.cells)]
    share = len(every) / len(places)
    trace, alone, sweep = Times(args.pid), Times(args.pid), Times(args.pid)
    for _ in range(args.rounds):
        own = Pair()
        trace.run(lambda own=own: traced(stub, own))
        own = Pair()
        handles = kept(stub, own, layers, tokens)
        alone.run(lambda own=own, handles=handles: singles(stub, own, handles, places), share)
        own = Pair()
        handles = kept(stub, own, layers, tokens)
        sweep.run(lambda own=own, handles=handles: swept(stub, own, handles))
    handles = kept(stub, pair, layers, tokens)
    assert all(cells[place] == value for place, value in singles(stub, pair, handles, places).items()), "the same bits"
    assert swept(stub, pair, handles) == cells, "the same bits"
    print(f"{layers} layers x {tokens} tokens: {started.rows} (row, layer) pairs of {started.rows_naive}")
    trace.shown("Trace", trace)
    sweep.shown("Sweep of patches by hand", trace)
    alone.shown(f"Score, {len(places)} cells, told for all", trace)


if __name__ == "__main__":
    main()
