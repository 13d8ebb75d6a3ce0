/** Reads a file of questions: TSV, CSV, JSONL or Parquet, as docs/benchmark-tables.md has them. */

import { create } from "@bufbuild/protobuf";
import { parquetRowsOf } from "scotoma/parquet";
import { type Row, RowSchema } from "scotoma/v1";

import { asText, type Cells, idOf, partOf } from "./columns";
import { textRows } from "./rows";

/** A question as it stands in a file. */
export interface ItemRow {
  /** Its place among the rows, from 1. */
  number: number;
  /** The line on which it begins; 0 in Parquet. */
  line: number;
  /** What results call it. */
  id: string;
  cells: Cells;
  /** As it stands in the file; of Parquet, as a line of JSON. */
  raw: string;
  /** Whether the server gets `raw` as JSON, or cells. */
  json: boolean;
}

/** A file of questions. */
export interface Table {
  name: string;
  /** Its columns, those of the first row in manifests. */
  columns: string[];
  /** The first line of a table as it stands; empty in manifests and Parquet. */
  head: string;
  /** The ending of a file of some of the rows. */
  ending: "tsv" | "csv" | "jsonl";
  rows: ItemRow[];
}

/** Rows between two pauses in which the page can draw. */
const PAUSE_AFTER = 50;
/** What is longer is base64. */
const LONGEST_NAME = 1024;

/** The ending of a name, in lower case. */
export const endingOf = (name: string) => name.slice(name.lastIndexOf(".") + 1).toLowerCase();

/** Whether a file can hold questions. */
export const isTable = (name: string) => ["tsv", "csv", "jsonl", "parquet"].includes(endingOf(name));

/** Reads a file; `told` hears how many rows there are so far. */
export async function readTable(file: File, told: (rows: number) => void = () => {}): Promise<Table> {
  const ending = endingOf(file.name);
  const table: Table = { name: file.name, columns: [], head: "", ending: ending === "tsv" || ending === "csv" ? ending : "jsonl", rows: [] };
  if (ending === "parquet") await addParquet(file, table, told);
  else if (ending === "jsonl") await addManifest(await file.text(), table, told);
  else if (ending === "tsv" || ending === "csv") await addText(await file.text(), table, told);
  else throw new Error(`${file.name}: a name that ends in .tsv, .csv, .jsonl or .parquet is needed`);
  if (table.rows.length === 0) throw new Error(`${file.name}: there are no rows in it`);
  return table;
}

async function pause(table: Table, told: (rows: number) => void): Promise<void> {
  if (table.rows.length % PAUSE_AFTER !== 0) return;
  told(table.rows.length);
  await new Promise((done) => setTimeout(done));
}

async function addText(text: string, table: Table, told: (rows: number) => void): Promise<void> {
  let isHead = true;
  for (const { cells, raw, line } of textRows(text, table.ending === "csv" ? "," : "\t")) {
    if (isHead) {
      [table.columns, table.head, isHead] = [cells, raw, false];
      continue;
    }
    if (cells.length !== table.columns.length) {
      throw new Error(`${table.name}, line ${line}: ${cells.length} cells, where ${table.columns.length} columns have names`);
    }
    const named = Object.fromEntries(table.columns.map((name, i) => [name, cells[i] ?? ""]));
    const number = table.rows.length + 1;
    table.rows.push({ number, line, id: idOf(named, number), cells: named, raw, json: false });
    await pause(table, told);
  }
}

async function addManifest(text: string, table: Table, told: (rows: number) => void): Promise<void> {
  let line = 0;
  for (const one of text.split("\n")) {
    line += 1;
    const raw = one.replace(/^\uFEFF/, "").replace(/\r$/, "");
    if (raw.trim() === "") continue;
    const cells = parsed(raw, `${table.name}, line ${line}`);
    add(table, cells, raw, line);
    await pause(table, told);
  }
}

function add(table: Table, cells: Cells, raw: string, line: number): void {
  if (table.rows.length === 0) table.columns = Object.keys(cells);
  const number = table.rows.length + 1;
  table.rows.push({ number, line, id: idOf(cells, number), cells, raw, json: true });
}

function parsed(text: string, where: string): Cells {
  // Python writes NaN for nothing.
  for (const one of [text, text.replaceAll(/\bNaN\b/g, "null")]) {
    try {
      const value = JSON.parse(one) as unknown;
      if (typeof value === "object" && value !== null && !Array.isArray(value)) return value as Cells;
    } catch {
      continue;
    }
  }
  throw new Error(`${where}: it is no JSON object`);
}

async function addParquet(file: File, table: Table, told: (rows: number) => void): Promise<void> {
  const source = {
    byteLength: file.size,
    slice: (start: number, end = file.size) => file.slice(start, end).arrayBuffer(),
  };
  try {
    for await (const { row, json } of parquetRowsOf(source)) {
      add(table, row, json, 0);
      await pause(table, told);
    }
  } catch (error) {
    throw new Error(`${file.name}: ${error instanceof Error ? error.message : String(error)}`, { cause: error });
  }
}

const isIndex = (value: unknown): value is string => typeof value === "string" && value.length <= LONGEST_NAME && /^[0-9]+$/.test(value);

/** Returns the row whose picture a row shows: its own, or the earlier one that it names. */
export function pictureRow(table: Table, row: ItemRow): ItemRow {
  const image = partOf(row.cells, "image");
  if (row.json || !isIndex(image)) return row;
  return table.rows.find((other) => other.number < row.number && other.cells["index"] === image) ?? row;
}

/** Returns a row as the server takes it, with the files that it names. */
export function message(table: Table, row: ItemRow, files: ReadonlyMap<string, File>): Promise<Row> {
  return row.json ? fromJson(row, files) : fromCells(table, row, files);
}

async function fromJson(row: ItemRow, files: ReadonlyMap<string, File>): Promise<Row> {
  const { number, line, raw } = row;
  return create(RowSchema, { number: BigInt(number), line: BigInt(line), json: raw, files: await named(row.cells, files) });
}

async function fromCells(table: Table, row: ItemRow, files: ReadonlyMap<string, File>): Promise<Row> {
  const { number, line } = row;
  const cells = { ...row.cells } as Record<string, string>;
  if (isIndex(cells["image"])) cells["image"] = asText(pictureRow(table, row).cells["image"]);
  return create(RowSchema, { number: BigInt(number), line: BigInt(line), cells, files: await named(cells, files) });
}

/** Texts of a row, and those quoted in a text that is a list. */
function* texts(value: unknown): Generator<string> {
  if (typeof value === "string") {
    if (value.length > 64 * LONGEST_NAME) return;
    if (/^\s*[[({]/.test(value)) {
      for (const [, single, double] of value.matchAll(/'([^'\n]+)'|"([^"\n]+)"/g)) yield (single ?? double ?? "").trim();
    } else if (value.length <= LONGEST_NAME) yield value.trim();
  } else if (typeof value === "object" && value !== null && !(value instanceof Uint8Array)) {
    for (const each of Object.values(value)) yield* texts(each);
  }
}

/** Returns the file that a row calls `name`: by its path, or by its last part where one file alone has that. */
export function fileOf(name: string, files: ReadonlyMap<string, File>): File | undefined {
  return files.get(name) ?? files.get(name.slice(name.lastIndexOf("/") + 1));
}

async function named(cells: Cells, files: ReadonlyMap<string, File>): Promise<Record<string, Uint8Array<ArrayBuffer>>> {
  const found: Record<string, Uint8Array<ArrayBuffer>> = {};
  if (files.size === 0) return found;
  for (const name of texts(cells)) {
    const file = fileOf(name, files);
    if (file !== undefined) found[name] = new Uint8Array(await file.arrayBuffer());
  }
  return found;
}

/** Returns the file of some of the rows, each as it came. A row that names the picture of one that is left out gets that picture. */
export function kept(table: Table, rows: readonly ItemRow[]): { name: string; parts: string[] } {
  const there = new Set(rows);
  const parts = table.head === "" ? [] : [ended(table.head)];
  for (const row of rows) {
    const picture = pictureRow(table, row);
    parts.push(ended(picture === row || there.has(picture) ? row.raw : withPicture(table, row, picture)));
  }
  return { name: `kept.${table.ending}`, parts };
}

const ended = (line: string) => (/[\r\n]$/.test(line) ? line : `${line}\n`);

/** Writes a row anew with the picture of another one. */
function withPicture(table: Table, row: ItemRow, picture: ItemRow): string {
  const delimiter = table.ending === "csv" ? "," : "\t";
  const cells = { ...row.cells, image: picture.cells["image"] };
  const quoted = table.columns.map((name) => {
    const cell = asText(cells[name as keyof typeof cells]);
    return cell.includes(delimiter) || /["\r\n]/.test(cell) ? `"${cell.replaceAll('"', '""')}"` : cell;
  });
  return `${quoted.join(delimiter)}\n`;
}
