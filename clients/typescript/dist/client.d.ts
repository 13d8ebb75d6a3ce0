/** The calls. */
import { type MessageInitShape } from "@bufbuild/protobuf";
import { type Interceptor, type Transport } from "@connectrpc/connect";
import { Answer, Capture, Evaluation, type ResultsSink, Sweep } from "./stream.js";
import { type CaptureRequestSchema, type EvaluateHeader, EvaluateHeaderSchema, type GenerateRequestSchema, type HookPoint, type Image, type LoadModelRequestSchema, type LoadModelResponse, type ModelInfo, type CheckParityResponse, type PreviewRequestSchema, type PreviewResponse, type Prompt, type RowSchema, type Row, type RuleInfo, type Sample, type SampleResult, type SampleSchema, type ScoreRequestSchema, type ScoreResponse, type SweepRequestSchema, type VerifyRequestSchema, type VerifyResponse } from "./v1.js";
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
    open(header: EvaluateHeader): Promise<{
        header: EvaluateHeader;
        known: SampleResult[];
        sink: ResultsSink;
    }>;
}
/** What `evaluate` takes. */
export interface EvaluateOptions extends CallOptions {
    /** Where results are written down as they come; a run that finds them there goes on where it ended. */
    results?: Results;
}
/** Says the key with every call. */
export declare function keyed(apiKey: string | undefined): Interceptor[];
/** `host:port` is plain text. */
export declare function baseUrl(address: string): string;
/** A connection to a server. Requests are messages, or object literals of their fields. */
export declare class Client {
    #private;
    constructor(transport: Transport, settings?: Settings);
    /** Streams an answer. */
    generate(request: MessageInitShape<typeof GenerateRequestSchema>, options?: CallOptions): Promise<Answer>;
    /** The likelihood of each continuation; `best` is the one with the highest mean log-probability. */
    score(request: MessageInitShape<typeof ScoreRequestSchema>, options?: CallOptions): Promise<ScoreResponse>;
    /** One input under many variants, results as they are done. */
    sweep(request: MessageInitShape<typeof SweepRequestSchema>, options?: CallOptions): Promise<Sweep>;
    /** Activations at hook points as they come. */
    capture(request: MessageInitShape<typeof CaptureRequestSchema>, options?: CallOptions): Promise<Capture>;
    /** The picture as the model will see it, as PNG, and its patch grid. */
    preview(request: MessageInitShape<typeof PreviewRequestSchema>, options?: CallOptions): Promise<PreviewResponse>;
    /** Runs a recorded answer again: `agrees`, or which stage differs first. */
    verify(request: MessageInitShape<typeof VerifyRequestSchema>, options?: CallOptions): Promise<VerifyResponse>;
    /** Keeps a picture on the server; what comes back stands for it in later requests. */
    uploadImage(data: Uint8Array, options?: CallOptions): Promise<Image>;
    /**
     * A benchmark: questions are taken as fast as the server answers. Browsers cannot send while they receive: there it throws
     * `Code.Unimplemented`.
     */
    evaluate(header: MessageInitShape<typeof EvaluateHeaderSchema>, questions: AsyncIterable<Question> | Iterable<Question>, options?: EvaluateOptions): Promise<Evaluation>;
    /** The rule sets that the server knows. */
    describe(options?: CallOptions): Promise<RuleInfo[]>;
    /** The resident models in the order of loading. */
    listModels(options?: CallOptions): Promise<ModelInfo[]>;
    /** One resident model; the first one by default. */
    getModel(model?: string, options?: CallOptions): Promise<ModelInfo>;
    /** The named places in a model's forward pass, in data-path order. */
    listHookPoints(model?: string, options?: CallOptions): Promise<HookPoint[]>;
    /** Makes a model resident: progress, then the model. `place`: a folder of the server, a hub id, or "shapes". */
    loadModel(request: MessageInitShape<typeof LoadModelRequestSchema>, options?: CallOptions): Promise<AsyncGenerator<LoadModelResponse, void, void>>;
    /** Takes a model away, waits for the requests that run on it, and returns the bytes that became free. */
    unloadModel(model: string, options?: CallOptions): Promise<bigint>;
    /** Makes the projector in a file of the server resident under `name`. */
    loadProjector(model: string, name: string, file: string, options?: CallOptions): Promise<ModelInfo>;
    /** Runs the golden set of a model: cases as they are compared, then the report. */
    checkParity(model?: string, options?: CallOptions): Promise<AsyncGenerator<CheckParityResponse, void, void>>;
}
/** A picture: the bytes of a PNG, JPEG or WebP, or what `uploadImage` returned. */
export declare function image(data: Uint8Array | Image): Image;
/** A question about pictures. */
export declare function prompt(text: string, ...images: (Uint8Array | Image)[]): Prompt;
