/** Rows of Parquet files on disk as JSON. */

import { open } from "node:fs/promises";

import type { AsyncBuffer } from "hyparquet";

import { parquetRowsOf } from "./parquet-rows.js";

/** The rows of a file, each as a JSON object: bytes are data URIs, NaN is null. */
export async function* parquetRows(path: string): AsyncGenerator<{ row: Record<string, unknown>; json: string }> {
  const handle = await open(path);
  try {
    const { size } = await handle.stat();
    const file: AsyncBuffer = {
      byteLength: size,
      async slice(start, end = size) {
        const bytes = new Uint8Array(Math.max(0, Math.min(end, size) - start));
        await handle.read(bytes, 0, bytes.length, start);
        return bytes.buffer;
      },
    };
    yield* parquetRowsOf(file);
  } catch (error) {
    throw new Error(`${path}: ${error instanceof Error ? error.message : String(error)}`, { cause: error });
  } finally {
    await handle.close();
  }
}
