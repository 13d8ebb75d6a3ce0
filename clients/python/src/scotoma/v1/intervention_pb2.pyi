from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class DataType(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    DATA_TYPE_UNSPECIFIED: _ClassVar[DataType]
    DATA_TYPE_F32: _ClassVar[DataType]
    DATA_TYPE_BF16: _ClassVar[DataType]
    DATA_TYPE_F16: _ClassVar[DataType]

class Stack(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    STACK_UNSPECIFIED: _ClassVar[Stack]
    STACK_VISION_TOWER: _ClassVar[Stack]
    STACK_LANGUAGE_MODEL: _ClassVar[Stack]

class Constant(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    CONSTANT_UNSPECIFIED: _ClassVar[Constant]
    CONSTANT_ZERO: _ClassVar[Constant]
    CONSTANT_MEAN: _ClassVar[Constant]
DATA_TYPE_UNSPECIFIED: DataType
DATA_TYPE_F32: DataType
DATA_TYPE_BF16: DataType
DATA_TYPE_F16: DataType
STACK_UNSPECIFIED: Stack
STACK_VISION_TOWER: Stack
STACK_LANGUAGE_MODEL: Stack
CONSTANT_UNSPECIFIED: Constant
CONSTANT_ZERO: Constant
CONSTANT_MEAN: Constant

class Intervention(_message.Message):
    __slots__ = ("permute_tokens", "occlude_patches", "drop_layers", "swap_projector", "blank_image", "shuffle_patches", "select_tokens", "replace_tokens", "repeat_layers", "exit_early", "add_noise", "steer", "project_out", "scale", "ablate", "patch", "knock_out_attention", "prune_tokens", "clamp_norm", "set_feature")
    PERMUTE_TOKENS_FIELD_NUMBER: _ClassVar[int]
    OCCLUDE_PATCHES_FIELD_NUMBER: _ClassVar[int]
    DROP_LAYERS_FIELD_NUMBER: _ClassVar[int]
    SWAP_PROJECTOR_FIELD_NUMBER: _ClassVar[int]
    BLANK_IMAGE_FIELD_NUMBER: _ClassVar[int]
    SHUFFLE_PATCHES_FIELD_NUMBER: _ClassVar[int]
    SELECT_TOKENS_FIELD_NUMBER: _ClassVar[int]
    REPLACE_TOKENS_FIELD_NUMBER: _ClassVar[int]
    REPEAT_LAYERS_FIELD_NUMBER: _ClassVar[int]
    EXIT_EARLY_FIELD_NUMBER: _ClassVar[int]
    ADD_NOISE_FIELD_NUMBER: _ClassVar[int]
    STEER_FIELD_NUMBER: _ClassVar[int]
    PROJECT_OUT_FIELD_NUMBER: _ClassVar[int]
    SCALE_FIELD_NUMBER: _ClassVar[int]
    ABLATE_FIELD_NUMBER: _ClassVar[int]
    PATCH_FIELD_NUMBER: _ClassVar[int]
    KNOCK_OUT_ATTENTION_FIELD_NUMBER: _ClassVar[int]
    PRUNE_TOKENS_FIELD_NUMBER: _ClassVar[int]
    CLAMP_NORM_FIELD_NUMBER: _ClassVar[int]
    SET_FEATURE_FIELD_NUMBER: _ClassVar[int]
    permute_tokens: PermuteTokens
    occlude_patches: OccludePatches
    drop_layers: DropLayers
    swap_projector: SwapProjector
    blank_image: BlankImage
    shuffle_patches: ShufflePatches
    select_tokens: SelectTokens
    replace_tokens: ReplaceTokens
    repeat_layers: RepeatLayers
    exit_early: ExitEarly
    add_noise: AddNoise
    steer: Steer
    project_out: ProjectOut
    scale: Scale
    ablate: Ablate
    patch: Patch
    knock_out_attention: KnockOutAttention
    prune_tokens: PruneTokens
    clamp_norm: ClampNorm
    set_feature: SetFeature
    def __init__(self, permute_tokens: _Optional[_Union[PermuteTokens, _Mapping]] = ..., occlude_patches: _Optional[_Union[OccludePatches, _Mapping]] = ..., drop_layers: _Optional[_Union[DropLayers, _Mapping]] = ..., swap_projector: _Optional[_Union[SwapProjector, _Mapping]] = ..., blank_image: _Optional[_Union[BlankImage, _Mapping]] = ..., shuffle_patches: _Optional[_Union[ShufflePatches, _Mapping]] = ..., select_tokens: _Optional[_Union[SelectTokens, _Mapping]] = ..., replace_tokens: _Optional[_Union[ReplaceTokens, _Mapping]] = ..., repeat_layers: _Optional[_Union[RepeatLayers, _Mapping]] = ..., exit_early: _Optional[_Union[ExitEarly, _Mapping]] = ..., add_noise: _Optional[_Union[AddNoise, _Mapping]] = ..., steer: _Optional[_Union[Steer, _Mapping]] = ..., project_out: _Optional[_Union[ProjectOut, _Mapping]] = ..., scale: _Optional[_Union[Scale, _Mapping]] = ..., ablate: _Optional[_Union[Ablate, _Mapping]] = ..., patch: _Optional[_Union[Patch, _Mapping]] = ..., knock_out_attention: _Optional[_Union[KnockOutAttention, _Mapping]] = ..., prune_tokens: _Optional[_Union[PruneTokens, _Mapping]] = ..., clamp_norm: _Optional[_Union[ClampNorm, _Mapping]] = ..., set_feature: _Optional[_Union[SetFeature, _Mapping]] = ...) -> None: ...

class TokenSelector(_message.Message):
    __slots__ = ("any_of", "complement")
    ANY_OF_FIELD_NUMBER: _ClassVar[int]
    COMPLEMENT_FIELD_NUMBER: _ClassVar[int]
    any_of: _containers.RepeatedCompositeFieldContainer[Tokens]
    complement: bool
    def __init__(self, any_of: _Optional[_Iterable[_Union[Tokens, _Mapping]]] = ..., complement: _Optional[bool] = ...) -> None: ...

class Tokens(_message.Message):
    __slots__ = ("named", "indices", "image", "tile", "blocks", "random", "salient", "turn", "measured")
    class Named(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        NAMED_UNSPECIFIED: _ClassVar[Tokens.Named]
        NAMED_ALL: _ClassVar[Tokens.Named]
        NAMED_VISUAL: _ClassVar[Tokens.Named]
        NAMED_TEXT: _ClassVar[Tokens.Named]
        NAMED_SYSTEM: _ClassVar[Tokens.Named]
        NAMED_QUESTION: _ClassVar[Tokens.Named]
        NAMED_LAST: _ClassVar[Tokens.Named]
        NAMED_GENERATED: _ClassVar[Tokens.Named]
        NAMED_NEWLINE: _ClassVar[Tokens.Named]
        NAMED_CLASS: _ClassVar[Tokens.Named]
        NAMED_BASE_VIEW: _ClassVar[Tokens.Named]
        NAMED_USER: _ClassVar[Tokens.Named]
        NAMED_ASSISTANT: _ClassVar[Tokens.Named]
    NAMED_UNSPECIFIED: Tokens.Named
    NAMED_ALL: Tokens.Named
    NAMED_VISUAL: Tokens.Named
    NAMED_TEXT: Tokens.Named
    NAMED_SYSTEM: Tokens.Named
    NAMED_QUESTION: Tokens.Named
    NAMED_LAST: Tokens.Named
    NAMED_GENERATED: Tokens.Named
    NAMED_NEWLINE: Tokens.Named
    NAMED_CLASS: Tokens.Named
    NAMED_BASE_VIEW: Tokens.Named
    NAMED_USER: Tokens.Named
    NAMED_ASSISTANT: Tokens.Named
    NAMED_FIELD_NUMBER: _ClassVar[int]
    INDICES_FIELD_NUMBER: _ClassVar[int]
    IMAGE_FIELD_NUMBER: _ClassVar[int]
    TILE_FIELD_NUMBER: _ClassVar[int]
    BLOCKS_FIELD_NUMBER: _ClassVar[int]
    RANDOM_FIELD_NUMBER: _ClassVar[int]
    SALIENT_FIELD_NUMBER: _ClassVar[int]
    TURN_FIELD_NUMBER: _ClassVar[int]
    MEASURED_FIELD_NUMBER: _ClassVar[int]
    named: Tokens.Named
    indices: TokenIndices
    image: int
    tile: int
    blocks: TokenBlocks
    random: RandomPatches
    salient: SalientPatches
    turn: int
    measured: MeasuredTokens
    def __init__(self, named: _Optional[_Union[Tokens.Named, str]] = ..., indices: _Optional[_Union[TokenIndices, _Mapping]] = ..., image: _Optional[int] = ..., tile: _Optional[int] = ..., blocks: _Optional[_Union[TokenBlocks, _Mapping]] = ..., random: _Optional[_Union[RandomPatches, _Mapping]] = ..., salient: _Optional[_Union[SalientPatches, _Mapping]] = ..., turn: _Optional[int] = ..., measured: _Optional[_Union[MeasuredTokens, _Mapping]] = ...) -> None: ...

class TokenIndices(_message.Message):
    __slots__ = ("indices",)
    INDICES_FIELD_NUMBER: _ClassVar[int]
    indices: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, indices: _Optional[_Iterable[int]] = ...) -> None: ...

class TokenBlocks(_message.Message):
    __slots__ = ("grid", "indices")
    GRID_FIELD_NUMBER: _ClassVar[int]
    INDICES_FIELD_NUMBER: _ClassVar[int]
    grid: int
    indices: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, grid: _Optional[int] = ..., indices: _Optional[_Iterable[int]] = ...) -> None: ...

class MeasuredTokens(_message.Message):
    __slots__ = ("point", "measure", "share", "count", "at_least", "times_median", "lowest", "among", "looking", "head", "vector")
    class Measure(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        MEASURE_UNSPECIFIED: _ClassVar[MeasuredTokens.Measure]
        MEASURE_NORM: _ClassVar[MeasuredTokens.Measure]
        MEASURE_ATTENTION_RECEIVED: _ClassVar[MeasuredTokens.Measure]
        MEASURE_SIMILARITY: _ClassVar[MeasuredTokens.Measure]
        MEASURE_LARGEST_VALUE: _ClassVar[MeasuredTokens.Measure]
    MEASURE_UNSPECIFIED: MeasuredTokens.Measure
    MEASURE_NORM: MeasuredTokens.Measure
    MEASURE_ATTENTION_RECEIVED: MeasuredTokens.Measure
    MEASURE_SIMILARITY: MeasuredTokens.Measure
    MEASURE_LARGEST_VALUE: MeasuredTokens.Measure
    POINT_FIELD_NUMBER: _ClassVar[int]
    MEASURE_FIELD_NUMBER: _ClassVar[int]
    SHARE_FIELD_NUMBER: _ClassVar[int]
    COUNT_FIELD_NUMBER: _ClassVar[int]
    AT_LEAST_FIELD_NUMBER: _ClassVar[int]
    TIMES_MEDIAN_FIELD_NUMBER: _ClassVar[int]
    LOWEST_FIELD_NUMBER: _ClassVar[int]
    AMONG_FIELD_NUMBER: _ClassVar[int]
    LOOKING_FIELD_NUMBER: _ClassVar[int]
    HEAD_FIELD_NUMBER: _ClassVar[int]
    VECTOR_FIELD_NUMBER: _ClassVar[int]
    point: str
    measure: MeasuredTokens.Measure
    share: float
    count: int
    at_least: float
    times_median: float
    lowest: bool
    among: Tokens.Named
    looking: Tokens.Named
    head: int
    vector: _containers.RepeatedScalarFieldContainer[float]
    def __init__(self, point: _Optional[str] = ..., measure: _Optional[_Union[MeasuredTokens.Measure, str]] = ..., share: _Optional[float] = ..., count: _Optional[int] = ..., at_least: _Optional[float] = ..., times_median: _Optional[float] = ..., lowest: _Optional[bool] = ..., among: _Optional[_Union[Tokens.Named, str]] = ..., looking: _Optional[_Union[Tokens.Named, str]] = ..., head: _Optional[int] = ..., vector: _Optional[_Iterable[float]] = ...) -> None: ...

class Steps(_message.Message):
    __slots__ = ("first", "last")
    FIRST_FIELD_NUMBER: _ClassVar[int]
    LAST_FIELD_NUMBER: _ClassVar[int]
    first: int
    last: int
    def __init__(self, first: _Optional[int] = ..., last: _Optional[int] = ...) -> None: ...

class Target(_message.Message):
    __slots__ = ("point", "layers", "tokens", "heads", "dimensions", "steps")
    POINT_FIELD_NUMBER: _ClassVar[int]
    LAYERS_FIELD_NUMBER: _ClassVar[int]
    TOKENS_FIELD_NUMBER: _ClassVar[int]
    HEADS_FIELD_NUMBER: _ClassVar[int]
    DIMENSIONS_FIELD_NUMBER: _ClassVar[int]
    STEPS_FIELD_NUMBER: _ClassVar[int]
    point: str
    layers: _containers.RepeatedScalarFieldContainer[int]
    tokens: TokenSelector
    heads: _containers.RepeatedScalarFieldContainer[int]
    dimensions: _containers.RepeatedScalarFieldContainer[int]
    steps: Steps
    def __init__(self, point: _Optional[str] = ..., layers: _Optional[_Iterable[int]] = ..., tokens: _Optional[_Union[TokenSelector, _Mapping]] = ..., heads: _Optional[_Iterable[int]] = ..., dimensions: _Optional[_Iterable[int]] = ..., steps: _Optional[_Union[Steps, _Mapping]] = ...) -> None: ...

class Tensor(_message.Message):
    __slots__ = ("shape", "dtype", "data")
    SHAPE_FIELD_NUMBER: _ClassVar[int]
    DTYPE_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    shape: _containers.RepeatedScalarFieldContainer[int]
    dtype: DataType
    data: bytes
    def __init__(self, shape: _Optional[_Iterable[int]] = ..., dtype: _Optional[_Union[DataType, str]] = ..., data: _Optional[bytes] = ...) -> None: ...

class PermuteTokens(_message.Message):
    __slots__ = ("seed", "order", "scope", "blocks")
    class Scope(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        SCOPE_UNSPECIFIED: _ClassVar[PermuteTokens.Scope]
        SCOPE_ALL: _ClassVar[PermuteTokens.Scope]
        SCOPE_WITHIN_TILES: _ClassVar[PermuteTokens.Scope]
        SCOPE_BASE_VIEW: _ClassVar[PermuteTokens.Scope]
        SCOPE_WITHIN_BLOCKS: _ClassVar[PermuteTokens.Scope]
    SCOPE_UNSPECIFIED: PermuteTokens.Scope
    SCOPE_ALL: PermuteTokens.Scope
    SCOPE_WITHIN_TILES: PermuteTokens.Scope
    SCOPE_BASE_VIEW: PermuteTokens.Scope
    SCOPE_WITHIN_BLOCKS: PermuteTokens.Scope
    SEED_FIELD_NUMBER: _ClassVar[int]
    ORDER_FIELD_NUMBER: _ClassVar[int]
    SCOPE_FIELD_NUMBER: _ClassVar[int]
    BLOCKS_FIELD_NUMBER: _ClassVar[int]
    seed: int
    order: TokenOrder
    scope: PermuteTokens.Scope
    blocks: int
    def __init__(self, seed: _Optional[int] = ..., order: _Optional[_Union[TokenOrder, _Mapping]] = ..., scope: _Optional[_Union[PermuteTokens.Scope, str]] = ..., blocks: _Optional[int] = ...) -> None: ...

class TokenOrder(_message.Message):
    __slots__ = ("indices",)
    INDICES_FIELD_NUMBER: _ClassVar[int]
    indices: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, indices: _Optional[_Iterable[int]] = ...) -> None: ...

class OccludePatches(_message.Message):
    __slots__ = ("random", "salient", "non_salient", "indices", "grid", "fill", "fill_seed", "blur_sigma")
    class Fill(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        FILL_UNSPECIFIED: _ClassVar[OccludePatches.Fill]
        FILL_BLACK: _ClassVar[OccludePatches.Fill]
        FILL_MEAN: _ClassVar[OccludePatches.Fill]
        FILL_NOISE: _ClassVar[OccludePatches.Fill]
        FILL_BLUR: _ClassVar[OccludePatches.Fill]
    FILL_UNSPECIFIED: OccludePatches.Fill
    FILL_BLACK: OccludePatches.Fill
    FILL_MEAN: OccludePatches.Fill
    FILL_NOISE: OccludePatches.Fill
    FILL_BLUR: OccludePatches.Fill
    RANDOM_FIELD_NUMBER: _ClassVar[int]
    SALIENT_FIELD_NUMBER: _ClassVar[int]
    NON_SALIENT_FIELD_NUMBER: _ClassVar[int]
    INDICES_FIELD_NUMBER: _ClassVar[int]
    GRID_FIELD_NUMBER: _ClassVar[int]
    FILL_FIELD_NUMBER: _ClassVar[int]
    FILL_SEED_FIELD_NUMBER: _ClassVar[int]
    BLUR_SIGMA_FIELD_NUMBER: _ClassVar[int]
    random: RandomPatches
    salient: SalientPatches
    non_salient: SalientPatches
    indices: PatchIndices
    grid: int
    fill: OccludePatches.Fill
    fill_seed: int
    blur_sigma: float
    def __init__(self, random: _Optional[_Union[RandomPatches, _Mapping]] = ..., salient: _Optional[_Union[SalientPatches, _Mapping]] = ..., non_salient: _Optional[_Union[SalientPatches, _Mapping]] = ..., indices: _Optional[_Union[PatchIndices, _Mapping]] = ..., grid: _Optional[int] = ..., fill: _Optional[_Union[OccludePatches.Fill, str]] = ..., fill_seed: _Optional[int] = ..., blur_sigma: _Optional[float] = ...) -> None: ...

class RandomPatches(_message.Message):
    __slots__ = ("ratio", "seed")
    RATIO_FIELD_NUMBER: _ClassVar[int]
    SEED_FIELD_NUMBER: _ClassVar[int]
    ratio: float
    seed: int
    def __init__(self, ratio: _Optional[float] = ..., seed: _Optional[int] = ...) -> None: ...

class SalientPatches(_message.Message):
    __slots__ = ("mass", "share", "count", "model", "weights", "head")
    MASS_FIELD_NUMBER: _ClassVar[int]
    SHARE_FIELD_NUMBER: _ClassVar[int]
    COUNT_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    WEIGHTS_FIELD_NUMBER: _ClassVar[int]
    HEAD_FIELD_NUMBER: _ClassVar[int]
    mass: float
    share: float
    count: int
    model: str
    weights: Saliency
    head: int
    def __init__(self, mass: _Optional[float] = ..., share: _Optional[float] = ..., count: _Optional[int] = ..., model: _Optional[str] = ..., weights: _Optional[_Union[Saliency, _Mapping]] = ..., head: _Optional[int] = ...) -> None: ...

class Saliency(_message.Message):
    __slots__ = ("weights",)
    WEIGHTS_FIELD_NUMBER: _ClassVar[int]
    weights: _containers.RepeatedScalarFieldContainer[float]
    def __init__(self, weights: _Optional[_Iterable[float]] = ...) -> None: ...

class PatchIndices(_message.Message):
    __slots__ = ("indices",)
    INDICES_FIELD_NUMBER: _ClassVar[int]
    indices: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, indices: _Optional[_Iterable[int]] = ...) -> None: ...

class DropLayers(_message.Message):
    __slots__ = ("stack", "layers")
    STACK_FIELD_NUMBER: _ClassVar[int]
    LAYERS_FIELD_NUMBER: _ClassVar[int]
    stack: Stack
    layers: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, stack: _Optional[_Union[Stack, str]] = ..., layers: _Optional[_Iterable[int]] = ...) -> None: ...

class SwapProjector(_message.Message):
    __slots__ = ("name", "random_seed", "identity")
    NAME_FIELD_NUMBER: _ClassVar[int]
    RANDOM_SEED_FIELD_NUMBER: _ClassVar[int]
    IDENTITY_FIELD_NUMBER: _ClassVar[int]
    name: str
    random_seed: int
    identity: IdentityProjector
    def __init__(self, name: _Optional[str] = ..., random_seed: _Optional[int] = ..., identity: _Optional[_Union[IdentityProjector, _Mapping]] = ...) -> None: ...

class IdentityProjector(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class BlankImage(_message.Message):
    __slots__ = ("colour", "rgb")
    class Colour(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        COLOUR_UNSPECIFIED: _ClassVar[BlankImage.Colour]
        COLOUR_BLACK: _ClassVar[BlankImage.Colour]
        COLOUR_WHITE: _ClassVar[BlankImage.Colour]
        COLOUR_MEAN: _ClassVar[BlankImage.Colour]
    COLOUR_UNSPECIFIED: BlankImage.Colour
    COLOUR_BLACK: BlankImage.Colour
    COLOUR_WHITE: BlankImage.Colour
    COLOUR_MEAN: BlankImage.Colour
    COLOUR_FIELD_NUMBER: _ClassVar[int]
    RGB_FIELD_NUMBER: _ClassVar[int]
    colour: BlankImage.Colour
    rgb: Rgb
    def __init__(self, colour: _Optional[_Union[BlankImage.Colour, str]] = ..., rgb: _Optional[_Union[Rgb, _Mapping]] = ...) -> None: ...

class Rgb(_message.Message):
    __slots__ = ("red", "green", "blue")
    RED_FIELD_NUMBER: _ClassVar[int]
    GREEN_FIELD_NUMBER: _ClassVar[int]
    BLUE_FIELD_NUMBER: _ClassVar[int]
    red: int
    green: int
    blue: int
    def __init__(self, red: _Optional[int] = ..., green: _Optional[int] = ..., blue: _Optional[int] = ...) -> None: ...

class ShufflePatches(_message.Message):
    __slots__ = ("grid", "seed", "order")
    GRID_FIELD_NUMBER: _ClassVar[int]
    SEED_FIELD_NUMBER: _ClassVar[int]
    ORDER_FIELD_NUMBER: _ClassVar[int]
    grid: int
    seed: int
    order: TokenOrder
    def __init__(self, grid: _Optional[int] = ..., seed: _Optional[int] = ..., order: _Optional[_Union[TokenOrder, _Mapping]] = ...) -> None: ...

class SelectTokens(_message.Message):
    __slots__ = ("tokens", "mode", "positions", "merge")
    class Mode(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        MODE_UNSPECIFIED: _ClassVar[SelectTokens.Mode]
        MODE_KEEP: _ClassVar[SelectTokens.Mode]
        MODE_REMOVE: _ClassVar[SelectTokens.Mode]
        MODE_POOL: _ClassVar[SelectTokens.Mode]
        MODE_MERGE: _ClassVar[SelectTokens.Mode]
    MODE_UNSPECIFIED: SelectTokens.Mode
    MODE_KEEP: SelectTokens.Mode
    MODE_REMOVE: SelectTokens.Mode
    MODE_POOL: SelectTokens.Mode
    MODE_MERGE: SelectTokens.Mode
    class Positions(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        POSITIONS_UNSPECIFIED: _ClassVar[SelectTokens.Positions]
        POSITIONS_ORIGINAL: _ClassVar[SelectTokens.Positions]
        POSITIONS_COMPACT: _ClassVar[SelectTokens.Positions]
    POSITIONS_UNSPECIFIED: SelectTokens.Positions
    POSITIONS_ORIGINAL: SelectTokens.Positions
    POSITIONS_COMPACT: SelectTokens.Positions
    TOKENS_FIELD_NUMBER: _ClassVar[int]
    MODE_FIELD_NUMBER: _ClassVar[int]
    POSITIONS_FIELD_NUMBER: _ClassVar[int]
    MERGE_FIELD_NUMBER: _ClassVar[int]
    tokens: TokenSelector
    mode: SelectTokens.Mode
    positions: SelectTokens.Positions
    merge: MergeTokens
    def __init__(self, tokens: _Optional[_Union[TokenSelector, _Mapping]] = ..., mode: _Optional[_Union[SelectTokens.Mode, str]] = ..., positions: _Optional[_Union[SelectTokens.Positions, str]] = ..., merge: _Optional[_Union[MergeTokens, _Mapping]] = ...) -> None: ...

class MergeTokens(_message.Message):
    __slots__ = ("share", "count", "similarity", "value")
    class Similarity(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        SIMILARITY_UNSPECIFIED: _ClassVar[MergeTokens.Similarity]
        SIMILARITY_KEYS: _ClassVar[MergeTokens.Similarity]
        SIMILARITY_TOKENS: _ClassVar[MergeTokens.Similarity]
    SIMILARITY_UNSPECIFIED: MergeTokens.Similarity
    SIMILARITY_KEYS: MergeTokens.Similarity
    SIMILARITY_TOKENS: MergeTokens.Similarity
    class Value(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        VALUE_UNSPECIFIED: _ClassVar[MergeTokens.Value]
        VALUE_MEAN: _ClassVar[MergeTokens.Value]
        VALUE_SEED_PLUS_MEAN: _ClassVar[MergeTokens.Value]
    VALUE_UNSPECIFIED: MergeTokens.Value
    VALUE_MEAN: MergeTokens.Value
    VALUE_SEED_PLUS_MEAN: MergeTokens.Value
    SHARE_FIELD_NUMBER: _ClassVar[int]
    COUNT_FIELD_NUMBER: _ClassVar[int]
    SIMILARITY_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    share: float
    count: int
    similarity: MergeTokens.Similarity
    value: MergeTokens.Value
    def __init__(self, share: _Optional[float] = ..., count: _Optional[int] = ..., similarity: _Optional[_Union[MergeTokens.Similarity, str]] = ..., value: _Optional[_Union[MergeTokens.Value, str]] = ...) -> None: ...

class ReplaceTokens(_message.Message):
    __slots__ = ("tokens", "constant", "noise", "donor")
    TOKENS_FIELD_NUMBER: _ClassVar[int]
    CONSTANT_FIELD_NUMBER: _ClassVar[int]
    NOISE_FIELD_NUMBER: _ClassVar[int]
    DONOR_FIELD_NUMBER: _ClassVar[int]
    tokens: TokenSelector
    constant: Constant
    noise: TokenNoise
    donor: Donor
    def __init__(self, tokens: _Optional[_Union[TokenSelector, _Mapping]] = ..., constant: _Optional[_Union[Constant, str]] = ..., noise: _Optional[_Union[TokenNoise, _Mapping]] = ..., donor: _Optional[_Union[Donor, _Mapping]] = ...) -> None: ...

class TokenNoise(_message.Message):
    __slots__ = ("seed",)
    SEED_FIELD_NUMBER: _ClassVar[int]
    seed: int
    def __init__(self, seed: _Optional[int] = ...) -> None: ...

class Donor(_message.Message):
    __slots__ = ("data",)
    DATA_FIELD_NUMBER: _ClassVar[int]
    data: bytes
    def __init__(self, data: _Optional[bytes] = ...) -> None: ...

class RepeatLayers(_message.Message):
    __slots__ = ("stack", "first", "last", "times")
    STACK_FIELD_NUMBER: _ClassVar[int]
    FIRST_FIELD_NUMBER: _ClassVar[int]
    LAST_FIELD_NUMBER: _ClassVar[int]
    TIMES_FIELD_NUMBER: _ClassVar[int]
    stack: Stack
    first: int
    last: int
    times: int
    def __init__(self, stack: _Optional[_Union[Stack, str]] = ..., first: _Optional[int] = ..., last: _Optional[int] = ..., times: _Optional[int] = ...) -> None: ...

class ExitEarly(_message.Message):
    __slots__ = ("stack", "layer")
    STACK_FIELD_NUMBER: _ClassVar[int]
    LAYER_FIELD_NUMBER: _ClassVar[int]
    stack: Stack
    layer: int
    def __init__(self, stack: _Optional[_Union[Stack, str]] = ..., layer: _Optional[int] = ...) -> None: ...

class AddNoise(_message.Message):
    __slots__ = ("target", "geometry", "scale", "random_scale", "seed")
    class Geometry(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        GEOMETRY_UNSPECIFIED: _ClassVar[AddNoise.Geometry]
        GEOMETRY_LITERAL: _ClassVar[AddNoise.Geometry]
        GEOMETRY_ABS_SCALED: _ClassVar[AddNoise.Geometry]
        GEOMETRY_KESKAR: _ClassVar[AddNoise.Geometry]
        GEOMETRY_ADDITIVE: _ClassVar[AddNoise.Geometry]
        GEOMETRY_GAUSSIAN: _ClassVar[AddNoise.Geometry]
    GEOMETRY_UNSPECIFIED: AddNoise.Geometry
    GEOMETRY_LITERAL: AddNoise.Geometry
    GEOMETRY_ABS_SCALED: AddNoise.Geometry
    GEOMETRY_KESKAR: AddNoise.Geometry
    GEOMETRY_ADDITIVE: AddNoise.Geometry
    GEOMETRY_GAUSSIAN: AddNoise.Geometry
    TARGET_FIELD_NUMBER: _ClassVar[int]
    GEOMETRY_FIELD_NUMBER: _ClassVar[int]
    SCALE_FIELD_NUMBER: _ClassVar[int]
    RANDOM_SCALE_FIELD_NUMBER: _ClassVar[int]
    SEED_FIELD_NUMBER: _ClassVar[int]
    target: Target
    geometry: AddNoise.Geometry
    scale: float
    random_scale: bool
    seed: int
    def __init__(self, target: _Optional[_Union[Target, _Mapping]] = ..., geometry: _Optional[_Union[AddNoise.Geometry, str]] = ..., scale: _Optional[float] = ..., random_scale: _Optional[bool] = ..., seed: _Optional[int] = ...) -> None: ...

class Steer(_message.Message):
    __slots__ = ("target", "vector", "scale")
    TARGET_FIELD_NUMBER: _ClassVar[int]
    VECTOR_FIELD_NUMBER: _ClassVar[int]
    SCALE_FIELD_NUMBER: _ClassVar[int]
    target: Target
    vector: _containers.RepeatedScalarFieldContainer[float]
    scale: float
    def __init__(self, target: _Optional[_Union[Target, _Mapping]] = ..., vector: _Optional[_Iterable[float]] = ..., scale: _Optional[float] = ...) -> None: ...

class ProjectOut(_message.Message):
    __slots__ = ("target", "directions")
    TARGET_FIELD_NUMBER: _ClassVar[int]
    DIRECTIONS_FIELD_NUMBER: _ClassVar[int]
    target: Target
    directions: _containers.RepeatedCompositeFieldContainer[Direction]
    def __init__(self, target: _Optional[_Union[Target, _Mapping]] = ..., directions: _Optional[_Iterable[_Union[Direction, _Mapping]]] = ...) -> None: ...

class Direction(_message.Message):
    __slots__ = ("values",)
    VALUES_FIELD_NUMBER: _ClassVar[int]
    values: _containers.RepeatedScalarFieldContainer[float]
    def __init__(self, values: _Optional[_Iterable[float]] = ...) -> None: ...

class Scale(_message.Message):
    __slots__ = ("target", "factor")
    TARGET_FIELD_NUMBER: _ClassVar[int]
    FACTOR_FIELD_NUMBER: _ClassVar[int]
    target: Target
    factor: float
    def __init__(self, target: _Optional[_Union[Target, _Mapping]] = ..., factor: _Optional[float] = ...) -> None: ...

class ClampNorm(_message.Message):
    __slots__ = ("target", "max_norm")
    TARGET_FIELD_NUMBER: _ClassVar[int]
    MAX_NORM_FIELD_NUMBER: _ClassVar[int]
    target: Target
    max_norm: float
    def __init__(self, target: _Optional[_Union[Target, _Mapping]] = ..., max_norm: _Optional[float] = ...) -> None: ...

class SetFeature(_message.Message):
    __slots__ = ("target", "sae", "features", "clamp", "scale", "add", "ablate")
    TARGET_FIELD_NUMBER: _ClassVar[int]
    SAE_FIELD_NUMBER: _ClassVar[int]
    FEATURES_FIELD_NUMBER: _ClassVar[int]
    CLAMP_FIELD_NUMBER: _ClassVar[int]
    SCALE_FIELD_NUMBER: _ClassVar[int]
    ADD_FIELD_NUMBER: _ClassVar[int]
    ABLATE_FIELD_NUMBER: _ClassVar[int]
    target: Target
    sae: str
    features: _containers.RepeatedScalarFieldContainer[int]
    clamp: float
    scale: float
    add: float
    ablate: FeatureAblation
    def __init__(self, target: _Optional[_Union[Target, _Mapping]] = ..., sae: _Optional[str] = ..., features: _Optional[_Iterable[int]] = ..., clamp: _Optional[float] = ..., scale: _Optional[float] = ..., add: _Optional[float] = ..., ablate: _Optional[_Union[FeatureAblation, _Mapping]] = ...) -> None: ...

class FeatureAblation(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class Ablate(_message.Message):
    __slots__ = ("target", "value")
    TARGET_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    target: Target
    value: Constant
    def __init__(self, target: _Optional[_Union[Target, _Mapping]] = ..., value: _Optional[_Union[Constant, str]] = ...) -> None: ...

class Patch(_message.Message):
    __slots__ = ("target", "values", "handle")
    TARGET_FIELD_NUMBER: _ClassVar[int]
    VALUES_FIELD_NUMBER: _ClassVar[int]
    HANDLE_FIELD_NUMBER: _ClassVar[int]
    target: Target
    values: Tensor
    handle: str
    def __init__(self, target: _Optional[_Union[Target, _Mapping]] = ..., values: _Optional[_Union[Tensor, _Mapping]] = ..., handle: _Optional[str] = ...) -> None: ...

class KnockOutAttention(_message.Message):
    __slots__ = ("stack", "layers", "heads", "to", "steps")
    STACK_FIELD_NUMBER: _ClassVar[int]
    LAYERS_FIELD_NUMBER: _ClassVar[int]
    HEADS_FIELD_NUMBER: _ClassVar[int]
    FROM_FIELD_NUMBER: _ClassVar[int]
    TO_FIELD_NUMBER: _ClassVar[int]
    STEPS_FIELD_NUMBER: _ClassVar[int]
    stack: Stack
    layers: _containers.RepeatedScalarFieldContainer[int]
    heads: _containers.RepeatedScalarFieldContainer[int]
    to: TokenSelector
    steps: Steps
    def __init__(self, stack: _Optional[_Union[Stack, str]] = ..., layers: _Optional[_Iterable[int]] = ..., heads: _Optional[_Iterable[int]] = ..., to: _Optional[_Union[TokenSelector, _Mapping]] = ..., steps: _Optional[_Union[Steps, _Mapping]] = ..., **kwargs) -> None: ...

class PruneTokens(_message.Message):
    __slots__ = ("layer", "keep_share", "keep_count", "received_from", "random_seed", "class_attention")
    LAYER_FIELD_NUMBER: _ClassVar[int]
    KEEP_SHARE_FIELD_NUMBER: _ClassVar[int]
    KEEP_COUNT_FIELD_NUMBER: _ClassVar[int]
    RECEIVED_FROM_FIELD_NUMBER: _ClassVar[int]
    RANDOM_SEED_FIELD_NUMBER: _ClassVar[int]
    CLASS_ATTENTION_FIELD_NUMBER: _ClassVar[int]
    layer: int
    keep_share: float
    keep_count: int
    received_from: TokenSelector
    random_seed: int
    class_attention: bool
    def __init__(self, layer: _Optional[int] = ..., keep_share: _Optional[float] = ..., keep_count: _Optional[int] = ..., received_from: _Optional[_Union[TokenSelector, _Mapping]] = ..., random_seed: _Optional[int] = ..., class_attention: _Optional[bool] = ...) -> None: ...
