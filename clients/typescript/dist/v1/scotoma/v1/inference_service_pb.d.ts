import type { GenEnum, GenFile, GenMessage, GenService } from "@bufbuild/protobuf/codegenv2";
import type { DataType, Intervention, Target } from "./intervention_pb.js";
import type { Message } from "@bufbuild/protobuf";
/**
 * Describes the file scotoma/v1/inference_service.proto.
 */
export declare const file_scotoma_v1_inference_service: GenFile;
/**
 * One picture.
 *
 * @generated from message scotoma.v1.Image
 */
export type Image = Message<"scotoma.v1.Image"> & {
    /**
     * Where it comes from. Unset: INVALID_ARGUMENT.
     *
     * @generated from oneof scotoma.v1.Image.source
     */
    source: {
        /**
         * PNG, JPEG or WebP.
         *
         * @generated from field: bytes data = 1;
         */
        value: Uint8Array;
        case: "data";
    } | {
        /**
         * BLAKE3 content hash (hex) of a picture sent before.
         *
         * @generated from field: string handle = 2;
         */
        value: string;
        case: "handle";
    } | {
        case: undefined;
        value?: undefined;
    };
};
/**
 * Describes the message scotoma.v1.Image.
 * Use `create(ImageSchema)` to create a new message.
 */
export declare const ImageSchema: GenMessage<Image>;
/**
 * What the model reads.
 *
 * @generated from message scotoma.v1.Prompt
 */
export type Prompt = Message<"scotoma.v1.Prompt"> & {
    /**
     * The user's words, put through the model's chat template after the pictures. The marker `<image>` places a picture;
     * without markers all pictures come first. As many markers as images, or none.
     *
     * @generated from field: string text = 1;
     */
    text: string;
    /**
     * Pictures in the order of their markers; at most ModelInfo.limits.max_images.
     *
     * @generated from field: repeated scotoma.v1.Image images = 2;
     */
    images: Image[];
    /**
     * Text is the whole prompt already; no chat template.
     *
     * @generated from field: bool raw = 3;
     */
    raw: boolean;
};
/**
 * Describes the message scotoma.v1.Prompt.
 * Use `create(PromptSchema)` to create a new message.
 */
export declare const PromptSchema: GenMessage<Prompt>;
/**
 * How tokens are chosen.
 *
 * @generated from message scotoma.v1.Sampling
 */
export type Sampling = Message<"scotoma.v1.Sampling"> & {
    /**
     * 0: greedy (default). Otherwise logits are divided by it; at most 100.
     *
     * @generated from field: double temperature = 1;
     */
    temperature: number;
    /**
     * Keep the k likeliest tokens. 0: all.
     *
     * @generated from field: uint32 top_k = 2;
     */
    topK: number;
    /**
     * Keep the likeliest tokens that together reach this probability; (0, 1]. Unset: 1.
     *
     * @generated from field: optional double top_p = 3;
     */
    topP?: number | undefined;
    /**
     * Seed of the draws. Unset: drawn by the server and returned, unless decoding is greedy.
     *
     * @generated from field: optional uint64 seed = 4;
     */
    seed?: bigint | undefined;
};
/**
 * Describes the message scotoma.v1.Sampling.
 * Use `create(SamplingSchema)` to create a new message.
 */
export declare const SamplingSchema: GenMessage<Sampling>;
/**
 * Request of Generate.
 *
 * @generated from message scotoma.v1.GenerateRequest
 */
export type GenerateRequest = Message<"scotoma.v1.GenerateRequest"> & {
    /**
     * Name of a resident model. Empty: the only or first one.
     *
     * @generated from field: string model = 1;
     */
    model: string;
    /**
     * What the model reads.
     *
     * @generated from field: scotoma.v1.Prompt prompt = 2;
     */
    prompt?: Prompt | undefined;
    /**
     * The changes, at most 64.
     *
     * @generated from field: repeated scotoma.v1.Intervention interventions = 3;
     */
    interventions: Intervention[];
    /**
     * How tokens are chosen. Unset: greedy.
     *
     * @generated from field: scotoma.v1.Sampling sampling = 4;
     */
    sampling?: Sampling | undefined;
    /**
     * At most this many tokens. 0: 256, or what the context leaves if that is less.
     *
     * @generated from field: uint32 max_tokens = 5;
     */
    maxTokens: number;
    /**
     * The answer ends before the first of these; at most 8, each non-empty.
     *
     * @generated from field: repeated string stop = 6;
     */
    stop: string[];
    /**
     * Log-probabilities of this many likeliest tokens with each token, at most 20. The chosen token's is always there.
     *
     * @generated from field: uint32 top_logprobs = 7;
     */
    topLogprobs: number;
    /**
     * Identifies the sample among those that share a seed: random choices depend on (seed, sample_key, place in the list).
     *
     * @generated from field: string sample_key = 8;
     */
    sampleKey: string;
};
/**
 * Describes the message scotoma.v1.GenerateRequest.
 * Use `create(GenerateRequestSchema)` to create a new message.
 */
export declare const GenerateRequestSchema: GenMessage<GenerateRequest>;
/**
 * One event of an answer: first `started`, then tokens, then `finished`.
 *
 * @generated from message scotoma.v1.GenerateResponse
 */
export type GenerateResponse = Message<"scotoma.v1.GenerateResponse"> & {
    /**
     * The event.
     *
     * @generated from oneof scotoma.v1.GenerateResponse.event
     */
    event: {
        /**
         * Admitted and prepared; sent before the first token.
         *
         * @generated from field: scotoma.v1.Started started = 1;
         */
        value: Started;
        case: "started";
    } | {
        /**
         * One token.
         *
         * @generated from field: scotoma.v1.Token token = 2;
         */
        value: Token;
        case: "token";
    } | {
        /**
         * The end; always last.
         *
         * @generated from field: scotoma.v1.Finished finished = 3;
         */
        value: Finished;
        case: "finished";
    } | {
        case: undefined;
        value?: undefined;
    };
};
/**
 * Describes the message scotoma.v1.GenerateResponse.
 * Use `create(GenerateResponseSchema)` to create a new message.
 */
export declare const GenerateResponseSchema: GenMessage<GenerateResponse>;
/**
 * The request is admitted; nothing has been computed yet.
 *
 * @generated from message scotoma.v1.Started
 */
export type Started = Message<"scotoma.v1.Started"> & {
    /**
     * Names the request in the server's log.
     *
     * @generated from field: string request_id = 1;
     */
    requestId: string;
    /**
     * Tokens of the prompt, visual tokens included.
     *
     * @generated from field: uint32 prompt_tokens = 2;
     */
    promptTokens: number;
    /**
     * Visual tokens among them.
     *
     * @generated from field: uint32 image_tokens = 3;
     */
    imageTokens: number;
    /**
     * (row, layer) pairs that the prompt will take in both transformers.
     *
     * @generated from field: uint64 cost = 4;
     */
    cost: bigint;
};
/**
 * Describes the message scotoma.v1.Started.
 * Use `create(StartedSchema)` to create a new message.
 */
export declare const StartedSchema: GenMessage<Started>;
/**
 * One generated token.
 *
 * @generated from message scotoma.v1.Token
 */
export type Token = Message<"scotoma.v1.Token"> & {
    /**
     * Number in the vocabulary.
     *
     * @generated from field: uint32 id = 1;
     */
    id: number;
    /**
     * Text that became certain with this token; whole UTF-8 characters, possibly empty.
     *
     * @generated from field: string text = 2;
     */
    text: string;
    /**
     * Natural logarithm of its probability before temperature, top_k and top_p.
     *
     * @generated from field: double logprob = 3;
     */
    logprob: number;
    /**
     * The likeliest tokens, likeliest first; as many as asked for.
     *
     * @generated from field: repeated scotoma.v1.TokenLogprob top = 4;
     */
    top: TokenLogprob[];
};
/**
 * Describes the message scotoma.v1.Token.
 * Use `create(TokenSchema)` to create a new message.
 */
export declare const TokenSchema: GenMessage<Token>;
/**
 * A candidate token.
 *
 * @generated from message scotoma.v1.TokenLogprob
 */
export type TokenLogprob = Message<"scotoma.v1.TokenLogprob"> & {
    /**
     * Number in the vocabulary.
     *
     * @generated from field: uint32 id = 1;
     */
    id: number;
    /**
     * The token alone as text; incomplete UTF-8 shows as U+FFFD.
     *
     * @generated from field: string text = 2;
     */
    text: string;
    /**
     * Natural logarithm of its probability.
     *
     * @generated from field: double logprob = 3;
     */
    logprob: number;
};
/**
 * Describes the message scotoma.v1.TokenLogprob.
 * Use `create(TokenLogprobSchema)` to create a new message.
 */
export declare const TokenLogprobSchema: GenMessage<TokenLogprob>;
/**
 * The end of an answer.
 *
 * @generated from message scotoma.v1.Finished
 */
export type Finished = Message<"scotoma.v1.Finished"> & {
    /**
     * Why it ended.
     *
     * @generated from field: scotoma.v1.FinishReason reason = 1;
     */
    reason: FinishReason;
    /**
     * The whole text.
     *
     * @generated from field: string text = 2;
     */
    text: string;
    /**
     * Counts and times.
     *
     * @generated from field: scotoma.v1.Usage usage = 3;
     */
    usage?: Usage | undefined;
    /**
     * The record of what ran.
     *
     * @generated from field: scotoma.v1.Provenance provenance = 4;
     */
    provenance?: Provenance | undefined;
};
/**
 * Describes the message scotoma.v1.Finished.
 * Use `create(FinishedSchema)` to create a new message.
 */
export declare const FinishedSchema: GenMessage<Finished>;
/**
 * What a request cost.
 *
 * @generated from message scotoma.v1.Usage
 */
export type Usage = Message<"scotoma.v1.Usage"> & {
    /**
     * Tokens of the prompt, visual tokens included.
     *
     * @generated from field: uint32 prompt_tokens = 1;
     */
    promptTokens: number;
    /**
     * Visual tokens among them.
     *
     * @generated from field: uint32 image_tokens = 2;
     */
    imageTokens: number;
    /**
     * Tokens generated, the end token included.
     *
     * @generated from field: uint32 generation_tokens = 3;
     */
    generationTokens: number;
    /**
     * Seconds between admission and the first step.
     *
     * @generated from field: double queue_seconds = 4;
     */
    queueSeconds: number;
    /**
     * Seconds from admission to the first token.
     *
     * @generated from field: double time_to_first_token_seconds = 5;
     */
    timeToFirstTokenSeconds: number;
    /**
     * Seconds from admission to the end.
     *
     * @generated from field: double total_seconds = 6;
     */
    totalSeconds: number;
    /**
     * (row, layer) pairs computed in both transformers for this request and not for another one that it shares with.
     *
     * @generated from field: uint64 rows_computed = 7;
     */
    rowsComputed: bigint;
    /**
     * Floating-point operations of all matrix products (a multiply-add is two): towers, projector, decoder, head.
     *
     * @generated from field: uint64 flops = 8;
     */
    flops: bigint;
    /**
     * The same for this prompt and as many tokens without interventions, computed from nothing.
     *
     * @generated from field: uint64 baseline_flops = 9;
     */
    baselineFlops: bigint;
    /**
     * (row, layer) pairs that were taken from other requests, earlier pictures and prompts, or other variants of a sweep.
     *
     * @generated from field: uint64 rows_reused = 10;
     */
    rowsReused: bigint;
};
/**
 * Describes the message scotoma.v1.Usage.
 * Use `create(UsageSchema)` to create a new message.
 */
export declare const UsageSchema: GenMessage<Usage>;
/**
 * Request of Score.
 *
 * @generated from message scotoma.v1.ScoreRequest
 */
export type ScoreRequest = Message<"scotoma.v1.ScoreRequest"> & {
    /**
     * Name of a resident model. Empty: the only or first one.
     *
     * @generated from field: string model = 1;
     */
    model: string;
    /**
     * What the model reads before each continuation.
     *
     * @generated from field: scotoma.v1.Prompt prompt = 2;
     */
    prompt?: Prompt | undefined;
    /**
     * The changes, at most 64.
     *
     * @generated from field: repeated scotoma.v1.Intervention interventions = 3;
     */
    interventions: Intervention[];
    /**
     * Continuations to score, 1 to 1024, each non-empty. A space is not added: say " yes" where the model would.
     *
     * @generated from field: repeated string continuations = 4;
     */
    continuations: string[];
    /**
     * As in GenerateRequest.
     *
     * @generated from field: string sample_key = 5;
     */
    sampleKey: string;
};
/**
 * Describes the message scotoma.v1.ScoreRequest.
 * Use `create(ScoreRequestSchema)` to create a new message.
 */
export declare const ScoreRequestSchema: GenMessage<ScoreRequest>;
/**
 * Response of Score.
 *
 * @generated from message scotoma.v1.ScoreResponse
 */
export type ScoreResponse = Message<"scotoma.v1.ScoreResponse"> & {
    /**
     * One entry per continuation, in the order asked.
     *
     * @generated from field: repeated scotoma.v1.ContinuationScore scores = 1;
     */
    scores: ContinuationScore[];
    /**
     * Index of the continuation with the highest mean log-probability; the first one among equals.
     *
     * @generated from field: uint32 best = 2;
     */
    best: number;
    /**
     * Counts and times.
     *
     * @generated from field: scotoma.v1.Usage usage = 3;
     */
    usage?: Usage | undefined;
    /**
     * The record of what ran.
     *
     * @generated from field: scotoma.v1.Provenance provenance = 4;
     */
    provenance?: Provenance | undefined;
};
/**
 * Describes the message scotoma.v1.ScoreResponse.
 * Use `create(ScoreResponseSchema)` to create a new message.
 */
export declare const ScoreResponseSchema: GenMessage<ScoreResponse>;
/**
 * The likelihood of one continuation.
 *
 * @generated from message scotoma.v1.ContinuationScore
 */
export type ContinuationScore = Message<"scotoma.v1.ContinuationScore"> & {
    /**
     * Its tokens with their log-probabilities.
     *
     * @generated from field: repeated scotoma.v1.TokenLogprob tokens = 1;
     */
    tokens: TokenLogprob[];
    /**
     * Sum over the tokens.
     *
     * @generated from field: double logprob = 2;
     */
    logprob: number;
    /**
     * logprob / number of tokens.
     *
     * @generated from field: double mean_logprob = 3;
     */
    meanLogprob: number;
    /**
     * logprob / number of bytes of the continuation.
     *
     * @generated from field: double logprob_per_byte = 4;
     */
    logprobPerByte: number;
};
/**
 * Describes the message scotoma.v1.ContinuationScore.
 * Use `create(ContinuationScoreSchema)` to create a new message.
 */
export declare const ContinuationScoreSchema: GenMessage<ContinuationScore>;
/**
 * Request of Sweep.
 *
 * @generated from message scotoma.v1.SweepRequest
 */
export type SweepRequest = Message<"scotoma.v1.SweepRequest"> & {
    /**
     * What every variant does; its interventions come first in each.
     *
     * @generated from oneof scotoma.v1.SweepRequest.input
     */
    input: {
        /**
         * Answers.
         *
         * @generated from field: scotoma.v1.GenerateRequest generate = 1;
         */
        value: GenerateRequest;
        case: "generate";
    } | {
        /**
         * Likelihoods of continuations.
         *
         * @generated from field: scotoma.v1.ScoreRequest score = 2;
         */
        value: ScoreRequest;
        case: "score";
    } | {
        case: undefined;
        value?: undefined;
    };
    /**
     * The variants, one by one; or else `grid`.
     *
     * @generated from field: repeated scotoma.v1.SweepVariant variants = 3;
     */
    variants: SweepVariant[];
    /**
     * The variants, as a product.
     *
     * @generated from field: scotoma.v1.SweepGrid grid = 4;
     */
    grid?: SweepGrid | undefined;
};
/**
 * Describes the message scotoma.v1.SweepRequest.
 * Use `create(SweepRequestSchema)` to create a new message.
 */
export declare const SweepRequestSchema: GenMessage<SweepRequest>;
/**
 * One variant.
 *
 * @generated from message scotoma.v1.SweepVariant
 */
export type SweepVariant = Message<"scotoma.v1.SweepVariant"> & {
    /**
     * Its interventions, after those of the input.
     *
     * @generated from field: repeated scotoma.v1.Intervention interventions = 1;
     */
    interventions: Intervention[];
};
/**
 * Describes the message scotoma.v1.SweepVariant.
 * Use `create(SweepVariantSchema)` to create a new message.
 */
export declare const SweepVariantSchema: GenMessage<SweepVariant>;
/**
 * All combinations of values; the last axis moves fastest. At most 1,000,000 variants.
 *
 * @generated from message scotoma.v1.SweepGrid
 */
export type SweepGrid = Message<"scotoma.v1.SweepGrid"> & {
    /**
     * The interventions that the axes change.
     *
     * @generated from field: repeated scotoma.v1.Intervention interventions = 1;
     */
    interventions: Intervention[];
    /**
     * 1 to 8 axes.
     *
     * @generated from field: repeated scotoma.v1.SweepAxis axes = 2;
     */
    axes: SweepAxis[];
};
/**
 * Describes the message scotoma.v1.SweepGrid.
 * Use `create(SweepGridSchema)` to create a new message.
 */
export declare const SweepGridSchema: GenMessage<SweepGrid>;
/**
 * Values of one field.
 *
 * @generated from message scotoma.v1.SweepAxis
 */
export type SweepAxis = Message<"scotoma.v1.SweepAxis"> & {
    /**
     * The field within the grid: `interventions[0].drop_layers.layers[0]`, `interventions[0].permute_tokens.seed`. An index one past
     * the end of a list adds to it.
     *
     * @generated from field: string field = 1;
     */
    field: string;
    /**
     * What it becomes.
     *
     * @generated from oneof scotoma.v1.SweepAxis.values
     */
    values: {
        /**
         * Evenly spaced.
         *
         * @generated from field: scotoma.v1.SweepRange range = 2;
         */
        value: SweepRange;
        case: "range";
    } | {
        /**
         * As listed.
         *
         * @generated from field: scotoma.v1.SweepNumbers numbers = 3;
         */
        value: SweepNumbers;
        case: "numbers";
    } | {
        case: undefined;
        value?: undefined;
    };
};
/**
 * Describes the message scotoma.v1.SweepAxis.
 * Use `create(SweepAxisSchema)` to create a new message.
 */
export declare const SweepAxisSchema: GenMessage<SweepAxis>;
/**
 * Evenly spaced numbers.
 *
 * @generated from message scotoma.v1.SweepRange
 */
export type SweepRange = Message<"scotoma.v1.SweepRange"> & {
    /**
     * The first one.
     *
     * @generated from field: double first = 1;
     */
    first: number;
    /**
     * The last one that may come.
     *
     * @generated from field: double last = 2;
     */
    last: number;
    /**
     * Their distance, above 0. 0: 1.
     *
     * @generated from field: double step = 3;
     */
    step: number;
};
/**
 * Describes the message scotoma.v1.SweepRange.
 * Use `create(SweepRangeSchema)` to create a new message.
 */
export declare const SweepRangeSchema: GenMessage<SweepRange>;
/**
 * Numbers.
 *
 * @generated from message scotoma.v1.SweepNumbers
 */
export type SweepNumbers = Message<"scotoma.v1.SweepNumbers"> & {
    /**
     * At least one.
     *
     * @generated from field: repeated double values = 1;
     */
    values: number[];
};
/**
 * Describes the message scotoma.v1.SweepNumbers.
 * Use `create(SweepNumbersSchema)` to create a new message.
 */
export declare const SweepNumbersSchema: GenMessage<SweepNumbers>;
/**
 * One event of a sweep: first `started`, then a result for each variant, then `finished`.
 *
 * @generated from message scotoma.v1.SweepResponse
 */
export type SweepResponse = Message<"scotoma.v1.SweepResponse"> & {
    /**
     * The event.
     *
     * @generated from oneof scotoma.v1.SweepResponse.event
     */
    event: {
        /**
         * Checked; nothing has been computed yet.
         *
         * @generated from field: scotoma.v1.SweepStarted started = 1;
         */
        value: SweepStarted;
        case: "started";
    } | {
        /**
         * A variant is done.
         *
         * @generated from field: scotoma.v1.SweepResult result = 2;
         */
        value: SweepResult;
        case: "result";
    } | {
        /**
         * The end; always last.
         *
         * @generated from field: scotoma.v1.SweepFinished finished = 3;
         */
        value: SweepFinished;
        case: "finished";
    } | {
        case: undefined;
        value?: undefined;
    };
};
/**
 * Describes the message scotoma.v1.SweepResponse.
 * Use `create(SweepResponseSchema)` to create a new message.
 */
export declare const SweepResponseSchema: GenMessage<SweepResponse>;
/**
 * The sweep begins.
 *
 * @generated from message scotoma.v1.SweepStarted
 */
export type SweepStarted = Message<"scotoma.v1.SweepStarted"> & {
    /**
     * Names the request in the server's log.
     *
     * @generated from field: string request_id = 1;
     */
    requestId: string;
    /**
     * How many results will come.
     *
     * @generated from field: uint32 variants = 2;
     */
    variants: number;
};
/**
 * Describes the message scotoma.v1.SweepStarted.
 * Use `create(SweepStartedSchema)` to create a new message.
 */
export declare const SweepStartedSchema: GenMessage<SweepStarted>;
/**
 * What became of one variant.
 *
 * @generated from message scotoma.v1.SweepResult
 */
export type SweepResult = Message<"scotoma.v1.SweepResult"> & {
    /**
     * Its number, from 0.
     *
     * @generated from field: uint32 variant = 1;
     */
    variant: number;
    /**
     * Of a grid: the number of its value along each axis.
     *
     * @generated from field: repeated uint32 places = 2;
     */
    places: number[];
    /**
     * What came out.
     *
     * @generated from oneof scotoma.v1.SweepResult.outcome
     */
    outcome: {
        /**
         * The answer.
         *
         * @generated from field: scotoma.v1.Finished generated = 3;
         */
        value: Finished;
        case: "generated";
    } | {
        /**
         * The likelihoods.
         *
         * @generated from field: scotoma.v1.ScoreResponse scored = 4;
         */
        value: ScoreResponse;
        case: "scored";
    } | {
        /**
         * This variant cannot be run, or failed; the others go on.
         *
         * @generated from field: scotoma.v1.SweepError error = 5;
         */
        value: SweepError;
        case: "error";
    } | {
        case: undefined;
        value?: undefined;
    };
};
/**
 * Describes the message scotoma.v1.SweepResult.
 * Use `create(SweepResultSchema)` to create a new message.
 */
export declare const SweepResultSchema: GenMessage<SweepResult>;
/**
 * Why a variant failed; what the status of a request of its own would say.
 *
 * @generated from message scotoma.v1.SweepError
 */
export type SweepError = Message<"scotoma.v1.SweepError"> & {
    /**
     * The gRPC code.
     *
     * @generated from field: int32 code = 1;
     */
    code: number;
    /**
     * As in google.rpc.ErrorInfo.
     *
     * @generated from field: string reason = 2;
     */
    reason: string;
    /**
     * Path of the field, where one is to blame.
     *
     * @generated from field: string field = 3;
     */
    field: string;
    /**
     * For people.
     *
     * @generated from field: string message = 4;
     */
    message: string;
};
/**
 * Describes the message scotoma.v1.SweepError.
 * Use `create(SweepErrorSchema)` to create a new message.
 */
export declare const SweepErrorSchema: GenMessage<SweepError>;
/**
 * The end of a sweep.
 *
 * @generated from message scotoma.v1.SweepFinished
 */
export type SweepFinished = Message<"scotoma.v1.SweepFinished"> & {
    /**
     * Results sent.
     *
     * @generated from field: uint32 variants = 1;
     */
    variants: number;
    /**
     * Errors among them.
     *
     * @generated from field: uint32 failed = 2;
     */
    failed: number;
    /**
     * (row, layer) pairs computed in both transformers.
     *
     * @generated from field: uint64 rows_computed = 3;
     */
    rowsComputed: bigint;
    /**
     * The same if every variant were run by itself.
     *
     * @generated from field: uint64 rows_naive = 4;
     */
    rowsNaive: bigint;
    /**
     * Seconds from the start.
     *
     * @generated from field: double total_seconds = 5;
     */
    totalSeconds: number;
};
/**
 * Describes the message scotoma.v1.SweepFinished.
 * Use `create(SweepFinishedSchema)` to create a new message.
 */
export declare const SweepFinishedSchema: GenMessage<SweepFinished>;
/**
 * Request of UploadImage.
 *
 * @generated from message scotoma.v1.UploadImageRequest
 */
export type UploadImageRequest = Message<"scotoma.v1.UploadImageRequest"> & {
    /**
     * PNG, JPEG or WebP.
     *
     * @generated from field: bytes data = 1;
     */
    data: Uint8Array;
};
/**
 * Describes the message scotoma.v1.UploadImageRequest.
 * Use `create(UploadImageRequestSchema)` to create a new message.
 */
export declare const UploadImageRequestSchema: GenMessage<UploadImageRequest>;
/**
 * Response of UploadImage.
 *
 * @generated from message scotoma.v1.UploadImageResponse
 */
export type UploadImageResponse = Message<"scotoma.v1.UploadImageResponse"> & {
    /**
     * What Image.handle takes: BLAKE3 (hex) of the bytes. It is kept until others need the room.
     *
     * @generated from field: string handle = 1;
     */
    handle: string;
    /**
     * Pixels.
     *
     * @generated from field: uint32 width = 2;
     */
    width: number;
    /**
     * Pixels.
     *
     * @generated from field: uint32 height = 3;
     */
    height: number;
};
/**
 * Describes the message scotoma.v1.UploadImageResponse.
 * Use `create(UploadImageResponseSchema)` to create a new message.
 */
export declare const UploadImageResponseSchema: GenMessage<UploadImageResponse>;
/**
 * Request of Preview.
 *
 * @generated from message scotoma.v1.PreviewRequest
 */
export type PreviewRequest = Message<"scotoma.v1.PreviewRequest"> & {
    /**
     * Name of a resident model. Empty: the only or first one.
     *
     * @generated from field: string model = 1;
     */
    model: string;
    /**
     * The picture.
     *
     * @generated from field: scotoma.v1.Image image = 2;
     */
    image?: Image | undefined;
    /**
     * The changes; those that do not touch the picture are checked and otherwise ignored.
     *
     * @generated from field: repeated scotoma.v1.Intervention interventions = 3;
     */
    interventions: Intervention[];
    /**
     * As in GenerateRequest.
     *
     * @generated from field: string sample_key = 4;
     */
    sampleKey: string;
};
/**
 * Describes the message scotoma.v1.PreviewRequest.
 * Use `create(PreviewRequestSchema)` to create a new message.
 */
export declare const PreviewRequestSchema: GenMessage<PreviewRequest>;
/**
 * Response of Preview.
 *
 * @generated from message scotoma.v1.PreviewResponse
 */
export type PreviewResponse = Message<"scotoma.v1.PreviewResponse"> & {
    /**
     * PNG of the picture after resizing, cropping and the image interventions, before normalisation.
     *
     * @generated from field: bytes png = 1;
     */
    png: Uint8Array;
    /**
     * Pixels.
     *
     * @generated from field: uint32 width = 2;
     */
    width: number;
    /**
     * Pixels.
     *
     * @generated from field: uint32 height = 3;
     */
    height: number;
    /**
     * Patches along the height.
     *
     * @generated from field: uint32 grid_rows = 4;
     */
    gridRows: number;
    /**
     * Patches along the width.
     *
     * @generated from field: uint32 grid_columns = 5;
     */
    gridColumns: number;
    /**
     * The resolved interventions.
     *
     * @generated from field: repeated scotoma.v1.ResolvedIntervention plan = 6;
     */
    plan: ResolvedIntervention[];
};
/**
 * Describes the message scotoma.v1.PreviewResponse.
 * Use `create(PreviewResponseSchema)` to create a new message.
 */
export declare const PreviewResponseSchema: GenMessage<PreviewResponse>;
/**
 * An intervention with every choice made.
 *
 * @generated from message scotoma.v1.ResolvedIntervention
 */
export type ResolvedIntervention = Message<"scotoma.v1.ResolvedIntervention"> & {
    /**
     * As asked, with the drawn seeds filled in.
     *
     * @generated from field: scotoma.v1.Intervention intervention = 1;
     */
    intervention?: Intervention | undefined;
    /**
     * What it came to, one entry per picture it touched (one in all where pictures play no part).
     *
     * @generated from field: repeated scotoma.v1.Resolution resolutions = 2;
     */
    resolutions: Resolution[];
    /**
     * It fired and changed nothing, an identity permutation for instance.
     *
     * @generated from field: bool changed_nothing = 3;
     */
    changedNothing: boolean;
    /**
     * How often it acted: once a picture for changes of pictures and projectors, once for each layer left out or added, once for
     * each hook point, picture or sequence, and step elsewhere. 0 in replies of Preview for what does not touch the picture.
     *
     * @generated from field: uint64 fired = 4;
     */
    fired: bigint;
    /**
     * |after - before| / |before| over all values that it acted on; unset where the unchanged values are never computed (layers
     * left out or added, another projector) or have gone (SelectTokens, PruneTokens).
     *
     * @generated from field: optional double relative_change = 5;
     */
    relativeChange?: number | undefined;
};
/**
 * Describes the message scotoma.v1.ResolvedIntervention.
 * Use `create(ResolvedInterventionSchema)` to create a new message.
 */
export declare const ResolvedInterventionSchema: GenMessage<ResolvedIntervention>;
/**
 * The concrete choice for one picture.
 *
 * @generated from message scotoma.v1.Resolution
 */
export type Resolution = Message<"scotoma.v1.Resolution"> & {
    /**
     * Position of the picture in the request; 0 where pictures play no part.
     *
     * @generated from field: uint32 image = 1;
     */
    image: number;
    /**
     * PermuteTokens, ShufflePatches: the order. OccludePatches: the occluded cells. DropLayers: the layers left
     * out. RepeatLayers, ExitEarly: the layers that run, in order. SelectTokens: the tokens that stay (pooled: the first of each group). PruneTokens: the positions
     * that leave. KnockOutAttention: the tokens that look, then in a second entry those that are hidden. Elsewhere the tokens
     * acted on. Ascending, but for orders.
     *
     * @generated from field: repeated uint32 indices = 2;
     */
    indices: number[];
    /**
     * SwapProjector: BLAKE3 digest (hex) of the projector's weights; "identity" for none. A saliency model's; a donor picture's
     * bytes'.
     *
     * @generated from field: string digest = 3;
     */
    digest: string;
    /**
     * Hook points that it acts at.
     *
     * @generated from field: repeated string points = 4;
     */
    points: string[];
    /**
     * View of the picture, in the tower and the projector.
     *
     * @generated from field: uint32 view = 5;
     */
    view: number;
};
/**
 * Describes the message scotoma.v1.Resolution.
 * Use `create(ResolutionSchema)` to create a new message.
 */
export declare const ResolutionSchema: GenMessage<Resolution>;
/**
 * A run of positions of the language model's input.
 *
 * @generated from message scotoma.v1.Span
 */
export type Span = Message<"scotoma.v1.Span"> & {
    /**
     * What it holds.
     *
     * @generated from field: scotoma.v1.SpanKind kind = 1;
     */
    kind: SpanKind;
    /**
     * First position.
     *
     * @generated from field: uint32 start = 2;
     */
    start: number;
    /**
     * One past the last position.
     *
     * @generated from field: uint32 end = 3;
     */
    end: number;
    /**
     * Position of the picture in the request, for visual spans.
     *
     * @generated from field: uint32 image = 4;
     */
    image: number;
    /**
     * Patches along the height: of the base view, or of the canvas that the tiles make up after unpadding.
     *
     * @generated from field: uint32 grid_rows = 5;
     */
    gridRows: number;
    /**
     * Patches along the width, likewise.
     *
     * @generated from field: uint32 grid_columns = 6;
     */
    gridColumns: number;
    /**
     * Number of the tile, row by row, for tiles. A span holds one row of a tile.
     *
     * @generated from field: uint32 tile = 7;
     */
    tile: number;
    /**
     * Row of the canvas, for tiles.
     *
     * @generated from field: uint32 row = 8;
     */
    row: number;
    /**
     * First column in the canvas, for tiles.
     *
     * @generated from field: uint32 column = 9;
     */
    column: number;
};
/**
 * Describes the message scotoma.v1.Span.
 * Use `create(SpanSchema)` to create a new message.
 */
export declare const SpanSchema: GenMessage<Span>;
/**
 * Everything needed to repeat an answer.
 *
 * @generated from message scotoma.v1.Provenance
 */
export type Provenance = Message<"scotoma.v1.Provenance"> & {
    /**
     * Version of the server.
     *
     * @generated from field: string server_version = 1;
     */
    serverVersion: string;
    /**
     * Name of the model.
     *
     * @generated from field: string model = 2;
     */
    model: string;
    /**
     * BLAKE3 digest (hex) of the model's weights and configuration.
     *
     * @generated from field: string model_digest = 3;
     */
    modelDigest: string;
    /**
     * f32, bf16 or f16.
     *
     * @generated from field: string dtype = 4;
     */
    dtype: string;
    /**
     * cpu or cuda:N.
     *
     * @generated from field: string device = 5;
     */
    device: string;
    /**
     * BLAKE3 digests (hex) of the pictures' bytes.
     *
     * @generated from field: repeated string image_digests = 6;
     */
    imageDigests: string[];
    /**
     * The image processor, in canonical JSON.
     *
     * @generated from field: string preprocessing = 7;
     */
    preprocessing: string;
    /**
     * The prompt after the chat template, pictures as `<image>`.
     *
     * @generated from field: string prompt_text = 8;
     */
    promptText: string;
    /**
     * The language model's input.
     *
     * @generated from field: repeated scotoma.v1.Span layout = 9;
     */
    layout: Span[];
    /**
     * The interventions with every choice made.
     *
     * @generated from field: repeated scotoma.v1.ResolvedIntervention plan = 10;
     */
    plan: ResolvedIntervention[];
    /**
     * How tokens were chosen, seed filled in; unset for Score.
     *
     * @generated from field: scotoma.v1.Sampling sampling = 11;
     */
    sampling?: Sampling | undefined;
    /**
     * As asked.
     *
     * @generated from field: string sample_key = 12;
     */
    sampleKey: string;
    /**
     * BLAKE3 digest (hex) of the tokens generated, or of the scores' bits.
     *
     * @generated from field: string output_digest = 13;
     */
    outputDigest: string;
    /**
     * BLAKE3 digest (hex) of the canonical JSON of all other fields.
     *
     * @generated from field: string digest = 14;
     */
    digest: string;
    /**
     * The request as `{"METHOD": request}` in canonical JSON (keys sorted), every seed filled in, pictures by their handles.
     *
     * @generated from field: string request = 15;
     */
    request: string;
    /**
     * BLAKE3 digests (hex) of what came out on the way, in data-path order.
     *
     * @generated from field: repeated scotoma.v1.Stage stages = 16;
     */
    stages: Stage[];
};
/**
 * Describes the message scotoma.v1.Provenance.
 * Use `create(ProvenanceSchema)` to create a new message.
 */
export declare const ProvenanceSchema: GenMessage<Provenance>;
/**
 * What came out of one part of a run.
 *
 * @generated from message scotoma.v1.Stage
 */
export type Stage = Message<"scotoma.v1.Stage"> & {
    /**
     * Of several pictures or continuations: the digest of the digests of each, in hex, end to end.
     * `pixels` (what the tower sees, little-endian f32), `prompt` (token ids, little-endian u32), `visual_tokens` (as the language
     * model reads them, f32), `logits` (of the first step, f32), `output` (see output_digest).
     *
     * @generated from field: string name = 1;
     */
    name: string;
    /**
     * BLAKE3 digest (hex).
     *
     * @generated from field: string digest = 2;
     */
    digest: string;
};
/**
 * Describes the message scotoma.v1.Stage.
 * Use `create(StageSchema)` to create a new message.
 */
export declare const StageSchema: GenMessage<Stage>;
/**
 * What to capture.
 *
 * @generated from message scotoma.v1.CaptureTarget
 */
export type CaptureTarget = Message<"scotoma.v1.CaptureTarget"> & {
    /**
     * Where. `dimensions` is not taken.
     *
     * @generated from field: scotoma.v1.Target target = 1;
     */
    target?: Target | undefined;
    /**
     * Default REDUCTION_NONE.
     *
     * @generated from field: scotoma.v1.Reduction reduction = 2;
     */
    reduction: Reduction;
    /**
     * Likeliest tokens for REDUCTION_TOP_TOKENS, 1 to 100.
     *
     * @generated from field: uint32 top = 3;
     */
    top: number;
    /**
     * Keep the values on the server for Patch; needs REDUCTION_NONE and no steps but the prompt's.
     *
     * @generated from field: bool keep = 4;
     */
    keep: boolean;
};
/**
 * Describes the message scotoma.v1.CaptureTarget.
 * Use `create(CaptureTargetSchema)` to create a new message.
 */
export declare const CaptureTargetSchema: GenMessage<CaptureTarget>;
/**
 * Request of Capture.
 *
 * @generated from message scotoma.v1.CaptureRequest
 */
export type CaptureRequest = Message<"scotoma.v1.CaptureRequest"> & {
    /**
     * Name of a resident model. Empty: the only or first one.
     *
     * @generated from field: string model = 1;
     */
    model: string;
    /**
     * What the model reads.
     *
     * @generated from field: scotoma.v1.Prompt prompt = 2;
     */
    prompt?: Prompt | undefined;
    /**
     * The changes, at most 64.
     *
     * @generated from field: repeated scotoma.v1.Intervention interventions = 3;
     */
    interventions: Intervention[];
    /**
     * What to capture, 1 to 64.
     *
     * @generated from field: repeated scotoma.v1.CaptureTarget targets = 4;
     */
    targets: CaptureTarget[];
    /**
     * Numbers are sent as this.
     *
     * @generated from field: scotoma.v1.DataType dtype = 5;
     */
    dtype: DataType;
    /**
     * Tokens to generate, so that there are steps beyond the prompt. Decoding is greedy. 0: the prompt alone.
     *
     * @generated from field: uint32 max_tokens = 6;
     */
    maxTokens: number;
    /**
     * Most bytes of all activations together. 0: what the server allows (ModelInfo.limits.max_capture_bytes). More would be needed:
     * RESOURCE_EXHAUSTED before anything runs.
     *
     * @generated from field: uint64 max_bytes = 7;
     */
    maxBytes: bigint;
    /**
     * As in GenerateRequest.
     *
     * @generated from field: string sample_key = 8;
     */
    sampleKey: string;
};
/**
 * Describes the message scotoma.v1.CaptureRequest.
 * Use `create(CaptureRequestSchema)` to create a new message.
 */
export declare const CaptureRequestSchema: GenMessage<CaptureRequest>;
/**
 * One event of a capture: first `started`, then activations as they come, then `finished`.
 *
 * @generated from message scotoma.v1.CaptureResponse
 */
export type CaptureResponse = Message<"scotoma.v1.CaptureResponse"> & {
    /**
     * The event.
     *
     * @generated from oneof scotoma.v1.CaptureResponse.event
     */
    event: {
        /**
         * Admitted and prepared.
         *
         * @generated from field: scotoma.v1.Started started = 1;
         */
        value: Started;
        case: "started";
    } | {
        /**
         * Values at a hook point.
         *
         * @generated from field: scotoma.v1.Activation activation = 2;
         */
        value: Activation;
        case: "activation";
    } | {
        /**
         * The end; always last.
         *
         * @generated from field: scotoma.v1.CaptureFinished finished = 3;
         */
        value: CaptureFinished;
        case: "finished";
    } | {
        case: undefined;
        value?: undefined;
    };
};
/**
 * Describes the message scotoma.v1.CaptureResponse.
 * Use `create(CaptureResponseSchema)` to create a new message.
 */
export declare const CaptureResponseSchema: GenMessage<CaptureResponse>;
/**
 * What a hook point held, or a part of it.
 *
 * @generated from message scotoma.v1.Activation
 */
export type Activation = Message<"scotoma.v1.Activation"> & {
    /**
     * Position in CaptureRequest.targets.
     *
     * @generated from field: uint32 target = 1;
     */
    target: number;
    /**
     * Name of the hook point.
     *
     * @generated from field: string point = 2;
     */
    point: string;
    /**
     * Step of the answer.
     *
     * @generated from field: uint32 step = 3;
     */
    step: number;
    /**
     * Position of the picture in the request, in the tower and the projector.
     *
     * @generated from field: uint32 image = 4;
     */
    image: number;
    /**
     * View of the picture, in the tower and the projector.
     *
     * @generated from field: uint32 view = 5;
     */
    view: number;
    /**
     * Numbers of the tokens behind the rows, as TokenSelector counts them; of all rows, with every part.
     *
     * @generated from field: repeated uint32 tokens = 6;
     */
    tokens: number[];
    /**
     * Sizes of the whole: (rows, width), (rows, heads, width of a head), (rows, heads, keys); reduced: (1, ...), or (rows),
     * (rows, heads) for norms, or (visual tokens) for received attention.
     *
     * @generated from field: repeated uint32 shape = 7;
     */
    shape: number[];
    /**
     * The numbers from `offset` on, little-endian, row by row.
     *
     * @generated from field: bytes data = 8;
     */
    data: Uint8Array;
    /**
     * Bytes of the whole before this part.
     *
     * @generated from field: uint64 offset = 9;
     */
    offset: bigint;
    /**
     * Bytes of the whole.
     *
     * @generated from field: uint64 size = 10;
     */
    size: bigint;
    /**
     * For REDUCTION_TOP_TOKENS in place of numbers: one entry for each row.
     *
     * @generated from field: repeated scotoma.v1.TopTokens top = 11;
     */
    top: TopTokens[];
};
/**
 * Describes the message scotoma.v1.Activation.
 * Use `create(ActivationSchema)` to create a new message.
 */
export declare const ActivationSchema: GenMessage<Activation>;
/**
 * The likeliest tokens of one row.
 *
 * @generated from message scotoma.v1.TopTokens
 */
export type TopTokens = Message<"scotoma.v1.TopTokens"> & {
    /**
     * Likeliest first.
     *
     * @generated from field: repeated scotoma.v1.TokenLogprob tokens = 1;
     */
    tokens: TokenLogprob[];
};
/**
 * Describes the message scotoma.v1.TopTokens.
 * Use `create(TopTokensSchema)` to create a new message.
 */
export declare const TopTokensSchema: GenMessage<TopTokens>;
/**
 * The end of a capture.
 *
 * @generated from message scotoma.v1.CaptureFinished
 */
export type CaptureFinished = Message<"scotoma.v1.CaptureFinished"> & {
    /**
     * The tokens generated, as text; empty where none were asked for.
     *
     * @generated from field: string text = 1;
     */
    text: string;
    /**
     * Counts and times.
     *
     * @generated from field: scotoma.v1.Usage usage = 2;
     */
    usage?: Usage | undefined;
    /**
     * The record of what ran.
     *
     * @generated from field: scotoma.v1.Provenance provenance = 3;
     */
    provenance?: Provenance | undefined;
    /**
     * What was kept for Patch.
     *
     * @generated from field: repeated scotoma.v1.KeptActivation kept = 4;
     */
    kept: KeptActivation[];
};
/**
 * Describes the message scotoma.v1.CaptureFinished.
 * Use `create(CaptureFinishedSchema)` to create a new message.
 */
export declare const CaptureFinishedSchema: GenMessage<CaptureFinished>;
/**
 * Activations that the server keeps until others need the room.
 *
 * @generated from message scotoma.v1.KeptActivation
 */
export type KeptActivation = Message<"scotoma.v1.KeptActivation"> & {
    /**
     * Position in CaptureRequest.targets.
     *
     * @generated from field: uint32 target = 1;
     */
    target: number;
    /**
     * Name of the hook point.
     *
     * @generated from field: string point = 2;
     */
    point: string;
    /**
     * For Patch.handle: BLAKE3 digest (hex) of shape and values.
     *
     * @generated from field: string handle = 3;
     */
    handle: string;
    /**
     * Sizes.
     *
     * @generated from field: repeated uint32 shape = 4;
     */
    shape: number[];
};
/**
 * Describes the message scotoma.v1.KeptActivation.
 * Use `create(KeptActivationSchema)` to create a new message.
 */
export declare const KeptActivationSchema: GenMessage<KeptActivation>;
/**
 * Request of Verify.
 *
 * @generated from message scotoma.v1.VerifyRequest
 */
export type VerifyRequest = Message<"scotoma.v1.VerifyRequest"> & {
    /**
     * The record of Generate, Score or Capture.
     *
     * @generated from field: scotoma.v1.Provenance provenance = 1;
     */
    provenance?: Provenance | undefined;
    /**
     * The pictures that it was made with, in any order.
     *
     * @generated from field: repeated scotoma.v1.Image images = 2;
     */
    images: Image[];
};
/**
 * Describes the message scotoma.v1.VerifyRequest.
 * Use `create(VerifyRequestSchema)` to create a new message.
 */
export declare const VerifyRequestSchema: GenMessage<VerifyRequest>;
/**
 * Response of Verify.
 *
 * @generated from message scotoma.v1.VerifyResponse
 */
export type VerifyResponse = Message<"scotoma.v1.VerifyResponse"> & {
    /**
     * Every digest is the same.
     *
     * @generated from field: bool agrees = 1;
     */
    agrees: boolean;
    /**
     * What differs, in data-path order: record, server_version, model_digest, dtype, device, preprocessing, plan, then the names of
     * Stage. A model of another digest, or another dtype, is not run.
     *
     * @generated from field: repeated scotoma.v1.Difference differences = 2;
     */
    differences: Difference[];
    /**
     * The record of the second run; unset where nothing ran.
     *
     * @generated from field: scotoma.v1.Provenance provenance = 3;
     */
    provenance?: Provenance | undefined;
};
/**
 * Describes the message scotoma.v1.VerifyResponse.
 * Use `create(VerifyResponseSchema)` to create a new message.
 */
export declare const VerifyResponseSchema: GenMessage<VerifyResponse>;
/**
 * One difference between a record and its replay.
 *
 * @generated from message scotoma.v1.Difference
 */
export type Difference = Message<"scotoma.v1.Difference"> & {
    /**
     * What differs.
     *
     * @generated from field: string stage = 1;
     */
    stage: string;
    /**
     * In the record.
     *
     * @generated from field: string recorded = 2;
     */
    recorded: string;
    /**
     * Now.
     *
     * @generated from field: string found = 3;
     */
    found: string;
};
/**
 * Describes the message scotoma.v1.Difference.
 * Use `create(DifferenceSchema)` to create a new message.
 */
export declare const DifferenceSchema: GenMessage<Difference>;
/**
 * Why an answer ended.
 *
 * @generated from enum scotoma.v1.FinishReason
 */
export declare enum FinishReason {
    /**
     * Never sent.
     *
     * @generated from enum value: FINISH_REASON_UNSPECIFIED = 0;
     */
    UNSPECIFIED = 0,
    /**
     * The model wrote its end token.
     *
     * @generated from enum value: FINISH_REASON_EOS = 1;
     */
    EOS = 1,
    /**
     * max_tokens or the context was reached.
     *
     * @generated from enum value: FINISH_REASON_LENGTH = 2;
     */
    LENGTH = 2,
    /**
     * A stop string appeared.
     *
     * @generated from enum value: FINISH_REASON_STOP = 3;
     */
    STOP = 3
}
/**
 * Describes the enum scotoma.v1.FinishReason.
 */
export declare const FinishReasonSchema: GenEnum<FinishReason>;
/**
 * What a span of the language model's input holds.
 *
 * @generated from enum scotoma.v1.SpanKind
 */
export declare enum SpanKind {
    /**
     * Never sent.
     *
     * @generated from enum value: SPAN_KIND_UNSPECIFIED = 0;
     */
    UNSPECIFIED = 0,
    /**
     * Text of the prompt.
     *
     * @generated from enum value: SPAN_KIND_TEXT = 1;
     */
    TEXT = 1,
    /**
     * The base view of a picture.
     *
     * @generated from enum value: SPAN_KIND_BASE_VIEW = 2;
     */
    BASE_VIEW = 2,
    /**
     * A tile of an any-resolution picture.
     *
     * @generated from enum value: SPAN_KIND_TILE = 3;
     */
    TILE = 3,
    /**
     * Newline vectors of an any-resolution picture.
     *
     * @generated from enum value: SPAN_KIND_NEWLINE = 4;
     */
    NEWLINE = 4,
    /**
     * Visual tokens that are means of several.
     *
     * @generated from enum value: SPAN_KIND_POOLED = 5;
     */
    POOLED = 5
}
/**
 * Describes the enum scotoma.v1.SpanKind.
 */
export declare const SpanKindSchema: GenEnum<SpanKind>;
/**
 * How captured rows are reduced before they are sent.
 *
 * @generated from enum scotoma.v1.Reduction
 */
export declare enum Reduction {
    /**
     * Not said; read as none.
     *
     * @generated from enum value: REDUCTION_UNSPECIFIED = 0;
     */
    UNSPECIFIED = 0,
    /**
     * All rows.
     *
     * @generated from enum value: REDUCTION_NONE = 1;
     */
    NONE = 1,
    /**
     * The mean over the chosen tokens: one row.
     *
     * @generated from enum value: REDUCTION_MEAN = 2;
     */
    MEAN = 2,
    /**
     * The Euclidean norm of each row: one number a row (and head).
     *
     * @generated from enum value: REDUCTION_NORM = 3;
     */
    NORM = 3,
    /**
     * The last chosen row.
     *
     * @generated from enum value: REDUCTION_LAST = 4;
     */
    LAST = 4,
    /**
     * At points as wide as the language model's residual stream: the likeliest tokens of each row through the final norm and the
     * head (logit lens).
     *
     * @generated from enum value: REDUCTION_TOP_TOKENS = 5;
     */
    TOP_TOKENS = 5,
    /**
     * At attention patterns: what each visual token (in the tower: each patch) receives, mean over heads and over the chosen
     * tokens that look.
     *
     * @generated from enum value: REDUCTION_RECEIVED = 6;
     */
    RECEIVED = 6
}
/**
 * Describes the enum scotoma.v1.Reduction.
 */
export declare const ReductionSchema: GenEnum<Reduction>;
/**
 * Runs a resident model on pictures and text under a list of interventions.
 *
 * @generated from service scotoma.v1.InferenceService
 */
export declare const InferenceService: GenService<{
    /**
     * Streams an answer token by token. What is wrong with a request comes as the status of the call, before `started`;
     * later errors come in the trailers.
     *
     * @generated from rpc scotoma.v1.InferenceService.Generate
     */
    generate: {
        methodKind: "server_streaming";
        input: typeof GenerateRequestSchema;
        output: typeof GenerateResponseSchema;
    };
    /**
     * Log-likelihood of given continuations; needs no judge.
     *
     * @generated from rpc scotoma.v1.InferenceService.Score
     */
    score: {
        methodKind: "unary";
        input: typeof ScoreRequestSchema;
        output: typeof ScoreResponseSchema;
    };
    /**
     * One input under many variants; results in the order of completion. What variants have in common is computed once: each gets
     * the bits of a request of its own, and can be verified as one.
     *
     * @generated from rpc scotoma.v1.InferenceService.Sweep
     */
    sweep: {
        methodKind: "server_streaming";
        input: typeof SweepRequestSchema;
        output: typeof SweepResponseSchema;
    };
    /**
     * Keeps a picture, so that requests can name it instead of sending it again.
     *
     * @generated from rpc scotoma.v1.InferenceService.UploadImage
     */
    uploadImage: {
        methodKind: "unary";
        input: typeof UploadImageRequestSchema;
        output: typeof UploadImageResponseSchema;
    };
    /**
     * Activations at hook points, reduced on the server, in chunks; they are taken after the interventions at the same point.
     *
     * @generated from rpc scotoma.v1.InferenceService.Capture
     */
    capture: {
        methodKind: "server_streaming";
        input: typeof CaptureRequestSchema;
        output: typeof CaptureResponseSchema;
    };
    /**
     * The picture as the model will see it after the image interventions.
     *
     * @generated from rpc scotoma.v1.InferenceService.Preview
     */
    preview: {
        methodKind: "unary";
        input: typeof PreviewRequestSchema;
        output: typeof PreviewResponseSchema;
    };
    /**
     * Runs a recorded answer again and says whether the bits agree, and if not, which stage differs first.
     *
     * @generated from rpc scotoma.v1.InferenceService.Verify
     */
    verify: {
        methodKind: "unary";
        input: typeof VerifyRequestSchema;
        output: typeof VerifyResponseSchema;
    };
}>;
