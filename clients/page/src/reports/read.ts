/**
 * Reads reports that `scotoma experiment`, `paper`, `items` and `eval` have written, as blocks of text, tables and pictures. What stands
 * in a file is never run and never becomes markup: of HTML the texts are read, a drawing is shown as a picture.
 */

import { fromJson, type JsonValue } from "@bufbuild/protobuf";
import { SampleResultSchema, Verdict } from "scotoma/v1";

import { textRows } from "../items/rows";

/** A share with its interval. */
export interface Bar {
  name: string;
  value: number;
  low: number;
  high: number;
  /** The most that it can be. */
  most: number;
  n: number;
}

/** A part of a report. */
export type Block =
  | { is: "heading"; level: 1 | 2 | 3; text: string }
  | { is: "text"; text: string }
  | { is: "code"; text: string }
  | { is: "list"; lines: string[] }
  | { is: "table"; head: string[]; rows: string[][] }
  | { is: "bars"; name: string; bars: Bar[] }
  /** `url` is a data URL of an image. */
  | { is: "picture"; url: string; about: string };

/** A file of a report. */
export interface Report {
  name: string;
  blocks: Block[];
}

const MOST_BYTES = 64 << 20;

/** Whether a file may be a report, by its name. */
export const mayBeReport = (name: string) => /\.(html|csv|jsonl|json|md|svg|png)$/i.test(name);

/** Reads a file of a report; an error says what it is not. */
export async function readReport(file: File): Promise<Report> {
  if (file.size > MOST_BYTES) throw new Error(`${file.name}: more than ${MOST_BYTES >> 20} MiB`);
  const ending = file.name.slice(file.name.lastIndexOf(".") + 1).toLowerCase();
  if (ending === "png") return { name: file.name, blocks: [await png(file)] };
  const text = await file.text();
  const blocks = READERS[ending]?.(text, file.name);
  if (blocks === undefined) throw new Error(`${file.name}: a report is an .html, .csv, .jsonl, .json, .md, .svg or .png file`);
  return { name: file.name, blocks };
}

const READERS: Record<string, (text: string, name: string) => Block[]> = { html, svg, csv, jsonl, json, md: markdown };

async function png(file: File): Promise<Block> {
  const url = await new Promise<string>((done, failed) => {
    const reader = new FileReader();
    reader.onload = () => done(String(reader.result).replace(/^data:[^;,]*/, "data:image/png"));
    reader.onerror = () => failed(new Error(`${file.name}: ${reader.error?.message ?? "cannot be read"}`));
    reader.readAsDataURL(file);
  });
  return { is: "picture", url, about: file.name };
}

/** A drawing as a picture: there it loads nothing and runs nothing. */
const pictureOf = (markup: string, about: string): Block => ({ is: "picture", url: `data:image/svg+xml;charset=utf-8,${encodeURIComponent(markup)}`, about });

function svg(text: string, name: string): Block[] {
  return [pictureOf(text, name)];
}

/** Elements of which nothing is read. */
const PASSED = new Set(["SCRIPT", "STYLE", "IFRAME", "OBJECT", "EMBED", "TEMPLATE", "NOSCRIPT", "LINK", "META", "TITLE", "NAV", "BUTTON", "FORM"]);

function html(text: string): Block[] {
  // A parsed document that nobody shows is inert: it runs nothing and fetches nothing.
  const page = new DOMParser().parseFromString(text, "text/html");
  const blocks: Block[] = [];
  walk(page.body, blocks);
  return blocks;
}

const words = (element: Element) => (element.textContent ?? "").replaceAll(/\s+/g, " ").trim();

/** Elements within a line of text. */
const INLINE = new Set(["A", "ABBR", "B", "BR", "CODE", "EM", "I", "KBD", "MARK", "SMALL", "SPAN", "STRONG", "SUB", "SUP", "TIME", "U", "VAR", "WBR"]);

function walk(parent: Element, blocks: Block[]): void {
  let line = "";
  const flush = () => {
    const text = line.replaceAll(/\s+/g, " ").trim();
    if (text !== "") blocks.push({ is: "text", text });
    line = "";
  };
  for (const node of parent.childNodes) {
    if (node.nodeType === Node.TEXT_NODE) line += node.textContent ?? "";
    if (!(node instanceof Element) || PASSED.has(node.tagName.toUpperCase())) continue;
    if (INLINE.has(node.tagName.toUpperCase()) && node.querySelector("img, svg") === null) {
      line += node.tagName.toUpperCase() === "BR" ? " " : (node.textContent ?? "");
      continue;
    }
    flush();
    block(node, blocks);
  }
  flush();
}

/** Adds what an element of its own line holds. */
function block(element: Element, blocks: Block[]): void {
  const tag = element.tagName.toUpperCase();
  const level = { H1: 1, H2: 2, H3: 3, H4: 3 }[tag] as 1 | 2 | 3 | undefined;
  if (level !== undefined) blocks.push({ is: "heading", level, text: words(element) });
  else if (tag === "SVG") blocks.push(drawing(element));
  else if (tag === "IMG") blocks.push(...image(element));
  else if (tag === "TABLE") blocks.push(tableOf(element as HTMLTableElement));
  else if (tag === "UL" || tag === "OL") blocks.push({ is: "list", lines: [...element.children].map(words) });
  else if (tag === "PRE") blocks.push({ is: "code", text: element.textContent ?? "" });
  else walk(element, blocks);
}

function drawing(element: Element): Block {
  const own = element.cloneNode(true) as Element;
  if (!own.hasAttribute("xmlns")) own.setAttribute("xmlns", "http://www.w3.org/2000/svg");
  const about = element.getAttribute("aria-label") ?? element.querySelector("title")?.textContent ?? "Drawing of the report";
  return pictureOf(new XMLSerializer().serializeToString(own), about);
}

/** Pictures that the page has in itself; others are not fetched. */
function image(element: Element): Block[] {
  const url = element.getAttribute("src") ?? "";
  const about = element.getAttribute("alt") ?? "";
  if (/^data:image\/(png|jpeg|webp|svg\+xml)[;,]/.test(url)) return [{ is: "picture", url, about }];
  return about === "" ? [] : [{ is: "text", text: `[${about}]` }];
}

function tableOf(element: HTMLTableElement): Block {
  const rows = [...element.rows].map((row) => [...row.cells].map(words));
  const [head = [], ...rest] = rows;
  return { is: "table", head, rows: rest };
}

/** Of a column of a table, by its name. */
const column = (head: string[], name: string) => head.indexOf(name);

function csv(text: string, name: string): Block[] {
  const [head = [], ...rows] = [...textRows(text, ",")].map(({ cells }) => cells);
  const blocks: Block[] = [{ is: "heading", level: 1, text: name }];
  const places = ["variant", "metric", "value", "low", "high"].map((one) => column(head, one));
  if (places.every((place) => place >= 0)) blocks.push(...metricBars(head, rows));
  blocks.push({ is: "table", head, rows });
  return blocks;
}

const number = (text: string) => (text === "" ? NaN : Number(text));

/** Bars for each metric that a run has over all items. */
function metricBars(head: string[], rows: string[][]): Block[] {
  const at = (row: string[], name: string) => row[column(head, name)] ?? "";
  const names = [...new Set(rows.map((row) => at(row, "metric")))].filter((one) => !one.includes(":"));
  return names.map((name) => ({
    is: "bars",
    name,
    bars: rows
      .filter((row) => at(row, "metric") === name)
      .map((row) => ({
        name: at(row, "variant"),
        // Of no items there is no value; an empty text would be a number, 0.
        value: number(at(row, "value")),
        low: number(at(row, "low")),
        high: number(at(row, "high")),
        most: Number(at(row, "most")) || 1,
        n: Number(at(row, "n")),
      })),
  }));
}

function jsonl(text: string, name: string): Block[] {
  const lines = text.split("\n").filter((line) => line.trim() !== "");
  const values = lines.map((line, i) => {
    try {
      return JSON.parse(line) as Record<string, JsonValue>;
    } catch {
      throw new Error(`${name}, line ${i + 1}: it is no JSON`);
    }
  });
  const heading: Block = { is: "heading", level: 1, text: name };
  if (values.every((value) => "variant" in value && "id" in value)) return [heading, ...results(values)];
  const head = [...new Set(values.flatMap((value) => Object.keys(value)))];
  return [heading, { is: "table", head, rows: values.map((value) => head.map((one) => plain(value[one]))) }];
}

const plain = (value: unknown): string => (value === undefined || value === null ? "" : typeof value === "object" ? JSON.stringify(value) : String(value));

interface Counted {
  right: number;
  n: number;
  unparsed: number;
  failed: number;
  rights: Map<string, boolean>;
}

/** What the results of a run come to, variant by variant, and against the first one. */
function results(values: Record<string, JsonValue>[]): Block[] {
  const variants = new Map<string, Counted>();
  for (const value of values) {
    const { id, variant, verdict, error, grade } = fromJson(SampleResultSchema, value, { ignoreUnknownFields: true });
    const own = variants.get(variant) ?? { right: 0, n: 0, unparsed: 0, failed: 0, rights: new Map() };
    variants.set(variant, own);
    if (error !== undefined) {
      own.failed += 1;
      continue;
    }
    const right = verdict === Verdict.RIGHT || (verdict === Verdict.GRADED && grade >= 0.5);
    own.n += 1;
    own.right += Number(right);
    own.unparsed += Number(verdict === Verdict.UNPARSED);
    own.rights.set(id, right);
  }
  const [first] = variants.values();
  const bars = [...variants].map(([name, { right, n }]) => ({ name, value: right / n, ...wilson(right, n), most: 1, n }));
  const rows = [...variants].map(([name, own], i) => {
    const both = [...own.rights].filter(([id]) => first?.rights.has(id));
    const better = both.filter(([id, right]) => right && !first?.rights.get(id)).length;
    const worse = both.filter(([id, right]) => !right && first?.rights.get(id)).length;
    return [name, String(own.n), String(own.right), String(own.unparsed), String(own.failed), ...(i === 0 ? ["", ""] : [String(better), String(worse)])];
  });
  return [
    { is: "bars", name: "right", bars },
    { is: "heading", level: 2, text: "Against the first variant, on the same items" },
    { is: "table", head: ["variant", "n", "right", "not read", "errors", "better", "worse"], rows },
  ];
}

/** Wilson's 95 % interval of a share. */
export function wilson(right: number, n: number): { low: number; high: number } {
  if (n === 0) return { low: NaN, high: NaN };
  const z = 1.959963984540054;
  const share = right / n;
  const middle = (share + (z * z) / (2 * n)) / (1 + (z * z) / n);
  const half = ((z / (1 + (z * z) / n)) * Math.sqrt((share * (1 - share)) / n + (z * z) / (4 * n * n)));
  return { low: Math.max(0, middle - half), high: Math.min(1, middle + half) };
}

function json(text: string, name: string): Block[] {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw new Error(`${name}: it is no JSON`);
  }
  return [
    { is: "heading", level: 1, text: name },
    { is: "code", text: JSON.stringify(value, undefined, 2) },
  ];
}

/** Headings, tables and texts of the kind of Markdown that reports are written in. */
function markdown(text: string): Block[] {
  const blocks: Block[] = [];
  const lines = text.split("\n");
  for (let at = 0; at < lines.length; at += 1) {
    const line = lines[at] ?? "";
    const [, marks, heading] = /^(#{1,4}) (.*)/.exec(line) ?? [];
    if (marks !== undefined) blocks.push({ is: "heading", level: Math.min(3, marks.length) as 1 | 2 | 3, text: heading ?? "" });
    else if (line.startsWith("|")) {
      const own: string[][] = [];
      for (; lines[at]?.startsWith("|"); at += 1) own.push(cells(lines[at] ?? ""));
      at -= 1;
      const [head = [], , ...rows] = own;
      blocks.push({ is: "table", head, rows });
    } else if (line.startsWith("- ")) {
      const own: string[] = [];
      for (; lines[at]?.startsWith("- "); at += 1) own.push((lines[at] ?? "").slice(2));
      at -= 1;
      blocks.push({ is: "list", lines: own });
    } else if (line.trim() !== "" && !line.startsWith("![")) blocks.push({ is: "text", text: line });
  }
  return blocks;
}

const cells = (line: string) =>
  line
    .trim()
    .replace(/^\||\|$/g, "")
    .split(/(?<!\\)\|/)
    .map((cell) => cell.trim().replaceAll("\\|", "|"));
