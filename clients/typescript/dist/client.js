/** The calls. */
import { create } from "@bufbuild/protobuf";
import { Code, createClient } from "@connectrpc/connect";
import { ScotomaError } from "./errors.js";
import { all, Answer, begin, Capture, Evaluation, Sweep } from "./stream.js";
import { BenchmarkService, DataType, EvaluateHeaderSchema, EvaluateRequestSchema, ImageSchema, InferenceService, ModelService, PromptSchema, } from "./v1.js";
const FIRST_WAIT_MS = 100;
/** Says the key with every call. */
export function keyed(apiKey) {
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
export function baseUrl(address) {
    return address.includes("://") ? address : `http://${address}`;
}
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
/** A connection to a server. Requests are messages, or object literals of their fields. */
export class Client {
    #inference;
    #models;
    #benchmarks;
    #attempts;
    constructor(transport, settings = {}) {
        this.#inference = createClient(InferenceService, transport);
        this.#models = createClient(ModelService, transport);
        this.#benchmarks = createClient(BenchmarkService, transport);
        this.#attempts = settings.attempts ?? 4;
    }
    /** Sends a call until it is answered, is refused for good, or the attempts or the time are used up. */
    async #retried(options, send) {
        const begun = Date.now();
        for (let attempt = 1;; attempt++) {
            const left = options.timeoutMs === undefined ? undefined : options.timeoutMs - (Date.now() - begun);
            try {
                return await send({ ...options, ...(left !== undefined && { timeoutMs: Math.max(left, 0) }) });
            }
            catch (thrown) {
                const error = ScotomaError.from(thrown, options.signal?.aborted);
                const wait = error.retryAfter ?? FIRST_WAIT_MS * 2 ** Math.min(attempt, 6);
                const late = left !== undefined && left <= wait;
                if (error.code !== Code.Unavailable || attempt >= this.#attempts || late || options.signal?.aborted) {
                    throw error;
                }
                await sleep(wait);
            }
        }
    }
    async #begin(options, call) {
        return this.#retried(options, ({ signal, ...rest }) => begin((own) => call({ ...rest, signal: own }), signal));
    }
    /** Streams an answer. */
    async generate(request, options = {}) {
        return new Answer(await this.#begin(options, (o) => this.#inference.generate(request, o)));
    }
    /** The likelihood of each continuation; `best` is the one with the highest mean log-probability. */
    async score(request, options = {}) {
        return this.#retried(options, (o) => this.#inference.score(request, o));
    }
    /** One input under many variants, results as they are done. */
    async sweep(request, options = {}) {
        return new Sweep(await this.#begin(options, (o) => this.#inference.sweep(request, o)));
    }
    /** Activations at hook points as they come. */
    async capture(request, options = {}) {
        const begun = await this.#begin(options, (o) => this.#inference.capture(request, o));
        return new Capture(begun, request.dtype ?? DataType.UNSPECIFIED);
    }
    /** The picture as the model will see it, as PNG, and its patch grid. */
    async preview(request, options = {}) {
        return this.#retried(options, (o) => this.#inference.preview(request, o));
    }
    /** Runs a recorded answer again: `agrees`, or which stage differs first. */
    async verify(request, options = {}) {
        return this.#retried(options, (o) => this.#inference.verify(request, o));
    }
    /** Keeps a picture on the server; what comes back stands for it in later requests. */
    async uploadImage(data, options = {}) {
        const { handle } = await this.#retried(options, (o) => this.#inference.uploadImage({ data: data }, o));
        return create(ImageSchema, { source: { case: "handle", value: handle } });
    }
    /**
     * A benchmark: questions are taken as fast as the server answers. Browsers cannot send while they receive: there it throws
     * `Code.Unimplemented`.
     */
    async evaluate(header, questions, options = {}) {
        const asked = create(EvaluateHeaderSchema, header);
        const opened = await options.results?.open(asked);
        let broken;
        const benchmarks = this.#benchmarks;
        // The header goes alone, so that it can go again; questions are asked for once the run has begun.
        let go = () => { };
        async function* requests(begun) {
            yield create(EvaluateRequestSchema, { event: { case: "header", value: opened?.header ?? asked } });
            if (!(await begun)) {
                return;
            }
            for (const result of opened?.known ?? []) {
                yield create(EvaluateRequestSchema, { event: { case: "known", value: result } });
            }
            try {
                for await (const question of questions) {
                    const event = "cells" in question || "json" in question
                        ? { case: "row", value: question }
                        : { case: "sample", value: question };
                    yield create(EvaluateRequestSchema, { event });
                }
            }
            catch (error) {
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
        }
        catch (error) {
            go(false);
            opened?.sink.close();
            throw error;
        }
    }
    /** The rule sets that the server knows. */
    async describe(options = {}) {
        return (await this.#retried(options, (o) => this.#benchmarks.describe({}, o))).rules;
    }
    /** The resident models in the order of loading. */
    async listModels(options = {}) {
        return (await this.#retried(options, (o) => this.#models.listModels({}, o))).models;
    }
    /** One resident model; the first one by default. */
    async getModel(model = "", options = {}) {
        const { model: info } = await this.#retried(options, (o) => this.#models.getModel({ model }, o));
        return info;
    }
    /** The named places in a model's forward pass, in data-path order. */
    async listHookPoints(model = "", options = {}) {
        return (await this.#retried(options, (o) => this.#models.listHookPoints({ model }, o))).hookPoints;
    }
    /** Makes a model resident: progress, then the model. `place`: a folder of the server, a hub id, or "shapes". */
    async loadModel(request, options = {}) {
        return all(await this.#begin(options, (o) => this.#models.loadModel(request, o)));
    }
    /** Takes a model away, waits for the requests that run on it, and returns the bytes that became free. */
    async unloadModel(model, options = {}) {
        return (await this.#retried(options, (o) => this.#models.unloadModel({ model }, o))).freedBytes;
    }
    /** Makes the projector in a file of the server resident under `name`. */
    async loadProjector(model, name, file, options = {}) {
        const response = await this.#retried(options, (o) => this.#models.loadProjector({ model, name, file }, o));
        return response.model;
    }
    /** Runs the golden set of a model: cases as they are compared, then the report. */
    async checkParity(model = "", options = {}) {
        return all(await this.#begin(options, (o) => this.#models.checkParity({ model }, o)));
    }
}
/** A picture: the bytes of a PNG, JPEG or WebP, or what `uploadImage` returned. */
export function image(data) {
    return "source" in data ? data : create(ImageSchema, { source: { case: "data", value: data } });
}
/** A question about pictures. */
export function prompt(text, ...images) {
    return create(PromptSchema, { text, images: images.map(image) });
}
