#!/bin/sh
# Draws the pictures of docs/gallery.md with the embedded model: draw.sh SCOTOMA. Needs nothing else; pages are
# photographed where there is a chromium. Takes a minute or two.
set -eu
scotoma=$(realpath "$1")
gallery=$(cd "$(dirname "$0")" && pwd)
shapes=$gallery/../../models/shapes
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

for experiment in permutation pruning depth information-loss; do
    "$scotoma" experiment "$experiment" shapes --limit 120 --report "$experiment"
done
"$scotoma" alignment --limit 120 --report alignment
# The picture of a question with several things in it.
awk -F '\t' 'NR == 100 { for (i = 1; i <= NF; i++) if (length($i) > 300) print $i }' "$shapes/benchmark.tsv" | base64 -d > picture.png
"$scotoma" preview picture.png --out seen.png
"$scotoma" preview picture.png --occlude random:0.5:7 --out occluded.png
"$scotoma" preview picture.png --intervene '{"shufflePatches": {"grid": 4, "seed": "1"}}' --out shuffled.png
"$scotoma" items shapes --limit 60 --report items
"$scotoma" table1 shapes=permutation --report table1

cp permutation/permutation.svg pruning/pruning-cost.svg depth/depth-cost.svg information-loss/information-loss.svg \
    alignment/alignment.svg seen.png occluded.png shuffled.png "$gallery"

chromium=$(command -v chromium || command -v chromium-browser || command -v google-chrome || true)
if [ -z "$chromium" ]; then
    echo "no chromium: the pictures of pages stay as they are"
    exit 0
fi
photograph() {
    "$chromium" --headless --no-sandbox --disable-gpu --hide-scrollbars --window-size="$3" --screenshot="$2" "$1" 2> /dev/null
}
photograph "file://$work/items/report.html" "$gallery/items.png" 760,1500
photograph "file://$work/table1/table1.html" "$gallery/table1.png" 760,560
