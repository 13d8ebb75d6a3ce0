/** Holds the server that the page came from: the client, the key, the models, and whether it answers. */

import { computed, signal } from "@preact/signals";
import { Code, connect, ScotomaError } from "scotoma";
import type { ModelInfo } from "scotoma/v1";

const KEY = "scotoma.key";
const LONGEST_WAIT_MS = 5000;

/** The address of the server, which is the page's own. */
export const address = location.origin;

/** The key of a server that needs one; kept until the tab is closed. */
export const apiKey = signal(sessionStorage.getItem(KEY) ?? "");

/** The client of all views. */
export const client = computed(() => {
  const key = apiKey.value;
  // Views say themselves that a server is away, and try again.
  return connect(address, { patienceMs: 0, ...(key !== "" && { apiKey: key }) });
});

/** What the page knows of the server. */
export type Standing =
  | { is: "connecting" }
  | { is: "ready" }
  /** It wants a key, or another one. */
  | { is: "locked"; why: string }
  | { is: "away"; why: string };

/** Whether the server answers. */
export const standing = signal<Standing>({ is: "connecting" });

/** The resident models in the order of loading. */
export const models = signal<ModelInfo[]>([]);

/** The name of the model that is asked; the first one unless another was chosen. */
export const chosenModel = signal("");

/** The model that is asked. */
export const model = computed(() => models.value.find(({ name }) => name === chosenModel.value) ?? models.value[0]);

/** Asks the server what it has, once. */
async function look(): Promise<void> {
  try {
    models.value = await client.value.listModels({ timeoutMs: 10_000 });
    standing.value = { is: "ready" };
  } catch (error) {
    notice(error);
  }
}

/** Draws conclusions from the error of a call: the server is away, or wants a key. Others say nothing about it. */
export function notice(error: unknown): void {
  const failed = ScotomaError.from(error);
  if (failed.code === Code.Unauthenticated) {
    standing.value = { is: "locked", why: failed.message };
  } else if (failed.code === Code.Unavailable && failed.reason === undefined) {
    standing.value = { is: "away", why: failed.message };
    void wait();
  } else if (standing.value.is !== "ready") {
    standing.value = { is: "away", why: failed.message };
    void wait();
  }
}

let waiting = false;

/** Tries again until a server that was lost is back. */
async function wait(): Promise<void> {
  if (waiting) return;
  waiting = true;
  for (let pause = 500; standing.value.is === "away"; pause = Math.min(pause * 1.5, LONGEST_WAIT_MS)) {
    await new Promise((done) => setTimeout(done, pause));
    await look();
  }
  waiting = false;
}

/** Connects when the page opens. */
export async function begin(): Promise<void> {
  await look();
}

/** Takes a key and tries it. */
export async function unlock(key: string): Promise<void> {
  apiKey.value = key;
  sessionStorage.setItem(KEY, key);
  standing.value = { is: "connecting" };
  await look();
}

/** Forgets the key. */
export async function lock(): Promise<void> {
  sessionStorage.removeItem(KEY);
  apiKey.value = "";
  models.value = [];
  await look();
}
