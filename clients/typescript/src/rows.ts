/**
 * Questions in files: VLMEvalKit's tables (TSV) and manifests of one JSON object a line. What the columns mean is the server's
 * business; a client only brings the pictures that a row names.
 */

import { createReadStream } from "node:fs";
import { readFile } from "node:fs/promises";
import { dirname, extname, resolve } from "node:path";
import { createInterface } from "node:readline";

import { create } from "@bufbuild/protobuf";
import { type Info, parse } from "csv-parse";

import { image } from "./client.js";
import { type Image, type Row, RowSchema } from "./v1.js";

/** What is longer is base64. */
const LONGEST_NAME = 1024;

const FORMAT = { delimiter: "\t", relax_quotes: true, bom: true, max_record_size: 256 << 20 } as const;

/** The rows of a table (.tsv) or a manifest (.jsonl), read when they are asked for: a file of any size needs the memory of one row. */
export async function* rows(path: string): AsyncGenerator<Row> {
  switch (extname(path)) {
    case ".tsv":
      yield* table(path);
      break;
    case ".jsonl":
      yield* manifest(path);
      break;
    default:
      throw new Error(`${path}: a name that ends in .tsv or .jsonl is needed`);
  }
}

async function* table(path: string): AsyncGenerator<Row> {
  const parser = createReadStream(path).pipe(parse({ ...FORMAT, info: true }));
  let header: string[] | undefined;
  // Where rows begin, by their index: a row may name the picture of an earlier one by it.
  const starts = new Map<string, number>();
  let start = 0;
  let line = 1;
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
      const images = await named(path, cells["image"] || cells["image_path"]);
      yield create(RowSchema, { line: BigInt(at), cells, images });
    } catch (error) {
      throw new Error(`${path}, line ${at}: ${error instanceof Error ? error.message : error}`, { cause: error });
    }
  }
}

async function* manifest(path: string): AsyncGenerator<Row> {
  let line = 0n;
  for await (const text of createInterface({ input: createReadStream(path), crlfDelay: Infinity })) {
    const json = text.replace(/^\uFEFF/, "");
    line += 1n;
    if (json.trim() !== "") {
      yield create(RowSchema, { line, json, images: await named(path, pictureCell(json)) });
    }
  }
}

/** A text as it is, a list as JSON; what is wrong with a row is the server's to say. */
function pictureCell(json: string): string | undefined {
  try {
    const { image: own, image_path: place } = JSON.parse(json) as { image?: unknown; image_path?: unknown };
    const cell = own || place;
    return typeof cell === "string" ? cell : JSON.stringify(cell);
  } catch {
    return undefined;
  }
}

const isIndex = (cell: string) => cell.length <= LONGEST_NAME && /^[0-9]+$/.test(cell);

const isName = (cell: string) => cell.length <= LONGEST_NAME && !cell.endsWith("=") && extname(cell.trim()) !== "";

/** The picture of an earlier row, which is read again. */
async function pictureOf(path: string, starts: Map<string, number>, index: string, column: number): Promise<string> {
  const start = starts.get(index);
  if (start === undefined) {
    throw new Error(`image: row ${index} does not stand before`);
  }
  const parser = createReadStream(path, { start }).pipe(parse({ ...FORMAT, to: 1 }));
  for await (const record of parser as AsyncIterable<string[]>) {
    const cell = record[column];
    if (cell && !isIndex(cell)) {
      return cell;
    }
  }
  throw new Error(`image: row ${index} has no picture of its own`);
}

/** The pictures whose names a cell gives; none where it holds them itself. */
async function named(path: string, cell: string | undefined): Promise<Image[]> {
  let listed = cell ? [cell] : [];
  if (cell?.startsWith("[")) {
    try {
      listed = (JSON.parse(cell) as unknown[]).map(String);
    } catch {
      // A name may begin so, too.
    }
  }
  if (!listed.every(isName)) {
    return [];
  }
  return Promise.all(listed.map(async (name) => image(await readFile(resolve(dirname(path), name.trim())))));
}
