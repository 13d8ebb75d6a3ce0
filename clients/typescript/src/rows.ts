/**
 * Questions in files: tables (TSV, CSV, Parquet) and manifests of one JSON object a line. What the columns mean is the server's
 * business; a client only brings the pictures that a row names.
 */

import { createReadStream } from "node:fs";
import { readFile, stat } from "node:fs/promises";
import { dirname, extname, resolve } from "node:path";
import { createInterface } from "node:readline";

import { create } from "@bufbuild/protobuf";
import { type Info, parse } from "csv-parse";

import { parquetRows } from "./parquet.js";
import { type Row, RowSchema } from "./v1.js";

/** What is longer is base64. */
const LONGEST_NAME = 1024;

const LONGEST_ROW = 256 << 20;

/** Files that a row may name, and that are sent with it. */
const ENDINGS = new Set(
  ".png .jpg .jpeg .jpe .jfif .webp .gif .bmp .tif .tiff .ppm .jp2 .avif .heic".split(" "),
);

const format = (path: string) =>
  ({ delimiter: extname(path) === ".csv" ? "," : "\t", relax_quotes: true, bom: true, max_record_size: LONGEST_ROW }) as const;

/**
 * The rows of a table (.tsv, .csv, .parquet) or a manifest (.jsonl), read when they are asked for: a text file of any size needs the
 * memory of one row, a Parquet file that of one row group.
 */
export async function* rows(path: string): AsyncGenerator<Row> {
  switch (extname(path)) {
    case ".tsv":
    case ".csv":
      yield* table(path);
      break;
    case ".jsonl":
      yield* manifest(path);
      break;
    case ".parquet":
      yield* parquet(path);
      break;
    default:
      throw new Error(`${path}: a name that ends in .tsv, .csv, .jsonl or .parquet is needed`);
  }
}

async function* table(path: string): AsyncGenerator<Row> {
  const parser = createReadStream(path).pipe(parse({ ...format(path), info: true }));
  let header: string[] | undefined;
  // Where rows begin, by their index: a row may name the picture of an earlier one by it.
  const starts = new Map<string, number>();
  let start = 0;
  let line = 1;
  let number = 0n;
  for await (const { record, info } of parser as AsyncIterable<{ record: string[]; info: Info }>) {
    const [begins, at] = [start, line];
    start = info.bytes;
    line = info.lines + 1;
    if (header === undefined) {
      header = record;
      continue;
    }
    const cells = Object.fromEntries(header.map((name, i) => [name, record[i] ?? ""]));
    starts.set(cells["index"] ?? "", begins);
    try {
      if (isIndex(cells["image"] ?? "")) {
        cells["image"] = await pictureOf(path, starts, cells["image"] ?? "", header.indexOf("image"));
      }
      number += 1n;
      yield create(RowSchema, { line: BigInt(at), number, cells, files: await named(path, cells) });
    } catch (error) {
      throw new Error(`${path}, line ${at}: ${error instanceof Error ? error.message : error}`, { cause: error });
    }
  }
}

async function* manifest(path: string): AsyncGenerator<Row> {
  let line = 0n;
  let number = 0n;
  for await (const text of createInterface({ input: createReadStream(path), crlfDelay: Infinity })) {
    const json = text.replace(/^\uFEFF/, "");
    line += 1n;
    if (json.trim() !== "") {
      number += 1n;
      yield create(RowSchema, { line, number, json, files: await named(path, parsed(json)) });
    }
  }
}

/** An object; nothing where it is none: what is wrong with a row is the server's to say. */
function parsed(json: string): unknown {
  // Python writes NaN for nothing.
  for (const text of [json, json.replaceAll("NaN", "null")]) {
    try {
      return JSON.parse(text) as unknown;
    } catch {
      continue;
    }
  }
  return undefined;
}

async function* parquet(path: string): AsyncGenerator<Row> {
  let number = 0n;
  for await (const { row, json } of parquetRows(path)) {
    number += 1n;
    yield create(RowSchema, { number, json, files: await named(path, row) });
  }
}

const isIndex = (cell: string) => cell.length <= LONGEST_NAME && /^[0-9]+$/.test(cell);

/** The picture of an earlier row, which is read again. */
async function pictureOf(path: string, starts: Map<string, number>, index: string, column: number): Promise<string> {
  const start = starts.get(index);
  if (start === undefined) {
    throw new Error(`image: row ${index} does not stand before`);
  }
  const parser = createReadStream(path, { start }).pipe(parse({ ...format(path), to: 1 }));
  for await (const record of parser as AsyncIterable<string[]>) {
    const cell = record[column];
    if (cell && !isIndex(cell)) {
      return cell;
    }
  }
  throw new Error(`image: row ${index} has no picture of its own`);
}

/** What may be names of pictures in a row: texts, and those quoted in a text that is a list. */
function* names(value: unknown): Generator<string> {
  if (typeof value === "string") {
    if (/^\s*[[({]/.test(value) && value.length <= 64 * LONGEST_NAME) {
      for (const [, single, double] of value.matchAll(/'([^'\n]+)'|"([^"\n]+)"/g)) {
        yield (single ?? double ?? "").trim();
      }
    } else if (value.length <= LONGEST_NAME) {
      yield value.trim();
    }
  } else if (typeof value === "object" && value !== null && !(value instanceof Uint8Array)) {
    for (const each of Object.values(value)) {
      yield* names(each);
    }
  }
}

/** The pictures beside the table that a row names, by these names. */
async function named(path: string, row: unknown): Promise<Record<string, Uint8Array>> {
  const files: Record<string, Uint8Array> = {};
  for (const name of names(row)) {
    if (!ENDINGS.has(extname(name).toLowerCase()) || name in files || name.includes("\0")) {
      continue;
    }
    const file = resolve(dirname(path), name);
    const about = await stat(file).catch(() => undefined);
    if (about?.isFile()) {
      if (about.size > LONGEST_ROW) {
        throw new Error(`image: ${file}: more than ${LONGEST_ROW} bytes`);
      }
      files[name] = await readFile(file);
    }
  }
  return files;
}
