/** Holds what the model would say after each layer: the logit lens. */

/** A token with its logarithm of probability. */
export interface Guess {
  text: string;
  logprob: number;
}

/** Collects the likeliest tokens by layer and position. */
export class Lens {
  readonly layers: number;
  readonly #found = new Map<number, Guess[][]>();

  constructor(layers: number) {
    this.layers = layers;
  }

  /** Takes the rows of a layer in. */
  add(layer: number, tokens: readonly number[], top: readonly { tokens: readonly Guess[] }[]): void {
    tokens.forEach((position, row) => {
      const guesses = this.#found.get(position) ?? [];
      guesses[layer] = [...(top[row]?.tokens ?? [])];
      this.#found.set(position, guesses);
    });
  }

  /** The likeliest tokens after a layer, the likeliest first. */
  at(layer: number, position: number): Guess[] {
    return this.#found.get(position)?.[layer] ?? [];
  }

  has(position: number): boolean {
    return this.#found.has(position);
  }

  /** The first layer from which on the likeliest token is that of the last one; undefined where there are no layers. */
  settled(position: number): number | undefined {
    const last = this.at(this.layers - 1, position)[0];
    if (last === undefined) return undefined;
    let layer = this.layers - 1;
    while (layer > 0 && this.at(layer - 1, position)[0]?.text === last.text) layer -= 1;
    return layer;
  }
}
