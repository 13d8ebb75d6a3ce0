/** Holds the hook points of the model that is asked. */

import { signal } from "@preact/signals";
import type { HookPoint } from "scotoma/v1";

import { client, notice } from "./server";

export const hookPoints = signal<HookPoint[]>([]);

let of = "";

/** Asks for the hook points of a model, where they are not known yet. */
export async function readHookPoints(model: string): Promise<void> {
  if (of === model) return;
  of = model;
  try {
    hookPoints.value = await client.value.listHookPoints(model);
  } catch (error) {
    of = "";
    notice(error);
  }
}
