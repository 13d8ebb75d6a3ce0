/** Says of each question how hard it is, whether it needs its picture, and how stable its answer is. */

import { type SampleResult, Verdict } from "scotoma/v1";

/** The group of a way of asking. */
export type Kind = "plain" | "unseen" | "changed" | "sampled";

/** What became of one question. */
export interface Item {
  id: string;
  /** The answer as it is; undefined before it came. */
  answer: string | undefined;
  text: string;
  right: boolean;
  /** The share of the ways without the picture under which it is wrong, if it is right as it is; else 0. NaN: none was asked. */
  need: number;
  /** The share of the other ways with the picture whose answer is the same. NaN: none was asked. */
  stability: number;
  /** The share of the plain and the sampled answers that are wrong. */
  difficulty: number;
  /** What was answered, by the name of the way. */
  byWay: Map<string, { right: boolean; answer: string }>;
  /** What the server said where it gave no answer. */
  error: string;
}

/** An answer under one way of asking. */
interface Answer {
  way: string;
  kind: Kind;
  result: SampleResult;
}

const isRight = ({ verdict, grade }: SampleResult) => verdict === Verdict.RIGHT || (verdict === Verdict.GRADED && grade >= 0.5);

const share = <T>(of: readonly T[], holds: (one: T) => boolean) => (of.length === 0 ? NaN : of.filter(holds).length / of.length);

/** Analyses one question by its answers so far. */
export function analyse(id: string, answers: readonly Answer[]): Item {
  const good = answers.filter(({ result }) => result.error === undefined);
  const plain = good.find(({ kind }) => kind === "plain")?.result;
  const of = (kind: Kind) => good.filter((answer) => answer.kind === kind);
  const right = plain !== undefined && isRight(plain);
  const unseen = of("unseen");
  const same = ({ result }: Answer) => result.answer === plain?.answer;
  return {
    id,
    answer: plain?.answer,
    text: plain?.text ?? "",
    right,
    // A question that is wrong with its picture says nothing of what the picture is for.
    need: unseen.length > 0 && !right ? 0 : share(unseen, ({ result }) => !isRight(result)),
    stability: plain === undefined ? NaN : share([...of("changed"), ...of("sampled")], same),
    difficulty: share([...of("plain"), ...of("sampled")], ({ result }) => !isRight(result)),
    byWay: new Map(good.map(({ way, result }) => [way, { right: isRight(result), answer: result.text.trim() || result.answer }])),
    error: answers.find(({ result }) => result.error !== undefined)?.result.error?.message ?? "",
  };
}

/** Collects answers as they come, and analyses their questions. */
export class Collected {
  readonly #answers = new Map<string, Answer[]>();
  readonly items = new Map<string, Item>();

  /** Takes an answer in, the last one where there are two. */
  add(way: string, kind: Kind, result: SampleResult): void {
    const { id } = result;
    const others = (this.#answers.get(id) ?? []).filter((answer) => answer.way !== way);
    const answers = [...others, { way, kind, result }];
    this.#answers.set(id, answers);
    this.items.set(id, analyse(id, answers));
  }

  has(id: string, way: string): boolean {
    return this.#answers.get(id)?.some((answer) => answer.way === way && answer.result.error === undefined) ?? false;
  }
}

/** An order of the wall. */
export type Order = "file" | "need" | "stability" | "difficulty";

/** Returns the numbers of a wall in an order; those without an answer come last, equal ones as in the file. */
export function sorted(items: readonly (Item | undefined)[], order: Order, descending: boolean): number[] {
  const places = items.map((_, i) => i);
  if (order === "file") return descending ? places.reverse() : places;
  const value = (i: number) => items[i]?.[order] ?? NaN;
  return places.sort((a, b) => {
    const [x, y] = [value(a), value(b)];
    if (Number.isNaN(x) || Number.isNaN(y)) return Number(Number.isNaN(x)) - Number(Number.isNaN(y)) || a - b;
    return (descending ? y - x : x - y) || a - b;
  });
}

/** What a question has to be to be shown. */
export interface Filter {
  /** Letters that are in the question, whatever their case. */
  words: string;
  category: string;
  /** Right as it is, wrong, or either. */
  right: "" | "right" | "wrong";
  /** At least so much need of the picture, and stability; at most so much difficulty. */
  need: number;
  stability: number;
  difficulty: number;
}

/** Lets everything through. */
export const OPEN: Filter = { words: "", category: "", right: "", need: 0, stability: 0, difficulty: 1 };

/** Whether a question passes; one without an answer passes filters that ask for none. */
export function passes(filter: Filter, question: string, category: string, item: Item | undefined): boolean {
  if (filter.words !== "" && !question.toLowerCase().includes(filter.words.toLowerCase())) return false;
  if (filter.category !== "" && category !== filter.category) return false;
  if (filter.right !== "" && (item?.answer === undefined || item.right !== (filter.right === "right"))) return false;
  const atLeast = (value: number | undefined, least: number) => least <= 0 || (value !== undefined && value >= least);
  const atMost = filter.difficulty >= 1 || (item !== undefined && item.difficulty <= filter.difficulty);
  return atMost && atLeast(item?.need, filter.need) && atLeast(item?.stability, filter.stability);
}
