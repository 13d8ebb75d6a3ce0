/** What comes as a stream. Iterating is streaming, leaving the loop cancels. */

import type { Message } from "@bufbuild/protobuf";

import { ScotomaError, truncated } from "./errors.js";
import {
  type Activation as ActivationPart,
  type AttributeFinished,
  type AttributeResponse,
  type BenchmarkMetric,
  type CaptureFinished,
  type CaptureResponse,
  DataType,
  type EvaluateFinished,
  type EvaluateResponse,
  type EvaluateStarted,
  type Finished,
  type GenerateResponse,
  type SampleResult,
  type Started,
  type SweepFinished,
  type SweepResponse,
  type SweepResult,
  type SweepStarted,
  type Token,
  type TopFeatures,
  type TopTokens,
  type TraceBaseline,
  type TraceCell,
  type TraceFinished,
  type TraceResponse,
  type TraceStarted,
} from "./v1.js";

/** A call whose first message has come. */
export interface Begun<M> {
  first: M;
  rest: AsyncIterator<M>;
  abort: AbortController;
  requestId?: string;
}

/** Waits for the first message of a call. */
export async function begin<M extends Message>(
  call: (signal: AbortSignal) => AsyncIterable<M>,
  signal: AbortSignal | undefined,
): Promise<Begun<M>> {
  const abort = new AbortController();
  const rest = call(signal ? AbortSignal.any([signal, abort.signal]) : abort.signal)[Symbol.asyncIterator]();
  const next = await rest.next();
  if (next.done === true) {
    throw truncated();
  }
  return { first: next.value, rest, abort };
}

/** Messages after the first one; leaving the loop cancels. */
export async function* events<M>({ rest, abort, requestId = "" }: Begun<M>): AsyncGenerator<M, void, void> {
  try {
    for (let next = await rest.next(); next.done !== true; next = await rest.next()) {
      yield next.value;
    }
  } catch (error) {
    throw ScotomaError.from(error, abort.signal.aborted).of(requestId);
  } finally {
    abort.abort();
  }
}

/** Every message. */
export async function* all<M>(begun: Begun<M>): AsyncGenerator<M, void, void> {
  try {
    yield begun.first;
    yield* events(begun);
  } finally {
    begun.abort.abort();
  }
}

/** What the streams have in common: items, and a last event. */
abstract class Stream<M, Item, End> implements AsyncIterable<Item> {
  #finished: End | undefined;
  readonly #begun: Begun<M>;
  readonly #items: AsyncGenerator<Item, void, void>;

  constructor(begun: Begun<M>) {
    this.#begun = begun;
    this.#items = this.#iterate();
  }

  /** What an event holds. */
  protected abstract take(event: M): { item?: Item; finished?: End };

  /** The last event; undefined before it has come. */
  get finished(): End | undefined {
    return this.#finished;
  }

  /** Nothing more is taken. */
  protected ended(): void {}

  async *#iterate(): AsyncGenerator<Item, void, void> {
    try {
      for await (const event of events(this.#begun)) {
        const { item, finished } = this.take(event);
        if (finished !== undefined) {
          this.#finished = finished;
        }
        if (item !== undefined) {
          yield item;
        }
      }
    } finally {
      this.ended();
    }
    if (this.#finished === undefined) {
      throw truncated();
    }
  }

  /** Items as they come; leaving the loop tells the server to stop. */
  [Symbol.asyncIterator](): AsyncGenerator<Item, void, void> {
    return this.#items;
  }

  /** Reads to the end. */
  async finish(): Promise<End> {
    for await (const _ of this);
    if (this.#finished === undefined) {
      throw truncated();
    }
    return this.#finished;
  }

  /** Tells the server to stop. */
  cancel(): void {
    this.#begun.abort.abort();
    this.ended();
  }

  /** Tells the server to stop at the end of a block, `await using`. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.cancel();
  }
}

/** The part of an event that is called `name`. */
type Of<Event, Case extends string> = Extract<Event, { case: Case }> extends { value: infer Value } ? Value : never;

function part<Event extends { case: string | undefined; value?: unknown }, Case extends string>(
  event: Event,
  name: Case,
): Of<Event, Case> | undefined {
  return event.case === name ? (event.value as Of<Event, Case>) : undefined;
}

/** `{item, finished}` without those that are not there. */
function found<Item, End>(item: Item | undefined, finished: End | undefined): { item?: Item; finished?: End } {
  return { ...(item !== undefined && { item }), ...(finished !== undefined && { finished }) };
}

function started<S>(first: { event: { case: string | undefined; value?: unknown } }): S {
  const value = part(first.event, "started");
  if (value === undefined) {
    throw truncated();
  }
  return value as S;
}

/** A streamed answer: iterate over its tokens, or `finish()` it. */
export class Answer extends Stream<GenerateResponse, Token, Finished> {
  /** The first event: the request is admitted. */
  readonly started: Started;

  constructor(begun: Begun<GenerateResponse>) {
    super(begun);
    this.started = started(begun.first);
  }

  protected override take({ event }: GenerateResponse) {
    return found(part(event, "token"), part(event, "finished"));
  }
}

/** One input under many variants: a result for each as it is done. */
export class Sweep extends Stream<SweepResponse, SweepResult, SweepFinished> {
  /** How many results will come. */
  readonly started: SweepStarted;

  constructor(begun: Begun<SweepResponse>) {
    super(begun);
    this.started = started(begun.first);
  }

  protected override take({ event }: SweepResponse) {
    return found(part(event, "result"), part(event, "finished"));
  }
}

/** What a hook point held, put together from its parts. */
export interface Activation {
  /** Position in the request's targets. */
  target: number;
  /** Name of the hook point. */
  point: string;
  /** 0: the prompt; k: the k-th generated token. */
  step: number;
  /** Position of the picture, in the tower and the projector. */
  image: number;
  /** View of the picture, in the tower and the projector. */
  view: number;
  /** Numbers of the tokens behind the rows. */
  tokens: number[];
  /** Sizes, rows first. */
  shape: number[];
  /** The numbers, row by row. */
  values: Float32Array;
  /** The likeliest tokens of each row, in place of numbers. */
  top: TopTokens[];
  /** The strongest features of each row, in place of numbers. */
  features: TopFeatures[];
}

/** Puts the parts of activations together. */
class Parts {
  readonly #dtype: DataType;
  #parts: Uint8Array[] = [];

  constructor(dtype: DataType) {
    this.#dtype = dtype;
  }

  /** Takes a part; undefined where more will come, or there is none. */
  take(piece: ActivationPart | undefined): Activation | undefined {
    if (piece === undefined) {
      return undefined;
    }
    this.#parts.push(piece.data);
    if (this.#parts.reduce((sum, p) => sum + p.length, 0) < Number(piece.size)) {
      return undefined;
    }
    const { target, point, step, image, view, tokens, shape, top, features } = piece;
    const whole = { target, point, step, image, view, tokens, shape, top, features, values: values(this.#parts, this.#dtype) };
    this.#parts = [];
    return whole;
  }
}

/** Activations as they come. */
export class Capture extends Stream<CaptureResponse, Activation, CaptureFinished> {
  /** The first event: the request is admitted. */
  readonly started: Started;
  readonly #parts: Parts;
  readonly #keep: (handle: string) => void;

  constructor(begun: Begun<CaptureResponse>, dtype: DataType, keep: (handle: string) => void) {
    super(begun);
    this.#keep = keep;
    this.started = started(begun.first);
    this.#parts = new Parts(dtype);
  }

  protected override take({ event }: CaptureResponse) {
    const finished = part(event, "finished");
    finished?.kept.forEach(({ handle }) => this.#keep(handle));
    return found<Activation, CaptureFinished>(this.#parts.take(part(event, "activation")), finished);
  }
}

/** A grid of activation patching: cells as they are done. */
export class Trace extends Stream<TraceResponse, TraceCell, TraceFinished> {
  /** The first event: the axes, and what all cells will take. */
  readonly started: TraceStarted;
  /** The metric of the two runs without patches; undefined before it has come. */
  baseline: TraceBaseline | undefined;

  constructor(begun: Begun<TraceResponse>) {
    super(begun);
    this.started = started(begun.first);
  }

  protected override take({ event }: TraceResponse) {
    this.baseline = part(event, "baseline") ?? this.baseline;
    return found(part(event, "cell"), part(event, "finished"));
  }
}

/** What gradients say of each row: an activation with a number for each, for each point. */
export class Attribution extends Stream<AttributeResponse, Activation, AttributeFinished> {
  /** The first event: what all passes will take is known. */
  readonly started: Started;
  readonly #parts = new Parts(DataType.F32);

  constructor(begun: Begun<AttributeResponse>) {
    super(begun);
    this.started = started(begun.first);
  }

  protected override take({ event }: AttributeResponse) {
    return found<Activation, AttributeFinished>(this.#parts.take(part(event, "scores")), part(event, "finished"));
  }
}

function values(parts: Uint8Array[], dtype: DataType): Float32Array {
  const bytes = new Uint8Array(parts.reduce((sum, p) => sum + p.length, 0));
  parts.reduce((at, p) => (bytes.set(p, at), at + p.length), 0);
  const view = new DataView(bytes.buffer);
  switch (dtype) {
    case DataType.BF16: {
      const bits = new Uint32Array(bytes.length / 2).map((_, i) => view.getUint16(2 * i, true) << 16);
      return new Float32Array(bits.buffer);
    }
    case DataType.F16:
      return new Float32Array(bytes.length / 2).map((_, i) => half(view.getUint16(2 * i, true)));
    default:
      return new Float32Array(bytes.length / 4).map((_, i) => view.getFloat32(4 * i, true));
  }
}

/** Widens an IEEE half. */
function half(bits: number): number {
  const [sign, exponent, fraction] = [bits & 0x8000 ? -1 : 1, (bits >> 10) & 0x1f, bits & 0x3ff];
  if (exponent === 0x1f) {
    return fraction === 0 ? sign * Infinity : NaN;
  }
  return sign * (exponent === 0 ? fraction * 2 ** -24 : (1 + fraction / 1024) * 2 ** (exponent - 15));
}

/** Where results are written down as they come, and where a run goes on from. */
export interface ResultsSink {
  begun(started: EvaluateStarted): void;
  add(result: SampleResult): void;
  close(): void;
}

/** A benchmark that runs: a result for each question and variant as it comes. */
export class Evaluation extends Stream<EvaluateResponse, SampleResult, EvaluateFinished> {
  /** Who answers, by which rule, with which seeds. */
  readonly started: EvaluateStarted;
  /** Results of an earlier run, which are not computed again. */
  readonly known: number;
  /** What the results so far come to; now and then anew. */
  metrics: BenchmarkMetric[] = [];
  readonly #sink: ResultsSink | undefined;
  readonly #broken: () => unknown;

  constructor(begun: Begun<EvaluateResponse>, known: number, sink: ResultsSink | undefined, broken: () => unknown) {
    super(begun);
    this.started = started(begun.first);
    this.known = known;
    this.#sink = sink;
    this.#broken = broken;
  }

  protected override take({ event }: EvaluateResponse) {
    const result = part(event, "result");
    const finished = part(event, "finished");
    this.metrics = part(event, "progress")?.metrics ?? finished?.metrics ?? this.metrics;
    if (result !== undefined) {
      this.#sink?.add(result);
    }
    if (finished !== undefined) {
      const error = this.#broken();
      if (error !== undefined) {
        throw error;
      }
    }
    return found(result, finished);
  }

  protected override ended(): void {
    this.#sink?.close();
  }
}
