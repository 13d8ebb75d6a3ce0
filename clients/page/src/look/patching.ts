/** Patches what a clean run held into a corrupted one, layer by layer and group by group: one trace of the server. */

import type { MessageInitShape } from "@bufbuild/protobuf";
import { signal } from "@preact/signals";
import type { Intervention, MetricSchema, Prompt, TraceCell, TracePositionsSchema } from "scotoma/v1";

import { client } from "../state/server";
import { type Group, groupsOf, measure } from "./maps";
import { type Looked, runnerUp } from "./run";
import { watched } from "./sweeps";
import { Task, type Told } from "./task";

/** How a patching grid is made. */
export interface Patching {
  /** Pictures of which that is taken which makes the clean answer the least likely; none: the same one. */
  pictures: Uint8Array<ArrayBuffer>[];
  /** What corrupts the run, after the changes that the clean one has. */
  corruption: Intervention | undefined;
  /** The hook point that is patched, with `{l}`. */
  point: string;
  /** Every so many layers. */
  every: number;
  /** Bands that the picture is parted into. */
  bands: number;
}

/** A patching grid. */
export interface PatchingMap {
  of: Looked;
  /** The other picture; undefined where it is the same one. */
  url: string | undefined;
  layers: number[];
  groups: Group[];
  /** How far each cell brings the corrupted run back, layer by layer: 0 nothing, 1 all of it; NaN where it is not there. */
  effects: Float32Array;
  /** What the server said of cells that failed. */
  errors: Map<number, string>;
  /** What each run answers. */
  answers: { clean: string; corrupted: string };
  /** What is watched of each run; undefined before it has come. */
  baseline: { clean: number; corrupted: number } | undefined;
  /** The clean answer, and the corrupted one or that which came second. */
  watched: string[];
}

export const patched = signal<PatchingMap | undefined>(undefined);
export const patchingResults = signal(0);
export const patchingTask = new Task();

/** Runs clean and corrupted, and patches the one into the other. */
export async function patch(of: Looked, how: Patching): Promise<void> {
  await patchingTask.run(async (signal, told) => {
    const { model, prompt, interventions } = of.request;
    const picture = how.pictures[await mostUnlike(of, how.pictures, signal, told)];
    const corrupted = {
      prompt: prompted(prompt!, picture),
      interventions: how.corruption === undefined ? interventions : [...interventions, how.corruption],
    };
    told("Asking the corrupted question");
    const answer = (await (await client.value.generate({ model, ...corrupted, maxTokens: 16 }, { signal })).finish()).text;
    const texts = watched(of.answer, answer === of.answer ? runnerUp(of) : answer);
    told("Patching");
    const groups = groupsFor(of, how.bands);
    const clean = { prompt: prompt!, interventions };
    const trace = await client.value.trace({ model, clean, corrupted, metric: metricOf(texts), grid: gridOf(of, how, groups) }, { signal });
    const { cells, layers } = trace.started;
    if (patched.value?.url !== undefined) URL.revokeObjectURL(patched.value.url);
    const map: PatchingMap = {
      of,
      url: picture === undefined ? undefined : URL.createObjectURL(new Blob([picture])),
      layers,
      groups,
      effects: new Float32Array(cells).fill(NaN),
      errors: new Map(),
      answers: { clean: of.answer, corrupted: answer },
      baseline: undefined,
      watched: texts,
    };
    patched.value = map;
    let done = 0;
    for await (const cell of trace) {
      map.baseline = trace.baseline;
      add(map, cell);
      told("Patching", ++done, cells);
      patchingResults.value += 1;
    }
    if (map.errors.size === cells) throw new Error([...map.errors.values()][0]);
  });
}

function add({ groups, effects, errors }: PatchingMap, { layer, position, effect, error }: TraceCell): void {
  const cell = layer * groups.length + position;
  if (error === undefined) effects[cell] = effect ?? NaN;
  else errors.set(cell, error.message);
}

function metricOf([answer = "", other]: string[]): MessageInitShape<typeof MetricSchema> {
  return {
    kind: other === undefined ? { case: "logprob", value: answer } : { case: "logprobDifference", value: { answer, other } },
  };
}

function gridOf(of: Looked, { point, every }: Patching, groups: Group[]) {
  const all = Array.from({ length: of.model.languageModel?.layers ?? 0 }, (_, layer) => layer);
  const positions = groups.map(
    ({ name: label, positions: indices }): MessageInitShape<typeof TracePositionsSchema> => ({
      set: { case: "group", value: { label, tokens: { anyOf: [{ set: { case: "indices", value: { indices } } }] } } },
    }),
  );
  // None stands for those that run: changes may leave some out.
  return { points: [point], layers: every === 1 ? [] : all.filter((layer) => layer % every === 0), positions };
}

const prompted = (prompt: Prompt, picture: Uint8Array<ArrayBuffer> | undefined): Prompt =>
  picture === undefined
    ? prompt
    : { ...prompt, images: prompt.images.map((image, i) => (i === 0 ? { ...image, source: { case: "data", value: picture } } : image)) };

/** Returns the place of the picture under which the clean answer is the least likely, beside what came second. */
async function mostUnlike(of: Looked, pictures: Uint8Array<ArrayBuffer>[], signal: AbortSignal, told: Told): Promise<number> {
  if (pictures.length < 2) return 0;
  const { model, prompt, interventions } = of.request;
  const continuations = watched(of.answer, runnerUp(of));
  const values: number[] = [];
  for (const picture of pictures) {
    told("Trying pictures", values.length, pictures.length);
    const { scores } = await client.value.score({ model, prompt: prompted(prompt!, picture), interventions, continuations }, { signal });
    values.push(measure(scores.map(({ logprob }) => logprob)));
  }
  return values.indexOf(Math.min(...values));
}

/** Returns what is patched together: what stands before the picture, bands of the picture, and each word after it. */
export function groupsFor(of: Looked, bands: number): Group[] {
  const own = of.words.filter(({ of: part }) => part === "prompt");
  const first = Math.min(...of.planes.flatMap(({ positions }) => [...positions].filter((one) => one >= 0)), own[0]?.position ?? 0);
  return groupsOf(of.planes, own, first, bands);
}
