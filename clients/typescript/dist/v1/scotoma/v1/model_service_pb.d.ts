import type { GenFile, GenMessage, GenService } from "@bufbuild/protobuf/codegenv2";
import type { Message } from "@bufbuild/protobuf";
/**
 * Describes the file scotoma/v1/model_service.proto.
 */
export declare const file_scotoma_v1_model_service: GenFile;
/**
 * Request of ListModels.
 *
 * @generated from message scotoma.v1.ListModelsRequest
 */
export type ListModelsRequest = Message<"scotoma.v1.ListModelsRequest"> & {};
/**
 * Describes the message scotoma.v1.ListModelsRequest.
 * Use `create(ListModelsRequestSchema)` to create a new message.
 */
export declare const ListModelsRequestSchema: GenMessage<ListModelsRequest>;
/**
 * Response of ListModels.
 *
 * @generated from message scotoma.v1.ListModelsResponse
 */
export type ListModelsResponse = Message<"scotoma.v1.ListModelsResponse"> & {
    /**
     * In the order of loading.
     *
     * @generated from field: repeated scotoma.v1.ModelInfo models = 1;
     */
    models: ModelInfo[];
};
/**
 * Describes the message scotoma.v1.ListModelsResponse.
 * Use `create(ListModelsResponseSchema)` to create a new message.
 */
export declare const ListModelsResponseSchema: GenMessage<ListModelsResponse>;
/**
 * Request of GetModel.
 *
 * @generated from message scotoma.v1.GetModelRequest
 */
export type GetModelRequest = Message<"scotoma.v1.GetModelRequest"> & {
    /**
     * Name of a resident model. Empty: the only or first one.
     *
     * @generated from field: string model = 1;
     */
    model: string;
};
/**
 * Describes the message scotoma.v1.GetModelRequest.
 * Use `create(GetModelRequestSchema)` to create a new message.
 */
export declare const GetModelRequestSchema: GenMessage<GetModelRequest>;
/**
 * Response of GetModel.
 *
 * @generated from message scotoma.v1.GetModelResponse
 */
export type GetModelResponse = Message<"scotoma.v1.GetModelResponse"> & {
    /**
     * The model.
     *
     * @generated from field: scotoma.v1.ModelInfo model = 1;
     */
    model?: ModelInfo | undefined;
};
/**
 * Describes the message scotoma.v1.GetModelResponse.
 * Use `create(GetModelResponseSchema)` to create a new message.
 */
export declare const GetModelResponseSchema: GenMessage<GetModelResponse>;
/**
 * A resident model.
 *
 * @generated from message scotoma.v1.ModelInfo
 */
export type ModelInfo = Message<"scotoma.v1.ModelInfo"> & {
    /**
     * Its name in requests.
     *
     * @generated from field: string name = 1;
     */
    name: string;
    /**
     * Hugging Face's model_type: llava for LLaVA-1.5.
     *
     * @generated from field: string family = 2;
     */
    family: string;
    /**
     * BLAKE3 digest (hex) of weights and configuration.
     *
     * @generated from field: string digest = 3;
     */
    digest: string;
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
     * Bytes of its tensors on the device.
     *
     * @generated from field: uint64 resident_bytes = 6;
     */
    residentBytes: bigint;
    /**
     * Number of parameters.
     *
     * @generated from field: uint64 parameters = 7;
     */
    parameters: bigint;
    /**
     * The vision tower.
     *
     * @generated from field: scotoma.v1.StackInfo vision_tower = 8;
     */
    visionTower?: StackInfo | undefined;
    /**
     * The decoder.
     *
     * @generated from field: scotoma.v1.StackInfo language_model = 9;
     */
    languageModel?: StackInfo | undefined;
    /**
     * Layer whose output is read, by Hugging Face's rule: hidden_states counts the embeddings as entry 0.
     *
     * @generated from field: int32 vision_feature_layer = 10;
     */
    visionFeatureLayer: number;
    /**
     * "default" drops CLS, "full" keeps it.
     *
     * @generated from field: string vision_feature_select_strategy = 11;
     */
    visionFeatureSelectStrategy: string;
    /**
     * Side of the square picture that the tower sees, in pixels.
     *
     * @generated from field: uint32 image_size = 12;
     */
    imageSize: number;
    /**
     * Patches along that side.
     *
     * @generated from field: uint32 patch_grid = 13;
     */
    patchGrid: number;
    /**
     * Entries of the vocabulary.
     *
     * @generated from field: uint32 vocabulary = 14;
     */
    vocabulary: number;
    /**
     * Names of the resident projectors; the model's own is "default".
     *
     * @generated from field: repeated string projectors = 15;
     */
    projectors: string[];
    /**
     * What a request may hold.
     *
     * @generated from field: scotoma.v1.Limits limits = 16;
     */
    limits?: Limits | undefined;
    /**
     * Names of the interventions that the model takes.
     *
     * @generated from field: repeated string interventions = 17;
     */
    interventions: string[];
    /**
     * Saliency models that OccludePatches and token selectors may ask.
     *
     * @generated from field: repeated string saliency_models = 18;
     */
    saliencyModels: string[];
};
/**
 * Describes the message scotoma.v1.ModelInfo.
 * Use `create(ModelInfoSchema)` to create a new message.
 */
export declare const ModelInfoSchema: GenMessage<ModelInfo>;
/**
 * The shape of a transformer.
 *
 * @generated from message scotoma.v1.StackInfo
 */
export type StackInfo = Message<"scotoma.v1.StackInfo"> & {
    /**
     * Number of layers.
     *
     * @generated from field: uint32 layers = 1;
     */
    layers: number;
    /**
     * Width of the residual stream.
     *
     * @generated from field: uint32 width = 2;
     */
    width: number;
    /**
     * Query heads.
     *
     * @generated from field: uint32 heads = 3;
     */
    heads: number;
    /**
     * Key and value heads.
     *
     * @generated from field: uint32 kv_heads = 4;
     */
    kvHeads: number;
    /**
     * Layers that run: the tower stops at the layer whose output is read.
     *
     * @generated from field: uint32 layers_run = 5;
     */
    layersRun: number;
};
/**
 * Describes the message scotoma.v1.StackInfo.
 * Use `create(StackInfoSchema)` to create a new message.
 */
export declare const StackInfoSchema: GenMessage<StackInfo>;
/**
 * What a request may hold.
 *
 * @generated from message scotoma.v1.Limits
 */
export type Limits = Message<"scotoma.v1.Limits"> & {
    /**
     * Positions of the language model, prompt and answer together.
     *
     * @generated from field: uint32 max_context = 1;
     */
    maxContext: number;
    /**
     * Pictures in one request.
     *
     * @generated from field: uint32 max_images = 2;
     */
    maxImages: number;
    /**
     * Pixels of one picture, checked before it is decoded.
     *
     * @generated from field: uint64 max_image_pixels = 3;
     */
    maxImagePixels: bigint;
    /**
     * Bytes of one message.
     *
     * @generated from field: uint64 max_message_bytes = 4;
     */
    maxMessageBytes: bigint;
    /**
     * Bytes of all activations of one Capture.
     *
     * @generated from field: uint64 max_capture_bytes = 5;
     */
    maxCaptureBytes: bigint;
};
/**
 * Describes the message scotoma.v1.Limits.
 * Use `create(LimitsSchema)` to create a new message.
 */
export declare const LimitsSchema: GenMessage<Limits>;
/**
 * Request of ListHookPoints.
 *
 * @generated from message scotoma.v1.ListHookPointsRequest
 */
export type ListHookPointsRequest = Message<"scotoma.v1.ListHookPointsRequest"> & {
    /**
     * Name of a resident model. Empty: the only or first one.
     *
     * @generated from field: string model = 1;
     */
    model: string;
};
/**
 * Describes the message scotoma.v1.ListHookPointsRequest.
 * Use `create(ListHookPointsRequestSchema)` to create a new message.
 */
export declare const ListHookPointsRequestSchema: GenMessage<ListHookPointsRequest>;
/**
 * Response of ListHookPoints.
 *
 * @generated from message scotoma.v1.ListHookPointsResponse
 */
export type ListHookPointsResponse = Message<"scotoma.v1.ListHookPointsResponse"> & {
    /**
     * In data-path order.
     *
     * @generated from field: repeated scotoma.v1.HookPoint hook_points = 1;
     */
    hookPoints: HookPoint[];
};
/**
 * Describes the message scotoma.v1.ListHookPointsResponse.
 * Use `create(ListHookPointsResponseSchema)` to create a new message.
 */
export declare const ListHookPointsResponseSchema: GenMessage<ListHookPointsResponse>;
/**
 * A named place in the forward pass.
 *
 * @generated from message scotoma.v1.HookPoint
 */
export type HookPoint = Message<"scotoma.v1.HookPoint"> & {
    /**
     * As TransformerLens spells it, prefixed by its stack; `{l}` stands for a layer number.
     *
     * @generated from field: string name = 1;
     */
    name: string;
    /**
     * How many layers have it; 0 where `{l}` does not occur.
     *
     * @generated from field: uint32 layers = 2;
     */
    layers: number;
    /**
     * The value there, as an equation.
     *
     * @generated from field: string equation = 3;
     */
    equation: string;
    /**
     * Its shape: R rows, D width, H heads, K key-value heads, Dh width of a head, F width of the MLP, T queries, S keys.
     *
     * @generated from field: string shape = 4;
     */
    shape: string;
    /**
     * Length of the last dimension; 0 for attention scores and patterns, whose last dimension is the keys.
     *
     * @generated from field: uint32 width = 5;
     */
    width: number;
    /**
     * Number of heads; 0 where the value has no heads.
     *
     * @generated from field: uint32 heads = 6;
     */
    heads: number;
};
/**
 * Describes the message scotoma.v1.HookPoint.
 * Use `create(HookPointSchema)` to create a new message.
 */
export declare const HookPointSchema: GenMessage<HookPoint>;
/**
 * Request of CheckParity.
 *
 * @generated from message scotoma.v1.CheckParityRequest
 */
export type CheckParityRequest = Message<"scotoma.v1.CheckParityRequest"> & {
    /**
     * Name of a resident model. Empty: the only or first one.
     *
     * @generated from field: string model = 1;
     */
    model: string;
};
/**
 * Describes the message scotoma.v1.CheckParityRequest.
 * Use `create(CheckParityRequestSchema)` to create a new message.
 */
export declare const CheckParityRequestSchema: GenMessage<CheckParityRequest>;
/**
 * One event of a check: cases as they are compared, then the report.
 *
 * @generated from message scotoma.v1.CheckParityResponse
 */
export type CheckParityResponse = Message<"scotoma.v1.CheckParityResponse"> & {
    /**
     * The event.
     *
     * @generated from oneof scotoma.v1.CheckParityResponse.event
     */
    event: {
        /**
         * One case was compared.
         *
         * @generated from field: scotoma.v1.ParityCase case = 1;
         */
        value: ParityCase;
        case: "case";
    } | {
        /**
         * The end; always last.
         *
         * @generated from field: scotoma.v1.ParityReport report = 2;
         */
        value: ParityReport;
        case: "report";
    } | {
        case: undefined;
        value?: undefined;
    };
};
/**
 * Describes the message scotoma.v1.CheckParityResponse.
 * Use `create(CheckParityResponseSchema)` to create a new message.
 */
export declare const CheckParityResponseSchema: GenMessage<CheckParityResponse>;
/**
 * What comparing one case of a golden set found.
 *
 * @generated from message scotoma.v1.ParityCase
 */
export type ParityCase = Message<"scotoma.v1.ParityCase"> & {
    /**
     * Its name.
     *
     * @generated from field: string name = 1;
     */
    name: string;
    /**
     * Cases compared so far, this one included.
     *
     * @generated from field: uint32 done = 2;
     */
    done: number;
    /**
     * Cases of the set.
     *
     * @generated from field: uint32 total = 3;
     */
    total: number;
    /**
     * The largest relative error |a - b| / |b| at a hook point.
     *
     * @generated from field: double max_relative_error = 4;
     */
    maxRelativeError: number;
    /**
     * That hook point.
     *
     * @generated from field: string worst_hook_point = 5;
     */
    worstHookPoint: string;
    /**
     * The greedy tokens are those of the reference.
     *
     * @generated from field: bool same_tokens = 6;
     */
    sameTokens: boolean;
};
/**
 * Describes the message scotoma.v1.ParityCase.
 * Use `create(ParityCaseSchema)` to create a new message.
 */
export declare const ParityCaseSchema: GenMessage<ParityCase>;
/**
 * The certificate.
 *
 * @generated from message scotoma.v1.ParityReport
 */
export type ParityReport = Message<"scotoma.v1.ParityReport"> & {
    /**
     * Name of the model.
     *
     * @generated from field: string model = 1;
     */
    model: string;
    /**
     * BLAKE3 digest (hex) of the model's weights and configuration.
     *
     * @generated from field: string model_digest = 2;
     */
    modelDigest: string;
    /**
     * f32, bf16 or f16.
     *
     * @generated from field: string dtype = 3;
     */
    dtype: string;
    /**
     * cpu or cuda:N.
     *
     * @generated from field: string device = 4;
     */
    device: string;
    /**
     * What made the goldens: names and versions, as JSON.
     *
     * @generated from field: string reference = 5;
     */
    reference: string;
    /**
     * By kind of hook point, in alphabetical order; `{l}` stands for all layers.
     *
     * @generated from field: repeated scotoma.v1.PointParity points = 6;
     */
    points: PointParity[];
    /**
     * The largest relative error of all.
     *
     * @generated from field: double max_relative_error = 7;
     */
    maxRelativeError: number;
    /**
     * What passes: 1e-5 in f32, 5e-2 in bf16 and f16.
     *
     * @generated from field: double tolerance = 8;
     */
    tolerance: number;
    /**
     * Cases whose greedy tokens differ.
     *
     * @generated from field: repeated string other_tokens = 9;
     */
    otherTokens: string[];
    /**
     * No error is above the tolerance, and in f32 all greedy tokens are the same.
     *
     * @generated from field: bool passed = 10;
     */
    passed: boolean;
};
/**
 * Describes the message scotoma.v1.ParityReport.
 * Use `create(ParityReportSchema)` to create a new message.
 */
export declare const ParityReportSchema: GenMessage<ParityReport>;
/**
 * The worst agreement at one kind of hook point.
 *
 * @generated from message scotoma.v1.PointParity
 */
export type PointParity = Message<"scotoma.v1.PointParity"> & {
    /**
     * The hook point; `pixel_values` is what the tower gets.
     *
     * @generated from field: string name = 1;
     */
    name: string;
    /**
     * The largest relative error.
     *
     * @generated from field: double max_relative_error = 2;
     */
    maxRelativeError: number;
    /**
     * Numbers compared.
     *
     * @generated from field: uint64 values = 3;
     */
    values: bigint;
    /**
     * The case in which it is.
     *
     * @generated from field: string worst_case = 4;
     */
    worstCase: string;
};
/**
 * Describes the message scotoma.v1.PointParity.
 * Use `create(PointParitySchema)` to create a new message.
 */
export declare const PointParitySchema: GenMessage<PointParity>;
/**
 * Request of LoadModel.
 *
 * @generated from message scotoma.v1.LoadModelRequest
 */
export type LoadModelRequest = Message<"scotoma.v1.LoadModelRequest"> & {
    /**
     * Its name in requests; none of a resident model. Empty: the folder's name, or that on the hub.
     *
     * @generated from field: string name = 1;
     */
    name: string;
    /**
     * A folder of the server, an id of the Hugging Face hub (ORGANISATION/NAME or ORGANISATION/NAME@REVISION), `shapes`, or `random:`
     * and a folder without weights or the name of a model of real size.
     *
     * @generated from field: string place = 2;
     */
    place: string;
    /**
     * f32, bf16 or f16. Empty: what the server was started with, or f32 on a CPU and bf16 on a GPU.
     *
     * @generated from field: string dtype = 3;
     */
    dtype: string;
    /**
     * cpu or cuda:N, one that the server was started with. Empty: the one on which models hold least.
     *
     * @generated from field: string device = 4;
     */
    device: string;
};
/**
 * Describes the message scotoma.v1.LoadModelRequest.
 * Use `create(LoadModelRequestSchema)` to create a new message.
 */
export declare const LoadModelRequestSchema: GenMessage<LoadModelRequest>;
/**
 * One event of loading: progress, then the model.
 *
 * @generated from message scotoma.v1.LoadModelResponse
 */
export type LoadModelResponse = Message<"scotoma.v1.LoadModelResponse"> & {
    /**
     * The event.
     *
     * @generated from oneof scotoma.v1.LoadModelResponse.event
     */
    event: {
        /**
         * How far it has come.
         *
         * @generated from field: scotoma.v1.LoadProgress progress = 1;
         */
        value: LoadProgress;
        case: "progress";
    } | {
        /**
         * It is resident; always last.
         *
         * @generated from field: scotoma.v1.ModelInfo model = 2;
         */
        value: ModelInfo;
        case: "model";
    } | {
        case: undefined;
        value?: undefined;
    };
};
/**
 * Describes the message scotoma.v1.LoadModelResponse.
 * Use `create(LoadModelResponseSchema)` to create a new message.
 */
export declare const LoadModelResponseSchema: GenMessage<LoadModelResponse>;
/**
 * How far fetching or loading has come.
 *
 * @generated from message scotoma.v1.LoadProgress
 */
export type LoadProgress = Message<"scotoma.v1.LoadProgress"> & {
    /**
     * The file that is fetched from the hub; empty while tensors go to the device.
     *
     * @generated from field: string file = 1;
     */
    file: string;
    /**
     * Bytes so far.
     *
     * @generated from field: uint64 done = 2;
     */
    done: bigint;
    /**
     * Bytes in all.
     *
     * @generated from field: uint64 total = 3;
     */
    total: bigint;
};
/**
 * Describes the message scotoma.v1.LoadProgress.
 * Use `create(LoadProgressSchema)` to create a new message.
 */
export declare const LoadProgressSchema: GenMessage<LoadProgress>;
/**
 * Request of UnloadModel.
 *
 * @generated from message scotoma.v1.UnloadModelRequest
 */
export type UnloadModelRequest = Message<"scotoma.v1.UnloadModelRequest"> & {
    /**
     * Name of a resident model.
     *
     * @generated from field: string model = 1;
     */
    model: string;
};
/**
 * Describes the message scotoma.v1.UnloadModelRequest.
 * Use `create(UnloadModelRequestSchema)` to create a new message.
 */
export declare const UnloadModelRequestSchema: GenMessage<UnloadModelRequest>;
/**
 * Response of UnloadModel.
 *
 * @generated from message scotoma.v1.UnloadModelResponse
 */
export type UnloadModelResponse = Message<"scotoma.v1.UnloadModelResponse"> & {
    /**
     * Bytes that it held for itself.
     *
     * @generated from field: uint64 freed_bytes = 1;
     */
    freedBytes: bigint;
};
/**
 * Describes the message scotoma.v1.UnloadModelResponse.
 * Use `create(UnloadModelResponseSchema)` to create a new message.
 */
export declare const UnloadModelResponseSchema: GenMessage<UnloadModelResponse>;
/**
 * Request of LoadProjector.
 *
 * @generated from message scotoma.v1.LoadProjectorRequest
 */
export type LoadProjectorRequest = Message<"scotoma.v1.LoadProjectorRequest"> & {
    /**
     * Name of a resident model. Empty: the only or first one.
     *
     * @generated from field: string model = 1;
     */
    model: string;
    /**
     * What SwapProjector calls it; not "default". One of that name is replaced.
     *
     * @generated from field: string name = 2;
     */
    name: string;
    /**
     * A file of the server: safetensors, or the mm_projector.bin of the original LLaVA.
     *
     * @generated from field: string file = 3;
     */
    file: string;
};
/**
 * Describes the message scotoma.v1.LoadProjectorRequest.
 * Use `create(LoadProjectorRequestSchema)` to create a new message.
 */
export declare const LoadProjectorRequestSchema: GenMessage<LoadProjectorRequest>;
/**
 * Response of LoadProjector.
 *
 * @generated from message scotoma.v1.LoadProjectorResponse
 */
export type LoadProjectorResponse = Message<"scotoma.v1.LoadProjectorResponse"> & {
    /**
     * The model with its projectors.
     *
     * @generated from field: scotoma.v1.ModelInfo model = 1;
     */
    model?: ModelInfo | undefined;
};
/**
 * Describes the message scotoma.v1.LoadProjectorResponse.
 * Use `create(LoadProjectorResponseSchema)` to create a new message.
 */
export declare const LoadProjectorResponseSchema: GenMessage<LoadProjectorResponse>;
/**
 * Tells which models are resident, their shapes and their hook points.
 *
 * @generated from service scotoma.v1.ModelService
 */
export declare const ModelService: GenService<{
    /**
     * All resident models.
     *
     * @generated from rpc scotoma.v1.ModelService.ListModels
     */
    listModels: {
        methodKind: "unary";
        input: typeof ListModelsRequestSchema;
        output: typeof ListModelsResponseSchema;
    };
    /**
     * One resident model.
     *
     * @generated from rpc scotoma.v1.ModelService.GetModel
     */
    getModel: {
        methodKind: "unary";
        input: typeof GetModelRequestSchema;
        output: typeof GetModelResponseSchema;
    };
    /**
     * The named places in a model's forward pass.
     *
     * @generated from rpc scotoma.v1.ModelService.ListHookPoints
     */
    listHookPoints: {
        methodKind: "unary";
        input: typeof ListHookPointsRequestSchema;
        output: typeof ListHookPointsResponseSchema;
    };
    /**
     * Makes a model resident: progress, then the model. PERMISSION_DENIED unless the server was started with --allow-load;
     * RESOURCE_EXHAUSTED where it does not fit the memory budget; what fails leaves the other models serving.
     *
     * @generated from rpc scotoma.v1.ModelService.LoadModel
     */
    loadModel: {
        methodKind: "server_streaming";
        input: typeof LoadModelRequestSchema;
        output: typeof LoadModelResponseSchema;
    };
    /**
     * Takes a model away: new requests get NOT_FOUND, running ones finish, and the call waits for them.
     *
     * @generated from rpc scotoma.v1.ModelService.UnloadModel
     */
    unloadModel: {
        methodKind: "unary";
        input: typeof UnloadModelRequestSchema;
        output: typeof UnloadModelResponseSchema;
    };
    /**
     * Makes one more projector of a model resident, for SwapProjector.
     *
     * @generated from rpc scotoma.v1.ModelService.LoadProjector
     */
    loadProjector: {
        methodKind: "unary";
        input: typeof LoadProjectorRequestSchema;
        output: typeof LoadProjectorResponseSchema;
    };
    /**
     * Runs the golden set of a resident model and compares every hook point with Hugging Face transformers: a response per
     * case, then the report. FAILED_PRECONDITION where the model has no golden set.
     *
     * @generated from rpc scotoma.v1.ModelService.CheckParity
     */
    checkParity: {
        methodKind: "server_streaming";
        input: typeof CheckParityRequestSchema;
        output: typeof CheckParityResponseSchema;
    };
}>;
