"""A grid of activation patching: one Trace beside a Score request for each cell, and beside the sweep by hand.

    python benches/trace.py --server 127.0.0.1:7878 [--cells N] [--rounds N]

Needs a server (`scotoma serve`) and the Python client's packages. All of the cells of every layer at every token; of the single requests
`--cells` are run, spread over the grid, and the time of all is told from theirs. Every round runs all three, so that the noise of the
machine is the same for each; medians, with the least and the most.
"""

from __future__ import annotations

import argparse
import statistics
import time
from pathlib import Path

import grpc
from scotoma.v1 import inference_service_pb2 as pb
from scotoma.v1 import inference_service_pb2_grpc as rpc
from scotoma.v1 import intervention_pb2 as iv

ROOT = Path(__file__).parent.parent
POINT = "language_model.blocks.{l}.hook_resid_pre"
ANSWERS = (" red", " blue")


def prompt(name: str) -> pb.Prompt:
    picture = (ROOT / "docs" / "pictures" / f"{name}.png").read_bytes()
    return pb.Prompt(text="What colour is the circle?", images=[pb.Image(data=picture)])


def traced(stub) -> tuple[pb.TraceStarted, dict, float]:
    request = pb.TraceRequest(
        clean=pb.TraceInput(prompt=prompt("red")), corrupted=pb.TraceInput(prompt=prompt("blue")),
        metric=pb.Metric(logprob_difference=pb.Contrast(answer=ANSWERS[0], other=ANSWERS[1])),
        grid=pb.TraceGrid(points=[POINT]),
    )  # fmt: skip
    begun = time.perf_counter()
    events = list(stub.Trace(request))
    took = time.perf_counter() - begun
    cells = {(e.cell.layer, e.cell.position): e.cell.value for e in events if e.HasField("cell")}
    return events[0].started, cells, took


def patch(layer: int, token: int, handle: str) -> iv.Intervention:
    tokens = iv.TokenSelector(any_of=[iv.Tokens(indices=iv.TokenIndices(indices=[token]))])
    target = iv.Target(point=POINT, layers=[layer], tokens=tokens, steps=iv.Steps(last=0))
    return iv.Intervention(patch=iv.Patch(target=target, handle=handle))


def kept(stub, layers: int, tokens: int) -> dict:
    """Handles of the clean run's rows, by layer and token: 64 targets a request."""
    handles = {}
    places = [(layer, token) for layer in range(layers) for token in range(tokens)]
    for first in range(0, len(places), 64):
        of_call = places[first : first + 64]
        targets = [pb.CaptureTarget(target=patch(*place, "").patch.target, keep=True) for place in of_call]
        events = list(stub.Capture(pb.CaptureRequest(prompt=prompt("red"), targets=targets)))
        for each in events[-1].finished.kept:
            handles[of_call[each.target]] = each.handle
    return handles


def difference(scores: pb.ScoreResponse) -> float:
    return scores.scores[0].logprob - scores.scores[1].logprob


def singles(stub, handles: dict, places: list) -> tuple[dict, float]:
    begun = time.perf_counter()
    values = {}
    for place in places:
        request = pb.ScoreRequest(
            prompt=prompt("blue"), interventions=[patch(*place, handles[place])], continuations=ANSWERS
        )
        values[place] = difference(stub.Score(request))
    return values, time.perf_counter() - begun


def swept(stub, handles: dict) -> tuple[dict, float]:
    places = list(handles)
    request = pb.SweepRequest(
        score=pb.ScoreRequest(prompt=prompt("blue"), continuations=ANSWERS),
        variants=[pb.SweepVariant(interventions=[patch(*place, handles[place])]) for place in places],
    )
    begun = time.perf_counter()
    values = {}
    for event in stub.Sweep(request):
        if event.HasField("result"):
            values[places[event.result.variant]] = difference(event.result.scored)
    return values, time.perf_counter() - begun


def shown(name: str, times: list[float], of: float) -> None:
    middle = statistics.median(times)
    print(f"{name:<34} {middle:8.3f} s   {min(times):.3f} to {max(times):.3f}   {middle / of:6.1f} x Trace")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--server", default="127.0.0.1:7878")
    parser.add_argument("--cells", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    stub = rpc.InferenceServiceStub(grpc.insecure_channel(args.server, options=[("grpc.max_receive_message_length", -1)]))
    started, cells, _ = traced(stub)
    layers, tokens = len(started.layers), len(started.positions)
    handles = kept(stub, layers, tokens)
    places = list(handles)[:: max(1, len(handles) // args.cells)]
    share = len(handles) / len(places)
    trace, alone, sweep = [], [], []
    for _ in range(args.rounds):
        trace.append(traced(stub)[2])
        values, took = singles(stub, handles, places)
        assert all(values[place] == cells[place] for place in places), "the same bits"
        alone.append(took * share)
        values, took = swept(stub, handles)
        assert values == cells, "the same bits"
        sweep.append(took)
    print(f"{layers} layers x {tokens} tokens: {started.rows} (row, layer) pairs of {started.rows_naive}")
    of = statistics.median(trace)
    shown("Trace", trace, of)
    shown("Sweep of patches by hand", sweep, of)
    shown(f"Score, {len(places)} cells, told for all", alone, of)


if __name__ == "__main__":
    main()
