/** Asks, with the changes and without, and holds what came: tokens as they come, the records, and the differences. */

import { create, toJsonString } from "@bufbuild/protobuf";
import { batch, computed, effect, signal } from "@preact/signals";
import { Code, ScotomaError } from "scotoma";
import {
  type Finished,
  type GenerateRequest,
  GenerateRequestSchema,
  type Image,
  type Intervention,
  type Sampling,
  SamplingSchema,
  type Started,
  type Token,
  type TokenLogprob,
} from "scotoma/v1";

import { imageOf, interventions, type Picture, picture, prompt, question } from "./question";
import { client, model, notice, standing } from "./server";

/** Pictures above this are uploaded once and then named by their handle. */
const INLINE_BYTES = 64 << 10;
/** Candidates that come with each token. */
const CANDIDATES = 5;
/** The page asks by itself until two answers in a row take longer; the first one after a start may. */
const QUICK_MS = 4000;
const PAUSE_MS = 150;
/** What was answered before stays this long, unless the first token is here: clearing it would make a quick answer wait. */
const STAYS_MS = 80;

/** An answer, as far as it has come. */
export interface Answered {
  is: "running" | "done" | "stopped" | "failed";
  tokens: Token[];
  text: string;
  started?: Started;
  finished?: Finished;
  error?: ScotomaError;
  /** What was asked, without the interventions: see `key`. */
  asked: string;
  /** The interventions under which it came about, in the order of the request. */
  interventions: Intervention[];
  /** Milliseconds until the first token. */
  firstMs?: number;
}

/** The likelihood of one text, token by token, without the changes and with them. */
export interface Compared {
  tokens: { text: string; before: TokenLogprob; after: TokenLogprob }[];
  before: number;
  after: number;
}

/** How tokens are chosen. */
export const sampling = signal<Sampling>(create(SamplingSchema));
/** At most this many tokens; 0 leaves it to the model. */
export const maxTokens = signal(0);
/** Where the answer ends. */
export const stops = signal<string[]>([]);
/** Tells samples apart that share a seed. */
export const sampleKey = signal("");

/** Whether the page asks again by itself when something changes. */
export const live = signal(true);

/** The answer without changes. */
export const unchanged = signal<Answered | undefined>(undefined);
/** The answer under the changes; undefined where there are none. */
export const changed = signal<Answered | undefined>(undefined);
/** How likely the answer without changes is under them. */
export const compared = signal<Compared | undefined>(undefined);
/** Whether something is on its way. */
export const asking = computed(() => unchanged.value?.is === "running" || changed.value?.is === "running");

/** Why calls are ended when the user wants no more of them, and not another answer. */
const STOPPED = "stopped";

let running = new AbortController();
/** How many answers in a row were slow. */
let slow = 0;
/** Whether the user has said when to ask. */
let isSaid = false;

const handles = new WeakMap<Picture, Image>();

/** Returns what stands for a picture in a request: its bytes, or a handle where they are many. */
export async function sent(shown: Picture, signal?: AbortSignal): Promise<Image> {
  if (shown.bytes.length <= INLINE_BYTES) return imageOf(shown);
  const kept = handles.get(shown) ?? (await client.value.uploadImage(shown.bytes, signal === undefined ? {} : { signal }));
  handles.set(shown, kept);
  return kept;
}

/** Runs a call that names the picture; where the server has lost it, once more with a fresh upload. */
export async function withPicture<T>(call: (images: Image[]) => Promise<T>, signal?: AbortSignal): Promise<T> {
  const shown = picture.value;
  if (shown === undefined) return call([]);
  try {
    return await call([await sent(shown, signal)]);
  } catch (error) {
    if (ScotomaError.from(error).code !== Code.NotFound || !handles.delete(shown)) throw error;
    return call([await sent(shown, signal)]);
  }
}

/** The request without pictures, as far as both answers share it. */
export const request = computed<GenerateRequest | undefined>(() => {
  if (prompt.value === undefined) return undefined;
  return create(GenerateRequestSchema, {
    model: model.value?.name ?? "",
    prompt: { ...prompt.value, images: [] },
    sampling: sampling.value,
    maxTokens: maxTokens.value,
    stop: stops.value,
    topLogprobs: CANDIDATES,
    sampleKey: sampleKey.value,
  });
});

/** Tells two questions apart. */
const key = computed(() => {
  const asked = request.value === undefined ? "" : toJsonString(GenerateRequestSchema, request.value);
  return `${picture.value?.url ?? ""}${picture.value?.handle ?? ""} ${asked}`;
});

/** Returns the sampling with a seed, where one is drawn: both answers have the same. */
function seeded(asked: Sampling): Sampling {
  const draws = (asked.temperature > 0 || asked.doSample) && asked.seed === undefined;
  return draws ? { ...asked, seed: BigInt(crypto.getRandomValues(new Uint32Array(1))[0] ?? 0) } : asked;
}

/** Streams one answer into a signal. The request goes out before anything is drawn. */
async function stream(into: typeof unchanged, base: GenerateRequest, list: Intervention[], signal: AbortSignal): Promise<void> {
  const begun = performance.now();
  let now: Answered = { is: "running", tokens: [], text: "", asked: key.value, interventions: list };
  const put = (next: Partial<Answered>) => {
    clearTimeout(empties);
    now = { ...now, ...next };
    // A later question has the place.
    if (signal.aborted) return;
    batch(() => {
      into.value = now;
      compared.value = undefined;
    });
  };
  const empties = setTimeout(put, STAYS_MS, {});
  try {
    await withPicture(async (images) => {
      const asked = { ...base, prompt: { ...base.prompt, images }, interventions: list } as GenerateRequest;
      const answer = await client.value.generate(asked, { signal });
      // Drawn with the first token, which is there soon after it.
      now = { ...now, started: answer.started };
      for await (const token of answer) {
        put({ tokens: [...now.tokens, token], text: now.text + token.text, firstMs: now.firstMs ?? performance.now() - begun });
      }
      const { finished } = answer;
      if (finished !== undefined) put({ is: "done", finished, text: finished.text });
    }, signal);
  } catch (error) {
    if (signal.aborted) {
      if (signal.reason === STOPPED && into.value === now) into.value = { ...now, is: "stopped" };
      return;
    }
    const failed = ScotomaError.from(error);
    notice(failed);
    put({ is: "failed", error: failed });
  }
}

/** Asks: without changes where that is not known yet, and with them. */
export async function ask(): Promise<void> {
  const base = request.value;
  if (base === undefined || model.value === undefined) return stop();
  running.abort();
  const abort = new AbortController();
  running = abort;
  const begun = performance.now();
  const asked = { ...base, sampling: base.sampling === undefined ? undefined : seeded(base.sampling) } as GenerateRequest;
  const list = interventions.value;
  const isKnown = unchanged.value?.is === "done" && unchanged.value.asked === key.value && asked.sampling?.seed === base.sampling?.seed;
  const streams: Promise<void>[] = [];
  if (!isKnown) streams.push(stream(unchanged, asked, [], abort.signal));
  if (list.length > 0) streams.push(stream(changed, asked, list, abort.signal));
  else changed.value = undefined;
  await Promise.all(streams);
  if (abort.signal.aborted) return;
  slow = performance.now() - begun > QUICK_MS ? slow + 1 : 0;
  if (slow > 1 && !isSaid) live.value = false;
  if (list.length > 0 && unchanged.value?.is === "done" && changed.value?.is === "done") await compare(list, abort.signal);
}

/** Scores the answer without changes, under them and without. */
async function compare(list: Intervention[], signal: AbortSignal): Promise<void> {
  const text = unchanged.value?.text ?? "";
  const base = request.value;
  if (text.trim() === "" || base === undefined) return;
  // Where the model writes a space first, its answer's text comes without it.
  const continuations = [text, ` ${text}`];
  const score = (under: Intervention[]) =>
    withPicture(
      (images) =>
        client.value.score(
          { model: base.model, prompt: { ...base.prompt, images } as never, interventions: under, continuations, sampleKey: base.sampleKey },
          { signal },
        ),
      signal,
    );
  try {
    const [before, after] = await Promise.all([score([]), score(list)]);
    const said = unchanged.value?.tokens.map(({ id }) => id) ?? [];
    const same = before.scores.findIndex(({ tokens }) => tokens.every(({ id }, at) => id === said[at]));
    const at = same === -1 ? before.best : same;
    const [was, is] = [before.scores[at], after.scores[at]];
    if (signal.aborted || was === undefined || is === undefined) return;
    compared.value = {
      tokens: was.tokens.map((token, index) => ({ text: token.text, before: token, after: is.tokens[index] ?? token })),
      before: was.logprob,
      after: is.logprob,
    };
  } catch (error) {
    // The answers stand without it; a server that is lost is another matter.
    if (!signal.aborted) notice(error);
  }
}

/** Asks as things change, or not, however long answers take. */
export function askLive(isLive: boolean): void {
  isSaid = true;
  live.value = isLive;
}

/** Ends the answers where they are. */
export function stop(): void {
  running.abort(STOPPED);
}

/** Forgets the answers, of another question for instance. */
export function clear(): void {
  running.abort();
  batch(() => {
    unchanged.value = undefined;
    changed.value = undefined;
    compared.value = undefined;
  });
}

/** Asks again when the picture, the question, the model or a change is another one; after a pause where people type or drag. */
export function askAsThingsChange(): () => void {
  let timer = 0;
  let last = "";
  let of: { shown: Picture | undefined; words: string; at: number } = { shown: undefined, words: "", at: -Infinity };
  return effect(() => {
    const base = request.value;
    const list = interventions.value;
    // A server that is back is asked again.
    if (standing.value.is === "away") last = "";
    if (base === undefined || model.value === undefined || !live.value || standing.value.is !== "ready") return;
    const now = `${key.value} ${list.map((each) => JSON.stringify(each, plain)).join()}`;
    if (now === last) return;
    const before = of;
    of = { shown: picture.value, words: question.value, at: performance.now() };
    const isTyped = of.words !== before.words && of.shown === before.shown;
    const goesOn = of.at - before.at < PAUSE_MS;
    const wait = last !== "" && (isTyped || goesOn) ? PAUSE_MS : 0;
    last = now;
    clearTimeout(timer);
    timer = window.setTimeout(() => void ask(), wait);
  });
}

/** Writes bigints and bytes, which JSON does not know. */
function plain(_: string, value: unknown): unknown {
  return typeof value === "bigint" || value instanceof Uint8Array ? value.toString() : value;
}
