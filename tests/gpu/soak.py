"""Fresh servers under everything at once: questions, sweeps, captures, answers that are left halfway.

    python tests/gpu/soak.py [--starts 5] [--questions 512] [--model shapes]

Each start is a new process that gets its first work from many connections at the same moment. Counts answers, those that failed, and
those that differ from the first start's answer to the same question: none should. Refusals that say when to come back are no failures;
they are tried again and counted.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from serving import Results, Server, arguments_of, picture, serving  # isort: skip (finds the client)
from scotoma import Client, ScotomaError, drop_layers, intervention, occlude_random, permute_tokens, sample
from scotoma.v1 import inference_service_pb2 as pb

QUESTION = "Is there a red circle?"
EXAMPLES = 20


def kinds() -> list[list[Any]]:
    """Interventions of every stage: pictures, tokens, layers, hook points, rows that leave."""
    return [
        [],
        [permute_tokens(1)],
        [drop_layers([1])],
        [occlude_random(0.5, 3)],
        [intervention("prune_tokens", layer=1, keep_share=0.5)],
        [intervention("scale", target={"point": "language_model.blocks.{l}.hook_attn_out"}, factor=0.5)],
        [intervention("add_noise", target={"point": "projector.hook_tokens"}, geometry="GEOMETRY_GAUSSIAN", scale=0.1, seed=5)],
        [intervention("knock_out_attention", layers=[1], to={"any_of": [{"named": "NAMED_VISUAL"}]})],
    ]  # fmt: skip


class Tally:
    """What came back, from all threads."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.answers: Counter[str] = Counter()
        self.failures: Counter[str] = Counter()
        self.refused = self.left = self.differing = 0
        self.examples: list[str] = []
        self.first: dict[str, str] = {}
        """By what was asked: the output of the first answer."""

    def answered(self, kind: str, asked: str = "", output: str = "") -> None:
        with self.lock:
            self.answers[kind] += 1
            if asked and self.first.setdefault(asked, output) != output:
                self.differing += 1
                self.example(f"{kind}: another answer to {asked}: {output[:16]}, first {self.first[asked][:16]}")

    def failed(self, kind: str, code: str, message: str) -> None:
        with self.lock:
            self.failures[f"{kind}: {code}"] += 1
            self.example(f"{kind}: {code}: {message[:300]}")

    def example(self, text: str) -> None:
        if len(self.examples) < EXAMPLES:
            self.examples.append(text)

    def refuse(self) -> None:
        with self.lock:
            self.refused += 1

    def leave(self) -> None:
        with self.lock:
            self.left += 1

    def values(self) -> dict[str, Any]:
        with self.lock:
            return {
                "answers": dict(self.answers), "total": sum(self.answers.values()), "failed": sum(self.failures.values()),
                "failures": dict(self.failures), "refused_and_tried_again": self.refused, "left_halfway": self.left,
                "differing": self.differing, "examples": list(self.examples),
            }  # fmt: skip


class Load:
    """One start: every kind of caller, from the first moment until the questions are answered."""

    def __init__(self, server: Server, tally: Tally, questions: int, start: int) -> None:
        self.server, self.tally, self.questions, self.start = server, tally, questions, start
        self.over = threading.Event()
        self.seconds = 0.0

    def until_over(self, kind: str, once: Callable[[Client, int], None], offset: int) -> None:
        """Asks again and again, each time about something else."""
        with self.server.client() as client:
            number = offset
            while not self.over.is_set() and self.server.process.poll() is None:
                self.tried(kind, lambda: once(client, number))  # noqa: B023
                number += 1

    def tried(self, kind: str, work: Callable[[], None]) -> None:
        """Does it, again where the server says when."""
        while True:
            try:
                return work()
            except ScotomaError as error:
                if error.retry_after is None or self.server.process.poll() is not None:
                    return self.tally.failed(kind, error.code.name, error.message)
                self.tally.refuse()
                if self.over.wait(error.retry_after):
                    return None

    def evaluate(self) -> None:
        variants = {f"v{i}": kind for i, kind in enumerate(kinds()[:4])}
        begun = time.perf_counter()

        def run() -> None:
            with self.server.client() as client:
                asked = (
                    sample(str(i), f"{QUESTION} {i % 7}", picture(i), options=["yes", "no"], answer="A") for i in range(self.questions)
                )
                for result in client.evaluate("shapes", asked, variants=variants, max_tokens=4):
                    if result.HasField("error"):
                        self.tally.failed("evaluate", code_of(result.error.code), result.error.message)
                    else:
                        self.tally.answered("evaluate", f"{result.id}/{result.variant}", result.output_digest)

        self.tried("evaluate", run)
        self.seconds = time.perf_counter() - begun
        self.over.set()

    def sweep(self, client: Client, number: int) -> None:
        """A sweep; every third is left after its first result."""
        variants = kinds()[: 2 + number % 7]
        for result in client.sweep(QUESTION, picture(number % 40), variants=variants, max_tokens=3):
            if result.HasField("error"):
                self.tally.failed("sweep", code_of(result.error.code), result.error.message)
            else:
                digest = result.generated.provenance.output_digest
                self.tally.answered("sweep", f"sweep {number % 40}/{result.variant}", digest)
            if number % 3 == 2:
                self.tally.leave()
                break

    def capture(self, client: Client, number: int) -> None:
        points = ("language_model.blocks.{l}.hook_resid_post", "vision_tower.blocks.{l}.attn.hook_pattern", "projector.hook_out")
        targets = [pb.CaptureTarget(target={"point": points[number % 3], "steps": {"last": 0}}, keep=number % 3 == 2)]
        captured = client.capture(QUESTION, targets, picture(number % 40), interventions=kinds()[number % 4])
        for _ in captured:
            if number % 4 == 3:
                self.tally.leave()
                return
        self.tally.answered("capture")

    def generate(self, client: Client, number: int) -> None:
        """An answer; two of three are left after some tokens."""
        answer = client.generate(QUESTION, picture(number % 40), interventions=kinds()[number % 8], max_tokens=1 + number % 24)
        if number % 3:
            for read, _ in enumerate(answer):
                if read == number % 5:
                    break
            self.tally.leave()
            answer.cancel()
            return
        digest = answer.finish().provenance.output_digest
        self.tally.answered("generate", f"generate {number % 40}/{number % 8}/{number % 24}", digest)

    def score(self, client: Client, number: int) -> None:
        client.score(QUESTION, ["yes", "no", f"{number}"], picture(number % 40))
        self.tally.answered("score")

    def run(self, callers: int) -> None:
        """All callers begin at once."""
        looping: Iterable[tuple[str, Callable[[Client, int], None], int]] = [
            ("sweep", self.sweep, 2), ("capture", self.capture, 2), ("generate", self.generate, callers), ("score", self.score, 1),
        ]  # fmt: skip
        threads = [threading.Thread(target=self.evaluate, daemon=True)]
        for kind, once, count in looping:
            for i in range(count):
                offset = 1000 * i + self.start
                threads.append(threading.Thread(target=self.until_over, args=(kind, once, offset), daemon=True))
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()


def code_of(number: int) -> str:
    """The name of a gRPC code."""
    import grpc

    return next((code.name for code in grpc.StatusCode if code.value[0] == number), str(number))


def main() -> None:
    """Starts server after server."""
    parser = arguments_of(__doc__ or "")
    parser.add_argument("--starts", type=int, default=5)
    parser.add_argument("--questions", type=int, default=512, help="of an evaluation; each is asked under four variants")
    parser.add_argument("--model", default="shapes")
    parser.add_argument("--callers", type=int, default=6, help="connections that ask and leave, beside the others")
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.starts, arguments.questions, arguments.callers = 2, 24, 2
    results, tally = Results(arguments.out, "soak"), Tally()
    starts: list[dict[str, float]] = []
    alive = True
    for start in range(arguments.starts):
        before = tally.values()
        with serving(Path(arguments.binary), arguments.device, "--model", arguments.model) as server:
            load = Load(server, tally, arguments.questions, start)
            load.run(arguments.callers)
            alive &= server.process.poll() is None
        now = tally.values()
        row = {
            "ready_seconds": round(server.seconds, 2), "seconds": round(load.seconds, 2), "answers": now["total"] - before["total"],
            "failed": now["failed"] - before["failed"], "exit": server.process.returncode,
        }  # fmt: skip
        starts.append(row)
        print(
            f"start {start + 1}: ready after {row['ready_seconds']} s; {row['answers']} answers in {row['seconds']} s, {row['failed']} failed",
            flush=True,
        )
        results.write(starts=starts, **now)
    for name, count in now["failures"].items():
        print(f"  {count} x {name}")
    for example in now["examples"][:8]:
        print(f"  {example}")
    print(
        f"{now['total']} answers, {now['failed']} failed, {now['differing']} differ from the first start's; "
        f"{now['left_halfway']} left halfway, {now['refused_and_tried_again']} refused and tried again",
        flush=True,
    )  # fmt: skip
    clean = all(row["exit"] in (0, -15) for row in starts)
    if not (alive and clean):
        print("a server ended by itself, or did not end well")
    results.finish(alive and clean and not now["failed"])


if __name__ == "__main__":
    main()
