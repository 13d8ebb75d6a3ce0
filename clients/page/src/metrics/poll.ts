/** Reads the server's metrics again and again, for as long as somebody looks. */

import { signal } from "@preact/signals";

import { address } from "../state/server";
import { History } from "./history";
import { parseMetrics } from "./prometheus";

const EVERY_MS = 2000;
/** Readings that are kept: ten minutes. */
const KEPT = 300;

export const history = new History(KEPT);
/** Grows with each reading. */
export const readings = signal(0);
/** Why the last reading failed; empty where it did not. */
export const failed = signal("");

let watchers = 0;
let timer: ReturnType<typeof setTimeout> | undefined;

async function read(): Promise<void> {
  try {
    const response = await fetch(`${address}/metrics`, { cache: "no-store", signal: AbortSignal.timeout(5 * EVERY_MS) });
    if (!response.ok) throw new Error(`/metrics answers ${response.status}`);
    history.add({ at: Date.now(), metrics: parseMetrics(await response.text()) });
    readings.value += 1;
    failed.value = "";
  } catch (error) {
    failed.value = error instanceof Error ? error.message : String(error);
  }
}

async function turn(): Promise<void> {
  // A page that nobody sees asks nothing.
  if (!document.hidden) await read();
  if (watchers > 0) timer = setTimeout(() => void turn(), EVERY_MS);
}

/** Reads from now on; the function that it returns ends that. */
export function watch(): () => void {
  watchers += 1;
  if (watchers === 1) {
    clearTimeout(timer);
    void turn();
  }
  return () => {
    watchers -= 1;
    if (watchers === 0) clearTimeout(timer);
  };
}
