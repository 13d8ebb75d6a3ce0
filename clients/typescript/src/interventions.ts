/** Interventions: typed changes to one forward pass. Each function returns the message of the contract. */

import { create, fromJson, type JsonObject, type MessageInitShape, toJson } from "@bufbuild/protobuf";

import { type NameOf, numberOf } from "./names.js";
import { type Point, type StepsLike, selector, steps, target, type TokensLike } from "./selectors.js";
import {
  AddNoise_Geometry,
  BlankImage_Colour,
  Constant,
  DataType,
  type Intervention,
  InterventionSchema,
  OccludePatches_Fill,
  type OccludePatchesSchema,
  PermuteTokens_Scope,
  type SalientPatchesSchema,
  type Sampling,
  SamplingSchema,
  type SetFeatureSchema,
  MergeTokens_Similarity,
  MergeTokens_Value,
  type MergeTokensSchema,
  SelectTokens_Mode,
  SelectTokens_Positions,
  Stack,
  type Target,
} from "./v1.js";

type Kind = NonNullable<MessageInitShape<typeof InterventionSchema>["kind"]>;
type Case = NonNullable<Intervention["kind"]["case"]>;

const of = (kind: Kind): Intervention => create(InterventionSchema, { kind });

/** A seed; beyond 2^53 as a bigint. */
export type Seed = number | bigint;

const stackOf = (stack: NameOf<typeof Stack> | undefined) =>
  stack === undefined ? {} : { stack: numberOf(Stack, stack) as Stack };

/** A place: a target, or a hook point with all of its values. */
export type TargetLike = Target | Point;

const place = (like: TargetLike): Target => (typeof like === "string" ? target(like) : like);

const order = (by: Seed | readonly number[] | undefined) => {
  if (by === undefined) {
    return {};
  }
  return {
    source:
      typeof by === "object"
        ? { case: "order" as const, value: { indices: [...by] } }
        : { case: "seed" as const, value: BigInt(by) },
  };
};

/** Permutes the visual tokens of each picture: by a seed, or row i becomes row `order[i]`; without either the server draws a seed. */
export function permuteTokens(
  by?: Seed | readonly number[],
  options: { scope?: NameOf<typeof PermuteTokens_Scope>; blocks?: number } = {},
): Intervention {
  const scope = numberOf(PermuteTokens_Scope, options.scope ?? "all") as PermuteTokens_Scope;
  return of({ case: "permuteTokens", value: { scope, blocks: options.blocks ?? 0, ...order(by) } });
}

/** How patches are hidden; black by default, in cells of the tower's patch grid. */
export interface Occlusion {
  fill?: NameOf<typeof OccludePatches_Fill>;
  fillSeed?: Seed;
  blurSigma?: number;
  grid?: number;
}

/** Hides patches, whichever are chosen. */
export function occludePatches(
  choice: NonNullable<MessageInitShape<typeof OccludePatchesSchema>["choice"]>,
  { fill = "black", fillSeed, blurSigma = 0, grid = 0 }: Occlusion = {},
): Intervention {
  const seed = fillSeed === undefined ? {} : { fillSeed: BigInt(fillSeed) };
  const number = numberOf(OccludePatches_Fill, fill) as OccludePatches_Fill;
  return of({ case: "occludePatches", value: { fill: number, choice, blurSigma, grid, ...seed } });
}

/** Hides a random share (0 to 1) of the patches. */
export function occludeRandom(ratio: number, seed?: Seed, options?: Occlusion): Intervention {
  const value = seed === undefined ? { ratio } : { ratio, seed: BigInt(seed) };
  return occludePatches({ case: "random", value }, options);
}

/** The most attended patches: the fewest that hold a mass of the attention (a number alone), or a share of all patches. */
export type Amount = number | { mass: number } | { share: number };

/** Whose attention: the tower's, a saliency model's, or weights, one for each cell; one head, or the mean over heads. */
export interface Saliency {
  model?: string;
  weights?: ArrayLike<number>;
  head?: number;
}

function salient(amount: Amount, { model, weights, head }: Saliency): MessageInitShape<typeof SalientPatchesSchema> {
  const source =
    model !== undefined
      ? { source: { case: "model" as const, value: model } }
      : weights !== undefined
        ? { source: { case: "weights" as const, value: { weights: Array.from(weights) } } }
        : {};
  return {
    amount:
      typeof amount === "object" && "share" in amount
        ? { case: "share", value: amount.share }
        : { case: "mass", value: typeof amount === "number" ? amount : amount.mass },
    ...source,
    ...(head === undefined ? {} : { head }),
  };
}

/** Hides the most attended patches. */
export function occludeSalient(amount: Amount, options: Occlusion & Saliency = {}): Intervention {
  return occludePatches({ case: "salient", value: salient(amount, options) }, options);
}

/** Hides all but the patches that `occludeSalient` would. */
export function occludeNonSalient(amount: Amount, options: Occlusion & Saliency = {}): Intervention {
  return occludePatches({ case: "nonSalient", value: salient(amount, options) }, options);
}

/** Blackens patches by number, row by row from the top left. */
export function occludeCells(...indices: number[]): Intervention {
  return occludePatches({ case: "indices", value: { indices } });
}

/** Lets layers of the language model, counted from 0, hand their input on unchanged. */
export function dropLayers(...layers: number[]): Intervention {
  return of({ case: "dropLayers", value: { stack: Stack.LANGUAGE_MODEL, layers } });
}

/** Does the same in the vision tower. */
export function dropTowerLayers(...layers: number[]): Intervention {
  return of({ case: "dropLayers", value: { stack: Stack.VISION_TOWER, layers } });
}

/** Runs another projector: a resident one by name, a random one by seed, or none at all. */
export function swapProjector(by: string | { randomSeed: Seed } | "identity"): Intervention {
  if (by === "identity") {
    return of({ case: "swapProjector", value: { source: { case: "identity", value: {} } } });
  }
  if (typeof by === "string") {
    return of({ case: "swapProjector", value: { source: { case: "name", value: by } } });
  }
  return of({ case: "swapProjector", value: { source: { case: "randomSeed", value: BigInt(by.randomSeed) } } });
}

/** Shows one colour in place of the picture: black, white, the processor's mean, or red, green and blue of 0 to 255. */
export function blankImage(colour: NameOf<typeof BlankImage_Colour> | readonly [number, number, number] = "black"): Intervention {
  if (typeof colour === "object") {
    const [red, green, blue] = colour;
    return of({ case: "blankImage", value: { fill: { case: "rgb", value: { red, green, blue } } } });
  }
  const value = numberOf(BlankImage_Colour, colour) as BlankImage_Colour;
  return of({ case: "blankImage", value: { fill: { case: "colour", value } } });
}

/** Cuts the picture in `grid` x `grid` cells and permutes them: by a seed, or cell i shows what cell `order[i]` did. */
export function shufflePatches(grid: number, by?: Seed | readonly number[]): Intervention {
  return of({ case: "shufflePatches", value: { grid, ...order(by) } });
}

/** How many tokens are left of those that "merge" does not keep, and how they are merged. */
export type Merging = ({ count: number } | { share: number }) & {
  similarity?: NameOf<typeof MergeTokens_Similarity>;
  value?: NameOf<typeof MergeTokens_Value>;
};

/** Keeps, removes or pools visual tokens; what is left keeps its positions unless they are compact. */
export function selectTokens(
  tokens: TokensLike,
  mode: NameOf<typeof SelectTokens_Mode> = "keep",
  positions?: NameOf<typeof SelectTokens_Positions>,
  merge?: Merging,
): Intervention {
  return of({
    case: "selectTokens",
    value: {
      tokens: selector(tokens),
      mode: numberOf(SelectTokens_Mode, mode) as SelectTokens_Mode,
      ...(positions === undefined
        ? {}
        : { positions: numberOf(SelectTokens_Positions, positions) as SelectTokens_Positions }),
      ...(merge === undefined ? {} : { merge: mergeTokens(merge) }),
    },
  });
}

function mergeTokens(merge: Merging): MessageInitShape<typeof MergeTokensSchema> {
  return {
    amount: "count" in merge ? { case: "count", value: merge.count } : { case: "share", value: merge.share },
    similarity: merge.similarity === undefined ? 0 : numberOf(MergeTokens_Similarity, merge.similarity),
    value: merge.value === undefined ? 0 : numberOf(MergeTokens_Value, merge.value),
  };
}

/** Writes other values over visual tokens: zero or the mean, noise (by a seed, or `true`), or another picture's tokens. */
export function replaceTokens(
  tokens: TokensLike,
  by: NameOf<typeof Constant> | { noise: Seed | true } | { donor: Uint8Array },
): Intervention {
  const own = { tokens: selector(tokens) };
  if (typeof by === "string") {
    const value = numberOf(Constant, by) as Constant;
    return of({ case: "replaceTokens", value: { ...own, source: { case: "constant", value } } });
  }
  if ("donor" in by) {
    return of({ case: "replaceTokens", value: { ...own, source: { case: "donor", value: { data: by.donor } } } });
  }
  const value = by.noise === true ? {} : { seed: BigInt(by.noise) };
  return of({ case: "replaceTokens", value: { ...own, source: { case: "noise", value } } });
}

/** Runs layers `first` to `last` again after themselves, `times` more (at most 16). */
export function repeatLayers(first: number, last = first, times = 1, stack?: NameOf<typeof Stack>): Intervention {
  return of({ case: "repeatLayers", value: { first, last, times, ...stackOf(stack) } });
}

/** Leaves out all layers above `layer`. */
export function exitEarly(layer: number, stack?: NameOf<typeof Stack>): Intervention {
  return of({ case: "exitEarly", value: { layer, ...stackOf(stack) } });
}

/** Adds noise of a scale (0 to 1e6), gaussian unless `geometry` says otherwise. */
export function addNoise(
  at: TargetLike,
  scale: number,
  options: { geometry?: NameOf<typeof AddNoise_Geometry>; seed?: Seed; randomScale?: boolean } = {},
): Intervention {
  const { geometry, seed, randomScale = false } = options;
  return of({
    case: "addNoise",
    value: {
      target: place(at),
      scale,
      randomScale,
      ...(geometry === undefined ? {} : { geometry: numberOf(AddNoise_Geometry, geometry) as AddNoise_Geometry }),
      ...(seed === undefined ? {} : { seed: BigInt(seed) }),
    },
  });
}

/** Adds `scale * vector`: activation steering. */
export function steer(at: TargetLike, vector: ArrayLike<number>, scale = 1): Intervention {
  return of({ case: "steer", value: { target: place(at), vector: Array.from(vector), scale } });
}

/** Removes the span of directions: directional ablation. */
export function projectOut(at: TargetLike, ...directions: ArrayLike<number>[]): Intervention {
  const values = directions.map((own) => ({ values: Array.from(own) }));
  return of({ case: "projectOut", value: { target: place(at), directions: values } });
}

/** Multiplies by a factor; 1 changes nothing. */
export function scale(at: TargetLike, factor: number): Intervention {
  return of({ case: "scale", value: { target: place(at), factor } });
}

/** Limits the Euclidean norm of each row, above 0. */
export function clampNorm(at: TargetLike, maxNorm: number): Intervention {
  return of({ case: "clampNorm", value: { target: place(at), maxNorm } });
}

/**
 * Gives features of a resident sparse autoencoder other values; the only one where `change.sae` is left out. What the autoencoder does
 * not explain of a row stays.
 */
export function setFeature(
  at: TargetLike,
  features: number | readonly number[],
  change: { sae?: string } & ({ clamp: number } | { scale: number } | { add: number } | { ablate: true }),
): Intervention {
  const { sae = "", ...what } = change;
  const [kind, ...more] = Object.entries(what);
  if (kind === undefined || more.length > 0 || !["clamp", "scale", "add", "ablate"].includes(kind[0])) {
    throw new TypeError("setFeature: one of clamp, scale, add and ablate says what the features become");
  }
  const value = (kind[0] === "ablate" ? { case: "ablate", value: {} } : { case: kind[0], value: kind[1] }) as NonNullable<
    MessageInitShape<typeof SetFeatureSchema>["change"]
  >;
  const numbers = typeof features === "number" ? [features] : Array.from(features);
  return of({ case: "setFeature", value: { target: place(at), sae, features: numbers, change: value } });
}

/** Writes zeros, or the mean of the chosen tokens of the prompt. */
export function ablate(at: TargetLike, value: NameOf<typeof Constant> = "zero"): Intervention {
  return of({ case: "ablate", value: { target: place(at), value: numberOf(Constant, value) as Constant } });
}

/** Writes given activations: rows of numbers of one width, an activation of `capture` (values and shape), or what it has kept, by its handle. */
export function patch(
  at: TargetLike,
  values: readonly ArrayLike<number>[] | { values: Float32Array; shape: readonly number[] } | string,
): Intervention {
  if (typeof values === "string") {
    return of({ case: "patch", value: { target: place(at), source: { case: "handle", value: values } } });
  }
  const whole = "shape" in values ? values : rowsOf(values);
  const data = new DataView(new ArrayBuffer(4 * whole.values.length));
  whole.values.forEach((own, i) => data.setFloat32(4 * i, own, true));
  const tensor = { shape: [...whole.shape], dtype: DataType.F32, data: new Uint8Array(data.buffer) };
  return of({ case: "patch", value: { target: place(at), source: { case: "values", value: tensor } } });
}

function rowsOf(rows: readonly ArrayLike<number>[]): { values: Float32Array; shape: number[] } {
  const width = rows[0]?.length ?? 0;
  if (width === 0 || rows.some((row) => row.length !== width)) {
    throw new RangeError("patch: rows of one width are needed, at least one");
  }
  return { values: Float32Array.from(rows.flatMap((row) => Array.from(row))), shape: [rows.length, width] };
}

/** Hides tokens (`to`) from tokens that look (`from`); all of each by default. */
export function knockOutAttention(where: {
  from?: TokensLike;
  to?: TokensLike;
  layers?: readonly number[];
  heads?: readonly number[];
  steps?: StepsLike;
  stack?: NameOf<typeof Stack>;
}): Intervention {
  return of({
    case: "knockOutAttention",
    value: {
      layers: [...(where.layers ?? [])],
      heads: [...(where.heads ?? [])],
      ...(where.from === undefined ? {} : { from: selector(where.from) }),
      ...(where.to === undefined ? {} : { to: selector(where.to) }),
      ...(where.steps === undefined ? {} : { steps: steps(where.steps) }),
      ...stackOf(where.stack),
    },
  });
}

/** Drops visual tokens after a layer: a share (0 to 1) or a count of them stays, ranked by the attention of the last token (FastV) unless said otherwise. */
export function pruneTokens(
  layer: number,
  keep: number | { share: number } | { count: number },
  by?: { receivedFrom: TokensLike } | { randomSeed: Seed } | "classAttention",
): Intervention {
  const amount =
    typeof keep === "object" && "count" in keep
      ? { case: "keepCount" as const, value: keep.count }
      : { case: "keepShare" as const, value: typeof keep === "number" ? keep : keep.share };
  const value = { layer, amount };
  if (by === undefined) {
    return of({ case: "pruneTokens", value });
  }
  if (by === "classAttention") {
    return of({ case: "pruneTokens", value: { ...value, ranking: { case: "classAttention", value: true } } });
  }
  const ranking =
    "randomSeed" in by
      ? { case: "randomSeed" as const, value: BigInt(by.randomSeed) }
      : { case: "receivedFrom" as const, value: selector(by.receivedFrom) };
  return of({ case: "pruneTokens", value: { ...value, ranking } });
}

/** The functions by the kind that they make. A kind of the contract without one does not compile. */
export const helpers = {
  permuteTokens,
  occludePatches,
  dropLayers,
  swapProjector,
  blankImage,
  shufflePatches,
  selectTokens,
  replaceTokens,
  repeatLayers,
  exitEarly,
  addNoise,
  steer,
  projectOut,
  scale,
  ablate,
  patch,
  knockOutAttention,
  pruneTokens,
  clampNorm,
  setFeature,
} as const satisfies Record<Case, (...args: never[]) => Intervention>;

/** How tokens are chosen, by the names of transformers: `sampling({ temperature: 0.7, topP: 0.9, topK: 50, seed: 1 })`. */
export function sampling(options: Omit<MessageInitShape<typeof SamplingSchema>, "seed" | "$typeName"> & { seed?: Seed }): Sampling {
  const { seed, ...rest } = options;
  const known = new Set(SamplingSchema.fields.map((field) => field.localName));
  const other = Object.keys(rest).find((own) => !known.has(own));
  if (other !== undefined) {
    throw new TypeError(`sampling: ${JSON.stringify(other)} is not known; ${[...known].join(", ")} are`);
  }
  return create(SamplingSchema, seed === undefined ? rest : { ...rest, seed: BigInt(seed) });
}

/** Any intervention from its canonical JSON form: `intervention({exitEarly: {layer: 5}})`. A name or a field that there is not throws. */
export function intervention(json: JsonObject): Intervention {
  return fromJson(InterventionSchema, json);
}

/** The canonical JSON form, for printing in a paper. */
export function toCanonicalJson(message: Intervention): JsonObject {
  return toJson(InterventionSchema, message) as JsonObject;
}
