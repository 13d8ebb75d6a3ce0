/** Knows where the patches and the words of a prompt stand in the language model's input. */

import { type Provenance, type ResolvedIntervention, type Span, SelectTokens_Mode, SpanKind } from "scotoma/v1";

/** A grid of patches, and where each stands among the positions; -1: it has none. */
export interface Plane {
  image: number;
  /** The base view, or the canvas that the tiles of an any-resolution picture make up. */
  of: "view" | "canvas";
  rows: number;
  columns: number;
  positions: Int32Array;
}

/** Returns the grids of patches of a prompt, base views first. */
export function planes({ layout, plan }: Pick<Provenance, "layout" | "plan">): Plane[] {
  const found = new Map<string, Plane>();
  for (const span of layout) {
    const of = span.kind === SpanKind.BASE_VIEW ? "view" : span.kind === SpanKind.TILE ? "canvas" : undefined;
    if (of === undefined || span.gridRows === 0) continue;
    const name = `${of} ${span.image}`;
    const { gridRows: rows, gridColumns: columns, image } = span;
    const plane = found.get(name) ?? { image, of, rows, columns, positions: new Int32Array(rows * columns).fill(-1) };
    found.set(name, plane);
    if (of === "view") placeView(plane, span, selected(plan, image));
    else placeRow(plane, span);
  }
  return [...found.values()].sort((a, b) => Number(a.of === "canvas") - Number(b.of === "canvas") || a.image - b.image);
}

/** A base view is one span, row by row; of some of its patches where others were left out. */
function placeView(plane: Plane, { start, end }: Span, stay: number[] | undefined): void {
  const { positions } = plane;
  const whole = end - start === positions.length;
  for (let i = 0; i < end - start; i += 1) {
    const patch = whole ? i : stay?.[i];
    if (patch !== undefined && patch < positions.length) positions[patch] = start + i;
  }
}

/** A span of tiles is one row of one of them. */
function placeRow({ positions, columns }: Plane, { start, end, row, column }: Span): void {
  for (let i = 0; i < end - start && column + i < columns; i += 1) positions[row * columns + column + i] = start + i;
}

/** The visual tokens that SelectTokens lets stay, where it acts; several of them are not told apart. */
function selected(plan: ResolvedIntervention[], image: number): number[] | undefined {
  const own = plan.filter(({ intervention }) => intervention?.kind.case === "selectTokens");
  const [only] = own;
  if (own.length !== 1 || only === undefined) return undefined;
  const { kind } = only.intervention!;
  if (kind.case !== "selectTokens" || kind.value.mode === SelectTokens_Mode.POOL) return undefined;
  return only.resolutions.find((one) => one.image === image)?.indices;
}

/** Values at the patches of a plane, from values at all positions; NaN where a patch has none. */
export function onPlane({ positions }: Plane, values: ArrayLike<number>): Float32Array {
  return Float32Array.from(positions, (position) => (position < 0 ? NaN : (values[position] ?? NaN)));
}

/** A word, or a part of one, that attention and the lens are asked about. */
export interface Word {
  text: string;
  /** Where it stands in the input. */
  position: number;
  /** Of the prompt, or of the answer. */
  of: "prompt" | "answer";
  /** The natural logarithm of its probability where it stands. */
  logprob: number | undefined;
}

/** A token with its probability, as Score and Generate give it. */
export interface Scored {
  text: string;
  logprob: number;
}

/** Returns the positions of text after the last picture, or all where there is none. */
export function tailOf(layout: readonly Span[]): { start: number; end: number } {
  const end = layout.at(-1)?.end ?? 0;
  const last = layout.findLast(({ kind }) => kind !== SpanKind.TEXT);
  return { start: last?.end ?? 0, end };
}

/** Parts the prompt after its last picture: what stands before is not scored, what stands after is. */
export function parted(promptText: string): { before: string; after: string } {
  const at = promptText.lastIndexOf("<image>");
  const cut = at < 0 ? 0 : at + "<image>".length;
  return { before: promptText.slice(0, cut), after: promptText.slice(cut) };
}

/** Returns the words after the picture and of the answer. Where the tokens do not fill their positions, these have numbers for names. */
export function words(layout: readonly Span[], scored: readonly Scored[], answer: readonly Scored[]): Word[] {
  const { start, end } = tailOf(layout);
  const fits = scored.length === end - start;
  const prompt = Array.from({ length: end - start }, (_, i): Word => {
    const one = fits ? scored[i] : undefined;
    return { text: one?.text ?? `[${start + i}]`, position: start + i, of: "prompt", logprob: one?.logprob };
  });
  const own = answer.map(({ text, logprob }, i): Word => ({ text, position: end + i, of: "answer", logprob }));
  return [...prompt, ...own];
}

/** Returns how a token is shown: an empty one ends the answer, line breaks are seen, and spaces where there is nothing else. */
export function shown(text: string): string {
  if (text === "") return "(end)";
  return text.trim() === "" ? text.replaceAll("\n", "↵").replaceAll(" ", "␣") : text.trim();
}
