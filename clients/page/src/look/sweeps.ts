/** Sweeps the patches of a picture: what hiding each of them costs. */

import type { MessageInitShape } from "@bufbuild/protobuf";
import { signal } from "@preact/signals";
import type { OccludePatches_Fill, ScoreRequestSchema, SweepResult, SweepVariantSchema } from "scotoma/v1";

import { client } from "../state/server";
import { type Logprobs, SweepMap } from "./maps";
import type { Looked } from "./run";
import { Task, type Told } from "./task";

type Score = MessageInitShape<typeof ScoreRequestSchema>;
type Variant = MessageInitShape<typeof SweepVariantSchema>;

/** How a map of patches is made. */
export interface Occlusion {
  /** Cells along each side. */
  grid: number;
  fill: OccludePatches_Fill;
  /** The text whose probability is watched, and one against it; none where it is empty. */
  watch: string;
  against: string;
}

/** A map of patches. */
export interface OcclusionMap extends Occlusion {
  of: Looked;
  map: SweepMap;
}

export const occluded = signal<OcclusionMap | undefined>(undefined);
/** Grows with every result of the map that is there. */
export const occlusionResults = signal(0);
export const occlusionTask = new Task();

/** The texts whose probabilities are watched. */
export const watched = (watch: string, against: string) => (against === "" ? [watch] : [watch, against]);

function outcome({ outcome: came }: SweepResult): Logprobs | string {
  if (came.case === "scored") return came.value.scores.map(({ logprob }) => logprob);
  return came.case === "error" ? came.value.message : "no answer came";
}

/** Scores variants of one input, the first of which changes nothing more. */
async function sweep(input: Score, variants: Variant[], map: SweepMap, signal: AbortSignal, told: Told): Promise<void> {
  told("Hiding patches", 0, variants.length);
  const stream = await client.value.sweep({ input: { case: "score", value: input }, variants }, { signal });
  for await (const result of stream) {
    map.add(result.variant, outcome(result));
    told("Hiding patches", map.done, variants.length);
    occlusionResults.value += 1;
  }
  if (map.errors.size === map.size) throw new Error([...map.errors.values()][0]);
}

/** Hides cell after cell and watches a text's probability. */
export async function occlude(of: Looked, how: Occlusion): Promise<void> {
  await occlusionTask.run(async (signal, told) => {
    const { model, prompt, interventions } = of.request;
    const input = { model, prompt: prompt!, interventions, continuations: watched(how.watch, how.against) };
    const cells = how.grid * how.grid;
    const hidden = (cell: number): Variant => ({
      interventions: [
        { kind: { case: "occludePatches", value: { grid: how.grid, fill: how.fill, choice: { case: "indices", value: { indices: [cell] } } } } },
      ],
    });
    const map = new SweepMap(cells);
    occluded.value = { ...how, of, map };
    const variants = [{}, ...Array.from({ length: cells }, (_, cell) => hidden(cell))];
    await sweep(input, variants, map, signal, told);
  });
}
