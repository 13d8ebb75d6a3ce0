/** Turns the results of sweeps into maps of what hiding a patch costs, and parts a prompt into groups. */

/** What one variant came to: logarithms of probabilities of the texts that are watched. */
export type Logprobs = readonly number[];

/** What is measured: how likely the first text is, or how much likelier than the second. */
export function measure([first = NaN, second]: Logprobs): number {
  return second === undefined ? first : first - second;
}

/** Collects results of a sweep whose first variant changes nothing more. */
export class SweepMap {
  readonly size: number;
  readonly values: Float32Array;
  /** Logarithms of the probabilities of the watched texts, by cell. */
  readonly logprobs: (Logprobs | undefined)[];
  base: Logprobs | undefined;
  done = 0;
  /** What the server said of variants that failed, by cell. */
  readonly errors = new Map<number, string>();

  constructor(size: number) {
    this.size = size;
    this.values = new Float32Array(size).fill(NaN);
    this.logprobs = Array.from({ length: size });
  }

  /** Takes a result in: number 0 is the base, the others are cells. */
  add(variant: number, outcome: Logprobs | string): void {
    this.done += 1;
    if (typeof outcome === "string") {
      if (variant > 0) this.errors.set(variant - 1, outcome);
    } else if (variant === 0) this.base = outcome;
    else this.logprobs[variant - 1] = outcome;
  }

  /** What each cell takes away: the base less what is left without it. */
  drops(): Float32Array {
    const base = this.base === undefined ? NaN : measure(this.base);
    return this.values.map((_, i) => base - measure(this.logprobs[i] ?? []));
  }
}

/** Positions that are patched together. */
export interface Group {
  name: string;
  positions: number[];
}

/** Returns groups of tokens: rows of the picture, the words after it one by one, and what stands before it as one. */
export function groupsOf(
  planes: readonly { rows: number; columns: number; positions: ArrayLike<number> }[],
  words: readonly { text: string; position: number }[],
  first: number,
  bands: number,
): Group[] {
  const groups: Group[] = [];
  if (first > 0) groups.push({ name: "before", positions: Array.from({ length: first }, (_, i) => i) });
  for (const { rows, columns, positions } of planes) {
    const parts = Math.min(bands, rows);
    for (let part = 0; part < parts; part += 1) {
      const [from, to] = [Math.floor((part * rows) / parts), Math.floor(((part + 1) * rows) / parts)];
      const own = Array.from({ length: (to - from) * columns }, (_, i) => positions[from * columns + i] ?? -1).filter((one) => one >= 0);
      if (own.length > 0) groups.push({ name: parts === 1 ? "picture" : to - from === 1 ? `row ${from + 1}` : `rows ${from + 1}–${to}`, positions: own });
    }
  }
  for (const { text, position } of words) groups.push({ name: text, positions: [position] });
  return groups;
}
