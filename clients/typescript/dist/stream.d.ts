/** What comes as a stream. Iterating is streaming, leaving the loop cancels. */
import type { Message } from "@bufbuild/protobuf";
import { type BenchmarkMetric, type CaptureFinished, type CaptureResponse, DataType, type EvaluateFinished, type EvaluateResponse, type EvaluateStarted, type Finished, type GenerateResponse, type SampleResult, type Started, type SweepFinished, type SweepResponse, type SweepResult, type SweepStarted, type Token, type TopTokens } from "./v1.js";
/** A call whose first message has come. */
export interface Begun<M> {
    first: M;
    rest: AsyncIterator<M>;
    abort: AbortController;
}
/** Waits for the first message of a call. */
export declare function begin<M extends Message>(call: (signal: AbortSignal) => AsyncIterable<M>, signal: AbortSignal | undefined): Promise<Begun<M>>;
/** Messages after the first one; leaving the loop cancels. */
export declare function events<M>({ rest, abort }: Begun<M>): AsyncGenerator<M, void, void>;
/** Every message. */
export declare function all<M>(begun: Begun<M>): AsyncGenerator<M, void, void>;
/** What the streams have in common: items, and a last event. */
declare abstract class Stream<M, Item, End> implements AsyncIterable<Item> {
    #private;
    constructor(begun: Begun<M>);
    /** What an event holds. */
    protected abstract take(event: M): {
        item?: Item;
        finished?: End;
    };
    /** The last event; undefined before it has come. */
    get finished(): End | undefined;
    /** Items as they come; leaving the loop tells the server to stop. */
    [Symbol.asyncIterator](): AsyncGenerator<Item, void, void>;
    /** Reads to the end. */
    finish(): Promise<End>;
    /** Tells the server to stop. */
    cancel(): void;
    /** Tells the server to stop at the end of a block, `await using`. */
    [Symbol.asyncDispose](): Promise<void>;
}
/** A streamed answer: iterate over its tokens, or `finish()` it. */
export declare class Answer extends Stream<GenerateResponse, Token, Finished> {
    /** The first event: the request is admitted. */
    readonly started: Started;
    constructor(begun: Begun<GenerateResponse>);
    protected take({ event }: GenerateResponse): {
        item?: Token;
        finished?: Finished;
    };
}
/** One input under many variants: a result for each as it is done. */
export declare class Sweep extends Stream<SweepResponse, SweepResult, SweepFinished> {
    /** How many results will come. */
    readonly started: SweepStarted;
    constructor(begun: Begun<SweepResponse>);
    protected take({ event }: SweepResponse): {
        item?: SweepResult;
        finished?: SweepFinished;
    };
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
}
/** Activations as they come. */
export declare class Capture extends Stream<CaptureResponse, Activation, CaptureFinished> {
    #private;
    /** The first event: the request is admitted. */
    readonly started: Started;
    constructor(begun: Begun<CaptureResponse>, dtype: DataType);
    protected take({ event }: CaptureResponse): {
        item?: Activation;
        finished?: CaptureFinished;
    };
}
/** Where results are written down as they come, and where a run goes on from. */
export interface ResultsSink {
    begun(started: EvaluateStarted): void;
    add(result: SampleResult): void;
    close(): void;
}
/** A benchmark that runs: a result for each question and variant as it comes. */
export declare class Evaluation extends Stream<EvaluateResponse, SampleResult, EvaluateFinished> {
    #private;
    /** Who answers, by which rule, with which seeds. */
    readonly started: EvaluateStarted;
    /** Results of an earlier run, which are not computed again. */
    readonly known: number;
    /** What the results so far come to; now and then anew. */
    metrics: BenchmarkMetric[];
    constructor(begun: Begun<EvaluateResponse>, known: number, sink: ResultsSink | undefined, broken: () => unknown);
    protected take({ event }: EvaluateResponse): {
        item?: SampleResult;
        finished?: EvaluateFinished;
    };
}
export {};
