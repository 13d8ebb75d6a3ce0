/** Holds attention patterns, and takes from them what is asked for. */

import type { Word } from "./layout";

/** What one token looks at: layer by layer, head by head, every position up to its own. */
export interface Pattern {
  layers: number;
  heads: number;
  keys: number;
  /** (layers, heads, keys) */
  values: Float32Array;
}

/** A layer or a head; undefined: the mean over all. */
export type Chosen = number | undefined;

/**
 * Returns the position whose attention is meant by a word: its own, or, of a word of the answer, the one before, at which the model has
 * chosen it.
 */
export const lookingFrom = ({ of, position }: Word) => (of === "answer" ? position - 1 : position);

/** Rows of one layer, as Capture sends them: (tokens, heads, keys). */
export interface Layer {
  layer: number;
  tokens: readonly number[];
  shape: readonly number[];
  values: Float32Array;
}

/** Collects patterns by the position that looks. */
export class Patterns {
  readonly #layers: number;
  readonly #found = new Map<number, Pattern>();

  constructor(layers: number) {
    this.#layers = layers;
  }

  /** Takes the rows of a layer in. */
  add({ layer, tokens, shape, values }: Layer): void {
    const [, heads = 0, keys = 0] = shape;
    const size = heads * keys;
    tokens.forEach((position, row) => {
      let pattern = this.#found.get(position);
      if (pattern === undefined) {
        pattern = { layers: this.#layers, heads, keys, values: new Float32Array(this.#layers * size) };
        this.#found.set(position, pattern);
      }
      pattern.values.set(values.subarray(row * size, (row + 1) * size), layer * size);
    });
  }

  of(word: Word): Pattern | undefined {
    return this.#found.get(lookingFrom(word));
  }
}

const chosen = (one: Chosen, count: number) => (one === undefined ? Array.from({ length: count }, (_, i) => i) : [one]);

/** Returns the attention to each position, of one layer and head, or the mean over them. */
export function attention({ layers, heads, keys, values }: Pattern, layer: Chosen, head: Chosen): Float32Array {
  const result = new Float32Array(keys);
  const [own, ownHeads] = [chosen(layer, layers), chosen(head, heads)];
  const share = 1 / (own.length * ownHeads.length);
  for (const l of own) {
    for (const h of ownHeads) {
      const start = (l * heads + h) * keys;
      for (let key = 0; key < keys; key += 1) result[key]! += values[start + key]! * share;
    }
  }
  return result;
}

/** Returns how much of the attention goes to some positions, by layer and head: (layers, heads). */
export function mass({ layers, heads, keys, values }: Pattern, positions: ArrayLike<number>): Float32Array {
  const result = new Float32Array(layers * heads);
  for (let row = 0; row < layers * heads; row += 1) {
    for (let i = 0; i < positions.length; i += 1) {
      const position = positions[i] ?? -1;
      if (position >= 0 && position < keys) result[row]! += values[row * keys + position]!;
    }
  }
  return result;
}
