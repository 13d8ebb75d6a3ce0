/** The calls. */

import { create, type Message as ProtoMessage, type MessageInitShape } from "@bufbuild/protobuf";
import { type Client as ServiceClient, Code, createClient, type Interceptor, type Transport } from "@connectrpc/connect";

import { ScotomaError } from "./errors.js";
import { all, Answer, begin, type Begun, Capture, Evaluation, type ResultsSink, Sweep } from "./stream.js";
import {
  BenchmarkService,
  ChatMessageSchema,
  type ChatPart,
  ChatPartSchema,
  type CaptureRequestSchema,
  DataType,
  type EvaluateHeader,
  EvaluateHeaderSchema,
  type EvaluateRequest,
  EvaluateRequestSchema,
  type GenerateRequestSchema,
  type HookPoint,
  type Image,
  ImageSchema,
  InferenceService,
  type LoadModelRequestSchema,
  type LoadModelResponse,
  type ModelInfo,
  ModelService,
  type CheckParityResponse,
  type PreviewRequestSchema,
  type PreviewResponse,
  type Prompt,
  PromptSchema,
  Role,
  type RowSchema,
  type Row,
  type RuleInfo,
  type Sample,
  type SampleResult,
  type SampleSchema,
  type ScoreRequestSchema,
  type ScoreResponse,
  type SweepRequestSchema,
  type VerifyRequestSchema,
  type VerifyResponse,
} from "./v1.js";

/** What every call takes. */
export interface CallOptions {
  /** Cancels the call. */
  signal?: AbortSignal;
  /** Milliseconds until the call ends with `Code.DeadlineExceeded`. */
  timeoutMs?: number;
}

/** How a server is reached, whatever the transport. */
export interface Settings {
  /** The key that the server knows this client by. */
  apiKey?: string;
  /**
   * How often a call is tried whose connection is lost before its first message, or that a server refuses because it is going
   * down; 4 by default. After its first message a call is never tried again.
   */
  attempts?: number;
}

/** A question of a benchmark: a sample, or a row of a file. */
export type Question = Sample | Row | MessageInitShape<typeof SampleSchema> | MessageInitShape<typeof RowSchema>;

/** A file of results, or what stands for one. */
export interface Results {
  /** The header with the seeds that were drawn, and the results that are there. */
  open(header: EvaluateHeader): Promise<{ header: EvaluateHeader; known: SampleResult[]; sink: ResultsSink }>;
}

/** What `evaluate` takes. */
export interface EvaluateOptions extends CallOptions {
  /** Where results are written down as they come; a run that finds them there goes on where it ended. */
  results?: Results;
}

const FIRST_WAIT_MS = 100;

/** Says the key with every call. */
export function keyed(apiKey: string | undefined): Interceptor[] {
  if (apiKey === undefined) {
    return [];
  }
  return [
    (next) => (request) => {
      request.header.set("authorization", `Bearer ${apiKey}`);
      return next(request);
    },
  ];
}

/** `host:port` is plain text. */
export function baseUrl(address: string): string {
  return address.includes("://") ? address : `http://${address}`;
}

/** Until `ms` have passed, or the caller has lost patience. */
const sleep = (ms: number, signal: AbortSignal | undefined) =>
  new Promise<void>((resolve) => {
    const timer = setTimeout(resolve, ms);
    signal?.addEventListener("abort", () => (clearTimeout(timer), resolve()), { once: true });
  });

/** A connection to a server. Requests are messages, or object literals of their fields. */
export class Client {
  readonly #inference: ServiceClient<typeof InferenceService>;
  readonly #models: ServiceClient<typeof ModelService>;
  readonly #benchmarks: ServiceClient<typeof BenchmarkService>;
  readonly #attempts: number;

  constructor(transport: Transport, settings: Settings = {}) {
    this.#inference = createClient(InferenceService, transport);
    this.#models = createClient(ModelService, transport);
    this.#benchmarks = createClient(BenchmarkService, transport);
    this.#attempts = settings.attempts ?? 4;
  }

  /** Sends a call until it is answered, is refused for good, or the attempts or the time are used up. */
  async #retried<T>(options: CallOptions, send: (options: CallOptions) => Promise<T>): Promise<T> {
    const begun = Date.now();
    for (let attempt = 1; ; attempt++) {
      const left = options.timeoutMs === undefined ? undefined : options.timeoutMs - (Date.now() - begun);
      try {
        return await send({ ...options, ...(left !== undefined && { timeoutMs: Math.max(left, 0) }) });
      } catch (thrown) {
        const error = ScotomaError.from(thrown, options.signal?.aborted);
        const wait = error.retryAfter ?? FIRST_WAIT_MS * 2 ** Math.min(attempt, 6);
        const late = left !== undefined && left <= wait;
        if (error.code !== Code.Unavailable || attempt >= this.#attempts || late || options.signal?.aborted) {
          throw error;
        }
        await sleep(wait, options.signal);
      }
    }
  }

  async #begin<M extends ProtoMessage>(
    options: CallOptions,
    call: (options: CallOptions) => AsyncIterable<M>,
  ): Promise<Begun<M>> {
    return this.#retried(options, ({ signal, ...rest }) => begin((own) => call({ ...rest, signal: own }), signal));
  }

  /** Streams an answer. */
  async generate(
    request: MessageInitShape<typeof GenerateRequestSchema>,
    options: CallOptions = {},
  ): Promise<Answer> {
    return new Answer(await this.#begin(options, (o) => this.#inference.generate(request, o)));
  }

  /** The likelihood of each continuation; `best` is the one with the highest mean log-probability. */
  async score(
    request: MessageInitShape<typeof ScoreRequestSchema>,
    options: CallOptions = {},
  ): Promise<ScoreResponse> {
    return this.#retried(options, (o) => this.#inference.score(request, o));
  }

  /** One input under many variants, results as they are done. */
  async sweep(request: MessageInitShape<typeof SweepRequestSchema>, options: CallOptions = {}): Promise<Sweep> {
    return new Sweep(await this.#begin(options, (o) => this.#inference.sweep(request, o)));
  }

  /** Activations at hook points as they come. */
  async capture(
    request: MessageInitShape<typeof CaptureRequestSchema>,
    options: CallOptions = {},
  ): Promise<Capture> {
    const begun = await this.#begin(options, (o) => this.#inference.capture(request, o));
    return new Capture(begun, request.dtype ?? DataType.UNSPECIFIED);
  }

  /** The picture as the model will see it, as PNG, and its patch grid. */
  async preview(
    request: MessageInitShape<typeof PreviewRequestSchema>,
    options: CallOptions = {},
  ): Promise<PreviewResponse> {
    return this.#retried(options, (o) => this.#inference.preview(request, o));
  }

  /** Runs a recorded answer again: `agrees`, or which stage differs first. */
  async verify(
    request: MessageInitShape<typeof VerifyRequestSchema>,
    options: CallOptions = {},
  ): Promise<VerifyResponse> {
    return this.#retried(options, (o) => this.#inference.verify(request, o));
  }

  /** Keeps a picture on the server; what comes back stands for it in later requests. */
  async uploadImage(data: Uint8Array, options: CallOptions = {}): Promise<Image> {
    const { handle } = await this.#retried(options, (o) => this.#inference.uploadImage({ data: data as never }, o));
    return create(ImageSchema, { source: { case: "handle", value: handle } });
  }

  /**
   * A benchmark: questions are taken as fast as the server answers. Browsers cannot send while they receive: there it throws
   * `Code.Unimplemented`.
   */
  async evaluate(
    header: MessageInitShape<typeof EvaluateHeaderSchema>,
    questions: AsyncIterable<Question> | Iterable<Question>,
    options: EvaluateOptions = {},
  ): Promise<Evaluation> {
    const asked = create(EvaluateHeaderSchema, header);
    const opened = await options.results?.open(asked);
    let broken: unknown;
    const benchmarks = this.#benchmarks;
    // The header goes alone, so that it can go again; questions are asked for once the run has begun.
    let go: (begun: boolean) => void = () => {};
    async function* requests(begun: Promise<boolean>): AsyncGenerator<EvaluateRequest> {
      yield create(EvaluateRequestSchema, { event: { case: "header", value: opened?.header ?? asked } });
      if (!(await begun)) {
        return;
      }
      for (const result of opened?.known ?? []) {
        yield create(EvaluateRequestSchema, { event: { case: "known", value: result } });
      }
      try {
        for await (const question of questions) {
          const event =
            "cells" in question || "json" in question
              ? { case: "row" as const, value: question as Row }
              : { case: "sample" as const, value: question as Sample };
          yield create(EvaluateRequestSchema, { event });
        }
      } catch (error) {
        broken = error;
      }
    }
    try {
      const begun = await this.#begin(options, (o) => {
        go(false);
        return benchmarks.evaluate(requests(new Promise((resolve) => (go = resolve))), o);
      });
      const evaluation = new Evaluation(begun, opened?.known.length ?? 0, opened?.sink, () => broken);
      opened?.sink.begun(evaluation.started);
      go(true);
      return evaluation;
    } catch (error) {
      go(false);
      opened?.sink.close();
      throw error;
    }
  }

  /** The rule sets that the server knows. */
  async describe(options: CallOptions = {}): Promise<RuleInfo[]> {
    return (await this.#retried(options, (o) => this.#benchmarks.describe({}, o))).rules;
  }

  /** The resident models in the order of loading. */
  async listModels(options: CallOptions = {}): Promise<ModelInfo[]> {
    return (await this.#retried(options, (o) => this.#models.listModels({}, o))).models;
  }

  /** One resident model; the first one by default. */
  async getModel(model = "", options: CallOptions = {}): Promise<ModelInfo> {
    const { model: info } = await this.#retried(options, (o) => this.#models.getModel({ model }, o));
    return info as ModelInfo;
  }

  /** The named places in a model's forward pass, in data-path order. */
  async listHookPoints(model = "", options: CallOptions = {}): Promise<HookPoint[]> {
    return (await this.#retried(options, (o) => this.#models.listHookPoints({ model }, o))).hookPoints;
  }

  /** Makes a model resident: progress, then the model. `place`: a folder of the server, a hub id, or "shapes". */
  async loadModel(
    request: MessageInitShape<typeof LoadModelRequestSchema>,
    options: CallOptions = {},
  ): Promise<AsyncGenerator<LoadModelResponse, void, void>> {
    return all(await this.#begin(options, (o) => this.#models.loadModel(request, o)));
  }

  /** Takes a model away, waits for the requests that run on it, and returns the bytes that became free. */
  async unloadModel(model: string, options: CallOptions = {}): Promise<bigint> {
    return (await this.#retried(options, (o) => this.#models.unloadModel({ model }, o))).freedBytes;
  }

  /** Makes the projector in a file of the server resident under `name`. */
  async loadProjector(model: string, name: string, file: string, options: CallOptions = {}): Promise<ModelInfo> {
    const response = await this.#retried(options, (o) => this.#models.loadProjector({ model, name, file }, o));
    return response.model as ModelInfo;
  }

  /** Runs the golden set of a model: cases as they are compared, then the report. */
  async checkParity(model = "", options: CallOptions = {}): Promise<AsyncGenerator<CheckParityResponse, void, void>> {
    return all(await this.#begin(options, (o) => this.#models.checkParity({ model }, o)));
  }
}

/** A picture: the bytes of a file (JPEG, PNG, WebP, GIF, BMP, TIFF, PNM), or what `uploadImage` returned. */
export function image(data: Uint8Array | Image): Image {
  return "source" in data ? data : create(ImageSchema, { source: { case: "data", value: data as never } });
}

/** What one speaker says: a text, or words and pictures in their order. */
export interface Message {
  role: "system" | "user" | "assistant";
  content: string | (string | Uint8Array | Image)[];
}

const roles = { system: Role.SYSTEM, user: Role.USER, assistant: Role.ASSISTANT };

function part(of: string | Uint8Array | Image): ChatPart {
  return create(ChatPartSchema, {
    part: typeof of === "string" ? { case: "text", value: of } : { case: "image", value: image(of) },
  });
}

/** A conversation of several turns; a last message of the assistant is continued. */
export function messages(...turns: Message[]): Prompt {
  const list = turns.map(({ role, content }) => {
    if (!(role in roles)) throw new TypeError(`role ${String(role)}; system, user and assistant are known`);
    return create(ChatMessageSchema, {
      role: roles[role],
      parts: (typeof content === "string" ? [content] : content).map(part),
    });
  });
  return create(PromptSchema, { messages: list });
}

/** A question about pictures. */
export function prompt(text: string, ...images: (Uint8Array | Image)[]): Prompt {
  return create(PromptSchema, { text, images: images.map(image) });
}
