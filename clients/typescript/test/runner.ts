/** The cases of tests/conformance with this client, in Node and in browsers; what it observed, by the name of the case. */

import { type DescMessage, fromJson, type JsonObject, type JsonValue, type MessageShape, toJson } from "@bufbuild/protobuf";

import {
  ablate,
  addNoise,
  blankImage,
  clampNorm,
  type Client,
  Code,
  dropLayers,
  dropTowerLayers,
  exitEarly,
  knockOutAttention,
  occludeRandom,
  occludeSalient,
  patch,
  permuteTokens,
  projectOut,
  prompt,
  pruneTokens,
  type Question,
  repeatLayers,
  replaceTokens,
  type Results,
  scale,
  setFeature,
  ScotomaError,
  selectTokens,
  shufflePatches,
  steer,
  swapProjector,
  target,
  toCanonicalJson,
  tokens,
} from "../src/common.js";
import * as v1 from "../src/v1.js";

export interface Case {
  name: string;
  call?: string;
  do?: string;
  of?: string;
  same?: string;
  data?: string;
  browser?: boolean;
  request?: JsonObject;
}

export interface Script {
  address: string;
  secure: string;
  keyed: string;
  control: string;
  relay: string;
  second: string;
  page: string;
  ca: string;
  cert: string;
  key: string;
  apiKey: string;
  folder: string;
  pictures: Record<string, string>;
  question: string;
  place: string;
  benchmark: string;
  cases: Case[];
}

/** What Node has and browsers have not. */
export interface Platform {
  rows(path: string): AsyncIterable<Question>;
  resultsFile(path: string): Results;
  readResults(path: string): Promise<v1.SampleResult[]>;
  read(path: string): string;
}

/** Of either platform. */
export type Connect = (address: string | string[], settings: object) => Client & { close?(): void };

type Observed = Record<string, unknown>;

const shown = <D extends DescMessage>(schema: D, message: MessageShape<D> | undefined): JsonValue =>
  message === undefined ? null : toJson(schema, message);

/** The names that gRPC gives its codes. */
const nameOf = (code: Code) => Code[code].replace(/(?<=[a-z])(?=[A-Z])/g, "_").toUpperCase();

const errorOf = (error: ScotomaError): Observed => ({
  code: nameOf(error.code),
  reason: error.reason ?? "",
  fields: error.fields,
});

function bytes(base64: string): Uint8Array {
  return Uint8Array.from(atob(base64), (c) => c.charCodeAt(0));
}

function base64(data: Uint8Array): string {
  return btoa(Array.from(data, (b) => String.fromCharCode(b)).join(""));
}

async function listed<T>(items: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = [];
  for await (const item of items) {
    all.push(item);
  }
  return all;
}

export class Runner {
  readonly #records = new Map<string, v1.Provenance>();
  readonly #square: Uint8Array;
  readonly #script: Script;
  readonly #client: Client;
  readonly #connect: Connect;
  readonly #platform: Platform | undefined;

  constructor(script: Script, connect: Connect, platform?: Platform) {
    this.#script = script;
    this.#client = connect(script.address, {});
    this.#connect = connect;
    this.#platform = platform;
    this.#square = bytes(script.pictures["square"] ?? "");
  }

  async all(): Promise<Record<string, Observed>> {
    const observed: Record<string, Observed> = {};
    for (const own of this.#script.cases) {
      if (this.#platform !== undefined || own.browser !== false) {
        observed[own.name] = await this.#observe(own);
      }
    }
    (this.#client as ReturnType<Connect>).close?.();
    return observed;
  }

  async #observe(own: Case): Promise<Observed> {
    try {
      return await this.#run(own);
    } catch (error) {
      if (error instanceof ScotomaError) {
        return { error: errorOf(error) };
      }
      return { thrown: String(error) };
    }
  }

  async #control(what: string): Promise<string> {
    return (await fetch(`${this.#script.control}/${what}`)).text();
  }

  #ask(...images: (Uint8Array | v1.Image)[]) {
    return { prompt: prompt(this.#script.question, ...(images.length > 0 ? images : [this.#square])) };
  }

  #long(client: Client, timeoutMs?: number) {
    const sampling = { temperature: 100, seed: 96n };
    const request = { ...this.#ask(), maxTokens: 1000, sampling };
    return client.generate(request, timeoutMs === undefined ? {} : { timeoutMs });
  }

  async #evaluate(request: JsonObject, data: string, results?: string) {
    const platform = this.#platform as Platform;
    const options = results === undefined ? {} : { results: platform.resultsFile(results) };
    return this.#client.evaluate(fromJson(v1.EvaluateHeaderSchema, request), platform.rows(data), options);
  }

  async #run(own: Case): Promise<Observed> {
    const client = this.#client;
    const request = own.request ?? {};
    switch (own.call ?? own.do) {
      case "generate": {
        const answer = await client.generate(fromJson(v1.GenerateRequestSchema, request));
        const tokens = (await listed(answer)).map((token) => shown(v1.TokenSchema, token));
        if (answer.finished?.provenance !== undefined) {
          this.#records.set(own.name, answer.finished.provenance);
        }
        const finished = shown(v1.FinishedSchema, answer.finished);
        return { started: shown(v1.StartedSchema, answer.started), tokens, finished };
      }
      case "verify": {
        const provenance = this.#records.get(own.of ?? "") as v1.Provenance;
        const response = await client.verify({ provenance, images: this.#ask().prompt.images });
        return { response: shown(v1.VerifyResponseSchema, response) };
      }
      case "score": {
        const response = await client.score(fromJson(v1.ScoreRequestSchema, request));
        return { response: shown(v1.ScoreResponseSchema, response) };
      }
      case "sweep": {
        const sweep = await client.sweep(fromJson(v1.SweepRequestSchema, request));
        const results = (await listed(sweep)).sort((a, b) => a.variant - b.variant);
        return {
          started: shown(v1.SweepStartedSchema, sweep.started),
          results: results.map((r) => shown(v1.SweepResultSchema, r)),
          finished: shown(v1.SweepFinishedSchema, sweep.finished),
        };
      }
      case "capture": {
        const capture = await client.capture(fromJson(v1.CaptureRequestSchema, request));
        const activations = (await listed(capture)).map((a) => ({
          ...a,
          values: [...a.values],
          top: a.top.map((row) => shown(v1.TopTokensSchema, row)),
          features: a.features.map((row) => shown(v1.TopFeaturesSchema, row)),
        }));
        return { activations, finished: shown(v1.CaptureFinishedSchema, capture.finished) };
      }
      case "trace": {
        const trace = await client.trace(fromJson(v1.TraceRequestSchema, request));
        const place = ({ point, layer, position, head }: v1.TraceCell) => [point, layer, position, head];
        const cells = (await listed(trace)).sort((a, b) => compared(place(a), place(b)));
        return {
          started: shown(v1.TraceStartedSchema, trace.started),
          baseline: shown(v1.TraceBaselineSchema, trace.baseline),
          cells: cells.map((cell) => shown(v1.TraceCellSchema, cell)),
          finished: shown(v1.TraceFinishedSchema, trace.finished),
        };
      }
      case "attribute": {
        const attribution = await client.attribute(fromJson(v1.AttributeRequestSchema, request));
        const scores = (await listed(attribution)).map(({ point, tokens, shape, values }) => ({ point, tokens, shape, values: [...values] }));
        return { scores, finished: shown(v1.AttributeFinishedSchema, attribution.finished) };
      }
      case "preview": {
        const preview = await client.preview(fromJson(v1.PreviewRequestSchema, request));
        const response = shown(v1.PreviewResponseSchema, preview) as JsonObject;
        return { response: { ...response, png: base64(preview.png) } };
      }
      case "listModels":
        return { response: (await client.listModels()).map((m) => shown(v1.ModelInfoSchema, m)) };
      case "getModel":
        return { response: shown(v1.ModelInfoSchema, await client.getModel(String(request["model"]))) };
      case "listHookPoints":
        return { response: (await client.listHookPoints()).map((p) => shown(v1.HookPointSchema, p)) };
      case "describe":
        return { response: (await client.describe()).map((r) => shown(v1.RuleInfoSchema, r)) };
      case "checkParity": {
        const events = await listed(await client.checkParity());
        return { events: events.length, last: shown(v1.CheckParityResponseSchema, events.at(-1)) };
      }
      case "evaluate": {
        const run = await this.#evaluate(request, own.data ?? "");
        const key = (r: v1.SampleResult) => `${r.id}\0${r.variant}`;
        const results = (await listed(run)).sort((a, b) => (key(a) < key(b) ? -1 : 1));
        const finished = shown(v1.EvaluateFinishedSchema, run.finished);
        return { rule: run.started.rule, results: results.map((r) => shown(v1.SampleResultSchema, r)), finished };
      }
      case "restart":
        return this.#moved(own, this.#connect(this.#script.address, { patienceMs: 0 }), "restart");
      case "onward":
        return this.#moved(own, this.#connect(this.#script.address, {}), "restart");
      case "failover":
        await this.#control("revive");
        return this.#moved(own, this.#connect([this.#script.address, this.#script.second], {}), "kill");
      case "other":
        return this.#other();
      case "page":
        return { asked: await this.#asked(this.#script.page, {}) };
      case "resume": {
        const permuted = { name: "permuted", interventions: [{ permuteTokens: { seed: "1" } }] };
        const header = { rule: "shapes", answering: "ANSWERING_GENERATE", variants: [{ name: "original" }, permuted] };
        const run = await this.#evaluate(header, this.#script.benchmark, `${this.#script.folder}/begun.jsonl`);
        return { known: run.known, finished: shown(v1.EvaluateFinishedSchema, await run.finish()) };
      }
      case "upload": {
        const image = await client.uploadImage(this.#square);
        const finished = await (await client.generate(this.#ask(image))).finish();
        return { handle: image.source.value, finished: shown(v1.FinishedSchema, finished) };
      }
      case "models":
        return this.#models();
      case "deadline":
        return { finished: shown(v1.FinishedSchema, await (await this.#long(client, 50)).finish()) };
      case "cancel":
        return this.#cancel();
      case "down": {
        await this.#control("down");
        const finished = await (await client.generate(this.#ask())).finish();
        return { finished: shown(v1.FinishedSchema, finished) };
      }
      case "lost":
        return this.#brokenOff(client, "restart");
      case "silent": {
        const relayed = this.#connect(this.#script.relay, { keepaliveMs: 1000 });
        const found = await this.#brokenOff(relayed, "lose");
        relayed.close?.();
        return found;
      }
      case "key": {
        const { keyed, apiKey } = this.#script;
        return { name: await this.#asked(keyed, { apiKey }), "without key": await this.#asked(keyed, {}) };
      }
      case "tls":
        return this.#tls(this.#platform as Platform);
      case "overhead": {
        const times: [number, number][] = [];
        for (let i = 0; i < 1000; i++) {
          const begun = performance.now();
          const finished = await (await client.generate({ ...this.#ask(), maxTokens: 1 })).finish();
          times.push([(performance.now() - begun) / 1e3, finished.usage?.totalSeconds ?? 0]);
        }
        return { times };
      }
      case "builders":
        return {
          permute: toCanonicalJson(permuteTokens(7)),
          drop: toCanonicalJson(dropLayers(2, 3)),
          occlude: toCanonicalJson(occludeRandom(0.5, 7)),
          swap: toCanonicalJson(swapProjector({ randomSeed: 7 })),
        };
      case "helpers":
        return everyHelper();
      default:
        throw new Error(`no way to ${own.call ?? own.do}`);
    }
  }

  async #moved(own: Case, client: ReturnType<Connect>, how: string): Promise<Observed> {
    const same = this.#script.cases.find((c) => c.name === own.same) as Case;
    const platform = this.#platform as Platform;
    const file = `${this.#script.folder}/${own.do}.jsonl`;
    const header = fromJson(v1.EvaluateHeaderSchema, same.request ?? {});
    const options = { results: platform.resultsFile(file) };
    let lost: Observed = {};
    let count = 0;
    let run = await client.evaluate(header, platform.rows(same.data ?? ""), options);
    try {
      for await (const _ of run) {
        count += 1;
        if (count === 50) {
          await this.#control(how);
        }
      }
    } catch (error) {
      lost = { code: nameOf(ScotomaError.from(error).code) };
      run = await this.#evaluate(same.request ?? {}, same.data ?? "", file);
      await run.finish();
    }
    client.close?.();
    const written = await platform.readResults(file);
    const results = written.map((r) => [r.id, r.variant, r.text, r.outputDigest]);
    results.sort((a, b) => (a.join("\0") < b.join("\0") ? -1 : 1));
    const lines = platform.read(file).split("\n").length - 1;
    return { lost, lines, results, finished: shown(v1.EvaluateFinishedSchema, run.finished) };
  }

  async #other(): Promise<Observed> {
    await this.#control("revive");
    const client = this.#connect([this.#script.address, this.#script.second], { patienceMs: 0 });
    const names = Object.keys(this.#script.pictures).sort();
    const handles: v1.Image[] = [];
    for (const name of names) {
      handles.push(await client.uploadImage(bytes(this.#script.pictures[name] ?? "")));
    }
    await this.#control("kill");
    const texts: string[] = [];
    for (const handle of handles) {
      const answer = await client.generate({ ...this.#ask(handle), maxTokens: 2 });
      texts.push((await answer.finish()).text);
    }
    client.close?.();
    return { texts };
  }

  async #models(): Promise<Observed> {
    const { place } = this.#script;
    const events = await listed(await this.#client.loadModel({ place: `${place}/model`, name: "next" }));
    const { event } = events.at(-1) ?? {};
    const info = await this.#client.loadProjector("next", "second", `${place}/mm_projector.bin`);
    const freed = Number(await this.#client.unloadModel("next"));
    const gone = await this.#observe({ name: "", call: "getModel", request: { model: "next" } });
    const family = event?.case === "model" ? event.value.family : "";
    return { family, projectors: info.projectors, freed, gone: gone["error"] };
  }

  async #cancel(): Promise<Observed> {
    const before = Number(await this.#control("cancelled"));
    // Over HTTP/1.1 a browser may read a short answer to its end before it lets the connection go; not every time.
    for (let tries = 0; tries < 20; tries++) {
      for await (const _ of await this.#long(this.#client)) {
        break;
      }
      for (let looks = 0; looks < 10; looks++) {
        if (Number(await this.#control("cancelled")) > before) {
          return { cancelled: true };
        }
        await new Promise((resolve) => setTimeout(resolve, 100));
      }
    }
    return { cancelled: false };
  }

  async #brokenOff(client: Client, how: string): Promise<Observed> {
    let count = 0;
    try {
      for await (const _ of await this.#long(client)) {
        count += 1;
        if (count === 1) {
          await this.#control(how);
        }
      }
    } catch (error) {
      return { tokens: count > 0, error: { code: nameOf(ScotomaError.from(error).code) } };
    }
    return { tokens: count > 0 };
  }

  async #tls(platform: Platform): Promise<Observed> {
    const { secure, apiKey } = this.#script;
    const [ca, cert, key] = [this.#script.ca, this.#script.cert, this.#script.key].map((path) => platform.read(path));
    const refused = (await this.#asked(secure, { ca, apiKey })) as Observed;
    return {
      name: await this.#asked(secure, { ca, cert, key, apiKey }),
      // What a client sees of a connection that is refused is its library's.
      "without certificate": refused["code"],
      "without key": await this.#asked(secure, { ca, cert, key }),
    };
  }

  async #asked(address: string, settings: object): Promise<unknown> {
    const client = this.#connect(address, { ...settings, patienceMs: 0 });
    try {
      return (await client.getModel()).name;
    } catch (error) {
      return errorOf(ScotomaError.from(error));
    } finally {
      client.close?.();
    }
  }
}

/** Compares lists of numbers, the first ones first. */
function compared(a: number[], b: number[]): number {
  const at = a.findIndex((own, i) => own !== b[i]);
  return at < 0 ? 0 : (a[at] ?? 0) - (b[at] ?? 0);
}

/** Every kind of intervention by its helper. */
function everyHelper(): Observed {
  const resid = "language_model.blocks.{l}.hook_resid_post";
  const [layers, last] = [[5], { tokens: tokens.last }];
  const z = { layers, heads: [1], dimensions: [2] };
  const built = [
    permuteTokens(7, { scope: "within_blocks", blocks: 2 }),
    occludeSalient({ share: 0.25 }, { head: 1, fill: "blur", grid: 6, blurSigma: 2 }),
    dropTowerLayers(1),
    swapProjector("identity"),
    blankImage([1, 2, 3]),
    shufflePatches(3, 1),
    selectTokens(tokens.visual.and(tokens.block(2, 3)), "merge", "compact", { count: 4 }),
    replaceTokens(tokens.measured("language_model.blocks.3.hook_resid_post", "norm", { count: 2 }, { among: "visual" }), { noise: 3 }),
    repeatLayers(2, 3),
    exitEarly(6),
    addNoise(target(resid, { layers, tokens: tokens.visual }), 0.5, { geometry: "keskar", seed: 1 }),
    steer(target(resid, { layers, ...last, steps: 0 }), [1, 2], 2),
    projectOut(target(resid, { layers }), [1, 0], [0, 1]),
    scale(target("language_model.blocks.{l}.attn.hook_z", z), 0.5),
    ablate(target("language_model.blocks.{l}.hook_mlp_out", { layers: [3, 4], tokens: tokens.text.or(tokens.last).not() }), "mean"),
    patch(target(resid, { layers, ...last }), [[1, 2]]),
    knockOutAttention({ layers: [2], heads: [1], from: tokens.last, to: tokens.visual, steps: { first: 1 } }),
    pruneTokens(2, 0.5, { receivedFrom: tokens.question }),
    clampNorm("projector.hook_tokens", 1),
    setFeature("projector.hook_tokens", [3, 7], { sae: "shapes", clamp: 2.5 }),
  ];
  return Object.fromEntries(built.map(toCanonicalJson).map((own) => [Object.keys(own)[0] ?? "", own]));
}
