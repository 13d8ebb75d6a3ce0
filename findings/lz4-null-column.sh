#!/bin/sh
# hyparquet-compressors 1.1.2 (with hyparquet 1.33.0): a Parquet file that pyarrow 26.0.1 wrote with compression="lz4" and that has a
# column of nulls cannot be read: "lz4 offset out of range 0".
#
# pyarrow writes an empty dictionary page for such a column. In LZ4 nothing is one byte, 0: no literals, and the block ends. The decoder
# wants a match after it. The same file in zstd is read. Seen with Node 20.20, Python 3.11, 2026-11-27; exits with 1 once this is no
# longer so. Way around: give nothing for a page whose length is 0 before the codec is called.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q pyarrow==26.0.1
cd "$folder"
"$folder/venv/bin/python" - <<'PYTHON'
import pyarrow as pa
import pyarrow.parquet as pq

table = pa.table({"path": pa.array([None, None], pa.string()), "question": ["Which?", "How?"]})
for codec in ("lz4", "zstd"):
    pq.write_table(table, f"{codec}.parquet", compression=codec)
PYTHON
npm init -y > /dev/null
npm install --silent --no-audit --no-fund hyparquet@1.33.0 hyparquet-compressors@1.1.2 > /dev/null
cat > read.mjs <<'NODE'
import { asyncBufferFromFile, parquetReadObjects } from "hyparquet";
import { compressors } from "hyparquet-compressors";

const said = [];
for (const codec of ["zstd", "lz4"]) {
  const file = await asyncBufferFromFile(`${codec}.parquet`);
  said.push(await parquetReadObjects({ file, compressors }).then((rows) => rows.length, (error) => error.message));
}
console.log(said);
process.exit(said[0] === 2 && said[1] === "lz4 offset out of range 0" ? 0 : 1);
NODE
node read.mjs
