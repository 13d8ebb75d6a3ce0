/** Holds the table that a benchmark is made of: its answers, its order, and which questions are ticked. */

import { batch, computed, signal } from "@preact/signals";
import samples from "virtual:samples";
import type { RuleInfo } from "scotoma/v1";

import { csv } from "../draw/csv";
import { save } from "../draw/download";
import { Task } from "../look/task";
import { client, model } from "../state/server";
import { Collected, type Filter, OPEN, type Order, passes, sorted } from "./analysis";
import { asText, partOf } from "./columns";
import { byName } from "./drop";
import { evaluate } from "./evaluate";
import { isTable, kept, readTable, type Table } from "./table";
import { PLAIN, ruleFor, SETS, type Way } from "./ways";

/** Milliseconds between two drawings of a wall whose answers come. */
const DRAWN_EVERY = 250;

export const table = signal<Table | undefined>(undefined);
/** Pictures beside the table, by what it may call them. */
export const files = signal<ReadonlyMap<string, File>>(new Map());
export const rules = signal<RuleInfo[]>([]);
export const rule = signal("");
/** Names of the sets of ways that are asked. */
export const asked = signal<ReadonlySet<string>>(new Set(SETS.map(({ name }) => name)));
export const found = signal(new Collected());
/** Grows when answers came, some at a time. */
export const answers = signal(0);
export const order = signal<Order>("file");
export const descending = signal(false);
export const filter = signal<Filter>(OPEN);
/** Places of the ticked rows. */
export const ticked = signal<ReadonlySet<number>>(new Set());

export const readTask = new Task();
export const askTask = new Task();

/** The ways that are asked. */
export const ways = computed<Way[]>(() => [PLAIN, ...SETS.filter(({ name }) => asked.value.has(name)).flatMap(({ ways: own }) => own)]);

export const questionOf = (row: { cells: Record<string, unknown> }) => asText(partOf(row.cells, "question"));
export const categoryOf = (row: { cells: Record<string, unknown> }) => asText(partOf(row.cells, "category"));

export const categories = computed(() => [...new Set(table.value?.rows.map(categoryOf).filter((name) => name !== "") ?? [])].sort());

/** Places of the rows that are shown, in their order. */
export const shown = computed<number[]>(() => {
  answers.value;
  const rows = table.value?.rows ?? [];
  const items = rows.map(({ id }) => found.value.items.get(id));
  const open = rows.map((row, i) => passes(filter.value, questionOf(row), categoryOf(row), items[i]));
  return sorted(items, order.value, descending.value).filter((i) => open[i]);
});

/** Whether a row has another one's id, so that the server would refuse it. */
export const doubled = computed(() => {
  const ids = table.value?.rows.map(({ id }) => id) ?? [];
  return ids.length - new Set(ids).size;
});

/** Takes files in: a table, and the pictures beside it. */
export async function take(taken: ReadonlyMap<string, File>): Promise<void> {
  await readTask.run(async (signal, told) => {
    const tables = [...taken.values()].filter(({ name }) => isTable(name));
    const [first, second] = tables;
    if (first === undefined) throw new Error("a table is needed: a file whose name ends in .tsv, .csv, .jsonl or .parquet");
    if (second !== undefined) throw new Error(`one table at a time: ${tables.map(({ name }) => name).join(", ")}`);
    told(`Reading ${first.name}`);
    const read = await readTable(first, (rows) => told(`Reading ${first.name}: ${rows} rows`));
    if (signal.aborted) return;
    if (rules.value.length === 0) rules.value = await client.value.describe({ signal });
    begin(read, byName(taken));
  });
}

function begin(read: Table, pictures: Map<string, File>): void {
  askTask.cancel();
  batch(() => {
    table.value = read;
    files.value = pictures;
    found.value = new Collected();
    ticked.value = new Set();
    filter.value = OPEN;
    order.value = "file";
    descending.value = false;
    rule.value = ruleFor(read, rules.value);
  });
}

/** Takes the samples of the embedded model in as a table. */
export async function takeSamples(): Promise<void> {
  const rows = samples.map(({ id, png, question, answer, category }) => [id, png, question, answer, category]);
  const text = csv([["index", "image", "question", "answer", "category"], ...rows], "\t");
  await take(new Map([["shapes-samples.tsv", new File([text], "shapes-samples.tsv")]]));
}

/** Answers of another rule or model are none of this one. */
export function setRule(name: string): void {
  rule.value = name;
  found.value = new Collected();
  answers.value += 1;
}

/** The digest of the model whose answers are there. */
let askedOf = "";

/** Asks what is not answered yet. */
export async function ask(): Promise<void> {
  const [now, info] = [table.value, model.value];
  if (now === undefined || info === undefined) return;
  if (askedOf !== info.digest) setRule(rule.value);
  askedOf = info.digest;
  const own = found.value;
  let drawn = 0;
  const came = () => {
    if (performance.now() - drawn < DRAWN_EVERY) return;
    drawn = performance.now();
    answers.value += 1;
  };
  await askTask.run((signal, told) =>
    evaluate({ table: now, files: files.value, model: info.name, rule: rule.value, ways: ways.value }, own, signal, told, came),
  );
  answers.value += 1;
}

export function tick(place: number, on: boolean): void {
  const next = new Set(ticked.value);
  if (on) next.add(place);
  else next.delete(place);
  ticked.value = next;
}

export function tickShown(on: boolean): void {
  const next = new Set(ticked.value);
  for (const place of shown.value) {
    if (on) next.add(place);
    else next.delete(place);
  }
  ticked.value = next;
}

/** Saves the ticked rows as they came. */
export function saveKept(): void {
  const now = table.value;
  if (now === undefined) return;
  const { name, parts } = kept(now, now.rows.filter((_, i) => ticked.value.has(i)));
  save(name, new Blob(parts), "text/plain");
}

/** Saves what was found of every question, as `scotoma items` writes it. */
export function saveItems(): void {
  const rows = table.value?.rows ?? [];
  const names = ways.value.map(({ name }) => name);
  const cell = (value: number | undefined) => (value === undefined || Number.isNaN(value) ? "" : value.toFixed(4));
  const lines = rows.map((row, i) => {
    const item = found.value.items.get(row.id);
    const bits = names.map((name) => {
      const one = item?.byWay.get(name);
      return one === undefined ? "" : Number(one.right);
    });
    const right = item?.answer === undefined ? "" : Number(item.right);
    const shares = [cell(item?.difficulty), cell(item?.stability), cell(item?.need)];
    return [row.id, categoryOf(row), right, ...shares, Number(ticked.value.has(i)), item?.answer ?? "", ...bits];
  });
  const head = ["id", "category", "right", "difficulty", "stability", "image_needed", "ticked", "answer", ...names];
  save("items.csv", csv([head, ...lines]), "text/csv");
}
