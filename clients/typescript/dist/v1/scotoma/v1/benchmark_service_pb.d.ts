import type { GenEnum, GenFile, GenMessage, GenService } from "@bufbuild/protobuf/codegenv2";
import type { Image, Sampling, SweepError, Usage } from "./inference_service_pb.js";
import type { Intervention } from "./intervention_pb.js";
import type { Message } from "@bufbuild/protobuf";
/**
 * Describes the file scotoma/v1/benchmark_service.proto.
 */
export declare const file_scotoma_v1_benchmark_service: GenFile;
/**
 * One message to Evaluate.
 *
 * @generated from message scotoma.v1.EvaluateRequest
 */
export type EvaluateRequest = Message<"scotoma.v1.EvaluateRequest"> & {
    /**
     * What it is.
     *
     * @generated from oneof scotoma.v1.EvaluateRequest.event
     */
    event: {
        /**
         * What is to be done; the first message, and no other.
         *
         * @generated from field: scotoma.v1.EvaluateHeader header = 1;
         */
        value: EvaluateHeader;
        case: "header";
    } | {
        /**
         * One question.
         *
         * @generated from field: scotoma.v1.Sample sample = 2;
         */
        value: Sample;
        case: "sample";
    } | {
        /**
         * A result of an earlier run, which is counted and not computed again.
         *
         * @generated from field: scotoma.v1.SampleResult known = 3;
         */
        value: SampleResult;
        case: "known";
    } | {
        /**
         * One question, as it stands in a file.
         *
         * @generated from field: scotoma.v1.Row row = 4;
         */
        value: Row;
        case: "row";
    } | {
        case: undefined;
        value?: undefined;
    };
};
/**
 * Describes the message scotoma.v1.EvaluateRequest.
 * Use `create(EvaluateRequestSchema)` to create a new message.
 */
export declare const EvaluateRequestSchema: GenMessage<EvaluateRequest>;
/**
 * What is done with every sample.
 *
 * @generated from message scotoma.v1.EvaluateHeader
 */
export type EvaluateHeader = Message<"scotoma.v1.EvaluateHeader"> & {
    /**
     * Name of a resident model. Empty: the only or first one.
     *
     * @generated from field: string model = 1;
     */
    model: string;
    /**
     * How questions are put and answers read.
     *
     * @generated from oneof scotoma.v1.EvaluateHeader.rules
     */
    rules: {
        /**
         * A benchmark as Describe names it, `mmvp`, or one tool's way of it, `sqa/llava`.
         *
         * @generated from field: string rule = 2;
         */
        value: string;
        case: "rule";
    } | {
        /**
         * Rules of one's own.
         *
         * @generated from field: scotoma.v1.CustomRule custom = 3;
         */
        value: CustomRule;
        case: "custom";
    } | {
        case: undefined;
        value?: undefined;
    };
    /**
     * At most 4096, of different names. Empty: one without interventions, named `original`.
     *
     * @generated from field: repeated scotoma.v1.EvaluateVariant variants = 4;
     */
    variants: EvaluateVariant[];
    /**
     * How answers come about.
     *
     * @generated from field: scotoma.v1.Answering answering = 5;
     */
    answering: Answering;
    /**
     * How tokens are chosen. Unset: greedy.
     *
     * @generated from field: scotoma.v1.Sampling sampling = 6;
     */
    sampling?: Sampling | undefined;
    /**
     * At most this many tokens. 0: what the rule says.
     *
     * @generated from field: uint32 max_tokens = 7;
     */
    maxTokens: number;
    /**
     * A `progress` after this many results. 0: 100.
     *
     * @generated from field: uint32 progress_every = 8;
     */
    progressEvery: number;
    /**
     * The server's judge is not asked, even where it has one and the rule needs it: answers are VERDICT_UNJUDGED.
     *
     * @generated from field: bool unjudged = 9;
     */
    unjudged: boolean;
};
/**
 * Describes the message scotoma.v1.EvaluateHeader.
 * Use `create(EvaluateHeaderSchema)` to create a new message.
 */
export declare const EvaluateHeaderSchema: GenMessage<EvaluateHeader>;
/**
 * Rules of one's own.
 *
 * @generated from message scotoma.v1.CustomRule
 */
export type CustomRule = Message<"scotoma.v1.CustomRule"> & {
    /**
     * What the user says: {question}, {hint} and {options} (`A. first`, line by line) are filled in.
     *
     * @generated from field: string prompt = 1;
     */
    prompt: string;
    /**
     * How an answer is read.
     *
     * @generated from field: scotoma.v1.Reader reader = 2;
     */
    reader: Reader;
    /**
     * At most this many tokens. 0: 64.
     *
     * @generated from field: uint32 max_tokens = 3;
     */
    maxTokens: number;
};
/**
 * Describes the message scotoma.v1.CustomRule.
 * Use `create(CustomRuleSchema)` to create a new message.
 */
export declare const CustomRuleSchema: GenMessage<CustomRule>;
/**
 * Interventions with a name.
 *
 * @generated from message scotoma.v1.EvaluateVariant
 */
export type EvaluateVariant = Message<"scotoma.v1.EvaluateVariant"> & {
    /**
     * What results say; not empty.
     *
     * @generated from field: string name = 1;
     */
    name: string;
    /**
     * Random choices depend on (seed, Sample.id).
     *
     * @generated from field: repeated scotoma.v1.Intervention interventions = 2;
     */
    interventions: Intervention[];
    /**
     * The pictures: those of Sample.substitutes under this name. Empty: the sample's own.
     *
     * @generated from field: string pictures = 3;
     */
    pictures: string;
};
/**
 * Describes the message scotoma.v1.EvaluateVariant.
 * Use `create(EvaluateVariantSchema)` to create a new message.
 */
export declare const EvaluateVariantSchema: GenMessage<EvaluateVariant>;
/**
 * One question, with the names of VLMEvalKit's columns.
 *
 * @generated from message scotoma.v1.Sample
 */
export type Sample = Message<"scotoma.v1.Sample"> & {
    /**
     * Of its own; one that came before is refused, and not counted again.
     *
     * @generated from field: string id = 1;
     */
    id: string;
    /**
     * Its pictures.
     *
     * @generated from field: repeated scotoma.v1.Image images = 2;
     */
    images: Image[];
    /**
     * What is asked.
     *
     * @generated from field: string question = 3;
     */
    question: string;
    /**
     * What stands before the question.
     *
     * @generated from field: string hint = 4;
     */
    hint: string;
    /**
     * What A, B, ... say; at most 26, of rules of classification the classes, at most 1024.
     *
     * @generated from field: repeated string options = 5;
     */
    options: string[];
    /**
     * The right answer: a letter where there are options.
     *
     * @generated from field: string answer = 6;
     */
    answer: string;
    /**
     * What it tests.
     *
     * @generated from field: string category = 7;
     */
    category: string;
    /**
     * Samples that count together: pairs of MMVP, questions about a picture of MME. Empty: itself alone.
     *
     * @generated from field: string group = 8;
     */
    group: string;
    /**
     * Other columns by name.
     *
     * @generated from field: map<string, string> fields = 9;
     */
    fields: {
        [key: string]: string;
    };
    /**
     * Pictures to be shown in place of its own, by a name that variants give.
     *
     * @generated from field: map<string, scotoma.v1.Pictures> substitutes = 10;
     */
    substitutes: {
        [key: string]: Pictures;
    };
};
/**
 * Describes the message scotoma.v1.Sample.
 * Use `create(SampleSchema)` to create a new message.
 */
export declare const SampleSchema: GenMessage<Sample>;
/**
 * One question as it stands in a file: VLMEvalKit's columns index, question, hint, A to Z or options (a list), answer, category,
 * group, image (base64), and any others. What is wrong with it is the result of that sample; the others go on.
 *
 * @generated from message scotoma.v1.Row
 */
export type Row = Message<"scotoma.v1.Row"> & {
    /**
     * Where it stands, from 1; errors say it.
     *
     * @generated from field: uint64 line = 1;
     */
    line: bigint;
    /**
     * Columns by name, of a table; or else `json`.
     *
     * @generated from field: map<string, string> cells = 2;
     */
    cells: {
        [key: string]: string;
    };
    /**
     * An object with the same names, of a manifest.
     *
     * @generated from field: string json = 3;
     */
    json: string;
    /**
     * Its pictures. Empty: those that its column image holds.
     *
     * @generated from field: repeated scotoma.v1.Image images = 4;
     */
    images: Image[];
};
/**
 * Describes the message scotoma.v1.Row.
 * Use `create(RowSchema)` to create a new message.
 */
export declare const RowSchema: GenMessage<Row>;
/**
 * Pictures of one question.
 *
 * @generated from message scotoma.v1.Pictures
 */
export type Pictures = Message<"scotoma.v1.Pictures"> & {
    /**
     * In order.
     *
     * @generated from field: repeated scotoma.v1.Image images = 1;
     */
    images: Image[];
};
/**
 * Describes the message scotoma.v1.Pictures.
 * Use `create(PicturesSchema)` to create a new message.
 */
export declare const PicturesSchema: GenMessage<Pictures>;
/**
 * What became of one sample under one variant.
 *
 * @generated from message scotoma.v1.SampleResult
 */
export type SampleResult = Message<"scotoma.v1.SampleResult"> & {
    /**
     * Of the sample.
     *
     * @generated from field: string id = 1;
     */
    id: string;
    /**
     * Of the variant.
     *
     * @generated from field: string variant = 2;
     */
    variant: string;
    /**
     * Of the sample.
     *
     * @generated from field: string category = 3;
     */
    category: string;
    /**
     * Of the sample.
     *
     * @generated from field: string group = 4;
     */
    group: string;
    /**
     * What the model wrote; of option scoring the option chosen.
     *
     * @generated from field: string text = 5;
     */
    text: string;
    /**
     * What was read from it.
     *
     * @generated from field: string answer = 6;
     */
    answer: string;
    /**
     * What that is worth.
     *
     * @generated from field: scotoma.v1.Verdict verdict = 7;
     */
    verdict: Verdict;
    /**
     * Of VERDICT_GRADED, what the judge gave the answer.
     *
     * @generated from field: double grade = 8;
     */
    grade: number;
    /**
     * Of option scoring, in the order of the options.
     *
     * @generated from field: repeated scotoma.v1.OptionScore options = 9;
     */
    options: OptionScore[];
    /**
     * Digest (hex) of the record of what ran, see Provenance.digest; interventions, pictures, prompt and output are in it.
     *
     * @generated from field: string record_digest = 10;
     */
    recordDigest: string;
    /**
     * Digest (hex) of the output, see Provenance.output_digest.
     *
     * @generated from field: string output_digest = 11;
     */
    outputDigest: string;
    /**
     * What it cost.
     *
     * @generated from field: scotoma.v1.Usage usage = 12;
     */
    usage?: Usage | undefined;
    /**
     * Why there is no answer.
     *
     * @generated from field: scotoma.v1.SweepError error = 13;
     */
    error?: SweepError | undefined;
    /**
     * Of VERDICT_GRADED, what the judge gave the reference; 1 where it grades the answer alone.
     *
     * @generated from field: double grade_of = 14;
     */
    gradeOf: number;
    /**
     * What the judge wrote, or why it did not.
     *
     * @generated from field: string review = 15;
     */
    review: string;
};
/**
 * Describes the message scotoma.v1.SampleResult.
 * Use `create(SampleResultSchema)` to create a new message.
 */
export declare const SampleResultSchema: GenMessage<SampleResult>;
/**
 * The likelihood of one option.
 *
 * @generated from message scotoma.v1.OptionScore
 */
export type OptionScore = Message<"scotoma.v1.OptionScore"> & {
    /**
     * Its letter, or its words.
     *
     * @generated from field: string option = 1;
     */
    option: string;
    /**
     * Sum over its tokens.
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
};
/**
 * Describes the message scotoma.v1.OptionScore.
 * Use `create(OptionScoreSchema)` to create a new message.
 */
export declare const OptionScoreSchema: GenMessage<OptionScore>;
/**
 * One message of Evaluate.
 *
 * @generated from message scotoma.v1.EvaluateResponse
 */
export type EvaluateResponse = Message<"scotoma.v1.EvaluateResponse"> & {
    /**
     * The event.
     *
     * @generated from oneof scotoma.v1.EvaluateResponse.event
     */
    event: {
        /**
         * The header is accepted.
         *
         * @generated from field: scotoma.v1.EvaluateStarted started = 1;
         */
        value: EvaluateStarted;
        case: "started";
    } | {
        /**
         * One sample under one variant.
         *
         * @generated from field: scotoma.v1.SampleResult result = 2;
         */
        value: SampleResult;
        case: "result";
    } | {
        /**
         * Metrics so far.
         *
         * @generated from field: scotoma.v1.EvaluateProgress progress = 3;
         */
        value: EvaluateProgress;
        case: "progress";
    } | {
        /**
         * The end; always last.
         *
         * @generated from field: scotoma.v1.EvaluateFinished finished = 4;
         */
        value: EvaluateFinished;
        case: "finished";
    } | {
        case: undefined;
        value?: undefined;
    };
};
/**
 * Describes the message scotoma.v1.EvaluateResponse.
 * Use `create(EvaluateResponseSchema)` to create a new message.
 */
export declare const EvaluateResponseSchema: GenMessage<EvaluateResponse>;
/**
 * The header is accepted.
 *
 * @generated from message scotoma.v1.EvaluateStarted
 */
export type EvaluateStarted = Message<"scotoma.v1.EvaluateStarted"> & {
    /**
     * Names the request in the server's log.
     *
     * @generated from field: string request_id = 1;
     */
    requestId: string;
    /**
     * The rule, benchmark/tool, or `custom`.
     *
     * @generated from field: string rule = 2;
     */
    rule: string;
    /**
     * BLAKE3 digest (hex) of the model's weights and configuration.
     *
     * @generated from field: string model_digest = 3;
     */
    modelDigest: string;
    /**
     * The header with every seed drawn that was left open: the same run again.
     *
     * @generated from field: scotoma.v1.EvaluateHeader header = 4;
     */
    header?: EvaluateHeader | undefined;
    /**
     * Who judges answers. Unset: nobody.
     *
     * @generated from field: scotoma.v1.Judge judge = 5;
     */
    judge?: Judge | undefined;
};
/**
 * Describes the message scotoma.v1.EvaluateStarted.
 * Use `create(EvaluateStartedSchema)` to create a new message.
 */
export declare const EvaluateStartedSchema: GenMessage<EvaluateStarted>;
/**
 * Who judges answers.
 *
 * @generated from message scotoma.v1.Judge
 */
export type Judge = Message<"scotoma.v1.Judge"> & {
    /**
     * As its address names it.
     *
     * @generated from field: string model = 1;
     */
    model: string;
    /**
     * What it is asked; {question}, {options}, {reference}, {context} and {answer} are filled in.
     *
     * @generated from field: string prompt = 2;
     */
    prompt: string;
};
/**
 * Describes the message scotoma.v1.Judge.
 * Use `create(JudgeSchema)` to create a new message.
 */
export declare const JudgeSchema: GenMessage<Judge>;
/**
 * Metrics so far.
 *
 * @generated from message scotoma.v1.EvaluateProgress
 */
export type EvaluateProgress = Message<"scotoma.v1.EvaluateProgress"> & {
    /**
     * Results so far, known ones included.
     *
     * @generated from field: uint64 results = 1;
     */
    results: bigint;
    /**
     * Variant by variant.
     *
     * @generated from field: repeated scotoma.v1.BenchmarkMetric metrics = 2;
     */
    metrics: BenchmarkMetric[];
};
/**
 * Describes the message scotoma.v1.EvaluateProgress.
 * Use `create(EvaluateProgressSchema)` to create a new message.
 */
export declare const EvaluateProgressSchema: GenMessage<EvaluateProgress>;
/**
 * The end.
 *
 * @generated from message scotoma.v1.EvaluateFinished
 */
export type EvaluateFinished = Message<"scotoma.v1.EvaluateFinished"> & {
    /**
     * All results, known ones included.
     *
     * @generated from field: uint64 results = 1;
     */
    results: bigint;
    /**
     * Those among them that are errors, and count nowhere.
     *
     * @generated from field: uint64 failed = 2;
     */
    failed: bigint;
    /**
     * Variant by variant.
     *
     * @generated from field: repeated scotoma.v1.BenchmarkMetric metrics = 3;
     */
    metrics: BenchmarkMetric[];
    /**
     * Each variant against the first, on the same samples.
     *
     * @generated from field: repeated scotoma.v1.Comparison comparisons = 4;
     */
    comparisons: Comparison[];
    /**
     * (row, layer) pairs computed.
     *
     * @generated from field: uint64 rows_computed = 5;
     */
    rowsComputed: bigint;
    /**
     * Seconds from the header.
     *
     * @generated from field: double total_seconds = 6;
     */
    totalSeconds: number;
};
/**
 * Describes the message scotoma.v1.EvaluateFinished.
 * Use `create(EvaluateFinishedSchema)` to create a new message.
 */
export declare const EvaluateFinishedSchema: GenMessage<EvaluateFinished>;
/**
 * One number.
 *
 * @generated from message scotoma.v1.BenchmarkMetric
 */
export type BenchmarkMetric = Message<"scotoma.v1.BenchmarkMetric"> & {
    /**
     * Of the variant.
     *
     * @generated from field: string variant = 1;
     */
    variant: string;
    /**
     * `accuracy`, or `accuracy: counting` for a category.
     *
     * @generated from field: string name = 2;
     */
    name: string;
    /**
     * A share from 0 to 1, or points where `most` is more.
     *
     * @generated from field: double value = 3;
     */
    value: number;
    /**
     * Lower end of the 95 % interval.
     *
     * @generated from field: double low = 4;
     */
    low: number;
    /**
     * Upper end.
     *
     * @generated from field: double high = 5;
     */
    high: number;
    /**
     * The most that it can be.
     *
     * @generated from field: double most = 6;
     */
    most: number;
    /**
     * Samples or groups that it is over.
     *
     * @generated from field: uint64 n = 7;
     */
    n: bigint;
    /**
     * Those among them that could not be read.
     *
     * @generated from field: uint64 unparsed = 8;
     */
    unparsed: bigint;
};
/**
 * Describes the message scotoma.v1.BenchmarkMetric.
 * Use `create(BenchmarkMetricSchema)` to create a new message.
 */
export declare const BenchmarkMetricSchema: GenMessage<BenchmarkMetric>;
/**
 * One variant against the first, sample by sample.
 *
 * @generated from message scotoma.v1.Comparison
 */
export type Comparison = Message<"scotoma.v1.Comparison"> & {
    /**
     * Of the variant.
     *
     * @generated from field: string variant = 1;
     */
    variant: string;
    /**
     * Samples that both answered.
     *
     * @generated from field: uint64 n = 2;
     */
    n: bigint;
    /**
     * Right under this variant alone.
     *
     * @generated from field: uint64 better = 3;
     */
    better: bigint;
    /**
     * Right under the first alone.
     *
     * @generated from field: uint64 worse = 4;
     */
    worse: bigint;
    /**
     * Mean score less that of the first.
     *
     * @generated from field: double difference = 5;
     */
    difference: number;
    /**
     * Lower end of its 95 % interval, by a bootstrap over groups.
     *
     * @generated from field: double low = 6;
     */
    low: number;
    /**
     * Upper end.
     *
     * @generated from field: double high = 7;
     */
    high: number;
    /**
     * McNemar's exact test, two-sided.
     *
     * @generated from field: double p = 8;
     */
    p: number;
};
/**
 * Describes the message scotoma.v1.Comparison.
 * Use `create(ComparisonSchema)` to create a new message.
 */
export declare const ComparisonSchema: GenMessage<Comparison>;
/**
 * Request of Describe.
 *
 * @generated from message scotoma.v1.DescribeRequest
 */
export type DescribeRequest = Message<"scotoma.v1.DescribeRequest"> & {};
/**
 * Describes the message scotoma.v1.DescribeRequest.
 * Use `create(DescribeRequestSchema)` to create a new message.
 */
export declare const DescribeRequestSchema: GenMessage<DescribeRequest>;
/**
 * Response of Describe.
 *
 * @generated from message scotoma.v1.DescribeResponse
 */
export type DescribeResponse = Message<"scotoma.v1.DescribeResponse"> & {
    /**
     * By benchmark; of each the first is what it is run by where nothing else is said.
     *
     * @generated from field: repeated scotoma.v1.RuleInfo rules = 1;
     */
    rules: RuleInfo[];
};
/**
 * Describes the message scotoma.v1.DescribeResponse.
 * Use `create(DescribeResponseSchema)` to create a new message.
 */
export declare const DescribeResponseSchema: GenMessage<DescribeResponse>;
/**
 * One rule set.
 *
 * @generated from message scotoma.v1.RuleInfo
 */
export type RuleInfo = Message<"scotoma.v1.RuleInfo"> & {
    /**
     * benchmark/tool.
     *
     * @generated from field: string name = 1;
     */
    name: string;
    /**
     * What it does.
     *
     * @generated from field: string about = 2;
     */
    about: string;
    /**
     * Tokens that an answer may have.
     *
     * @generated from field: uint32 max_tokens = 3;
     */
    maxTokens: number;
    /**
     * Whether its verdicts are held against the tool's own code by a test.
     *
     * @generated from field: bool compared = 4;
     */
    compared: boolean;
    /**
     * What a judge is asked: grade, rate, extract or confirm. Empty: nothing.
     *
     * @generated from field: string judged = 5;
     */
    judged: string;
};
/**
 * Describes the message scotoma.v1.RuleInfo.
 * Use `create(RuleInfoSchema)` to create a new message.
 */
export declare const RuleInfoSchema: GenMessage<RuleInfo>;
/**
 * How an answer is read.
 *
 * @generated from enum scotoma.v1.Reader
 */
export declare enum Reader {
    /**
     * Not said; refused.
     *
     * @generated from enum value: READER_UNSPECIFIED = 0;
     */
    UNSPECIFIED = 0,
    /**
     * A letter, by where it stands: at the start, at the end, after a phrase ("the answer is"), as (A), A., A:.
     *
     * @generated from enum value: READER_LETTER = 1;
     */
    LETTER = 1,
    /**
     * Yes or no within the first four characters.
     *
     * @generated from enum value: READER_YES_NO = 2;
     */
    YES_NO = 2,
    /**
     * With options a letter first; without, the whole answer, case and a final period aside.
     *
     * @generated from enum value: READER_SHORT = 3;
     */
    SHORT = 3,
    /**
     * A number within 5 %, or the same words.
     *
     * @generated from enum value: READER_RELAXED = 4;
     */
    RELAXED = 4
}
/**
 * Describes the enum scotoma.v1.Reader.
 */
export declare const ReaderSchema: GenEnum<Reader>;
/**
 * How answers come about.
 *
 * @generated from enum scotoma.v1.Answering
 */
export declare enum Answering {
    /**
     * Not said; tokens are generated.
     *
     * @generated from enum value: ANSWERING_UNSPECIFIED = 0;
     */
    UNSPECIFIED = 0,
    /**
     * Tokens are generated.
     *
     * @generated from enum value: ANSWERING_GENERATE = 1;
     */
    GENERATE = 1,
    /**
     * The letter of an option (without options yes or no) that is the likeliest by its mean log-probability.
     *
     * @generated from enum value: ANSWERING_OPTION_LETTERS = 2;
     */
    OPTION_LETTERS = 2,
    /**
     * The words of an option that are the likeliest by their mean log-probability.
     *
     * @generated from enum value: ANSWERING_OPTION_TEXTS = 3;
     */
    OPTION_TEXTS = 3
}
/**
 * Describes the enum scotoma.v1.Answering.
 */
export declare const AnsweringSchema: GenEnum<Answering>;
/**
 * What an answer is worth.
 *
 * @generated from enum scotoma.v1.Verdict
 */
export declare enum Verdict {
    /**
     * Not said: there was an error.
     *
     * @generated from enum value: VERDICT_UNSPECIFIED = 0;
     */
    UNSPECIFIED = 0,
    /**
     * As it should be.
     *
     * @generated from enum value: VERDICT_RIGHT = 1;
     */
    RIGHT = 1,
    /**
     * Another answer.
     *
     * @generated from enum value: VERDICT_WRONG = 2;
     */
    WRONG = 2,
    /**
     * No answer can be read from it; counts as not right.
     *
     * @generated from enum value: VERDICT_UNPARSED = 3;
     */
    UNPARSED = 3,
    /**
     * Only a judge can tell.
     *
     * @generated from enum value: VERDICT_UNJUDGED = 4;
     */
    UNJUDGED = 4,
    /**
     * By a judge.
     *
     * @generated from enum value: VERDICT_GRADED = 5;
     */
    GRADED = 5
}
/**
 * Describes the enum scotoma.v1.Verdict.
 */
export declare const VerdictSchema: GenEnum<Verdict>;
/**
 * Asks the questions of a benchmark, reads the answers as a public tool would, and says what they come to.
 *
 * @generated from service scotoma.v1.BenchmarkService
 */
export declare const BenchmarkService: GenService<{
    /**
     * First `header`, then samples as fast as the server takes them; the client half-closes after the last. Each sample is asked under every
     * variant, which share what they have in common; results come in the order of completion. A sample that cannot be asked has a
     * result that says why, and the others go on.
     *
     * @generated from rpc scotoma.v1.BenchmarkService.Evaluate
     */
    evaluate: {
        methodKind: "bidi_streaming";
        input: typeof EvaluateRequestSchema;
        output: typeof EvaluateResponseSchema;
    };
    /**
     * The rule sets that the server knows.
     *
     * @generated from rpc scotoma.v1.BenchmarkService.Describe
     */
    describe: {
        methodKind: "unary";
        input: typeof DescribeRequestSchema;
        output: typeof DescribeResponseSchema;
    };
}>;
