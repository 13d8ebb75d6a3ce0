/** The calls. */

import { create, type Message as ProtoMessage, type MessageInitShape } from "@bufbuild/protobuf";
import type { CallOptions as ConnectOptions, Interceptor } from "@connectrpc/connect";

import { type CallOptions, keyed as withKey, prepare, type Settings } from "./call.js";
import { Run } from "./run.js";
import { type Server, Servers, type Way } from "./servers.js";
import { all, Answer, Attribution, type Begun, Capture, Evaluation, type ResultsSink, Sweep, Trace } from "./stream.js";
import {
  type AttributeRequestSchema,
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
  type LoadModelRequestSchema,
  type LoadModelResponse,
  type ModelInfo,
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
  type TraceRequestSchema,
  type VerifyRequestSchema,
  type VerifyResponse,
} from "./v1.js";

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

/** Questions as messages. */
export async function* requests(questions: AsyncIterable<Question> | Iterable<Question>): AsyncGenerator<EvaluateRequest> {
  for await (const question of questions) {
    const event =
      "cells" in question || "json" in question
        ? { case: "row" as const, value: question as Row }
        : { case: "sample" as const, value: question as Sample };
    yield create(EvaluateRequestSchema, { event });
  }
}

/** `host:port` is plain text. */
export function baseUrl(address: string): string {
  return address.includes("://") ? address : `http://${address}`;
}

/** A connection to a server, or to several that answer the same. Requests are messages, or object literals of their fields. */
export class Client {
  readonly #servers: Servers;

  constructor(ways: Way[], settings: Settings = {}) {
    this.#servers = new Servers(ways, settings);
  }

  async #unary<T>(
    options: CallOptions,
    request: unknown,
    send: (server: Server, options: ConnectOptions) => Promise<T>,
  ): Promise<T> {
    return this.#servers.sent(await prepare(withKey(options), this.#servers.traceparent, request), send);
  }

  async #begin<M extends ProtoMessage>(
    options: CallOptions,
    request: unknown,
    call: (server: Server, options: ConnectOptions) => AsyncIterable<M>,
  ): Promise<Begun<M> & { server: Server }> {
    return this.#servers.begin(await prepare(options, this.#servers.traceparent, request), call);
  }

  /** Streams an answer. */
  async generate(
    request: MessageInitShape<typeof GenerateRequestSchema>,
    options: CallOptions = {},
  ): Promise<Answer> {
    return new Answer(await this.#begin(options, request, (s, o) => s.inference.generate(request, o)));
  }

  /** The likelihood of each continuation; `best` is the one with the highest mean log-probability. */
  async score(
    request: MessageInitShape<typeof ScoreRequestSchema>,
    options: CallOptions = {},
  ): Promise<ScoreResponse> {
    return this.#unary(options, request, (s, o) => s.inference.score(request, o));
  }

  /** One input under many variants, results as they are done. */
  async sweep(request: MessageInitShape<typeof SweepRequestSchema>, options: CallOptions = {}): Promise<Sweep> {
    return new Sweep(await this.#begin(options, request, (s, o) => s.inference.sweep(request, o)));
  }

  /** Activations at hook points as they come. */
  async capture(
    request: MessageInitShape<typeof CaptureRequestSchema>,
    options: CallOptions = {},
  ): Promise<Capture> {
    const begun = await this.#begin(options, request, (s, o) => s.inference.capture(request, o));
    const keep = (handle: string) => this.#servers.uploaded(begun.server, handle);
    return new Capture(begun, request.dtype ?? DataType.UNSPECIFIED, keep);
  }

  /** Patches activations of one run into another, place by place: cells as they are done. */
  async trace(request: MessageInitShape<typeof TraceRequestSchema>, options: CallOptions = {}): Promise<Trace> {
    return new Trace(await this.#begin(options, request, (s, o) => s.inference.trace(request, o)));
  }

  /** How much each row of a run matters for an answer, by its gradient; one activation for each point. */
  async attribute(
    request: MessageInitShape<typeof AttributeRequestSchema>,
    options: CallOptions = {},
  ): Promise<Attribution> {
    return new Attribution(await this.#begin(options, request, (s, o) => s.inference.attribute(request, o)));
  }

  /** The picture as the model will see it, as PNG, and its patch grid. */
  async preview(
    request: MessageInitShape<typeof PreviewRequestSchema>,
    options: CallOptions = {},
  ): Promise<PreviewResponse> {
    return this.#unary(options, request, (s, o) => s.inference.preview(request, o));
  }

  /** Runs a recorded answer again: `agrees`, or which stage differs first. */
  async verify(
    request: MessageInitShape<typeof VerifyRequestSchema>,
    options: CallOptions = {},
  ): Promise<VerifyResponse> {
    return this.#unary(options, request, (s, o) => s.inference.verify(request, o));
  }

  /** Keeps a picture on the server; what comes back stands for it in later requests. */
  async uploadImage(data: Uint8Array, options: CallOptions = {}): Promise<Image> {
    const call = await prepare(withKey(options), this.#servers.traceparent, undefined, data);
    const handle = await this.#servers.sent(call, async (server, o) => {
      const response = await server.inference.uploadImage({ data: data as never }, o);
      this.#servers.uploaded(server, response.handle, data);
      return response.handle;
    });
    return create(ImageSchema, { source: { case: "handle", value: handle } });
  }

  /**
   * A benchmark: questions are taken as fast as the server answers. Browsers cannot send while they receive: there it throws
   * `Code.Unimplemented`, and `evaluateBatch` takes its place.
   *
   * A run whose server is lost or goes down waits for the next one (`patienceMs`, anew after every answer) and goes on there with
   * what is not answered. Of several servers each gets the questions about its pictures.
   */
  async evaluate(
    header: MessageInitShape<typeof EvaluateHeaderSchema>,
    questions: AsyncIterable<Question> | Iterable<Question>,
    options: EvaluateOptions = {},
  ): Promise<Evaluation> {
    const asked = create(EvaluateHeaderSchema, header);
    const opened = await options.results?.open(asked);
    try {
      const call = await prepare(options, this.#servers.traceparent, asked);
      const known = opened?.known ?? [];
      const run = new Run(this.#servers, call, opened?.header ?? asked, known, requests(questions));
      const evaluation = new Evaluation(await run.begin(), known.length, opened?.sink, () => run.broken);
      try {
        opened?.sink.begun(evaluation.started);
      } catch (error) {
        run.cancel();
        throw error;
      }
      run.go();
      return evaluation;
    } catch (error) {
      opened?.sink.close();
      throw error;
    }
  }

  /** The rule sets that the server knows. */
  async describe(options: CallOptions = {}): Promise<RuleInfo[]> {
    return (await this.#unary(options, {}, (s, o) => s.benchmarks.describe({}, o))).rules;
  }

  /** The resident models in the order of loading. */
  async listModels(options: CallOptions = {}): Promise<ModelInfo[]> {
    return (await this.#unary(options, {}, (s, o) => s.models.listModels({}, o))).models;
  }

  /** One resident model; the first one by default. */
  async getModel(model = "", options: CallOptions = {}): Promise<ModelInfo> {
    const { model: info } = await this.#unary(options, { model }, (s, o) => s.models.getModel({ model }, o));
    return info as ModelInfo;
  }

  /** The named places in a model's forward pass, in data-path order. */
  async listHookPoints(model = "", options: CallOptions = {}): Promise<HookPoint[]> {
    return (await this.#unary(options, { model }, (s, o) => s.models.listHookPoints({ model }, o))).hookPoints;
  }

  /** Makes a model resident: progress, then the model. `place`: a folder of the server, a hub id, or "shapes". */
  async loadModel(
    request: MessageInitShape<typeof LoadModelRequestSchema>,
    options: CallOptions = {},
  ): Promise<AsyncGenerator<LoadModelResponse, void, void>> {
    return all(await this.#begin(options, request, (s, o) => s.models.loadModel(request, o)));
  }

  /** Takes a model away, waits for the requests that run on it, and returns the bytes that became free. */
  async unloadModel(model: string, options: CallOptions = {}): Promise<bigint> {
    return (await this.#unary(options, { model }, (s, o) => s.models.unloadModel({ model }, o))).freedBytes;
  }

  /** Makes the projector in a file of the server resident under `name`. */
  async loadProjector(model: string, name: string, file: string, options: CallOptions = {}): Promise<ModelInfo> {
    const response = await this.#unary(options, { model, name, file }, (s, o) => s.models.loadProjector({ model, name, file }, o));
    return response.model as ModelInfo;
  }

  /** Runs the golden set of a model: cases as they are compared, then the report. */
  async checkParity(model = "", options: CallOptions = {}): Promise<AsyncGenerator<CheckParityResponse, void, void>> {
    return all(await this.#begin(options, { model }, (s, o) => s.models.checkParity({ model }, o)));
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
