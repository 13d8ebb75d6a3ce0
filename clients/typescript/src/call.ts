/** What goes with a call, whichever server answers it: its names, its picture, and how long it may wait. */

import { Code } from "@connectrpc/connect";
import type { IHasher } from "hash-wasm";

import { type ScotomaError } from "./errors.js";

const FIRST_WAIT_MS = 100;
const LONGEST_WAIT_MS = 5000;

/** What every call takes. */
export interface CallOptions {
  /** Cancels the call. */
  signal?: AbortSignal;
  /** Milliseconds until the call ends with `Code.DeadlineExceeded`, its tries and waits together. */
  timeoutMs?: number;
  /**
   * Of all tries of this call, 1 to 128 visible ASCII characters: a call that ran already is answered from its run. Drawn by
   * default for calls of one answer; a stream with a key goes on for a while where its reader leaves.
   */
  idempotencyKey?: string;
  /** Names the call in the server's log and in errors; drawn by default. */
  requestId?: string;
  /** The span that this call belongs to (W3C trace context); what `Settings.traceparent` says by default. */
  traceparent?: string;
}

/** One logical call: the same over all of its tries. */
export interface Call {
  headers: Record<string, string>;
  requestId: string;
  /** BLAKE3 (hex) of the first picture, by which a server is chosen; empty: there is none. */
  picture: string;
  /** Handles of uploads and of kept activations that the request names. */
  handles: string[];
  signal: AbortSignal | undefined;
  timeoutMs: number | undefined;
}

/** A picture of a request, as a message or as its fields. */
interface ImageLike {
  source?: { case?: string | undefined; value?: unknown };
}

/** Draws a name that no other call has. */
export function drawn(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

let hasher: IHasher | undefined;

/** Makes `hash` ready; every call begins with it. */
export async function ready(): Promise<void> {
  // By itself, so that pages which are bundled show something before it is here.
  hasher ??= await (await import("hash-wasm")).createBLAKE3();
}

/** BLAKE3, in hex. */
export function hash(data: Uint8Array | string): string {
  if (hasher === undefined) {
    throw new Error("a call begins with `ready`");
  }
  return hasher.init().update(data).digest("hex");
}

/** The rendezvous weight of a server for a picture; the greatest one has it, in every client. */
export function weight(address: string, picture: string): string {
  return hash(`${address} ${picture}`);
}

/** The BLAKE3 (hex) of a picture's bytes, which is its handle, too. */
export function digest(image: ImageLike): string {
  const { source } = image;
  if (source?.case === "handle") {
    return String(source.value);
  }
  return source?.case === "data" ? hash(source.value as Uint8Array) : "";
}

/** The pictures of a request in their order. */
export function imagesOf(request: unknown): ImageLike[] {
  const { input, clean, corrupted, source, prompt, image, images } = (request ?? {}) as {
    input?: { value?: unknown };
    clean?: unknown;
    corrupted?: unknown;
    source?: unknown;
    prompt?: { images?: ImageLike[]; messages?: { parts?: { part?: { case?: string; value?: unknown } }[] }[] };
    image?: ImageLike;
    images?: ImageLike[];
  };
  if (input?.value !== undefined) {
    return imagesOf(input.value);
  }
  const parts = (prompt?.messages ?? []).flatMap((message) => message.parts ?? []);
  if (clean !== undefined) {
    return [...imagesOf(clean), ...imagesOf(corrupted)];
  }
  const inTurns = parts.filter(({ part }) => part?.case === "image").map(({ part }) => part?.value as ImageLike);
  return [...(prompt?.images ?? []), ...inTurns, ...(image ? [image] : []), ...(images ?? []), ...(source ? imagesOf(source) : [])];
}

/** Handles of kept activations that the interventions of a request name. */
function keptBy(request: unknown): string[] {
  const { input, clean, corrupted, source, interventions, variants, grid } = (request ?? {}) as {
    input?: { value?: unknown };
    clean?: unknown;
    corrupted?: unknown;
    source?: unknown;
    interventions?: { kind?: { case?: string; value?: { source?: { case?: string; value?: unknown } } } }[];
    variants?: unknown[];
    grid?: unknown;
  };
  const own = (interventions ?? []).flatMap(({ kind }) =>
    kind?.case === "patch" && kind.value?.source?.case === "handle" ? [String(kind.value.source.value)] : [],
  );
  const inner = [input?.value, clean, corrupted, source, grid, ...(variants ?? [])].filter((each) => each !== undefined);
  return [...own, ...inner.flatMap(keptBy)];
}

/** What a call of one answer takes: a key is drawn for it. */
export function keyed(options: CallOptions): CallOptions {
  return { ...options, idempotencyKey: options.idempotencyKey ?? drawn() };
}

/** Prepares a call of `request`, or of an upload. */
export async function prepare(
  options: CallOptions,
  traceparent: Settings["traceparent"],
  request?: unknown,
  upload?: Uint8Array,
): Promise<Call> {
  await ready();
  const images = imagesOf(request);
  const first = upload !== undefined ? hash(upload) : images[0] === undefined ? "" : digest(images[0]);
  const requestId = options.requestId ?? drawn();
  const trace = options.traceparent ?? (await traceparent?.());
  return {
    headers: {
      ...(options.idempotencyKey ? { "idempotency-key": options.idempotencyKey } : {}),
      "x-request-id": requestId,
      ...(trace ? { traceparent: trace } : {}),
      ...(first ? { "x-scotoma-picture": first } : {}),
    },
    requestId,
    picture: first,
    handles: [...images.filter(({ source }) => source?.case === "handle").map(digest), ...keptBy(request)],
    signal: options.signal,
    timeoutMs: options.timeoutMs,
  };
}

/** How servers are reached, whatever the transport. */
export interface Settings {
  /** The key that the server knows this client by. */
  apiKey?: string;
  /**
   * For how many milliseconds a call waits for a server whose connection is lost before the call's first message, or that refuses
   * it because it is going down; 60,000 by default, 0: not at all. After its first message a call is never tried again, but a
   * benchmark goes on with what is not answered.
   */
  patienceMs?: number;
  /** Says the span that a call belongs to; in Node by default OpenTelemetry's, where `@opentelemetry/api` is installed. */
  traceparent?: () => string | undefined | Promise<string | undefined>;
}

/** Whether a call that ended so may be sent again: the connection is gone, or the server says when. */
export function isLost(error: ScotomaError): boolean {
  return error.code === Code.Unavailable && (error.retryAfter !== undefined || error.reason === undefined);
}

/** How long what is lost is waited for, from the first loss on. */
export class Patience {
  #until: number | undefined;
  #tries = 0;
  readonly #whole: number;
  readonly #deadline: number | undefined;

  constructor(wholeMs: number, timeoutMs?: number) {
    this.#whole = wholeMs;
    this.#deadline = timeoutMs === undefined ? undefined : Date.now() + timeoutMs;
  }

  /** Milliseconds until the deadline. */
  get left(): number | undefined {
    return this.#deadline === undefined ? undefined : Math.max(this.#deadline - Date.now(), 0);
  }

  /** Starts anew: something has come. */
  renew(): void {
    this.#until = undefined;
    this.#tries = 0;
  }

  /** Milliseconds until the next try; undefined where there is none. */
  wait(error: ScotomaError): number | undefined {
    const now = Date.now();
    this.#until ??= now + this.#whole;
    if (now >= this.#until) {
      return undefined;
    }
    this.#tries += 1;
    const grown = Math.min(FIRST_WAIT_MS * 2 ** Math.min(this.#tries, 16), LONGEST_WAIT_MS);
    // A little more than was told, so that all who were told the same do not come at once.
    const wait =
      error.retryAfter === undefined ? grown * (0.5 + Math.random() / 2) : error.retryAfter * (1 + Math.random() / 5);
    const next = Math.min(wait, this.#until - now);
    return this.left !== undefined && this.left <= next ? undefined : next;
  }
}

/** Waits until `ms` have passed, or the caller has lost patience. */
export const sleep = (ms: number, signal?: AbortSignal) =>
  new Promise<void>((resolve) => {
    const done = () => {
      clearTimeout(timer);
      signal?.removeEventListener("abort", done);
      resolve();
    };
    const timer = setTimeout(done, ms);
    signal?.addEventListener("abort", done, { once: true });
  });
