import type { GenEnum, GenFile, GenMessage } from "@bufbuild/protobuf/codegenv2";
import type { Message } from "@bufbuild/protobuf";
/**
 * Describes the file scotoma/v1/intervention.proto.
 */
export declare const file_scotoma_v1_intervention: GenFile;
/**
 * One change to the forward pass. A request lists interventions; they are applied in data-path order (image, vision
 * tower, projector, visual tokens, language model) and, at one site, in the order listed. One that had nothing to act on ends
 * the request with FAILED_PRECONDITION; one that acted and changed nothing is flagged in the reply.
 *
 * @generated from message scotoma.v1.Intervention
 */
export type Intervention = Message<"scotoma.v1.Intervention"> & {
    /**
     * What to change. Unset: INVALID_ARGUMENT.
     *
     * @generated from oneof scotoma.v1.Intervention.kind
     */
    kind: {
        /**
         * Permute the visual tokens.
         *
         * @generated from field: scotoma.v1.PermuteTokens permute_tokens = 1;
         */
        value: PermuteTokens;
        case: "permuteTokens";
    } | {
        /**
         * Hide patches of the picture as the model sees it.
         *
         * @generated from field: scotoma.v1.OccludePatches occlude_patches = 2;
         */
        value: OccludePatches;
        case: "occludePatches";
    } | {
        /**
         * Replace layers by the identity.
         *
         * @generated from field: scotoma.v1.DropLayers drop_layers = 3;
         */
        value: DropLayers;
        case: "dropLayers";
    } | {
        /**
         * Run another projector.
         *
         * @generated from field: scotoma.v1.SwapProjector swap_projector = 4;
         */
        value: SwapProjector;
        case: "swapProjector";
    } | {
        /**
         * Show one colour in place of the picture.
         *
         * @generated from field: scotoma.v1.BlankImage blank_image = 5;
         */
        value: BlankImage;
        case: "blankImage";
    } | {
        /**
         * Cut the picture in cells and permute them.
         *
         * @generated from field: scotoma.v1.ShufflePatches shuffle_patches = 6;
         */
        value: ShufflePatches;
        case: "shufflePatches";
    } | {
        /**
         * Keep, remove or pool visual tokens.
         *
         * @generated from field: scotoma.v1.SelectTokens select_tokens = 7;
         */
        value: SelectTokens;
        case: "selectTokens";
    } | {
        /**
         * Write other values over visual tokens.
         *
         * @generated from field: scotoma.v1.ReplaceTokens replace_tokens = 8;
         */
        value: ReplaceTokens;
        case: "replaceTokens";
    } | {
        /**
         * Run layers again.
         *
         * @generated from field: scotoma.v1.RepeatLayers repeat_layers = 9;
         */
        value: RepeatLayers;
        case: "repeatLayers";
    } | {
        /**
         * Leave out all layers above one.
         *
         * @generated from field: scotoma.v1.ExitEarly exit_early = 10;
         */
        value: ExitEarly;
        case: "exitEarly";
    } | {
        /**
         * Add noise at a hook point.
         *
         * @generated from field: scotoma.v1.AddNoise add_noise = 11;
         */
        value: AddNoise;
        case: "addNoise";
    } | {
        /**
         * Add a vector at a hook point.
         *
         * @generated from field: scotoma.v1.Steer steer = 12;
         */
        value: Steer;
        case: "steer";
    } | {
        /**
         * Remove directions at a hook point.
         *
         * @generated from field: scotoma.v1.ProjectOut project_out = 13;
         */
        value: ProjectOut;
        case: "projectOut";
    } | {
        /**
         * Multiply at a hook point.
         *
         * @generated from field: scotoma.v1.Scale scale = 14;
         */
        value: Scale;
        case: "scale";
    } | {
        /**
         * Write zeros or the mean at a hook point.
         *
         * @generated from field: scotoma.v1.Ablate ablate = 15;
         */
        value: Ablate;
        case: "ablate";
    } | {
        /**
         * Write given activations at a hook point.
         *
         * @generated from field: scotoma.v1.Patch patch = 16;
         */
        value: Patch;
        case: "patch";
    } | {
        /**
         * Hide tokens from tokens in the attention.
         *
         * @generated from field: scotoma.v1.KnockOutAttention knock_out_attention = 17;
         */
        value: KnockOutAttention;
        case: "knockOutAttention";
    } | {
        /**
         * Drop visual tokens after a layer.
         *
         * @generated from field: scotoma.v1.PruneTokens prune_tokens = 18;
         */
        value: PruneTokens;
        case: "pruneTokens";
    } | {
        case: undefined;
        value?: undefined;
    };
};
/**
 * Describes the message scotoma.v1.Intervention.
 * Use `create(InterventionSchema)` to create a new message.
 */
export declare const InterventionSchema: GenMessage<Intervention>;
/**
 * Tokens by what they are. What numbers mean depends on the tensor at hand: in the language model, positions of its input after
 * SelectTokens; at `projector.hook_tokens` and in SelectTokens and ReplaceTokens, the visual tokens of one picture; in the
 * tower and the projector, the rows of one view, its class token first where it has one.
 *
 * @generated from message scotoma.v1.TokenSelector
 */
export type TokenSelector = Message<"scotoma.v1.TokenSelector"> & {
    /**
     * Tokens that any of these holds. Empty: all.
     *
     * @generated from field: repeated scotoma.v1.Tokens any_of = 1;
     */
    anyOf: Tokens[];
    /**
     * All tokens but those.
     *
     * @generated from field: bool complement = 2;
     */
    complement: boolean;
};
/**
 * Describes the message scotoma.v1.TokenSelector.
 * Use `create(TokenSelectorSchema)` to create a new message.
 */
export declare const TokenSelectorSchema: GenMessage<TokenSelector>;
/**
 * A set of tokens.
 *
 * @generated from message scotoma.v1.Tokens
 */
export type Tokens = Message<"scotoma.v1.Tokens"> & {
    /**
     * Which set. Unset: INVALID_ARGUMENT.
     *
     * @generated from oneof scotoma.v1.Tokens.set
     */
    set: {
        /**
         * By name.
         *
         * @generated from field: scotoma.v1.Tokens.Named named = 1;
         */
        value: Tokens_Named;
        case: "named";
    } | {
        /**
         * By number.
         *
         * @generated from field: scotoma.v1.TokenIndices indices = 2;
         */
        value: TokenIndices;
        case: "indices";
    } | {
        /**
         * All tokens of one picture of the request, by its position from 0.
         *
         * @generated from field: uint32 image = 3;
         */
        value: number;
        case: "image";
    } | {
        /**
         * Patches of one tile of any-resolution pictures, row by row from 0.
         *
         * @generated from field: uint32 tile = 4;
         */
        value: number;
        case: "tile";
    } | {
        /**
         * Patches in blocks of the base view, and of the canvas that the tiles make up.
         *
         * @generated from field: scotoma.v1.TokenBlocks blocks = 5;
         */
        value: TokenBlocks;
        case: "blocks";
    } | {
        /**
         * A random share of the patches of each picture (in the tower: of each view).
         *
         * @generated from field: scotoma.v1.RandomPatches random = 6;
         */
        value: RandomPatches;
        case: "random";
    } | {
        /**
         * The most attended patches of each picture (in the tower: of each view).
         *
         * @generated from field: scotoma.v1.SalientPatches salient = 7;
         */
        value: SalientPatches;
        case: "salient";
    } | {
        case: undefined;
        value?: undefined;
    };
};
/**
 * Describes the message scotoma.v1.Tokens.
 * Use `create(TokensSchema)` to create a new message.
 */
export declare const TokensSchema: GenMessage<Tokens>;
/**
 * A set that has a name.
 *
 * @generated from enum scotoma.v1.Tokens.Named
 */
export declare enum Tokens_Named {
    /**
     * Not said; read as all.
     *
     * @generated from enum value: NAMED_UNSPECIFIED = 0;
     */
    UNSPECIFIED = 0,
    /**
     * Every token.
     *
     * @generated from enum value: NAMED_ALL = 1;
     */
    ALL = 1,
    /**
     * Tokens of pictures, newline vectors and class token included; in the tower every patch.
     *
     * @generated from enum value: NAMED_VISUAL = 2;
     */
    VISUAL = 2,
    /**
     * Text of the prompt.
     *
     * @generated from enum value: NAMED_TEXT = 3;
     */
    TEXT = 3,
    /**
     * Text of the prompt before the first picture and the user's first word: the system prompt.
     *
     * @generated from enum value: NAMED_SYSTEM = 4;
     */
    SYSTEM = 4,
    /**
     * The user's words: Prompt.text without the chat template and the pictures.
     *
     * @generated from enum value: NAMED_QUESTION = 5;
     */
    QUESTION = 5,
    /**
     * The token that the next one is predicted from: the last of the prompt, and each generated one.
     *
     * @generated from enum value: NAMED_LAST = 6;
     */
    LAST = 6,
    /**
     * Generated tokens (Score: those of the continuation).
     *
     * @generated from enum value: NAMED_GENERATED = 7;
     */
    GENERATED = 7,
    /**
     * Newline vectors of any-resolution pictures.
     *
     * @generated from enum value: NAMED_NEWLINE = 8;
     */
    NEWLINE = 8,
    /**
     * The class token.
     *
     * @generated from enum value: NAMED_CLASS = 9;
     */
    CLASS = 9,
    /**
     * Patches of base views.
     *
     * @generated from enum value: NAMED_BASE_VIEW = 10;
     */
    BASE_VIEW = 10
}
/**
 * Describes the enum scotoma.v1.Tokens.Named.
 */
export declare const Tokens_NamedSchema: GenEnum<Tokens_Named>;
/**
 * Tokens by number.
 *
 * @generated from message scotoma.v1.TokenIndices
 */
export type TokenIndices = Message<"scotoma.v1.TokenIndices"> & {
    /**
     * From 0; order and repetition do not matter.
     *
     * @generated from field: repeated uint32 indices = 1;
     */
    indices: number[];
};
/**
 * Describes the message scotoma.v1.TokenIndices.
 * Use `create(TokenIndicesSchema)` to create a new message.
 */
export declare const TokenIndicesSchema: GenMessage<TokenIndices>;
/**
 * Blocks of a `grid` x `grid` partition of the patches.
 *
 * @generated from message scotoma.v1.TokenBlocks
 */
export type TokenBlocks = Message<"scotoma.v1.TokenBlocks"> & {
    /**
     * Blocks along each side; 1 to the side of the patch grid.
     *
     * @generated from field: uint32 grid = 1;
     */
    grid: number;
    /**
     * Numbers of blocks, row by row; below grid * grid.
     *
     * @generated from field: repeated uint32 indices = 2;
     */
    indices: number[];
};
/**
 * Describes the message scotoma.v1.TokenBlocks.
 * Use `create(TokenBlocksSchema)` to create a new message.
 */
export declare const TokenBlocksSchema: GenMessage<TokenBlocks>;
/**
 * Steps of an answer: 0 is the prompt, k the k-th generated token as it is read back (Score: the k-th token of a continuation).
 *
 * @generated from message scotoma.v1.Steps
 */
export type Steps = Message<"scotoma.v1.Steps"> & {
    /**
     * First step. Default 0.
     *
     * @generated from field: uint32 first = 1;
     */
    first: number;
    /**
     * Last step. Unset: no end. `last: 0` is the prompt alone.
     *
     * @generated from field: optional uint32 last = 2;
     */
    last?: number | undefined;
};
/**
 * Describes the message scotoma.v1.Steps.
 * Use `create(StepsSchema)` to create a new message.
 */
export declare const StepsSchema: GenMessage<Steps>;
/**
 * Values at a hook point: which layers, tokens, heads, dimensions and steps.
 *
 * @generated from message scotoma.v1.Target
 */
export type Target = Message<"scotoma.v1.Target"> & {
    /**
     * Name of a hook point, as ListHookPoints gives them: `language_model.blocks.14.hook_resid_pre`, or with `{l}` for its layer.
     *
     * @generated from field: string point = 1;
     */
    point: string;
    /**
     * Layers that `{l}` stands for. Empty: all that run.
     *
     * @generated from field: repeated uint32 layers = 2;
     */
    layers: number[];
    /**
     * Tokens (at attention scores and patterns: the tokens that look). Unset: all.
     *
     * @generated from field: scotoma.v1.TokenSelector tokens = 3;
     */
    tokens?: TokenSelector | undefined;
    /**
     * Heads, at points that have them. Empty: all.
     *
     * @generated from field: repeated uint32 heads = 4;
     */
    heads: number[];
    /**
     * Places along the last dimension (within a head, at points that have heads). Empty: all.
     *
     * @generated from field: repeated uint32 dimensions = 5;
     */
    dimensions: number[];
    /**
     * Steps of the answer. Unset: all.
     *
     * @generated from field: scotoma.v1.Steps steps = 6;
     */
    steps?: Steps | undefined;
};
/**
 * Describes the message scotoma.v1.Target.
 * Use `create(TargetSchema)` to create a new message.
 */
export declare const TargetSchema: GenMessage<Target>;
/**
 * Numbers with a shape.
 *
 * @generated from message scotoma.v1.Tensor
 */
export type Tensor = Message<"scotoma.v1.Tensor"> & {
    /**
     * Sizes, outermost first.
     *
     * @generated from field: repeated uint32 shape = 1;
     */
    shape: number[];
    /**
     * Of each number.
     *
     * @generated from field: scotoma.v1.DataType dtype = 2;
     */
    dtype: DataType;
    /**
     * The numbers, little-endian, row by row.
     *
     * @generated from field: bytes data = 3;
     */
    data: Uint8Array;
};
/**
 * Describes the message scotoma.v1.Tensor.
 * Use `create(TensorSchema)` to create a new message.
 */
export declare const TensorSchema: GenMessage<Tensor>;
/**
 * Visual token i becomes what visual token order[i] was, picture by picture. Newline vectors and a class token stay, unless
 * a given order moves them.
 *
 * @generated from message scotoma.v1.PermuteTokens
 */
export type PermuteTokens = Message<"scotoma.v1.PermuteTokens"> & {
    /**
     * How the order is chosen. Unset: by a seed drawn by the server and returned.
     *
     * @generated from oneof scotoma.v1.PermuteTokens.source
     */
    source: {
        /**
         * Seed of a uniform permutation (ChaCha8, Fisher-Yates).
         *
         * @generated from field: uint64 seed = 1;
         */
        value: bigint;
        case: "seed";
    } | {
        /**
         * The order itself; needs scope SCOPE_ALL.
         *
         * @generated from field: scotoma.v1.TokenOrder order = 2;
         */
        value: TokenOrder;
        case: "order";
    } | {
        case: undefined;
        value?: undefined;
    };
    /**
     * Where rows may move. Default SCOPE_ALL.
     *
     * @generated from field: scotoma.v1.PermuteTokens.Scope scope = 3;
     */
    scope: PermuteTokens_Scope;
    /**
     * Blocks along each side for SCOPE_WITHIN_BLOCKS; 1 to the side of the patch grid.
     *
     * @generated from field: uint32 blocks = 4;
     */
    blocks: number;
};
/**
 * Describes the message scotoma.v1.PermuteTokens.
 * Use `create(PermuteTokensSchema)` to create a new message.
 */
export declare const PermuteTokensSchema: GenMessage<PermuteTokens>;
/**
 * Where rows may move.
 *
 * @generated from enum scotoma.v1.PermuteTokens.Scope
 */
export declare enum PermuteTokens_Scope {
    /**
     * Not said; read as all patches of a picture.
     *
     * @generated from enum value: SCOPE_UNSPECIFIED = 0;
     */
    UNSPECIFIED = 0,
    /**
     * All patches of a picture together.
     *
     * @generated from enum value: SCOPE_ALL = 1;
     */
    ALL = 1,
    /**
     * Within each tile (and the base view) of an any-resolution picture.
     *
     * @generated from enum value: SCOPE_WITHIN_TILES = 2;
     */
    WITHIN_TILES = 2,
    /**
     * The base view alone; tiles stay.
     *
     * @generated from enum value: SCOPE_BASE_VIEW = 3;
     */
    BASE_VIEW = 3,
    /**
     * Within the blocks of a `blocks` x `blocks` partition of the base view, and of the canvas that the tiles make up.
     *
     * @generated from enum value: SCOPE_WITHIN_BLOCKS = 4;
     */
    WITHIN_BLOCKS = 4
}
/**
 * Describes the enum scotoma.v1.PermuteTokens.Scope.
 */
export declare const PermuteTokens_ScopeSchema: GenEnum<PermuteTokens_Scope>;
/**
 * A permutation written out.
 *
 * @generated from message scotoma.v1.TokenOrder
 */
export type TokenOrder = Message<"scotoma.v1.TokenOrder"> & {
    /**
     * indices[i] is the old place of the new row i; each of 0..N-1 once, N the visual tokens of one picture.
     *
     * @generated from field: repeated uint32 indices = 1;
     */
    indices: number[];
};
/**
 * Describes the message scotoma.v1.TokenOrder.
 * Use `create(TokenOrderSchema)` to create a new message.
 */
export declare const TokenOrderSchema: GenMessage<TokenOrder>;
/**
 * Cells of a grid over the preprocessed picture are overwritten before normalisation: in the base view and, on models of any
 * resolution, in the tiles.
 *
 * @generated from message scotoma.v1.OccludePatches
 */
export type OccludePatches = Message<"scotoma.v1.OccludePatches"> & {
    /**
     * Which patches. Unset: INVALID_ARGUMENT.
     *
     * @generated from oneof scotoma.v1.OccludePatches.choice
     */
    choice: {
        /**
         * A random share.
         *
         * @generated from field: scotoma.v1.RandomPatches random = 1;
         */
        value: RandomPatches;
        case: "random";
    } | {
        /**
         * The most attended patches.
         *
         * @generated from field: scotoma.v1.SalientPatches salient = 2;
         */
        value: SalientPatches;
        case: "salient";
    } | {
        /**
         * All but the most attended patches.
         *
         * @generated from field: scotoma.v1.SalientPatches non_salient = 3;
         */
        value: SalientPatches;
        case: "nonSalient";
    } | {
        /**
         * Cells by number, row by row from the top left.
         *
         * @generated from field: scotoma.v1.PatchIndices indices = 4;
         */
        value: PatchIndices;
        case: "indices";
    } | {
        case: undefined;
        value?: undefined;
    };
    /**
     * Cells along each side. 0: the patch grid of the tower. At most the side of the picture in pixels.
     *
     * @generated from field: uint32 grid = 5;
     */
    grid: number;
    /**
     * What to write. Default FILL_BLACK.
     *
     * @generated from field: scotoma.v1.OccludePatches.Fill fill = 6;
     */
    fill: OccludePatches_Fill;
    /**
     * Seed of the fill noise. Unset: drawn by the server and returned.
     *
     * @generated from field: optional uint64 fill_seed = 7;
     */
    fillSeed?: bigint | undefined;
    /**
     * Standard deviation of the blur in pixels, at most 256. 0: a sixteenth of the side of the base view.
     *
     * @generated from field: double blur_sigma = 8;
     */
    blurSigma: number;
};
/**
 * Describes the message scotoma.v1.OccludePatches.
 * Use `create(OccludePatchesSchema)` to create a new message.
 */
export declare const OccludePatchesSchema: GenMessage<OccludePatches>;
/**
 * What to write.
 *
 * @generated from enum scotoma.v1.OccludePatches.Fill
 */
export declare enum OccludePatches_Fill {
    /**
     * Not said; read as black.
     *
     * @generated from enum value: FILL_UNSPECIFIED = 0;
     */
    UNSPECIFIED = 0,
    /**
     * Zero before normalisation.
     *
     * @generated from enum value: FILL_BLACK = 1;
     */
    BLACK = 1,
    /**
     * The mean colour of the image processor: zero after normalisation.
     *
     * @generated from enum value: FILL_MEAN = 2;
     */
    MEAN = 2,
    /**
     * Gaussian noise with the processor's mean and standard deviation, clipped to 0..255.
     *
     * @generated from enum value: FILL_NOISE = 3;
     */
    NOISE = 3,
    /**
     * The picture itself under a Gaussian blur.
     *
     * @generated from enum value: FILL_BLUR = 4;
     */
    BLUR = 4
}
/**
 * Describes the enum scotoma.v1.OccludePatches.Fill.
 */
export declare const OccludePatches_FillSchema: GenEnum<OccludePatches_Fill>;
/**
 * floor(ratio * cells + 0.5) cells, drawn without replacement.
 *
 * @generated from message scotoma.v1.RandomPatches
 */
export type RandomPatches = Message<"scotoma.v1.RandomPatches"> & {
    /**
     * Share of the cells, 0 to 1.
     *
     * @generated from field: double ratio = 1;
     */
    ratio: number;
    /**
     * Seed of the draw. Unset: drawn by the server and returned.
     *
     * @generated from field: optional uint64 seed = 2;
     */
    seed?: bigint | undefined;
};
/**
 * Describes the message scotoma.v1.RandomPatches.
 * Use `create(RandomPatchesSchema)` to create a new message.
 */
export declare const RandomPatchesSchema: GenMessage<RandomPatches>;
/**
 * The patches that matter most. By default those that the CLS token of the tower's last block attends to most (mean over
 * heads), on the unchanged picture; in a tower without CLS, the mean over all patches that look.
 *
 * @generated from message scotoma.v1.SalientPatches
 */
export type SalientPatches = Message<"scotoma.v1.SalientPatches"> & {
    /**
     * How many. Unset: INVALID_ARGUMENT.
     *
     * @generated from oneof scotoma.v1.SalientPatches.amount
     */
    amount: {
        /**
         * The fewest cells that together hold at least this share of the attention mass, 0 to 1.
         *
         * @generated from field: double mass = 1;
         */
        value: number;
        case: "mass";
    } | {
        /**
         * floor(share * cells + 0.5) cells, 0 to 1.
         *
         * @generated from field: double share = 2;
         */
        value: number;
        case: "share";
    } | {
        case: undefined;
        value?: undefined;
    };
    /**
     * Whose attention. Unset: the tower's own.
     *
     * @generated from oneof scotoma.v1.SalientPatches.source
     */
    source: {
        /**
         * A resident saliency model by name (ModelInfo.saliency_models): a ViT such as DINO's, which looks at the base view.
         *
         * @generated from field: string model = 3;
         */
        value: string;
        case: "model";
    } | {
        /**
         * Given: one weight for each cell, row by row from the top left, not negative; the same for every picture.
         *
         * @generated from field: scotoma.v1.Saliency weights = 4;
         */
        value: Saliency;
        case: "weights";
    } | {
        case: undefined;
        value?: undefined;
    };
    /**
     * One head of the saliency model or the tower, from 0. Unset: the mean over heads.
     *
     * @generated from field: optional uint32 head = 5;
     */
    head?: number | undefined;
};
/**
 * Describes the message scotoma.v1.SalientPatches.
 * Use `create(SalientPatchesSchema)` to create a new message.
 */
export declare const SalientPatchesSchema: GenMessage<SalientPatches>;
/**
 * Weights of the cells of a square grid.
 *
 * @generated from message scotoma.v1.Saliency
 */
export type Saliency = Message<"scotoma.v1.Saliency"> & {
    /**
     * n * n of them.
     *
     * @generated from field: repeated float weights = 1;
     */
    weights: number[];
};
/**
 * Describes the message scotoma.v1.Saliency.
 * Use `create(SaliencySchema)` to create a new message.
 */
export declare const SaliencySchema: GenMessage<Saliency>;
/**
 * Cells by number.
 *
 * @generated from message scotoma.v1.PatchIndices
 */
export type PatchIndices = Message<"scotoma.v1.PatchIndices"> & {
    /**
     * Numbers below grid * grid; order and repetition do not matter.
     *
     * @generated from field: repeated uint32 indices = 1;
     */
    indices: number[];
};
/**
 * Describes the message scotoma.v1.PatchIndices.
 * Use `create(PatchIndicesSchema)` to create a new message.
 */
export declare const PatchIndicesSchema: GenMessage<PatchIndices>;
/**
 * The listed layers hand their input on unchanged.
 *
 * @generated from message scotoma.v1.DropLayers
 */
export type DropLayers = Message<"scotoma.v1.DropLayers"> & {
    /**
     * Whose layers. Default STACK_LANGUAGE_MODEL.
     *
     * @generated from field: scotoma.v1.Stack stack = 1;
     */
    stack: Stack;
    /**
     * Layer numbers from 0. Layers of the tower above the one whose output is read do not run and are refused.
     *
     * @generated from field: repeated uint32 layers = 2;
     */
    layers: number[];
};
/**
 * Describes the message scotoma.v1.DropLayers.
 * Use `create(DropLayersSchema)` to create a new message.
 */
export declare const DropLayersSchema: GenMessage<DropLayers>;
/**
 * The projector of this request.
 *
 * @generated from message scotoma.v1.SwapProjector
 */
export type SwapProjector = Message<"scotoma.v1.SwapProjector"> & {
    /**
     * Which one. Unset: INVALID_ARGUMENT.
     *
     * @generated from oneof scotoma.v1.SwapProjector.source
     */
    source: {
        /**
         * A resident projector by name (ModelInfo.projectors).
         *
         * @generated from field: string name = 1;
         */
        value: string;
        case: "name";
    } | {
        /**
         * Random weights of the same shapes: every tensor uniform in +-1/sqrt(fan_in), from this seed.
         *
         * @generated from field: uint64 random_seed = 2;
         */
        value: bigint;
        case: "randomSeed";
    } | {
        /**
         * No projector: the tower's output itself. Needs equal widths.
         *
         * @generated from field: scotoma.v1.IdentityProjector identity = 3;
         */
        value: IdentityProjector;
        case: "identity";
    } | {
        case: undefined;
        value?: undefined;
    };
};
/**
 * Describes the message scotoma.v1.SwapProjector.
 * Use `create(SwapProjectorSchema)` to create a new message.
 */
export declare const SwapProjectorSchema: GenMessage<SwapProjector>;
/**
 * The identity map.
 *
 * @generated from message scotoma.v1.IdentityProjector
 */
export type IdentityProjector = Message<"scotoma.v1.IdentityProjector"> & {};
/**
 * Describes the message scotoma.v1.IdentityProjector.
 * Use `create(IdentityProjectorSchema)` to create a new message.
 */
export declare const IdentityProjectorSchema: GenMessage<IdentityProjector>;
/**
 * The picture becomes one colour: the blind control of a benchmark.
 *
 * @generated from message scotoma.v1.BlankImage
 */
export type BlankImage = Message<"scotoma.v1.BlankImage"> & {
    /**
     * Which colour. Unset: black.
     *
     * @generated from oneof scotoma.v1.BlankImage.fill
     */
    fill: {
        /**
         * By name.
         *
         * @generated from field: scotoma.v1.BlankImage.Colour colour = 1;
         */
        value: BlankImage_Colour;
        case: "colour";
    } | {
        /**
         * Any other.
         *
         * @generated from field: scotoma.v1.Rgb rgb = 2;
         */
        value: Rgb;
        case: "rgb";
    } | {
        case: undefined;
        value?: undefined;
    };
};
/**
 * Describes the message scotoma.v1.BlankImage.
 * Use `create(BlankImageSchema)` to create a new message.
 */
export declare const BlankImageSchema: GenMessage<BlankImage>;
/**
 * A colour that has a name.
 *
 * @generated from enum scotoma.v1.BlankImage.Colour
 */
export declare enum BlankImage_Colour {
    /**
     * Not said; read as black.
     *
     * @generated from enum value: COLOUR_UNSPECIFIED = 0;
     */
    UNSPECIFIED = 0,
    /**
     * 0, 0, 0.
     *
     * @generated from enum value: COLOUR_BLACK = 1;
     */
    BLACK = 1,
    /**
     * 255, 255, 255.
     *
     * @generated from enum value: COLOUR_WHITE = 2;
     */
    WHITE = 2,
    /**
     * The mean colour of the image processor: zero after normalisation.
     *
     * @generated from enum value: COLOUR_MEAN = 3;
     */
    MEAN = 3
}
/**
 * Describes the enum scotoma.v1.BlankImage.Colour.
 */
export declare const BlankImage_ColourSchema: GenEnum<BlankImage_Colour>;
/**
 * A colour.
 *
 * @generated from message scotoma.v1.Rgb
 */
export type Rgb = Message<"scotoma.v1.Rgb"> & {
    /**
     * 0 to 255.
     *
     * @generated from field: uint32 red = 1;
     */
    red: number;
    /**
     * 0 to 255.
     *
     * @generated from field: uint32 green = 2;
     */
    green: number;
    /**
     * 0 to 255.
     *
     * @generated from field: uint32 blue = 3;
     */
    blue: number;
};
/**
 * Describes the message scotoma.v1.Rgb.
 * Use `create(RgbSchema)` to create a new message.
 */
export declare const RgbSchema: GenMessage<Rgb>;
/**
 * The preprocessed picture is cut in grid x grid cells, and cell i shows what cell order[i] showed: in the base view and, on
 * models of any resolution, on the canvas of the tiles. Where the pixels do not divide, cells differ by a pixel: a smaller cell's
 * last row or column is repeated, a larger one's is cut off. (Lee et al. 2024, section 3.3; Naseer et al. 2021.)
 *
 * @generated from message scotoma.v1.ShufflePatches
 */
export type ShufflePatches = Message<"scotoma.v1.ShufflePatches"> & {
    /**
     * Cells along each side; 1 to the side of the picture in pixels.
     *
     * @generated from field: uint32 grid = 1;
     */
    grid: number;
    /**
     * How the order is chosen. Unset: by a seed drawn by the server and returned.
     *
     * @generated from oneof scotoma.v1.ShufflePatches.source
     */
    source: {
        /**
         * Seed of a uniform permutation.
         *
         * @generated from field: uint64 seed = 2;
         */
        value: bigint;
        case: "seed";
    } | {
        /**
         * The order itself, of grid * grid cells.
         *
         * @generated from field: scotoma.v1.TokenOrder order = 3;
         */
        value: TokenOrder;
        case: "order";
    } | {
        case: undefined;
        value?: undefined;
    };
};
/**
 * Describes the message scotoma.v1.ShufflePatches.
 * Use `create(ShufflePatchesSchema)` to create a new message.
 */
export declare const ShufflePatchesSchema: GenMessage<ShufflePatches>;
/**
 * The language model reads some of the visual tokens only: group-wise patch information loss of Lee et al. 2024 (section 3.1)
 * keeps one block of a grid, with or without pooling.
 *
 * @generated from message scotoma.v1.SelectTokens
 */
export type SelectTokens = Message<"scotoma.v1.SelectTokens"> & {
    /**
     * Which tokens of each picture.
     *
     * @generated from field: scotoma.v1.TokenSelector tokens = 1;
     */
    tokens?: TokenSelector | undefined;
    /**
     * What becomes of them. Default MODE_KEEP.
     *
     * @generated from field: scotoma.v1.SelectTokens.Mode mode = 2;
     */
    mode: SelectTokens_Mode;
    /**
     * Default POSITIONS_ORIGINAL.
     *
     * @generated from field: scotoma.v1.SelectTokens.Positions positions = 3;
     */
    positions: SelectTokens_Positions;
};
/**
 * Describes the message scotoma.v1.SelectTokens.
 * Use `create(SelectTokensSchema)` to create a new message.
 */
export declare const SelectTokensSchema: GenMessage<SelectTokens>;
/**
 * What becomes of the chosen tokens.
 *
 * @generated from enum scotoma.v1.SelectTokens.Mode
 */
export declare enum SelectTokens_Mode {
    /**
     * Not said; read as keep.
     *
     * @generated from enum value: MODE_UNSPECIFIED = 0;
     */
    UNSPECIFIED = 0,
    /**
     * They stay, all others go.
     *
     * @generated from enum value: MODE_KEEP = 1;
     */
    KEEP = 1,
    /**
     * They go, all others stay.
     *
     * @generated from enum value: MODE_REMOVE = 2;
     */
    REMOVE = 2,
    /**
     * They are kept as one token for each set of `tokens.any_of`: the mean of its members, at the place of the first.
     *
     * @generated from enum value: MODE_POOL = 3;
     */
    POOL = 3
}
/**
 * Describes the enum scotoma.v1.SelectTokens.Mode.
 */
export declare const SelectTokens_ModeSchema: GenEnum<SelectTokens_Mode>;
/**
 * The rotary positions of what is left.
 *
 * @generated from enum scotoma.v1.SelectTokens.Positions
 */
export declare enum SelectTokens_Positions {
    /**
     * Not said; read as original.
     *
     * @generated from enum value: POSITIONS_UNSPECIFIED = 0;
     */
    UNSPECIFIED = 0,
    /**
     * As they were; the text after the picture stands where it stood.
     *
     * @generated from enum value: POSITIONS_ORIGINAL = 1;
     */
    ORIGINAL = 1,
    /**
     * One after the other, without gaps.
     *
     * @generated from enum value: POSITIONS_COMPACT = 2;
     */
    COMPACT = 2
}
/**
 * Describes the enum scotoma.v1.SelectTokens.Positions.
 */
export declare const SelectTokens_PositionsSchema: GenEnum<SelectTokens_Positions>;
/**
 * Visual tokens get other values.
 *
 * @generated from message scotoma.v1.ReplaceTokens
 */
export type ReplaceTokens = Message<"scotoma.v1.ReplaceTokens"> & {
    /**
     * Which tokens of each picture.
     *
     * @generated from field: scotoma.v1.TokenSelector tokens = 1;
     */
    tokens?: TokenSelector | undefined;
    /**
     * The new values. Unset: INVALID_ARGUMENT.
     *
     * @generated from oneof scotoma.v1.ReplaceTokens.source
     */
    source: {
        /**
         * Zero, or the mean of all visual tokens of the picture.
         *
         * @generated from field: scotoma.v1.Constant constant = 2;
         */
        value: Constant;
        case: "constant";
    } | {
        /**
         * Gaussian noise with the mean and the standard deviation of the picture's visual tokens, dimension by dimension.
         *
         * @generated from field: scotoma.v1.TokenNoise noise = 3;
         */
        value: TokenNoise;
        case: "noise";
    } | {
        /**
         * The visual tokens of another picture, token by token: of the unchanged model, with its own projector. It must have as
         * many as each picture of the request.
         *
         * @generated from field: scotoma.v1.Donor donor = 4;
         */
        value: Donor;
        case: "donor";
    } | {
        case: undefined;
        value?: undefined;
    };
};
/**
 * Describes the message scotoma.v1.ReplaceTokens.
 * Use `create(ReplaceTokensSchema)` to create a new message.
 */
export declare const ReplaceTokensSchema: GenMessage<ReplaceTokens>;
/**
 * Noise in place of tokens.
 *
 * @generated from message scotoma.v1.TokenNoise
 */
export type TokenNoise = Message<"scotoma.v1.TokenNoise"> & {
    /**
     * Seed of the draws. Unset: drawn by the server and returned.
     *
     * @generated from field: optional uint64 seed = 1;
     */
    seed?: bigint | undefined;
};
/**
 * Describes the message scotoma.v1.TokenNoise.
 * Use `create(TokenNoiseSchema)` to create a new message.
 */
export declare const TokenNoiseSchema: GenMessage<TokenNoise>;
/**
 * A picture that lends its visual tokens.
 *
 * @generated from message scotoma.v1.Donor
 */
export type Donor = Message<"scotoma.v1.Donor"> & {
    /**
     * PNG, JPEG or WebP.
     *
     * @generated from field: bytes data = 1;
     */
    data: Uint8Array;
};
/**
 * Describes the message scotoma.v1.Donor.
 * Use `create(DonorSchema)` to create a new message.
 */
export declare const DonorSchema: GenMessage<Donor>;
/**
 * Layers first to last run again after themselves (layer re-entry). Their interventions act on every pass.
 *
 * @generated from message scotoma.v1.RepeatLayers
 */
export type RepeatLayers = Message<"scotoma.v1.RepeatLayers"> & {
    /**
     * Whose layers. Default STACK_LANGUAGE_MODEL.
     *
     * @generated from field: scotoma.v1.Stack stack = 1;
     */
    stack: Stack;
    /**
     * From 0.
     *
     * @generated from field: uint32 first = 2;
     */
    first: number;
    /**
     * At least `first`.
     *
     * @generated from field: uint32 last = 3;
     */
    last: number;
    /**
     * Passes more; 0 changes nothing. At most 16.
     *
     * @generated from field: uint32 times = 4;
     */
    times: number;
};
/**
 * Describes the message scotoma.v1.RepeatLayers.
 * Use `create(RepeatLayersSchema)` to create a new message.
 */
export declare const RepeatLayersSchema: GenMessage<RepeatLayers>;
/**
 * No layer above `layer` runs: its output goes to the final norm (vision tower: to the projector).
 *
 * @generated from message scotoma.v1.ExitEarly
 */
export type ExitEarly = Message<"scotoma.v1.ExitEarly"> & {
    /**
     * Whose layers. Default STACK_LANGUAGE_MODEL.
     *
     * @generated from field: scotoma.v1.Stack stack = 1;
     */
    stack: Stack;
    /**
     * From 0: the last layer that runs.
     *
     * @generated from field: uint32 layer = 2;
     */
    layer: number;
};
/**
 * Describes the message scotoma.v1.ExitEarly.
 * Use `create(ExitEarlySchema)` to create a new message.
 */
export declare const ExitEarlySchema: GenMessage<ExitEarly>;
/**
 * x becomes x + z. The geometries are readings of the importance score of Lee et al. 2024 (definition 3.1), whose printed
 * formula is LITERAL. With s the scale and u uniform in [-1, 1), drawn for every value:
 * LITERAL z = |x| + s u; ABS_SCALED z = s |x| u; KESKAR z = s (|x| + 1) u (Keskar et al. 2017); ADDITIVE z = s u;
 * GAUSSIAN z = s g with g standard normal.
 *
 * @generated from message scotoma.v1.AddNoise
 */
export type AddNoise = Message<"scotoma.v1.AddNoise"> & {
    /**
     * Where.
     *
     * @generated from field: scotoma.v1.Target target = 1;
     */
    target?: Target | undefined;
    /**
     * Default GEOMETRY_GAUSSIAN.
     *
     * @generated from field: scotoma.v1.AddNoise.Geometry geometry = 2;
     */
    geometry: AddNoise_Geometry;
    /**
     * s; 0 changes nothing (but for LITERAL, which adds |x|). 0 to 1e6.
     *
     * @generated from field: double scale = 3;
     */
    scale: number;
    /**
     * Multiplies s by |e|, e uniform in [-1, 1), drawn once for the request: the epsilon of definition 3.1.
     *
     * @generated from field: bool random_scale = 4;
     */
    randomScale: boolean;
    /**
     * Seed of the draws. Unset: drawn by the server and returned.
     *
     * @generated from field: optional uint64 seed = 5;
     */
    seed?: bigint | undefined;
};
/**
 * Describes the message scotoma.v1.AddNoise.
 * Use `create(AddNoiseSchema)` to create a new message.
 */
export declare const AddNoiseSchema: GenMessage<AddNoise>;
/**
 * What z is.
 *
 * @generated from enum scotoma.v1.AddNoise.Geometry
 */
export declare enum AddNoise_Geometry {
    /**
     * Not said; read as gaussian.
     *
     * @generated from enum value: GEOMETRY_UNSPECIFIED = 0;
     */
    UNSPECIFIED = 0,
    /**
     * |x| + s u.
     *
     * @generated from enum value: GEOMETRY_LITERAL = 1;
     */
    LITERAL = 1,
    /**
     * s |x| u.
     *
     * @generated from enum value: GEOMETRY_ABS_SCALED = 2;
     */
    ABS_SCALED = 2,
    /**
     * s (|x| + 1) u.
     *
     * @generated from enum value: GEOMETRY_KESKAR = 3;
     */
    KESKAR = 3,
    /**
     * s u.
     *
     * @generated from enum value: GEOMETRY_ADDITIVE = 4;
     */
    ADDITIVE = 4,
    /**
     * s g.
     *
     * @generated from enum value: GEOMETRY_GAUSSIAN = 5;
     */
    GAUSSIAN = 5
}
/**
 * Describes the enum scotoma.v1.AddNoise.Geometry.
 */
export declare const AddNoise_GeometrySchema: GenEnum<AddNoise_Geometry>;
/**
 * x becomes x + scale * v: activation steering (Turner et al. 2023).
 *
 * @generated from message scotoma.v1.Steer
 */
export type Steer = Message<"scotoma.v1.Steer"> & {
    /**
     * Where.
     *
     * @generated from field: scotoma.v1.Target target = 1;
     */
    target?: Target | undefined;
    /**
     * v; as wide as the point, or, at points with heads, as one head or as all heads end to end.
     *
     * @generated from field: repeated float vector = 2;
     */
    vector: number[];
    /**
     * 0 changes nothing. -1e6 to 1e6.
     *
     * @generated from field: double scale = 3;
     */
    scale: number;
};
/**
 * Describes the message scotoma.v1.Steer.
 * Use `create(SteerSchema)` to create a new message.
 */
export declare const SteerSchema: GenMessage<Steer>;
/**
 * x becomes x without its part in the span of the directions: directional ablation (Arditi et al. 2024).
 *
 * @generated from message scotoma.v1.ProjectOut
 */
export type ProjectOut = Message<"scotoma.v1.ProjectOut"> & {
    /**
     * Where.
     *
     * @generated from field: scotoma.v1.Target target = 1;
     */
    target?: Target | undefined;
    /**
     * At least one, at most as many as the point is wide. They need not be orthogonal nor of length 1.
     *
     * @generated from field: repeated scotoma.v1.Direction directions = 2;
     */
    directions: Direction[];
};
/**
 * Describes the message scotoma.v1.ProjectOut.
 * Use `create(ProjectOutSchema)` to create a new message.
 */
export declare const ProjectOutSchema: GenMessage<ProjectOut>;
/**
 * A direction.
 *
 * @generated from message scotoma.v1.Direction
 */
export type Direction = Message<"scotoma.v1.Direction"> & {
    /**
     * As wide as the point, or, at points with heads, as one head.
     *
     * @generated from field: repeated float values = 1;
     */
    values: number[];
};
/**
 * Describes the message scotoma.v1.Direction.
 * Use `create(DirectionSchema)` to create a new message.
 */
export declare const DirectionSchema: GenMessage<Direction>;
/**
 * x becomes factor * x.
 *
 * @generated from message scotoma.v1.Scale
 */
export type Scale = Message<"scotoma.v1.Scale"> & {
    /**
     * Where.
     *
     * @generated from field: scotoma.v1.Target target = 1;
     */
    target?: Target | undefined;
    /**
     * 1 changes nothing. -1e6 to 1e6.
     *
     * @generated from field: double factor = 2;
     */
    factor: number;
};
/**
 * Describes the message scotoma.v1.Scale.
 * Use `create(ScaleSchema)` to create a new message.
 */
export declare const ScaleSchema: GenMessage<Scale>;
/**
 * x becomes zero, or the mean of the chosen tokens of the prompt.
 *
 * @generated from message scotoma.v1.Ablate
 */
export type Ablate = Message<"scotoma.v1.Ablate"> & {
    /**
     * Where.
     *
     * @generated from field: scotoma.v1.Target target = 1;
     */
    target?: Target | undefined;
    /**
     * With what. Default CONSTANT_ZERO. CONSTANT_MEAN acts on tokens of the prompt alone.
     *
     * @generated from field: scotoma.v1.Constant value = 2;
     */
    value: Constant;
};
/**
 * Describes the message scotoma.v1.Ablate.
 * Use `create(AblateSchema)` to create a new message.
 */
export declare const AblateSchema: GenMessage<Ablate>;
/**
 * x becomes a given value: activation patching (Meng et al. 2022; Zhang and Nanda 2024).
 *
 * @generated from message scotoma.v1.Patch
 */
export type Patch = Message<"scotoma.v1.Patch"> & {
    /**
     * Where. Its chosen tokens, in ascending order (picture by picture and view by view in the tower), take the rows.
     *
     * @generated from field: scotoma.v1.Target target = 1;
     */
    target?: Target | undefined;
    /**
     * The rows. Unset: INVALID_ARGUMENT.
     *
     * @generated from oneof scotoma.v1.Patch.source
     */
    source: {
        /**
         * One row, which all chosen tokens take, or one for each chosen token of the prompt. Shape (rows, width), with heads
         * (rows, heads, width of a head) or (rows, heads * width of a head).
         *
         * @generated from field: scotoma.v1.Tensor values = 2;
         */
        value: Tensor;
        case: "values";
    } | {
        /**
         * Kept by Capture, of such a shape.
         *
         * @generated from field: string handle = 3;
         */
        value: string;
        case: "handle";
    } | {
        case: undefined;
        value?: undefined;
    };
};
/**
 * Describes the message scotoma.v1.Patch.
 * Use `create(PatchSchema)` to create a new message.
 */
export declare const PatchSchema: GenMessage<Patch>;
/**
 * Tokens no longer see tokens: their attention scores become minus infinity (Geva et al. 2023). A token that sees nothing any
 * more attends to nothing: its head's output is 0.
 *
 * @generated from message scotoma.v1.KnockOutAttention
 */
export type KnockOutAttention = Message<"scotoma.v1.KnockOutAttention"> & {
    /**
     * Whose attention. Default STACK_LANGUAGE_MODEL.
     *
     * @generated from field: scotoma.v1.Stack stack = 1;
     */
    stack: Stack;
    /**
     * Layers, from 0. Empty: all that run.
     *
     * @generated from field: repeated uint32 layers = 2;
     */
    layers: number[];
    /**
     * Heads. Empty: all.
     *
     * @generated from field: repeated uint32 heads = 3;
     */
    heads: number[];
    /**
     * Tokens that look. Unset: all.
     *
     * @generated from field: scotoma.v1.TokenSelector from = 4;
     */
    from?: TokenSelector | undefined;
    /**
     * Tokens that are hidden from them. Unset: all.
     *
     * @generated from field: scotoma.v1.TokenSelector to = 5;
     */
    to?: TokenSelector | undefined;
    /**
     * Steps of the answer, for the tokens that look. Unset: all.
     *
     * @generated from field: scotoma.v1.Steps steps = 6;
     */
    steps?: Steps | undefined;
};
/**
 * Describes the message scotoma.v1.KnockOutAttention.
 * Use `create(KnockOutAttentionSchema)` to create a new message.
 */
export declare const KnockOutAttentionSchema: GenMessage<KnockOutAttention>;
/**
 * After a layer of the language model visual tokens leave the computation: FastV (Chen et al. 2024) ranks them by attention.
 * Those that stay keep their positions; layers above see fewer rows and keys.
 *
 * @generated from message scotoma.v1.PruneTokens
 */
export type PruneTokens = Message<"scotoma.v1.PruneTokens"> & {
    /**
     * After this layer, from 0.
     *
     * @generated from field: uint32 layer = 1;
     */
    layer: number;
    /**
     * How many visual tokens stay. Unset: INVALID_ARGUMENT.
     *
     * @generated from oneof scotoma.v1.PruneTokens.amount
     */
    amount: {
        /**
         * floor(keep_share * visual tokens + 0.5), 0 to 1.
         *
         * @generated from field: double keep_share = 2;
         */
        value: number;
        case: "keepShare";
    } | {
        /**
         * This many, at most the visual tokens that there are.
         *
         * @generated from field: uint32 keep_count = 3;
         */
        value: number;
        case: "keepCount";
    } | {
        case: undefined;
        value?: undefined;
    };
    /**
     * Which stay. Unset: by received attention.
     *
     * @generated from oneof scotoma.v1.PruneTokens.ranking
     */
    ranking: {
        /**
         * The most attended at this layer, by the mean over heads and over the tokens of this selector within the prompt (unset:
         * the last one, as in FastV). Of equals those that come first.
         *
         * @generated from field: scotoma.v1.TokenSelector received_from = 4;
         */
        value: TokenSelector;
        case: "receivedFrom";
    } | {
        /**
         * Drawn by this seed.
         *
         * @generated from field: uint64 random_seed = 5;
         */
        value: bigint;
        case: "randomSeed";
    } | {
        /**
         * The most attended by the tower's CLS token (see SalientPatches) on the unchanged picture; newline vectors go last.
         *
         * @generated from field: bool class_attention = 6;
         */
        value: boolean;
        case: "classAttention";
    } | {
        case: undefined;
        value?: undefined;
    };
};
/**
 * Describes the message scotoma.v1.PruneTokens.
 * Use `create(PruneTokensSchema)` to create a new message.
 */
export declare const PruneTokensSchema: GenMessage<PruneTokens>;
/**
 * The kind of numbers of a tensor.
 *
 * @generated from enum scotoma.v1.DataType
 */
export declare enum DataType {
    /**
     * Not said; read as 32-bit.
     *
     * @generated from enum value: DATA_TYPE_UNSPECIFIED = 0;
     */
    UNSPECIFIED = 0,
    /**
     * 32-bit.
     *
     * @generated from enum value: DATA_TYPE_F32 = 1;
     */
    F32 = 1,
    /**
     * bfloat16.
     *
     * @generated from enum value: DATA_TYPE_BF16 = 2;
     */
    BF16 = 2,
    /**
     * IEEE half precision.
     *
     * @generated from enum value: DATA_TYPE_F16 = 3;
     */
    F16 = 3
}
/**
 * Describes the enum scotoma.v1.DataType.
 */
export declare const DataTypeSchema: GenEnum<DataType>;
/**
 * A part of the model.
 *
 * @generated from enum scotoma.v1.Stack
 */
export declare enum Stack {
    /**
     * Not said; read as the language model.
     *
     * @generated from enum value: STACK_UNSPECIFIED = 0;
     */
    UNSPECIFIED = 0,
    /**
     * The vision transformer.
     *
     * @generated from enum value: STACK_VISION_TOWER = 1;
     */
    VISION_TOWER = 1,
    /**
     * The decoder.
     *
     * @generated from enum value: STACK_LANGUAGE_MODEL = 2;
     */
    LANGUAGE_MODEL = 2
}
/**
 * Describes the enum scotoma.v1.Stack.
 */
export declare const StackSchema: GenEnum<Stack>;
/**
 * A value that needs no further choice.
 *
 * @generated from enum scotoma.v1.Constant
 */
export declare enum Constant {
    /**
     * Not said; read as zero.
     *
     * @generated from enum value: CONSTANT_UNSPECIFIED = 0;
     */
    UNSPECIFIED = 0,
    /**
     * 0.
     *
     * @generated from enum value: CONSTANT_ZERO = 1;
     */
    ZERO = 1,
    /**
     * A mean, as the message that uses it says.
     *
     * @generated from enum value: CONSTANT_MEAN = 2;
     */
    MEAN = 2
}
/**
 * Describes the enum scotoma.v1.Constant.
 */
export declare const ConstantSchema: GenEnum<Constant>;
