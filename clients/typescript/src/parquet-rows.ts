/** Rows of Parquet files as JSON, wherever the bytes come from. */

import { base64Encode } from "@bufbuild/protobuf/wire";
import { type AsyncBuffer, type SchemaTree, parquetMetadataAsync, parquetReadObjects, parquetSchema } from "hyparquet";
import { compressors as known } from "hyparquet-compressors";

type Decompress = (input: Uint8Array, length: number) => Uint8Array;

/** A page of nothing, a column that is null throughout for instance, is one byte in LZ4, which hyparquet-compressors 1.1.2 refuses. */
const orNothing =
  (decompress: Decompress | undefined): Decompress =>
  (input, length) => {
    if (length === 0) {
      return new Uint8Array(0);
    }
    if (decompress === undefined) {
      throw new Error("LZ4 is not read");
    }
    return decompress(input, length);
  };

const compressors = { ...known, LZ4: orNothing(known.LZ4), LZ4_RAW: orNothing(known.LZ4_RAW) };

/** The rows of a file that is read in pieces, each as a JSON object: bytes are data URIs, NaN is null. */
export async function* parquetRowsOf(file: AsyncBuffer): AsyncGenerator<{ row: Record<string, unknown>; json: string }> {
  const metadata = await parquetMetadataAsync(file);
  const schema = parquetSchema(metadata);
  let start = 0;
  for (const group of metadata.row_groups) {
    // Dates and times as texts; pictures are bytes, which are no UTF-8.
    const options = { file, metadata, compressors, utf8: false, parsers: { jsonFromBytes: text } };
    const end = start + Number(group.num_rows);
    const rows = await parquetReadObjects({ ...options, rowStart: start, rowEnd: end });
    start = end;
    for (const row of rows) {
      yield { row, json: json(row, schema) };
    }
  }
}

const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);

/** A value as JSON; a number of a column of fractions is one, even where it is whole. */
function json(value: unknown, schema: SchemaTree | undefined): string {
  if (value === null || value === undefined) {
    return "null";
  }
  if (value instanceof Uint8Array) {
    return JSON.stringify(`data:;base64,${base64Encode(value)}`);
  }
  if (Array.isArray(value)) {
    const element = schema?.element.type === undefined ? schema?.children[0]?.children[0] : schema;
    return `[${value.map((each) => json(each, element)).join(",")}]`;
  }
  switch (typeof value) {
    case "bigint":
      return value.toString();
    case "number":
      return number(value, schema);
    case "boolean":
      return String(value);
    case "object": {
      if (value instanceof Date) {
        return JSON.stringify(value.toISOString());
      }
      const inner = (name: string) => schema?.children.find((child) => child.element.name === name);
      const cells = Object.entries(value).map(([name, cell]) => `${JSON.stringify(name)}:${json(cell, inner(name))}`);
      return `{${cells.join(",")}}`;
    }
    default:
      return JSON.stringify(String(value));
  }
}

function number(value: number, schema: SchemaTree | undefined): string {
  if (!Number.isFinite(value)) {
    return Number.isNaN(value) ? "null" : JSON.stringify(value > 0 ? "inf" : "-inf");
  }
  const written = String(value);
  const fraction = schema?.element.type === "DOUBLE" || schema?.element.type === "FLOAT" || schema?.element.logical_type?.type === "FLOAT16";
  return fraction && Number.isInteger(value) && !written.includes("e") ? `${written}.0` : written;
}
