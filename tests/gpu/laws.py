"""Laws of rows on a device: an answer has the same bits alone and in any company, in one piece and in chunks, alone and in a sweep.

    python tests/gpu/laws.py [--device cuda:0] [--model random:llava-1.5-7b] [--parts products,answers]

`products`: `scotoma bench` compares a row alone with the same row among up to 8,192, for each product of the model's layers. `answers`:
the same requests to fresh servers, one after the other, all at once in another order, in chunks of a quarter of a prompt, and as
variants of a sweep; tokens and their log-probabilities must be equal to the bit. Random weights are drawn by the device's own seed; where
servers draw other ones (as on a CPU) nothing can be seen, and only `shapes` says something.
"""

from __future__ import annotations

import json
import random
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from serving import Results, Server, arguments_of, picture, serving  # isort: skip (finds the client)
from scotoma import drop_layers, permute_tokens

QUESTION = "Is there a red circle? Is there a blue square? Answer yes or no, and say why."
TOKENS = 8
PICTURES = 4

def variants() -> dict[str, list[Any]]:
    """What is asked about each picture."""
    return {"plain": [], "permuted": [permute_tokens(3)], "dropped": [drop_layers([1])], "late": [drop_layers([3])]}


@dataclass(frozen=True)
class Answer:
    """The bits of an answer."""

    tokens: tuple[tuple[int, float], ...]
    digest: str


class Asked:
    """Requests to one server."""

    def __init__(self, server: Server, side: int) -> None:
        self.server, self.side = server, side
        self.requests = [(seed, name) for seed in range(PICTURES) for name in variants()]

    def one(self, seed: int, name: str) -> Answer:
        with self.server.client() as client:
            answer = client.generate(QUESTION, picture(seed, self.side), interventions=variants()[name], max_tokens=TOKENS)
            tokens = tuple((token.id, token.logprob) for token in answer)
            return Answer(tokens, answer.finished.provenance.output_digest)

    def probe(self) -> Answer:
        """About a picture that no law is about."""
        return self.one(999, "plain")

    def in_turn(self) -> dict[str, Answer]:
        return {f"{seed}/{name}": self.one(seed, name) for seed, name in self.requests}

    def at_once(self) -> dict[str, Answer]:
        """All, and as many others that join and leave beside them."""
        mixed = self.requests + [(100 + seed, name) for seed, name in self.requests]
        random.Random(5).shuffle(mixed)
        with ThreadPoolExecutor(len(mixed)) as pool:
            found = dict(zip(mixed, pool.map(lambda r: self.one(*r), mixed), strict=True))
        return {f"{seed}/{name}": found[seed, name] for seed, name in self.requests}

    def swept(self) -> dict[str, str]:
        """Digests of the same answers as variants of sweeps, one for each picture."""
        found, names = {}, list(variants())
        with self.server.client() as client:
            for seed in range(PICTURES):
                listed = list(variants().values())
                for result in client.sweep(QUESTION, picture(seed, self.side), variants=listed, max_tokens=TOKENS):
                    failed = result.HasField("error")
                    digest = result.error.message if failed else result.generated.provenance.output_digest
                    found[f"{seed}/{names[result.variant]}"] = digest
        return found


def answers(binary: Path, device: str, flags: list[str], side: int, say: Callable[[str, Any], None]) -> bool:
    """Asks servers started with `flags` in all ways. Returns whether all laws hold, or cannot be seen."""
    with serving(binary, device, *flags) as server:
        asked = Asked(server, side)
        probe, alone = asked.probe(), asked.in_turn()
    digests = {name: answer.digest for name, answer in alone.items()}
    ways: dict[str, tuple[list[str], Callable[[Asked], Any], dict]] = {
        "32 at once": ([], Asked.at_once, alone), "32 at once in chunks": (["--max-step-rows", "150"], Asked.at_once, alone),
        "as variants of a sweep": ([], Asked.swept, digests),
    }  # fmt: skip
    held = True
    for name, (more, ask, expected) in ways.items():
        with serving(binary, device, *flags, *more) as server:
            asked = Asked(server, side)
            if asked.probe() != probe:
                say(name, "not to be seen: a server of its own draws other weights")
                continue
            found = ask(asked)
        others = [one for one in expected if expected[one] != found.get(one)]
        held &= not others
        say(name, others)
    return held


def products(binary: Path, device: str, model: str, quick: bool) -> list[tuple[str, list[int]]]:
    """By product and step, the numbers of rows among which a row has other bits than alone."""
    most = ["--most-rows", "64"] if quick else []
    command = [str(binary), "bench", "--device", device, "--parts", "rows", "--json", *most]
    command += ["--random-weights", model.removeprefix("random:")] if model.startswith("random:") else [model]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=sys.stderr)  # noqa: S603
    if done.returncode:
        raise RuntimeError(f"scotoma bench ended with {done.returncode}")
    return json.loads(done.stdout)["row_variance"]


def main() -> None:
    """Checks the laws and says which hold."""
    parser = arguments_of(__doc__ or "")
    parser.add_argument("--model", default="random:llava-1.5-7b")
    parser.add_argument("--parts", default="products,answers")
    arguments = parser.parse_args()
    model, wanted = arguments.model, arguments.parts.split(",")
    if arguments.quick:
        model = "shapes"
    results, passed = Results(arguments.out, "laws"), True
    laws: dict[str, Any] = {}

    def say(name: str, others: Any) -> None:  # noqa: ANN401 (a list, or a sentence)
        laws[name] = others
        text = others if isinstance(others, str) else "holds" if not others else f"varies: {', '.join(str(o) for o in others)}"
        print(f"{name:<44} {text}", flush=True)
        results.write(laws=laws)

    if "products" in wanted:
        try:
            for name, counts in products(arguments.binary, arguments.device, model, arguments.quick):
                passed &= not counts
                say(name, [f"{n} rows" for n in counts])
        except Exception as error:  # noqa: BLE001 (the other laws are wanted all the same)
            passed = False
            say("products", f"not measured: {error}")
    if "answers" in wanted:
        for one, side in {model: 336, "shapes": 84}.items():
            print(f"answers of {one}", flush=True)
            try:
                passed &= answers(arguments.binary, arguments.device, flags_of(one), side, lambda n, o: say(f"{one}: {n}", o))  # noqa: B023
            except Exception as error:  # noqa: BLE001
                passed = False
                say(f"{one}: answers", f"not seen: {error}")
    results.finish(passed)


def flags_of(model: str) -> list[str]:
    """How `serve` is told which model."""
    name = model.removeprefix("random:")
    return ["--random-weights", name] if name != model else ["--model", model]


if __name__ == "__main__":
    main()
