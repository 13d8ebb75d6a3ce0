#!/bin/sh
# Pillow 13.0.0 resizes with other results than Pillow 12.3.0: where the height shrinks by more than twice what the width does, the
# vertical pass now comes first, and each pass rounds and clips to 8 bits. Same call, same kernel, same picture.
#
# Seen: a picture of 300 x 900 to 336 x 336, BICUBIC: blocks of one colour up to 15 levels apart, 13 % of the values; noise up to 11
# levels, 28 %. Pictures that are wider than tall have the same values. So results that were computed with an image processor on Pillow 12
# (LLaVA's published ones) are not repeated to the bit on Pillow 13.
#
# Exits with 0 as long as the two versions differ there and agree on the wide picture.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cat > "$folder/resize.py" <<'PYTHON'
import sys
import numpy as np
from PIL import Image

rng = np.random.default_rng(0)
for name, (height, width) in {"tall": (900, 300), "wide": (300, 900)}.items():
    blocks = np.kron(rng.integers(0, 256, (height // 6, width // 6, 3)), np.ones((6, 6, 1))).astype(np.uint8)
    noise = rng.integers(0, 256, (height, width, 3)).astype(np.uint8)
    for kind, values in {"blocks": blocks, "noise": noise}.items():
        resized = Image.fromarray(values).resize((336, 336), Image.Resampling.BICUBIC)
        np.save(f"{sys.argv[1]}-{name}-{kind}.npy", np.asarray(resized).astype(int))
PYTHON
for version in 12.3.0 13.0.0; do
    python3 -m venv "$folder/$version"
    "$folder/$version/bin/pip" install -q "pillow==$version" numpy==2.4.6
    "$folder/$version/bin/python" "$folder/resize.py" "$folder/$version"
done
"$folder/13.0.0/bin/python" - "$folder" <<'PYTHON'
import sys
import numpy as np

differ = {}
for name in ("tall-blocks", "tall-noise", "wide-blocks", "wide-noise"):
    old, new = (np.load(f"{sys.argv[1]}/{version}-{name}.npy") for version in ("12.3.0", "13.0.0"))
    differ[name] = int(abs(old - new).max())
    print(f"{name}: up to {differ[name]} levels, {100 * (old != new).mean():.1f} % of the values")
sys.exit(not (differ["tall-blocks"] > 0 and differ["tall-noise"] > 5 and differ["wide-blocks"] == differ["wide-noise"] == 0))
PYTHON
