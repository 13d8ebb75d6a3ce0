"""What captures cost: requests with none, one layer and all layers of the residual stream, in turns, against one server.

    python benches/capture.py PICTURE [ADDRESS]     with the Python client installed
"""

import statistics
import sys
import time
from pathlib import Path

from scotoma import Client
from scotoma.v1.inference_service_pb2 import CaptureTarget

POINT = "language_model.blocks.{l}.hook_resid_post"


def main() -> None:
    picture = Path(sys.argv[1]).read_bytes()
    client = Client(*sys.argv[2:3])
    at = lambda layers: CaptureTarget(target={"point": POINT, "layers": layers})  # noqa: E731
    none = CaptureTarget(target={"point": POINT, "layers": [0], "tokens": {"any_of": [{"named": "NAMED_LAST"}]}})
    kinds = {"one row": [none], "one layer": [at([1])], "all layers": [at([])]}
    times: dict[str, list[float]] = {kind: [] for kind in kinds}
    for _ in range(300):
        for kind, targets in kinds.items():
            start = time.perf_counter()
            for _activation in client.capture("Is there a red circle?", targets, picture):
                pass
            times[kind].append(time.perf_counter() - start)
    base = statistics.median(times["one row"])
    for kind, taken in times.items():
        print(f"{kind:<12} {1e3 * statistics.median(taken):7.2f} ms  {statistics.median(taken) / base:5.2f}")


if __name__ == "__main__":
    main()
