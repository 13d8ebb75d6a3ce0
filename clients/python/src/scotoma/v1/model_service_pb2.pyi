from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ListModelsRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ListModelsResponse(_message.Message):
    __slots__ = ("models",)
    MODELS_FIELD_NUMBER: _ClassVar[int]
    models: _containers.RepeatedCompositeFieldContainer[ModelInfo]
    def __init__(self, models: _Optional[_Iterable[_Union[ModelInfo, _Mapping]]] = ...) -> None: ...

class GetModelRequest(_message.Message):
    __slots__ = ("model",)
    MODEL_FIELD_NUMBER: _ClassVar[int]
    model: str
    def __init__(self, model: _Optional[str] = ...) -> None: ...

class GetModelResponse(_message.Message):
    __slots__ = ("model",)
    MODEL_FIELD_NUMBER: _ClassVar[int]
    model: ModelInfo
    def __init__(self, model: _Optional[_Union[ModelInfo, _Mapping]] = ...) -> None: ...

class ModelInfo(_message.Message):
    __slots__ = ("name", "family", "digest", "dtype", "device", "resident_bytes", "parameters", "vision_tower", "language_model", "vision_feature_layer", "vision_feature_select_strategy", "image_size", "patch_grid", "vocabulary", "projectors", "limits", "interventions", "saliency_models", "chat_template", "image_processor", "adapters", "vision_feature_layers", "generation_config", "saes", "lenses", "text_model_type")
    NAME_FIELD_NUMBER: _ClassVar[int]
    FAMILY_FIELD_NUMBER: _ClassVar[int]
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    DTYPE_FIELD_NUMBER: _ClassVar[int]
    DEVICE_FIELD_NUMBER: _ClassVar[int]
    RESIDENT_BYTES_FIELD_NUMBER: _ClassVar[int]
    PARAMETERS_FIELD_NUMBER: _ClassVar[int]
    VISION_TOWER_FIELD_NUMBER: _ClassVar[int]
    LANGUAGE_MODEL_FIELD_NUMBER: _ClassVar[int]
    VISION_FEATURE_LAYER_FIELD_NUMBER: _ClassVar[int]
    VISION_FEATURE_SELECT_STRATEGY_FIELD_NUMBER: _ClassVar[int]
    IMAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PATCH_GRID_FIELD_NUMBER: _ClassVar[int]
    VOCABULARY_FIELD_NUMBER: _ClassVar[int]
    PROJECTORS_FIELD_NUMBER: _ClassVar[int]
    LIMITS_FIELD_NUMBER: _ClassVar[int]
    INTERVENTIONS_FIELD_NUMBER: _ClassVar[int]
    SALIENCY_MODELS_FIELD_NUMBER: _ClassVar[int]
    CHAT_TEMPLATE_FIELD_NUMBER: _ClassVar[int]
    IMAGE_PROCESSOR_FIELD_NUMBER: _ClassVar[int]
    ADAPTERS_FIELD_NUMBER: _ClassVar[int]
    VISION_FEATURE_LAYERS_FIELD_NUMBER: _ClassVar[int]
    GENERATION_CONFIG_FIELD_NUMBER: _ClassVar[int]
    SAES_FIELD_NUMBER: _ClassVar[int]
    LENSES_FIELD_NUMBER: _ClassVar[int]
    TEXT_MODEL_TYPE_FIELD_NUMBER: _ClassVar[int]
    name: str
    family: str
    digest: str
    dtype: str
    device: str
    resident_bytes: int
    parameters: int
    vision_tower: StackInfo
    language_model: StackInfo
    vision_feature_layer: int
    vision_feature_select_strategy: str
    image_size: int
    patch_grid: int
    vocabulary: int
    projectors: _containers.RepeatedScalarFieldContainer[str]
    limits: Limits
    interventions: _containers.RepeatedScalarFieldContainer[str]
    saliency_models: _containers.RepeatedScalarFieldContainer[str]
    chat_template: ChatTemplateInfo
    image_processor: str
    adapters: _containers.RepeatedScalarFieldContainer[str]
    vision_feature_layers: _containers.RepeatedScalarFieldContainer[int]
    generation_config: str
    saes: _containers.RepeatedCompositeFieldContainer[SaeInfo]
    lenses: _containers.RepeatedCompositeFieldContainer[LensInfo]
    text_model_type: str
    def __init__(self, name: _Optional[str] = ..., family: _Optional[str] = ..., digest: _Optional[str] = ..., dtype: _Optional[str] = ..., device: _Optional[str] = ..., resident_bytes: _Optional[int] = ..., parameters: _Optional[int] = ..., vision_tower: _Optional[_Union[StackInfo, _Mapping]] = ..., language_model: _Optional[_Union[StackInfo, _Mapping]] = ..., vision_feature_layer: _Optional[int] = ..., vision_feature_select_strategy: _Optional[str] = ..., image_size: _Optional[int] = ..., patch_grid: _Optional[int] = ..., vocabulary: _Optional[int] = ..., projectors: _Optional[_Iterable[str]] = ..., limits: _Optional[_Union[Limits, _Mapping]] = ..., interventions: _Optional[_Iterable[str]] = ..., saliency_models: _Optional[_Iterable[str]] = ..., chat_template: _Optional[_Union[ChatTemplateInfo, _Mapping]] = ..., image_processor: _Optional[str] = ..., adapters: _Optional[_Iterable[str]] = ..., vision_feature_layers: _Optional[_Iterable[int]] = ..., generation_config: _Optional[str] = ..., saes: _Optional[_Iterable[_Union[SaeInfo, _Mapping]]] = ..., lenses: _Optional[_Iterable[_Union[LensInfo, _Mapping]]] = ..., text_model_type: _Optional[str] = ...) -> None: ...

class LensInfo(_message.Message):
    __slots__ = ("name", "layers", "digest")
    NAME_FIELD_NUMBER: _ClassVar[int]
    LAYERS_FIELD_NUMBER: _ClassVar[int]
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    name: str
    layers: int
    digest: str
    def __init__(self, name: _Optional[str] = ..., layers: _Optional[int] = ..., digest: _Optional[str] = ...) -> None: ...

class SaeInfo(_message.Message):
    __slots__ = ("name", "hook_point", "features", "width", "activation", "k", "class_name", "prefixes", "transcoder", "digest", "bytes")
    class Activation(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        ACTIVATION_UNSPECIFIED: _ClassVar[SaeInfo.Activation]
        ACTIVATION_RELU: _ClassVar[SaeInfo.Activation]
        ACTIVATION_TOP_K: _ClassVar[SaeInfo.Activation]
        ACTIVATION_JUMP_RELU: _ClassVar[SaeInfo.Activation]
        ACTIVATION_BATCH_TOP_K: _ClassVar[SaeInfo.Activation]
        ACTIVATION_GATED: _ClassVar[SaeInfo.Activation]
    ACTIVATION_UNSPECIFIED: SaeInfo.Activation
    ACTIVATION_RELU: SaeInfo.Activation
    ACTIVATION_TOP_K: SaeInfo.Activation
    ACTIVATION_JUMP_RELU: SaeInfo.Activation
    ACTIVATION_BATCH_TOP_K: SaeInfo.Activation
    ACTIVATION_GATED: SaeInfo.Activation
    NAME_FIELD_NUMBER: _ClassVar[int]
    HOOK_POINT_FIELD_NUMBER: _ClassVar[int]
    FEATURES_FIELD_NUMBER: _ClassVar[int]
    WIDTH_FIELD_NUMBER: _ClassVar[int]
    ACTIVATION_FIELD_NUMBER: _ClassVar[int]
    K_FIELD_NUMBER: _ClassVar[int]
    CLASS_NAME_FIELD_NUMBER: _ClassVar[int]
    PREFIXES_FIELD_NUMBER: _ClassVar[int]
    TRANSCODER_FIELD_NUMBER: _ClassVar[int]
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    BYTES_FIELD_NUMBER: _ClassVar[int]
    name: str
    hook_point: str
    features: int
    width: int
    activation: SaeInfo.Activation
    k: int
    class_name: str
    prefixes: _containers.RepeatedScalarFieldContainer[int]
    transcoder: bool
    digest: str
    bytes: int
    def __init__(self, name: _Optional[str] = ..., hook_point: _Optional[str] = ..., features: _Optional[int] = ..., width: _Optional[int] = ..., activation: _Optional[_Union[SaeInfo.Activation, str]] = ..., k: _Optional[int] = ..., class_name: _Optional[str] = ..., prefixes: _Optional[_Iterable[int]] = ..., transcoder: _Optional[bool] = ..., digest: _Optional[str] = ..., bytes: _Optional[int] = ...) -> None: ...

class ChatTemplateInfo(_message.Message):
    __slots__ = ("origin", "text_only")
    ORIGIN_FIELD_NUMBER: _ClassVar[int]
    TEXT_ONLY_FIELD_NUMBER: _ClassVar[int]
    origin: str
    text_only: bool
    def __init__(self, origin: _Optional[str] = ..., text_only: _Optional[bool] = ...) -> None: ...

class StackInfo(_message.Message):
    __slots__ = ("layers", "width", "heads", "kv_heads", "layers_run")
    LAYERS_FIELD_NUMBER: _ClassVar[int]
    WIDTH_FIELD_NUMBER: _ClassVar[int]
    HEADS_FIELD_NUMBER: _ClassVar[int]
    KV_HEADS_FIELD_NUMBER: _ClassVar[int]
    LAYERS_RUN_FIELD_NUMBER: _ClassVar[int]
    layers: int
    width: int
    heads: int
    kv_heads: int
    layers_run: int
    def __init__(self, layers: _Optional[int] = ..., width: _Optional[int] = ..., heads: _Optional[int] = ..., kv_heads: _Optional[int] = ..., layers_run: _Optional[int] = ...) -> None: ...

class Limits(_message.Message):
    __slots__ = ("max_context", "max_images", "max_image_pixels", "max_message_bytes", "max_capture_bytes")
    MAX_CONTEXT_FIELD_NUMBER: _ClassVar[int]
    MAX_IMAGES_FIELD_NUMBER: _ClassVar[int]
    MAX_IMAGE_PIXELS_FIELD_NUMBER: _ClassVar[int]
    MAX_MESSAGE_BYTES_FIELD_NUMBER: _ClassVar[int]
    MAX_CAPTURE_BYTES_FIELD_NUMBER: _ClassVar[int]
    max_context: int
    max_images: int
    max_image_pixels: int
    max_message_bytes: int
    max_capture_bytes: int
    def __init__(self, max_context: _Optional[int] = ..., max_images: _Optional[int] = ..., max_image_pixels: _Optional[int] = ..., max_message_bytes: _Optional[int] = ..., max_capture_bytes: _Optional[int] = ...) -> None: ...

class ListHookPointsRequest(_message.Message):
    __slots__ = ("model",)
    MODEL_FIELD_NUMBER: _ClassVar[int]
    model: str
    def __init__(self, model: _Optional[str] = ...) -> None: ...

class ListHookPointsResponse(_message.Message):
    __slots__ = ("hook_points",)
    HOOK_POINTS_FIELD_NUMBER: _ClassVar[int]
    hook_points: _containers.RepeatedCompositeFieldContainer[HookPoint]
    def __init__(self, hook_points: _Optional[_Iterable[_Union[HookPoint, _Mapping]]] = ...) -> None: ...

class HookPoint(_message.Message):
    __slots__ = ("name", "layers", "equation", "shape", "width", "heads")
    NAME_FIELD_NUMBER: _ClassVar[int]
    LAYERS_FIELD_NUMBER: _ClassVar[int]
    EQUATION_FIELD_NUMBER: _ClassVar[int]
    SHAPE_FIELD_NUMBER: _ClassVar[int]
    WIDTH_FIELD_NUMBER: _ClassVar[int]
    HEADS_FIELD_NUMBER: _ClassVar[int]
    name: str
    layers: int
    equation: str
    shape: str
    width: int
    heads: int
    def __init__(self, name: _Optional[str] = ..., layers: _Optional[int] = ..., equation: _Optional[str] = ..., shape: _Optional[str] = ..., width: _Optional[int] = ..., heads: _Optional[int] = ...) -> None: ...

class CheckParityRequest(_message.Message):
    __slots__ = ("model",)
    MODEL_FIELD_NUMBER: _ClassVar[int]
    model: str
    def __init__(self, model: _Optional[str] = ...) -> None: ...

class CheckParityResponse(_message.Message):
    __slots__ = ("case", "report")
    CASE_FIELD_NUMBER: _ClassVar[int]
    REPORT_FIELD_NUMBER: _ClassVar[int]
    case: ParityCase
    report: ParityReport
    def __init__(self, case: _Optional[_Union[ParityCase, _Mapping]] = ..., report: _Optional[_Union[ParityReport, _Mapping]] = ...) -> None: ...

class ParityCase(_message.Message):
    __slots__ = ("name", "done", "total", "max_relative_error", "worst_hook_point", "same_tokens")
    NAME_FIELD_NUMBER: _ClassVar[int]
    DONE_FIELD_NUMBER: _ClassVar[int]
    TOTAL_FIELD_NUMBER: _ClassVar[int]
    MAX_RELATIVE_ERROR_FIELD_NUMBER: _ClassVar[int]
    WORST_HOOK_POINT_FIELD_NUMBER: _ClassVar[int]
    SAME_TOKENS_FIELD_NUMBER: _ClassVar[int]
    name: str
    done: int
    total: int
    max_relative_error: float
    worst_hook_point: str
    same_tokens: bool
    def __init__(self, name: _Optional[str] = ..., done: _Optional[int] = ..., total: _Optional[int] = ..., max_relative_error: _Optional[float] = ..., worst_hook_point: _Optional[str] = ..., same_tokens: _Optional[bool] = ...) -> None: ...

class ParityReport(_message.Message):
    __slots__ = ("model", "model_digest", "dtype", "device", "reference", "points", "max_relative_error", "tolerance", "other_tokens", "passed")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    MODEL_DIGEST_FIELD_NUMBER: _ClassVar[int]
    DTYPE_FIELD_NUMBER: _ClassVar[int]
    DEVICE_FIELD_NUMBER: _ClassVar[int]
    REFERENCE_FIELD_NUMBER: _ClassVar[int]
    POINTS_FIELD_NUMBER: _ClassVar[int]
    MAX_RELATIVE_ERROR_FIELD_NUMBER: _ClassVar[int]
    TOLERANCE_FIELD_NUMBER: _ClassVar[int]
    OTHER_TOKENS_FIELD_NUMBER: _ClassVar[int]
    PASSED_FIELD_NUMBER: _ClassVar[int]
    model: str
    model_digest: str
    dtype: str
    device: str
    reference: str
    points: _containers.RepeatedCompositeFieldContainer[PointParity]
    max_relative_error: float
    tolerance: float
    other_tokens: _containers.RepeatedScalarFieldContainer[str]
    passed: bool
    def __init__(self, model: _Optional[str] = ..., model_digest: _Optional[str] = ..., dtype: _Optional[str] = ..., device: _Optional[str] = ..., reference: _Optional[str] = ..., points: _Optional[_Iterable[_Union[PointParity, _Mapping]]] = ..., max_relative_error: _Optional[float] = ..., tolerance: _Optional[float] = ..., other_tokens: _Optional[_Iterable[str]] = ..., passed: _Optional[bool] = ...) -> None: ...

class PointParity(_message.Message):
    __slots__ = ("name", "max_relative_error", "values", "worst_case")
    NAME_FIELD_NUMBER: _ClassVar[int]
    MAX_RELATIVE_ERROR_FIELD_NUMBER: _ClassVar[int]
    VALUES_FIELD_NUMBER: _ClassVar[int]
    WORST_CASE_FIELD_NUMBER: _ClassVar[int]
    name: str
    max_relative_error: float
    values: int
    worst_case: str
    def __init__(self, name: _Optional[str] = ..., max_relative_error: _Optional[float] = ..., values: _Optional[int] = ..., worst_case: _Optional[str] = ...) -> None: ...

class LoadModelRequest(_message.Message):
    __slots__ = ("name", "place", "dtype", "device", "chat_template", "image_processor", "adapter")
    NAME_FIELD_NUMBER: _ClassVar[int]
    PLACE_FIELD_NUMBER: _ClassVar[int]
    DTYPE_FIELD_NUMBER: _ClassVar[int]
    DEVICE_FIELD_NUMBER: _ClassVar[int]
    CHAT_TEMPLATE_FIELD_NUMBER: _ClassVar[int]
    IMAGE_PROCESSOR_FIELD_NUMBER: _ClassVar[int]
    ADAPTER_FIELD_NUMBER: _ClassVar[int]
    name: str
    place: str
    dtype: str
    device: str
    chat_template: str
    image_processor: str
    adapter: str
    def __init__(self, name: _Optional[str] = ..., place: _Optional[str] = ..., dtype: _Optional[str] = ..., device: _Optional[str] = ..., chat_template: _Optional[str] = ..., image_processor: _Optional[str] = ..., adapter: _Optional[str] = ...) -> None: ...

class LoadModelResponse(_message.Message):
    __slots__ = ("progress", "model")
    PROGRESS_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    progress: LoadProgress
    model: ModelInfo
    def __init__(self, progress: _Optional[_Union[LoadProgress, _Mapping]] = ..., model: _Optional[_Union[ModelInfo, _Mapping]] = ...) -> None: ...

class LoadProgress(_message.Message):
    __slots__ = ("file", "done", "total")
    FILE_FIELD_NUMBER: _ClassVar[int]
    DONE_FIELD_NUMBER: _ClassVar[int]
    TOTAL_FIELD_NUMBER: _ClassVar[int]
    file: str
    done: int
    total: int
    def __init__(self, file: _Optional[str] = ..., done: _Optional[int] = ..., total: _Optional[int] = ...) -> None: ...

class UnloadModelRequest(_message.Message):
    __slots__ = ("model",)
    MODEL_FIELD_NUMBER: _ClassVar[int]
    model: str
    def __init__(self, model: _Optional[str] = ...) -> None: ...

class UnloadModelResponse(_message.Message):
    __slots__ = ("freed_bytes",)
    FREED_BYTES_FIELD_NUMBER: _ClassVar[int]
    freed_bytes: int
    def __init__(self, freed_bytes: _Optional[int] = ...) -> None: ...

class LoadProjectorRequest(_message.Message):
    __slots__ = ("model", "name", "file")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    FILE_FIELD_NUMBER: _ClassVar[int]
    model: str
    name: str
    file: str
    def __init__(self, model: _Optional[str] = ..., name: _Optional[str] = ..., file: _Optional[str] = ...) -> None: ...

class LoadProjectorResponse(_message.Message):
    __slots__ = ("model",)
    MODEL_FIELD_NUMBER: _ClassVar[int]
    model: ModelInfo
    def __init__(self, model: _Optional[_Union[ModelInfo, _Mapping]] = ...) -> None: ...
