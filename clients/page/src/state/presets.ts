/** Holds the presets of the server: interventions under a name, which it serves a model under once more. */

import { signal } from "@preact/signals";

import { apiKey } from "./server";

/** A preset of a model. */
export interface Preset {
  model: string;
  name: string;
  /** In canonical JSON. */
  interventions: unknown[];
}

export const presets = signal<Preset[]>([]);

/** The preset whose interventions were loaded last. */
export const chosenPreset = signal("");

/** Asks for the presets. A server that has none, or no such door, has none to offer. */
export async function readPresets(): Promise<void> {
  try {
    const headers: HeadersInit = apiKey.value === "" ? {} : { authorization: `Bearer ${apiKey.value}` };
    const response = await fetch("/v1/models", { headers });
    if (!response.ok) return;
    const { data } = (await response.json()) as { data: { id: string; parent?: string; interventions?: unknown[] }[] };
    presets.value = data.flatMap(({ id, parent, interventions }) =>
      parent === undefined || interventions === undefined ? [] : [{ model: parent, name: id.slice(parent.length + 1), interventions }],
    );
  } catch {
    presets.value = [];
  }
}
