/** Holds which of the samples is shown; they are questions of the embedded model's benchmark. */

import { batch, signal } from "@preact/signals";
import samples from "virtual:samples";

import type { Sample } from "../../build/samples";
import { pose } from "./question";

/** The sample that is shown; undefined for a picture of the user's. */
export const sampleShown = signal<Sample | undefined>(undefined);

/** Returns a sample by its id. */
export function sampleOf(id: string): Sample | undefined {
  return samples.find((sample) => sample.id === id);
}

/** Shows a sample with its question. */
export function showSample(sample: Sample, question = sample.question): void {
  const bytes = Uint8Array.from(atob(sample.png), (character) => character.charCodeAt(0));
  batch(() => {
    pose(bytes, `shapes-${sample.id}.png`, question);
    sampleShown.value = sample;
  });
}
