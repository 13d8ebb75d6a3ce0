/** Asks the questions of a table in every way, some at a time. */

import { evaluateBatch, ScotomaError } from "scotoma";
import { type SampleResult, SamplingSchema } from "scotoma/v1";
import { create } from "@bufbuild/protobuf";

import { address, apiKey } from "../state/server";
import type { Told } from "../look/task";
import type { Collected } from "./analysis";
import { type ItemRow, message, type Table } from "./table";
import { calls, variantOf, type Way } from "./ways";

/** Questions of one call, and calls at once: what a call sends has to reach the server before it answers. */
const BATCH = 12;
const BATCH_BYTES = 8 << 20;
const AT_ONCE = 2;
/** Tries of a call that the server has no room for. */
const TRIES = 6;

/** What is asked. */
export interface Asking {
  table: Table;
  files: ReadonlyMap<string, File>;
  model: string;
  rule: string;
  ways: Way[];
}

interface Batch {
  rows: ItemRow[];
  seed: bigint | undefined;
  ways: Way[];
}

/** Cuts what is not answered yet into batches: all ways of the first questions come first. */
export function batches({ table, ways }: Pick<Asking, "table" | "ways">, found: Pick<Collected, "has">): Batch[] {
  const all: Batch[] = [];
  for (const own of pieces(table.rows)) {
    for (const call of calls(ways)) {
      const rows = own.filter(({ id }) => call.ways.some(({ name }) => !found.has(id, name)));
      if (rows.length > 0) all.push({ ...call, rows });
    }
  }
  return all;
}

function* pieces(rows: readonly ItemRow[]): Generator<ItemRow[]> {
  let piece: ItemRow[] = [];
  let bytes = 0;
  for (const row of rows) {
    if (piece.length > 0 && (piece.length >= BATCH || bytes + row.raw.length > BATCH_BYTES)) {
      yield piece;
      [piece, bytes] = [[], 0];
    }
    piece.push(row);
    bytes += row.raw.length;
  }
  if (piece.length > 0) yield piece;
}

/** Asks what is not answered yet, and adds answers to `found` as they come. */
export async function evaluate(asking: Asking, found: Collected, signal: AbortSignal, told: Told, came: () => void): Promise<void> {
  const rest = batches(asking, found);
  const total = rest.reduce((sum, { rows, ways }) => sum + rows.length * ways.length, 0);
  let done = 0;
  told("Asking", 0, total);
  const worker = async () => {
    for (let batch = rest.shift(); batch !== undefined && !signal.aborted; batch = rest.shift()) {
      await ask(asking, batch, signal, (way, result) => {
        found.add(way.name, way.kind, result);
        done += 1;
        told("Asking", done, total);
        came();
      });
    }
  };
  try {
    await Promise.all(Array.from({ length: AT_ONCE }, () => worker()));
  } catch (error) {
    // The other workers end with the call that they are at.
    rest.length = 0;
    throw error;
  }
}

async function ask(
  { table, files, model, rule }: Asking,
  { rows, seed, ways }: Batch,
  signal: AbortSignal,
  came: (way: Way, result: SampleResult) => void,
): Promise<void> {
  const header = {
    model,
    rules: { case: "rule" as const, value: rule },
    variants: ways.map(variantOf),
    ...(seed !== undefined && { sampling: create(SamplingSchema, { temperature: 1, seed }) }),
  };
  const questions = await Promise.all(rows.map((row) => message(table, row, files)));
  const byName = new Map(ways.map((way) => [way.name, way]));
  for (let tries = 1; ; tries += 1) {
    try {
      const settings = { signal, ...(apiKey.value !== "" && { apiKey: apiKey.value }) };
      for await (const { event } of evaluateBatch(address, header, questions, settings)) {
        if (event.case !== "result") continue;
        // A row that cannot be read has one result, of no variant.
        const way = byName.get(event.value.variant) ?? (event.value.error === undefined ? undefined : ways[0]);
        if (way !== undefined) came(way, event.value);
      }
      return;
    } catch (error) {
      const failed = ScotomaError.from(error, signal.aborted);
      if (failed.retryAfter === undefined || tries === TRIES || signal.aborted) throw failed;
      const wait = failed.retryAfter * (1 + Math.random());
      await new Promise((over) => setTimeout(over, wait));
    }
  }
}
