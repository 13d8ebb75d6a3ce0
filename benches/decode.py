"""Milliseconds to upload a JPEG of one megapixel, which decodes it once, beside Pillow's own; for BENCHMARKS.md.

    python benches/decode.py [--binary target/release/scotoma] [--repeat 50]

Needs the Python client and Pillow.
"""

import argparse
import io
import subprocess
import time

import numpy as np
from PIL import Image

from scotoma import Client


def pictures() -> dict[str, bytes]:
    rng = np.random.default_rng(0)
    soft = Image.fromarray(rng.integers(0, 256, (40, 40, 3)).astype(np.uint8)).resize((1000, 1000), Image.Resampling.BICUBIC)
    values = np.asarray(soft).astype(int) + rng.integers(-8, 9, (1000, 1000, 3))
    picture = Image.fromarray(values.clip(0, 255).astype(np.uint8))
    found = {}
    for name, options in {"4:2:0": {}, "4:2:0 progressive": {"progressive": True}, "4:4:4": {"subsampling": 0}}.items():
        out = io.BytesIO()
        picture.save(out, "JPEG", quality=90, **options)
        found[name] = out.getvalue()
    return found


def best(repeat: int, work) -> float:
    """Milliseconds of the fastest of `repeat` calls."""
    times = []
    for _ in range(repeat):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return 1e3 * min(times)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--binary", default="target/release/scotoma")
    parser.add_argument("--repeat", type=int, default=50)
    parser.add_argument("--listen", default="127.0.0.1:7899")
    args = parser.parse_args()
    server = subprocess.Popen([args.binary, "serve", "--listen", args.listen, "--log", "error"], stdout=subprocess.PIPE)
    try:
        server.stdout.readline()
        with Client(f"http://{args.listen}") as client:
            for name, data in pictures().items():
                ours = best(args.repeat, lambda: client.upload_image(data))  # noqa: B023
                pillow = best(args.repeat, lambda: Image.open(io.BytesIO(data)).convert("RGB"))  # noqa: B023
                print(f"{name}: {ours:.1f} ms, Pillow {pillow:.1f} ms ({len(data) >> 10} KiB)")
    finally:
        server.terminate()
        server.wait()


main()
