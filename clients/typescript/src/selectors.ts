/**
 * Tokens and hook points as values: what a target says, and what a selector can.
 *
 *     tokens.visual.and(tokens.block(2, 3))
 *     target("language_model.blocks.{l}.attn.hook_pattern", { layers: [3, 4], tokens: tokens.last })
 *
 * The contract says a set as a union of sets or the complement of one. `and`, `minus` and `not` are worked out here where
 * that can say them, by what the sets are; what it cannot say throws.
 */

import { create, equals, type MessageInitShape } from "@bufbuild/protobuf";

import { type NameOf, numberOf } from "./names.js";
import {
  MeasuredTokens_Measure,
  type Steps,
  StepsSchema,
  type Target,
  TargetSchema,
  type Tokens,
  Tokens_Named,
  TokensSchema,
  type TokenSelector,
  TokenSelectorSchema,
} from "./v1.js";

type Init = NonNullable<MessageInitShape<typeof TokensSchema>["set"]>;

const ofPictures = new Set(["image", "tile", "blocks", "random", "salient"]);
const parts = [Tokens_Named.VISUAL, Tokens_Named.TEXT, Tokens_Named.GENERATED];
const partOf = new Map<Tokens_Named, Tokens_Named>([
  ...parts.map((part): [Tokens_Named, Tokens_Named] => [part, part]),
  [Tokens_Named.NEWLINE, Tokens_Named.VISUAL],
  [Tokens_Named.CLASS, Tokens_Named.VISUAL],
  [Tokens_Named.BASE_VIEW, Tokens_Named.VISUAL],
  [Tokens_Named.SYSTEM, Tokens_Named.TEXT],
  [Tokens_Named.QUESTION, Tokens_Named.TEXT],
  [Tokens_Named.USER, Tokens_Named.TEXT],
  [Tokens_Named.ASSISTANT, Tokens_Named.TEXT],
]);
const speakers = new Set([Tokens_Named.SYSTEM, Tokens_Named.USER, Tokens_Named.ASSISTANT]);

const set = (init: Init): Tokens => create(TokensSchema, { set: init });
const named = (own: Tokens): Tokens_Named | undefined => (own.set.case === "named" ? own.set.value : undefined);

/** The part of all tokens that holds the whole set, where one does. */
function part(own: Tokens): Tokens_Named | undefined {
  const name = named(own);
  return name === undefined ? (ofPictures.has(own.set.case ?? "") ? Tokens_Named.VISUAL : undefined) : partOf.get(name);
}

/** The numbers of both, where they are numbers of the same things. */
function numbers(one: Tokens, other: Tokens): [number[], number[]] | undefined {
  if (one.set.case === "indices" && other.set.case === "indices") {
    return [one.set.value.indices, other.set.value.indices];
  }
  if (one.set.case === "blocks" && other.set.case === "blocks" && one.set.value.grid === other.set.value.grid) {
    return [one.set.value.indices, other.set.value.indices];
  }
  return undefined;
}

/** Whether `one` is known to be a subset. */
function within(one: Tokens, other: Tokens): boolean {
  if (equals(TokensSchema, one, other)) {
    // A draw whose seed the server chooses is another one each time.
    return one.set.case !== "random" || one.set.value.seed !== undefined;
  }
  const [a, b] = [named(one), named(other)];
  if (b === Tokens_Named.ALL || (b === Tokens_Named.LAST && a === Tokens_Named.GENERATED)) {
    return true;
  }
  if (a === Tokens_Named.QUESTION && b === Tokens_Named.USER) {
    return true;
  }
  const both = numbers(one, other);
  return both ? both[0].every((n) => both[1].includes(n)) : b !== undefined && parts.includes(b) && part(one) === b;
}

/** Whether it is known that no token is in both. */
function apart(one: Tokens, other: Tokens): boolean {
  const [a, b] = [part(one), part(other)];
  if (a !== undefined && b !== undefined && a !== b) {
    return true;
  }
  const [speaks, answers] = [named(one), named(other)].map((n) => (n === Tokens_Named.QUESTION ? Tokens_Named.USER : n));
  if (speaks !== undefined && answers !== undefined && speakers.has(speaks) && speakers.has(answers)) {
    return speaks !== answers;
  }
  if (one.set.case === other.set.case && ["image", "tile", "turn"].includes(one.set.case ?? "")) {
    return one.set.value !== other.set.value;
  }
  const both = numbers(one, other);
  return both !== undefined && !both[0].some((n) => both[1].includes(n));
}

function ofNumbers(like: Tokens, chosen: number[]): Tokens[] {
  if (chosen.length === 0) {
    return [];
  }
  const grid = like.set.case === "blocks" ? like.set.value.grid : undefined;
  const indices = [...new Set(chosen)].sort((a, b) => a - b);
  return [grid === undefined ? set({ case: "indices", value: { indices } }) : set({ case: "blocks", value: { grid, indices } })];
}

/** What is in both, undefined where no set says it. */
function common(one: Tokens, other: Tokens): Tokens[] | undefined {
  if (within(other, one)) {
    return [other];
  }
  if (within(one, other)) {
    return [one];
  }
  if (apart(one, other)) {
    return [];
  }
  const both = numbers(one, other);
  return both && ofNumbers(one, both[0].filter((n) => both[1].includes(n)));
}

/** What is in `one` alone, undefined where no set says it. */
function without(one: Tokens, other: Tokens): Tokens[] | undefined {
  if (within(one, other)) {
    return [];
  }
  if (apart(one, other)) {
    return [one];
  }
  const both = numbers(one, other);
  return both && ofNumbers(one, both[0].filter((n) => !both[1].includes(n)));
}

function all<T>(lists: (T[] | undefined)[]): T[] | undefined {
  return lists.some((list) => list === undefined) ? undefined : lists.flatMap((list) => list ?? []);
}

/** A set of tokens. */
export class Selector {
  readonly #sets: Tokens[];
  readonly #complement: boolean;

  /** The union of sets, or its complement; `tokens` makes them. */
  constructor(sets: Tokens[], complement = false) {
    const kept: Tokens[] = [];
    for (const own of sets) {
      if (!kept.some((other) => within(own, other))) {
        kept.splice(0, kept.length, ...kept.filter((other) => !within(other, own)), own);
      }
    }
    this.#sets = kept;
    this.#complement = complement;
  }

  /** As the contract has it. */
  get message(): TokenSelector {
    // An empty list of the contract is every token.
    const complement = this.#sets.length === 0 ? !this.#complement : this.#complement;
    return create(TokenSelectorSchema, { anyOf: this.#sets, complement });
  }

  /** All other tokens. */
  not(): Selector {
    return new Selector(this.#sets, !this.#complement);
  }

  /** What is in one of them. */
  or(other: Selector): Selector {
    if (!this.#complement && !other.#complement) {
      return new Selector([...this.#sets, ...other.#sets]);
    }
    return this.not().and(other.not()).not();
  }

  /** What is in this alone. */
  minus(other: Selector): Selector {
    return this.and(other.not());
  }

  /** What is in both; throws where no selector of the contract says it. */
  and(other: Selector): Selector {
    if (this.#complement && other.#complement) {
      return new Selector([...this.#sets, ...other.#sets], true);
    }
    const [one, two] = this.#complement ? [other, this] : [this, other];
    const found = two.#complement ? one.#less(two.#sets) : one.#shared(two.#sets);
    if (found === undefined) {
      throw new RangeError(
        "no selector says this: one is a union of sets or the complement of a union, and a part of a set is known for tokens by " +
          "number, blocks of one grid, and what lies within visual, text, generated",
      );
    }
    return found;
  }

  #shared(others: Tokens[]): Selector | undefined {
    const sets = all(this.#sets.flatMap((a) => others.map((b) => common(a, b))));
    return sets && new Selector(sets);
  }

  #less(others: Tokens[]): Selector | undefined {
    let left: Tokens[] | undefined = this.#sets;
    for (const other of others) {
      left = left && all(left.map((own) => without(own, other)));
    }
    if (left !== undefined) {
      return new Selector(left);
    }
    const own = this.#sets.map((each) => named(each));
    if (!own.every((name) => name !== undefined && parts.includes(name))) {
      return undefined;
    }
    // Every token is in one of the parts: what is in one of these is what is in none of the others.
    const rest = parts.filter((name) => !own.includes(name)).map((value) => set({ case: "named", value }));
    return new Selector([...rest, ...others], true);
  }
}

const one = (init: Init): Selector => new Selector([set(init)]);
const name = (value: Tokens_Named): Selector => one({ case: "named", value });

/** Sets of tokens by what they are. */
export const tokens = {
  /** Every token. */
  all: new Selector([], true),
  /** Tokens of pictures, newline vectors and class token included; in the tower every patch. */
  visual: name(Tokens_Named.VISUAL),
  /** Text of the prompt. */
  text: name(Tokens_Named.TEXT),
  /** The system prompt. */
  system: name(Tokens_Named.SYSTEM),
  /** The user's words, in a conversation those of the last message. */
  question: name(Tokens_Named.QUESTION),
  /** The token that the next one is predicted from. */
  last: name(Tokens_Named.LAST),
  /** Generated tokens. */
  generated: name(Tokens_Named.GENERATED),
  /** Newline vectors of any-resolution pictures. */
  newline: name(Tokens_Named.NEWLINE),
  /** The class token. */
  class: name(Tokens_Named.CLASS),
  /** Patches of base views. */
  baseView: name(Tokens_Named.BASE_VIEW),
  /** Words of all messages of the user. */
  user: name(Tokens_Named.USER),
  /** Words of all messages of the assistant in the prompt. */
  assistant: name(Tokens_Named.ASSISTANT),
  /** Tokens by number. */
  at: (...indices: number[]): Selector => one({ case: "indices", value: { indices } }),
  /** All tokens of one picture of the request. */
  image: (value: number): Selector => one({ case: "image", value }),
  /** Patches of one tile of any-resolution pictures. */
  tile: (value: number): Selector => one({ case: "tile", value }),
  /** Words and pictures of one message. */
  turn: (value: number): Selector => one({ case: "turn", value }),
  /** Patches in blocks of a `grid` x `grid` partition, by number, row by row from 0. */
  block: (grid: number, ...indices: number[]): Selector => {
    if (indices.length === 0 || indices.some((n) => n < 0 || n >= grid * grid)) {
      throw new RangeError(`block: ${indices.join(", ")} of a grid of ${grid}; blocks 0 to ${grid * grid - 1} are`);
    }
    return one({ case: "blocks", value: { grid, indices } });
  },
  /** A random share (0 to 1) of the patches of each picture; without a seed the server draws one. */
  random: (ratio: number, seed?: number | bigint): Selector =>
    one({ case: "random", value: seed === undefined ? { ratio } : { ratio, seed: BigInt(seed) } }),
  /** The most attended patches: `{ mass: 0.5 }` of the attention, `{ share: 0.5 }` or `{ count: 9 }` of the patches. */
  salient: (amount: { mass: number } | { share: number } | { count: number }): Selector =>
    one({
      case: "salient",
      value: {
        amount:
          "mass" in amount
            ? { case: "mass", value: amount.mass }
            : "share" in amount
              ? { case: "share", value: amount.share }
              : { case: "count", value: amount.count },
      },
    }),
  /**
   * Tokens by a number that is measured of each at one hook point, without interventions: the longest by `{ count: 3 }` of "norm",
   * the most attended of "attention_received", those most like `vector` of "similarity".
   */
  measured: (
    point: string,
    measure: NameOf<typeof MeasuredTokens_Measure>,
    amount: { count: number } | { share: number } | { atLeast: number } | { timesMedian: number },
    more: {
      among?: NameOf<typeof Tokens_Named>;
      looking?: NameOf<typeof Tokens_Named>;
      lowest?: boolean;
      head?: number;
      vector?: readonly number[];
    } = {},
  ): Selector => {
    const [[key, value] = []] = Object.entries(amount);
    const named = (own?: NameOf<typeof Tokens_Named>): Tokens_Named =>
      own === undefined ? Tokens_Named.UNSPECIFIED : numberOf(Tokens_Named, own);
    return one({
      case: "measured",
      value: {
        point,
        measure: numberOf(MeasuredTokens_Measure, measure),
        amount: { case: key as "count", value: value as number },
        among: named(more.among),
        looking: named(more.looking),
        lowest: more.lowest ?? false,
        vector: [...(more.vector ?? [])],
        ...(more.head === undefined ? {} : { head: more.head }),
      },
    });
  },
} as const;

/** Tokens: a selector, or numbers. */
export type TokensLike = Selector | readonly number[];

/** The message of a selector. */
export function selector(like: TokensLike): TokenSelector {
  return (like instanceof Selector ? like : tokens.at(...like)).message;
}

type InBlock =
  | `hook_resid_${"pre" | "mid" | "post"}`
  | `hook_${"attn" | "mlp"}_out`
  | `ln${1 | 2}.hook_normalized`
  | `attn.hook_${"q" | "k" | "v" | "rot_q" | "rot_k" | "attn_scores" | "pattern" | "z"}`
  | `mlp.hook_${"pre" | "pre_linear" | "post"}`;

/** The name of a hook point; `{l}` stands for a layer. */
export type Point =
  | `${"vision_tower" | "language_model"}.blocks.${number | "{l}"}.${InBlock}`
  | `${"vision_tower" | "language_model"}.hook_embed`
  | `projector.hook_${"in" | "pre" | "post" | "out" | "tokens"}`
  | "language_model.ln_final.hook_normalized"
  | "language_model.hook_logits";

/** Steps of an answer: a number (0 is the prompt), or from `first` to `last`. */
export type StepsLike = number | { first?: number; last?: number };

/** What a target says beside its point; all of each by default. */
export interface Where {
  layers?: readonly number[];
  tokens?: TokensLike;
  heads?: readonly number[];
  dimensions?: readonly number[];
  steps?: StepsLike;
}

/** The message of steps. */
export function steps(like: StepsLike): Steps {
  return create(StepsSchema, typeof like === "number" ? { first: like, last: like } : like);
}

/** Values at a hook point. */
export function target(point: Point, where: Where = {}): Target {
  return create(TargetSchema, {
    point,
    layers: [...(where.layers ?? [])],
    heads: [...(where.heads ?? [])],
    dimensions: [...(where.dimensions ?? [])],
    ...(where.tokens === undefined ? {} : { tokens: selector(where.tokens) }),
    ...(where.steps === undefined ? {} : { steps: steps(where.steps) }),
  });
}
