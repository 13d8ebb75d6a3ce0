/** Sweeps of the view Look: what hiding each patch costs, and what each kept activation gives back. */

import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { signal } from "@preact/signals";
import {
  type CaptureTargetSchema,
  DataType,
  type Intervention,
  InterventionSchema,
  type OccludePatches_Fill,
  type Prompt,
  type ScoreRequestSchema,
  type SweepResult,
  type SweepVariantSchema,
} from "scotoma/v1";

import { client } from "../state/server";
import { type Group, groupsOf, type Logprobs, measure, SweepMap } from "./maps";
import { type Looked, runnerUp } from "./run";
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

const watched = (watch: string, against: string) => (against === "" ? [watch] : [watch, against]);

function outcome({ outcome: came }: SweepResult): Logprobs | string {
  if (came.case === "scored") return came.value.scores.map(({ logprob }) => logprob);
  return came.case === "error" ? came.value.message : "no answer came";
}

/** Scores variants of one input, the first of which changes nothing more. */
async function sweep(input: Score, variants: Variant[], map: SweepMap, what: string, signal: AbortSignal, told: Told, came: () => void): Promise<void> {
  told(what, 0, variants.length);
  const stream = await client.value.sweep({ input: { case: "score", value: input }, variants }, { signal });
  for await (const result of stream) {
    map.add(result.variant, outcome(result));
    told(what, map.done, variants.length);
    came();
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
    await sweep(input, variants, map, "Hiding patches", signal, told, () => (occlusionResults.value += 1));
  });
}

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
  map: SweepMap;
  /** The answers, and what is watched: the clean answer, and the corrupted one or that which came second. */
  clean: { answer: string; logprobs: Logprobs };
  corrupted: { answer: string };
  watched: string[];
}

export const patched = signal<PatchingMap | undefined>(undefined);
export const patchingResults = signal(0);
export const patchingTask = new Task();

/** Targets of one capture. */
const MOST_TARGETS = 64;

const prompted = (prompt: Prompt, picture: Uint8Array<ArrayBuffer> | undefined): Prompt =>
  picture === undefined
    ? prompt
    : { ...prompt, images: prompt.images.map((image, i) => (i === 0 ? { ...image, source: { case: "data", value: picture } } : image)) };

/** Runs clean and corrupted, and patches what was kept of the clean run into the corrupted one, layer by layer and group by group. */
export async function patch(of: Looked, how: Patching): Promise<void> {
  await patchingTask.run(async (signal, told) => {
    const { model, prompt: clean, interventions } = of.request;
    const picture = how.pictures[await mostUnlike(of, how.pictures, signal, told)];
    const prompt = prompted(clean!, picture);
    const corrupted = { model, prompt, interventions: how.corruption === undefined ? interventions : [...interventions, how.corruption] };
    told("Asking the corrupted question");
    const answer = (await (await client.value.generate({ ...corrupted, maxTokens: 16 }, { signal })).finish()).text;
    const other = answer === of.answer ? runnerUp(of) : answer;
    const continuations = other === "" ? [of.answer] : [of.answer, other];
    const scored = await client.value.score({ model, prompt: clean!, interventions, continuations }, { signal });
    const whole = scored.scores.map(({ logprob }) => logprob);

    const layers = Array.from({ length: of.model.languageModel?.layers ?? 0 }, (_, i) => i).filter((l) => l % how.every === 0);
    const groups = groupsFor(of, how.bands);
    const handles = await keep(of, how.point, layers, groups, signal, told);
    const map = new SweepMap(layers.length * groups.length);
    if (patched.value?.url !== undefined) URL.revokeObjectURL(patched.value.url);
    const url = picture === undefined ? undefined : URL.createObjectURL(new Blob([picture]));
    patched.value = { of, url, layers, groups, map, clean: { answer: of.answer, logprobs: whole }, corrupted: { answer }, watched: continuations };
    const variants = [{}, ...layers.flatMap((layer) => groups.map((group, g) => patchOf(how.point, layer, group, handles.get(`${layer} ${g}`))))];
    await sweep({ ...corrupted, continuations }, variants, map, "Patching", signal, told, () => (patchingResults.value += 1));
  });
}

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

/** Groups that one capture can keep, the last words where there are many. */
export function groupsFor(of: Looked, bands: number): Group[] {
  const own = of.words.filter(({ of: part }) => part === "prompt");
  const first = Math.min(...of.planes.flatMap(({ positions }) => [...positions].filter((one) => one >= 0)), own[0]?.position ?? 0);
  const groups = groupsOf(of.planes, own, first, bands);
  const before = groups.length - own.length;
  return [...groups.slice(0, before), ...groups.slice(before).slice(-(MOST_TARGETS - before))];
}

/** Bytes that a capture of these groups keeps and sends. */
export function keptBytes({ model: { languageModel } }: Looked, layers: number, groups: readonly Group[]): number {
  const positions = groups.reduce((all, group) => all + group.positions.length, 0);
  return positions * layers * (languageModel?.width ?? 0) * 4;
}

/** Keeps the activations of the clean run; returns their handles by layer and group. */
async function keep(of: Looked, point: string, layers: number[], groups: Group[], signal: AbortSignal, told: Told): Promise<Map<string, string>> {
  const { model, prompt, interventions } = of.request;
  const targets = groups.map(
    ({ positions }): MessageInitShape<typeof CaptureTargetSchema> => ({
      keep: true,
      target: { point, layers, tokens: { anyOf: [{ set: { case: "indices", value: { indices: positions } } }] }, steps: { last: 0 } },
    }),
  );
  told("Keeping the clean run");
  // bf16 halves what is sent; what is kept is exact.
  const stream = await client.value.capture({ model, prompt: prompt!, interventions, targets, dtype: DataType.BF16 }, { signal });
  const { kept } = await stream.finish();
  return new Map(kept.map(({ point: at, target, handle }) => [`${/\.blocks\.(\d+)\./.exec(at)?.[1]} ${target}`, handle]));
}

function patchOf(point: string, layer: number, { positions }: Group, handle: string | undefined): Variant {
  if (handle === undefined) throw new Error(`layer ${layer}: nothing was kept; a change may leave it out`);
  const target = {
    point: point.replace("{l}", String(layer)),
    tokens: { anyOf: [{ set: { case: "indices" as const, value: { indices: positions } } }] },
    steps: { last: 0 },
  };
  return { interventions: [create(InterventionSchema, { kind: { case: "patch", value: { target, source: { case: "handle", value: handle } } } })] };
}
