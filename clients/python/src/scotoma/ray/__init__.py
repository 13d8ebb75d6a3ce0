"""Benchmarks over Ray: many servers on many machines, one results file (`pip install scotoma[ray]`).

    import scotoma.ray

    run = scotoma.ray.evaluate("MMStar.tsv", "mmstar", model="/models/llava-1.5-7b-hf", replicas=8, results="out.jsonl")
    run.metrics_to_pandas()

    python -m scotoma.ray paper --data DIR

Each replica is an actor of Ray Data that runs a server of its own, `scotoma serve`, on a GPU or a share of the cores.
Items come to it in blocks; those about one picture are in one block, so that one server encodes it once. What dies is
started anew by Ray, and its block is asked again: a result is written down once, whatever dies, the driver included,
and the same call goes on from the results file. The answers, verdicts and metrics are those of `scotoma eval`, and so
is the file.
"""

try:
    import ray.data as _ray_data  # noqa: F401
except ImportError as error:
    raise ImportError(f"scotoma.ray needs Ray Data: pip install scotoma[ray] ({error})") from None

from scotoma.ray.items import Questions
from scotoma.ray.run import Evaluation, evaluate

__all__ = ["Evaluation", "Questions", "evaluate"]
