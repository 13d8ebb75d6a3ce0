/** Holds what a new change of a kind begins with, so that it does something at once. A kind that is not here begins empty. */

import type { JsonValue } from "@bufbuild/protobuf";

const tokens = { anyOf: [{ named: "NAMED_VISUAL" }] };
const target = { point: "language_model.blocks.{l}.hook_resid_pre", layers: [1], tokens };

export const starts: Record<string, JsonValue> = {
  permuteTokens: { seed: "7", scope: "SCOPE_ALL" },
  occludePatches: { random: { ratio: 0.5, seed: "7" }, fill: "FILL_BLACK" },
  dropLayers: { stack: "STACK_LANGUAGE_MODEL", layers: [1] },
  swapProjector: { randomSeed: "7" },
  blankImage: { colour: "COLOUR_BLACK" },
  shufflePatches: { grid: 3, seed: "7" },
  selectTokens: { tokens: { anyOf: [{ blocks: { grid: 2, indices: [0] } }] }, mode: "MODE_KEEP" },
  replaceTokens: { tokens: { anyOf: [{ blocks: { grid: 2, indices: [0] } }] }, constant: "CONSTANT_MEAN" },
  repeatLayers: { stack: "STACK_LANGUAGE_MODEL", first: 1, last: 1, times: 1 },
  exitEarly: { stack: "STACK_LANGUAGE_MODEL", layer: 3 },
  addNoise: { target, scale: 1, seed: "7", geometry: "GEOMETRY_GAUSSIAN" },
  scale: { target, factor: 0.5 },
  ablate: { target, value: "CONSTANT_MEAN" },
  clampNorm: { target, maxNorm: 5 },
  setFeature: { target, features: [0], clamp: 0 },
  knockOutAttention: {
    stack: "STACK_LANGUAGE_MODEL",
    layers: [1],
    from: { anyOf: [{ named: "NAMED_LAST" }] },
    to: tokens,
  },
  pruneTokens: { layer: 1, keepShare: 0.25 },
};

/** A change that shows something at once, in words of its own. */
export interface Idea {
  say: string;
  list: JsonValue[];
}

/** Changes that a stranger can try. */
export const ideas: Idea[] = [
  { say: "Hide half of the picture", list: [{ occludePatches: { random: { ratio: 0.5, seed: "7" }, fill: "FILL_BLACK" } }] },
  { say: "Shuffle what it sees", list: [{ permuteTokens: { seed: "7", scope: "SCOPE_ALL" } }] },
  { say: "Skip a layer", list: [{ dropLayers: { stack: "STACK_LANGUAGE_MODEL", layers: [1] } }] },
  { say: "Leave off the last layers", list: [{ exitEarly: { stack: "STACK_LANGUAGE_MODEL", layer: 5 } }] },
  { say: "Show no picture", list: [{ blankImage: { colour: "COLOUR_BLACK" } }] },
  { say: "Cut off attention to the picture", list: [{ knockOutAttention: { stack: "STACK_LANGUAGE_MODEL", from: { anyOf: [{ named: "NAMED_LAST" }] }, to: tokens } }] },
];
