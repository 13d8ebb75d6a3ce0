#!/bin/sh
# Draws the pictures of docs/gallery.md, reading.md, tracing.md and pruning.md with the embedded model: draw.sh SCOTOMA. Takes some minutes.
set -eu
scotoma=$(realpath "$1")
gallery=$(cd "$(dirname "$0")" && pwd)
pictures=$gallery/../pictures
benchmark=$gallery/../../models/shapes/benchmark.tsv
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

"$scotoma" experiment depth shapes --limit 120 --report depth
# The picture of a question with several things in it.
awk -F '\t' 'NR == 100 { for (i = 1; i <= NF; i++) if (length($i) > 300) print $i }' "$benchmark" | base64 -d > picture.png
"$scotoma" preview picture.png --out seen.png
"$scotoma" preview picture.png --occlude random:0.5:7 --out occluded.png
"$scotoma" preview picture.png --intervene '{"shufflePatches": {"grid": 4, "seed": "1"}}' --out shuffled.png
# The patching grids of tracing.md and reading.md. head.png is what the Python of reading.md saves.
trace() {
    "$scotoma" trace "$pictures/red.png" "What colour is the circle?" --corrupted-image "$pictures/blue.png" \
        --answer " red" --other " blue" "$@" > trace.txt
}
trace --positions visual --out trace.png
trace --positions words --point attn_out --out reading.png
"$scotoma" experiment pruning shapes --limit 60 --report pruning
# The panel of operations alone: measured time is another one on every machine.
sed 's/viewBox="0 0 700 [0-9]*" width="700" height="[0-9]*"/viewBox="0 0 700 360" width="700" height="360"/' \
    pruning/pruning-cost.svg > "$pictures/pruning.svg"
cp trace.png reading.png "$pictures"
cp depth/depth-cost.svg seen.png occluded.png shuffled.png "$gallery"
