from scotoma.v1 import intervention_pb2 as _intervention_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Role(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    ROLE_UNSPECIFIED: _ClassVar[Role]
    ROLE_SYSTEM: _ClassVar[Role]
    ROLE_USER: _ClassVar[Role]
    ROLE_ASSISTANT: _ClassVar[Role]

class MultiImage(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    MULTI_IMAGE_UNSPECIFIED: _ClassVar[MultiImage]
    MULTI_IMAGE_PADDED: _ClassVar[MultiImage]
    MULTI_IMAGE_TILED: _ClassVar[MultiImage]

class FinishReason(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    FINISH_REASON_UNSPECIFIED: _ClassVar[FinishReason]
    FINISH_REASON_EOS: _ClassVar[FinishReason]
    FINISH_REASON_LENGTH: _ClassVar[FinishReason]
    FINISH_REASON_STOP: _ClassVar[FinishReason]

class SpanKind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    SPAN_KIND_UNSPECIFIED: _ClassVar[SpanKind]
    SPAN_KIND_TEXT: _ClassVar[SpanKind]
    SPAN_KIND_BASE_VIEW: _ClassVar[SpanKind]
    SPAN_KIND_TILE: _ClassVar[SpanKind]
    SPAN_KIND_NEWLINE: _ClassVar[SpanKind]
    SPAN_KIND_POOLED: _ClassVar[SpanKind]

class Reduction(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    REDUCTION_UNSPECIFIED: _ClassVar[Reduction]
    REDUCTION_NONE: _ClassVar[Reduction]
    REDUCTION_MEAN: _ClassVar[Reduction]
    REDUCTION_NORM: _ClassVar[Reduction]
    REDUCTION_LAST: _ClassVar[Reduction]
    REDUCTION_TOP_TOKENS: _ClassVar[Reduction]
    REDUCTION_RECEIVED: _ClassVar[Reduction]
    REDUCTION_TOP_FEATURES: _ClassVar[Reduction]

class TraceDirection(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    TRACE_DIRECTION_UNSPECIFIED: _ClassVar[TraceDirection]
    TRACE_DIRECTION_DENOISE: _ClassVar[TraceDirection]
    TRACE_DIRECTION_NOISE: _ClassVar[TraceDirection]

class TraceVia(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    TRACE_VIA_UNSPECIFIED: _ClassVar[TraceVia]
    TRACE_VIA_RESIDUAL: _ClassVar[TraceVia]
    TRACE_VIA_MLPS: _ClassVar[TraceVia]

class AttributionMethod(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    ATTRIBUTION_METHOD_UNSPECIFIED: _ClassVar[AttributionMethod]
    ATTRIBUTION_METHOD_GRADIENT: _ClassVar[AttributionMethod]
    ATTRIBUTION_METHOD_GRADIENT_VALUES: _ClassVar[AttributionMethod]
    ATTRIBUTION_METHOD_GRADIENT_TIMES_INPUT: _ClassVar[AttributionMethod]
    ATTRIBUTION_METHOD_INTEGRATED_GRADIENTS: _ClassVar[AttributionMethod]
    ATTRIBUTION_METHOD_PATCHING: _ClassVar[AttributionMethod]
    ATTRIBUTION_METHOD_GRAD_CAM: _ClassVar[AttributionMethod]
    ATTRIBUTION_METHOD_ATTENTION_RELEVANCE: _ClassVar[AttributionMethod]
    ATTRIBUTION_METHOD_ATTENTION_ROLLOUT: _ClassVar[AttributionMethod]
    ATTRIBUTION_METHOD_ATTENTION_FLOW: _ClassVar[AttributionMethod]
ROLE_UNSPECIFIED: Role
ROLE_SYSTEM: Role
ROLE_USER: Role
ROLE_ASSISTANT: Role
MULTI_IMAGE_UNSPECIFIED: MultiImage
MULTI_IMAGE_PADDED: MultiImage
MULTI_IMAGE_TILED: MultiImage
FINISH_REASON_UNSPECIFIED: FinishReason
FINISH_REASON_EOS: FinishReason
FINISH_REASON_LENGTH: FinishReason
FINISH_REASON_STOP: FinishReason
SPAN_KIND_UNSPECIFIED: SpanKind
SPAN_KIND_TEXT: SpanKind
SPAN_KIND_BASE_VIEW: SpanKind
SPAN_KIND_TILE: SpanKind
SPAN_KIND_NEWLINE: SpanKind
SPAN_KIND_POOLED: SpanKind
REDUCTION_UNSPECIFIED: Reduction
REDUCTION_NONE: Reduction
REDUCTION_MEAN: Reduction
REDUCTION_NORM: Reduction
REDUCTION_LAST: Reduction
REDUCTION_TOP_TOKENS: Reduction
REDUCTION_RECEIVED: Reduction
REDUCTION_TOP_FEATURES: Reduction
TRACE_DIRECTION_UNSPECIFIED: TraceDirection
TRACE_DIRECTION_DENOISE: TraceDirection
TRACE_DIRECTION_NOISE: TraceDirection
TRACE_VIA_UNSPECIFIED: TraceVia
TRACE_VIA_RESIDUAL: TraceVia
TRACE_VIA_MLPS: TraceVia
ATTRIBUTION_METHOD_UNSPECIFIED: AttributionMethod
ATTRIBUTION_METHOD_GRADIENT: AttributionMethod
ATTRIBUTION_METHOD_GRADIENT_VALUES: AttributionMethod
ATTRIBUTION_METHOD_GRADIENT_TIMES_INPUT: AttributionMethod
ATTRIBUTION_METHOD_INTEGRATED_GRADIENTS: AttributionMethod
ATTRIBUTION_METHOD_PATCHING: AttributionMethod
ATTRIBUTION_METHOD_GRAD_CAM: AttributionMethod
ATTRIBUTION_METHOD_ATTENTION_RELEVANCE: AttributionMethod
ATTRIBUTION_METHOD_ATTENTION_ROLLOUT: AttributionMethod
ATTRIBUTION_METHOD_ATTENTION_FLOW: AttributionMethod

class Image(_message.Message):
    __slots__ = ("data", "handle")
    DATA_FIELD_NUMBER: _ClassVar[int]
    HANDLE_FIELD_NUMBER: _ClassVar[int]
    data: bytes
    handle: str
    def __init__(self, data: _Optional[bytes] = ..., handle: _Optional[str] = ...) -> None: ...

class ChatPart(_message.Message):
    __slots__ = ("text", "image")
    TEXT_FIELD_NUMBER: _ClassVar[int]
    IMAGE_FIELD_NUMBER: _ClassVar[int]
    text: str
    image: Image
    def __init__(self, text: _Optional[str] = ..., image: _Optional[_Union[Image, _Mapping]] = ...) -> None: ...

class ChatMessage(_message.Message):
    __slots__ = ("role", "parts")
    ROLE_FIELD_NUMBER: _ClassVar[int]
    PARTS_FIELD_NUMBER: _ClassVar[int]
    role: Role
    parts: _containers.RepeatedCompositeFieldContainer[ChatPart]
    def __init__(self, role: _Optional[_Union[Role, str]] = ..., parts: _Optional[_Iterable[_Union[ChatPart, _Mapping]]] = ...) -> None: ...

class Prompt(_message.Message):
    __slots__ = ("text", "images", "raw", "messages", "multi_image")
    TEXT_FIELD_NUMBER: _ClassVar[int]
    IMAGES_FIELD_NUMBER: _ClassVar[int]
    RAW_FIELD_NUMBER: _ClassVar[int]
    MESSAGES_FIELD_NUMBER: _ClassVar[int]
    MULTI_IMAGE_FIELD_NUMBER: _ClassVar[int]
    text: str
    images: _containers.RepeatedCompositeFieldContainer[Image]
    raw: bool
    messages: _containers.RepeatedCompositeFieldContainer[ChatMessage]
    multi_image: MultiImage
    def __init__(self, text: _Optional[str] = ..., images: _Optional[_Iterable[_Union[Image, _Mapping]]] = ..., raw: _Optional[bool] = ..., messages: _Optional[_Iterable[_Union[ChatMessage, _Mapping]]] = ..., multi_image: _Optional[_Union[MultiImage, str]] = ...) -> None: ...

class Sampling(_message.Message):
    __slots__ = ("temperature", "top_k", "top_p", "seed", "do_sample", "min_p", "typical_p", "epsilon_cutoff", "eta_cutoff", "top_h", "repetition_penalty", "no_repeat_ngram_size", "min_tokens", "suppress_tokens", "logit_bias", "ignore_generation_config")
    class LogitBiasEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: int
        value: float
        def __init__(self, key: _Optional[int] = ..., value: _Optional[float] = ...) -> None: ...
    TEMPERATURE_FIELD_NUMBER: _ClassVar[int]
    TOP_K_FIELD_NUMBER: _ClassVar[int]
    TOP_P_FIELD_NUMBER: _ClassVar[int]
    SEED_FIELD_NUMBER: _ClassVar[int]
    DO_SAMPLE_FIELD_NUMBER: _ClassVar[int]
    MIN_P_FIELD_NUMBER: _ClassVar[int]
    TYPICAL_P_FIELD_NUMBER: _ClassVar[int]
    EPSILON_CUTOFF_FIELD_NUMBER: _ClassVar[int]
    ETA_CUTOFF_FIELD_NUMBER: _ClassVar[int]
    TOP_H_FIELD_NUMBER: _ClassVar[int]
    REPETITION_PENALTY_FIELD_NUMBER: _ClassVar[int]
    NO_REPEAT_NGRAM_SIZE_FIELD_NUMBER: _ClassVar[int]
    MIN_TOKENS_FIELD_NUMBER: _ClassVar[int]
    SUPPRESS_TOKENS_FIELD_NUMBER: _ClassVar[int]
    LOGIT_BIAS_FIELD_NUMBER: _ClassVar[int]
    IGNORE_GENERATION_CONFIG_FIELD_NUMBER: _ClassVar[int]
    temperature: float
    top_k: int
    top_p: float
    seed: int
    do_sample: bool
    min_p: float
    typical_p: float
    epsilon_cutoff: float
    eta_cutoff: float
    top_h: float
    repetition_penalty: float
    no_repeat_ngram_size: int
    min_tokens: int
    suppress_tokens: _containers.RepeatedScalarFieldContainer[int]
    logit_bias: _containers.ScalarMap[int, float]
    ignore_generation_config: bool
    def __init__(self, temperature: _Optional[float] = ..., top_k: _Optional[int] = ..., top_p: _Optional[float] = ..., seed: _Optional[int] = ..., do_sample: _Optional[bool] = ..., min_p: _Optional[float] = ..., typical_p: _Optional[float] = ..., epsilon_cutoff: _Optional[float] = ..., eta_cutoff: _Optional[float] = ..., top_h: _Optional[float] = ..., repetition_penalty: _Optional[float] = ..., no_repeat_ngram_size: _Optional[int] = ..., min_tokens: _Optional[int] = ..., suppress_tokens: _Optional[_Iterable[int]] = ..., logit_bias: _Optional[_Mapping[int, float]] = ..., ignore_generation_config: _Optional[bool] = ...) -> None: ...

class GenerateRequest(_message.Message):
    __slots__ = ("model", "prompt", "interventions", "sampling", "max_tokens", "stop", "top_logprobs", "sample_key")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    PROMPT_FIELD_NUMBER: _ClassVar[int]
    INTERVENTIONS_FIELD_NUMBER: _ClassVar[int]
    SAMPLING_FIELD_NUMBER: _ClassVar[int]
    MAX_TOKENS_FIELD_NUMBER: _ClassVar[int]
    STOP_FIELD_NUMBER: _ClassVar[int]
    TOP_LOGPROBS_FIELD_NUMBER: _ClassVar[int]
    SAMPLE_KEY_FIELD_NUMBER: _ClassVar[int]
    model: str
    prompt: Prompt
    interventions: _containers.RepeatedCompositeFieldContainer[_intervention_pb2.Intervention]
    sampling: Sampling
    max_tokens: int
    stop: _containers.RepeatedScalarFieldContainer[str]
    top_logprobs: int
    sample_key: str
    def __init__(self, model: _Optional[str] = ..., prompt: _Optional[_Union[Prompt, _Mapping]] = ..., interventions: _Optional[_Iterable[_Union[_intervention_pb2.Intervention, _Mapping]]] = ..., sampling: _Optional[_Union[Sampling, _Mapping]] = ..., max_tokens: _Optional[int] = ..., stop: _Optional[_Iterable[str]] = ..., top_logprobs: _Optional[int] = ..., sample_key: _Optional[str] = ...) -> None: ...

class GenerateResponse(_message.Message):
    __slots__ = ("started", "token", "finished")
    STARTED_FIELD_NUMBER: _ClassVar[int]
    TOKEN_FIELD_NUMBER: _ClassVar[int]
    FINISHED_FIELD_NUMBER: _ClassVar[int]
    started: Started
    token: Token
    finished: Finished
    def __init__(self, started: _Optional[_Union[Started, _Mapping]] = ..., token: _Optional[_Union[Token, _Mapping]] = ..., finished: _Optional[_Union[Finished, _Mapping]] = ...) -> None: ...

class Started(_message.Message):
    __slots__ = ("request_id", "prompt_tokens", "image_tokens", "cost")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    PROMPT_TOKENS_FIELD_NUMBER: _ClassVar[int]
    IMAGE_TOKENS_FIELD_NUMBER: _ClassVar[int]
    COST_FIELD_NUMBER: _ClassVar[int]
    request_id: str
    prompt_tokens: int
    image_tokens: int
    cost: int
    def __init__(self, request_id: _Optional[str] = ..., prompt_tokens: _Optional[int] = ..., image_tokens: _Optional[int] = ..., cost: _Optional[int] = ...) -> None: ...

class Token(_message.Message):
    __slots__ = ("id", "text", "logprob", "top")
    ID_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    LOGPROB_FIELD_NUMBER: _ClassVar[int]
    TOP_FIELD_NUMBER: _ClassVar[int]
    id: int
    text: str
    logprob: float
    top: _containers.RepeatedCompositeFieldContainer[TokenLogprob]
    def __init__(self, id: _Optional[int] = ..., text: _Optional[str] = ..., logprob: _Optional[float] = ..., top: _Optional[_Iterable[_Union[TokenLogprob, _Mapping]]] = ...) -> None: ...

class TokenLogprob(_message.Message):
    __slots__ = ("id", "text", "logprob")
    ID_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    LOGPROB_FIELD_NUMBER: _ClassVar[int]
    id: int
    text: str
    logprob: float
    def __init__(self, id: _Optional[int] = ..., text: _Optional[str] = ..., logprob: _Optional[float] = ...) -> None: ...

class Finished(_message.Message):
    __slots__ = ("reason", "text", "usage", "provenance")
    REASON_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    USAGE_FIELD_NUMBER: _ClassVar[int]
    PROVENANCE_FIELD_NUMBER: _ClassVar[int]
    reason: FinishReason
    text: str
    usage: Usage
    provenance: Provenance
    def __init__(self, reason: _Optional[_Union[FinishReason, str]] = ..., text: _Optional[str] = ..., usage: _Optional[_Union[Usage, _Mapping]] = ..., provenance: _Optional[_Union[Provenance, _Mapping]] = ...) -> None: ...

class Usage(_message.Message):
    __slots__ = ("prompt_tokens", "image_tokens", "generation_tokens", "queue_seconds", "time_to_first_token_seconds", "total_seconds", "rows_computed", "flops", "baseline_flops", "rows_reused", "standalone_flops")
    PROMPT_TOKENS_FIELD_NUMBER: _ClassVar[int]
    IMAGE_TOKENS_FIELD_NUMBER: _ClassVar[int]
    GENERATION_TOKENS_FIELD_NUMBER: _ClassVar[int]
    QUEUE_SECONDS_FIELD_NUMBER: _ClassVar[int]
    TIME_TO_FIRST_TOKEN_SECONDS_FIELD_NUMBER: _ClassVar[int]
    TOTAL_SECONDS_FIELD_NUMBER: _ClassVar[int]
    ROWS_COMPUTED_FIELD_NUMBER: _ClassVar[int]
    FLOPS_FIELD_NUMBER: _ClassVar[int]
    BASELINE_FLOPS_FIELD_NUMBER: _ClassVar[int]
    ROWS_REUSED_FIELD_NUMBER: _ClassVar[int]
    STANDALONE_FLOPS_FIELD_NUMBER: _ClassVar[int]
    prompt_tokens: int
    image_tokens: int
    generation_tokens: int
    queue_seconds: float
    time_to_first_token_seconds: float
    total_seconds: float
    rows_computed: int
    flops: int
    baseline_flops: int
    rows_reused: int
    standalone_flops: int
    def __init__(self, prompt_tokens: _Optional[int] = ..., image_tokens: _Optional[int] = ..., generation_tokens: _Optional[int] = ..., queue_seconds: _Optional[float] = ..., time_to_first_token_seconds: _Optional[float] = ..., total_seconds: _Optional[float] = ..., rows_computed: _Optional[int] = ..., flops: _Optional[int] = ..., baseline_flops: _Optional[int] = ..., rows_reused: _Optional[int] = ..., standalone_flops: _Optional[int] = ...) -> None: ...

class ScoreRequest(_message.Message):
    __slots__ = ("model", "prompt", "interventions", "continuations", "sample_key")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    PROMPT_FIELD_NUMBER: _ClassVar[int]
    INTERVENTIONS_FIELD_NUMBER: _ClassVar[int]
    CONTINUATIONS_FIELD_NUMBER: _ClassVar[int]
    SAMPLE_KEY_FIELD_NUMBER: _ClassVar[int]
    model: str
    prompt: Prompt
    interventions: _containers.RepeatedCompositeFieldContainer[_intervention_pb2.Intervention]
    continuations: _containers.RepeatedScalarFieldContainer[str]
    sample_key: str
    def __init__(self, model: _Optional[str] = ..., prompt: _Optional[_Union[Prompt, _Mapping]] = ..., interventions: _Optional[_Iterable[_Union[_intervention_pb2.Intervention, _Mapping]]] = ..., continuations: _Optional[_Iterable[str]] = ..., sample_key: _Optional[str] = ...) -> None: ...

class ScoreResponse(_message.Message):
    __slots__ = ("scores", "best", "usage", "provenance")
    SCORES_FIELD_NUMBER: _ClassVar[int]
    BEST_FIELD_NUMBER: _ClassVar[int]
    USAGE_FIELD_NUMBER: _ClassVar[int]
    PROVENANCE_FIELD_NUMBER: _ClassVar[int]
    scores: _containers.RepeatedCompositeFieldContainer[ContinuationScore]
    best: int
    usage: Usage
    provenance: Provenance
    def __init__(self, scores: _Optional[_Iterable[_Union[ContinuationScore, _Mapping]]] = ..., best: _Optional[int] = ..., usage: _Optional[_Union[Usage, _Mapping]] = ..., provenance: _Optional[_Union[Provenance, _Mapping]] = ...) -> None: ...

class ContinuationScore(_message.Message):
    __slots__ = ("tokens", "logprob", "mean_logprob", "logprob_per_byte")
    TOKENS_FIELD_NUMBER: _ClassVar[int]
    LOGPROB_FIELD_NUMBER: _ClassVar[int]
    MEAN_LOGPROB_FIELD_NUMBER: _ClassVar[int]
    LOGPROB_PER_BYTE_FIELD_NUMBER: _ClassVar[int]
    tokens: _containers.RepeatedCompositeFieldContainer[TokenLogprob]
    logprob: float
    mean_logprob: float
    logprob_per_byte: float
    def __init__(self, tokens: _Optional[_Iterable[_Union[TokenLogprob, _Mapping]]] = ..., logprob: _Optional[float] = ..., mean_logprob: _Optional[float] = ..., logprob_per_byte: _Optional[float] = ...) -> None: ...

class SweepRequest(_message.Message):
    __slots__ = ("generate", "score", "variants", "grid")
    GENERATE_FIELD_NUMBER: _ClassVar[int]
    SCORE_FIELD_NUMBER: _ClassVar[int]
    VARIANTS_FIELD_NUMBER: _ClassVar[int]
    GRID_FIELD_NUMBER: _ClassVar[int]
    generate: GenerateRequest
    score: ScoreRequest
    variants: _containers.RepeatedCompositeFieldContainer[SweepVariant]
    grid: SweepGrid
    def __init__(self, generate: _Optional[_Union[GenerateRequest, _Mapping]] = ..., score: _Optional[_Union[ScoreRequest, _Mapping]] = ..., variants: _Optional[_Iterable[_Union[SweepVariant, _Mapping]]] = ..., grid: _Optional[_Union[SweepGrid, _Mapping]] = ...) -> None: ...

class SweepVariant(_message.Message):
    __slots__ = ("interventions",)
    INTERVENTIONS_FIELD_NUMBER: _ClassVar[int]
    interventions: _containers.RepeatedCompositeFieldContainer[_intervention_pb2.Intervention]
    def __init__(self, interventions: _Optional[_Iterable[_Union[_intervention_pb2.Intervention, _Mapping]]] = ...) -> None: ...

class SweepGrid(_message.Message):
    __slots__ = ("interventions", "axes")
    INTERVENTIONS_FIELD_NUMBER: _ClassVar[int]
    AXES_FIELD_NUMBER: _ClassVar[int]
    interventions: _containers.RepeatedCompositeFieldContainer[_intervention_pb2.Intervention]
    axes: _containers.RepeatedCompositeFieldContainer[SweepAxis]
    def __init__(self, interventions: _Optional[_Iterable[_Union[_intervention_pb2.Intervention, _Mapping]]] = ..., axes: _Optional[_Iterable[_Union[SweepAxis, _Mapping]]] = ...) -> None: ...

class SweepAxis(_message.Message):
    __slots__ = ("field", "range", "numbers")
    FIELD_FIELD_NUMBER: _ClassVar[int]
    RANGE_FIELD_NUMBER: _ClassVar[int]
    NUMBERS_FIELD_NUMBER: _ClassVar[int]
    field: str
    range: SweepRange
    numbers: SweepNumbers
    def __init__(self, field: _Optional[str] = ..., range: _Optional[_Union[SweepRange, _Mapping]] = ..., numbers: _Optional[_Union[SweepNumbers, _Mapping]] = ...) -> None: ...

class SweepRange(_message.Message):
    __slots__ = ("first", "last", "step")
    FIRST_FIELD_NUMBER: _ClassVar[int]
    LAST_FIELD_NUMBER: _ClassVar[int]
    STEP_FIELD_NUMBER: _ClassVar[int]
    first: float
    last: float
    step: float
    def __init__(self, first: _Optional[float] = ..., last: _Optional[float] = ..., step: _Optional[float] = ...) -> None: ...

class SweepNumbers(_message.Message):
    __slots__ = ("values",)
    VALUES_FIELD_NUMBER: _ClassVar[int]
    values: _containers.RepeatedScalarFieldContainer[float]
    def __init__(self, values: _Optional[_Iterable[float]] = ...) -> None: ...

class SweepResponse(_message.Message):
    __slots__ = ("started", "result", "finished")
    STARTED_FIELD_NUMBER: _ClassVar[int]
    RESULT_FIELD_NUMBER: _ClassVar[int]
    FINISHED_FIELD_NUMBER: _ClassVar[int]
    started: SweepStarted
    result: SweepResult
    finished: SweepFinished
    def __init__(self, started: _Optional[_Union[SweepStarted, _Mapping]] = ..., result: _Optional[_Union[SweepResult, _Mapping]] = ..., finished: _Optional[_Union[SweepFinished, _Mapping]] = ...) -> None: ...

class SweepStarted(_message.Message):
    __slots__ = ("request_id", "variants")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    VARIANTS_FIELD_NUMBER: _ClassVar[int]
    request_id: str
    variants: int
    def __init__(self, request_id: _Optional[str] = ..., variants: _Optional[int] = ...) -> None: ...

class SweepResult(_message.Message):
    __slots__ = ("variant", "places", "generated", "scored", "error")
    VARIANT_FIELD_NUMBER: _ClassVar[int]
    PLACES_FIELD_NUMBER: _ClassVar[int]
    GENERATED_FIELD_NUMBER: _ClassVar[int]
    SCORED_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    variant: int
    places: _containers.RepeatedScalarFieldContainer[int]
    generated: Finished
    scored: ScoreResponse
    error: SweepError
    def __init__(self, variant: _Optional[int] = ..., places: _Optional[_Iterable[int]] = ..., generated: _Optional[_Union[Finished, _Mapping]] = ..., scored: _Optional[_Union[ScoreResponse, _Mapping]] = ..., error: _Optional[_Union[SweepError, _Mapping]] = ...) -> None: ...

class SweepError(_message.Message):
    __slots__ = ("code", "reason", "field", "message")
    CODE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    FIELD_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    code: int
    reason: str
    field: str
    message: str
    def __init__(self, code: _Optional[int] = ..., reason: _Optional[str] = ..., field: _Optional[str] = ..., message: _Optional[str] = ...) -> None: ...

class SweepFinished(_message.Message):
    __slots__ = ("variants", "failed", "rows_computed", "rows_naive", "total_seconds")
    VARIANTS_FIELD_NUMBER: _ClassVar[int]
    FAILED_FIELD_NUMBER: _ClassVar[int]
    ROWS_COMPUTED_FIELD_NUMBER: _ClassVar[int]
    ROWS_NAIVE_FIELD_NUMBER: _ClassVar[int]
    TOTAL_SECONDS_FIELD_NUMBER: _ClassVar[int]
    variants: int
    failed: int
    rows_computed: int
    rows_naive: int
    total_seconds: float
    def __init__(self, variants: _Optional[int] = ..., failed: _Optional[int] = ..., rows_computed: _Optional[int] = ..., rows_naive: _Optional[int] = ..., total_seconds: _Optional[float] = ...) -> None: ...

class UploadImageRequest(_message.Message):
    __slots__ = ("data",)
    DATA_FIELD_NUMBER: _ClassVar[int]
    data: bytes
    def __init__(self, data: _Optional[bytes] = ...) -> None: ...

class UploadImageResponse(_message.Message):
    __slots__ = ("handle", "width", "height")
    HANDLE_FIELD_NUMBER: _ClassVar[int]
    WIDTH_FIELD_NUMBER: _ClassVar[int]
    HEIGHT_FIELD_NUMBER: _ClassVar[int]
    handle: str
    width: int
    height: int
    def __init__(self, handle: _Optional[str] = ..., width: _Optional[int] = ..., height: _Optional[int] = ...) -> None: ...

class PreviewRequest(_message.Message):
    __slots__ = ("model", "image", "interventions", "sample_key")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    IMAGE_FIELD_NUMBER: _ClassVar[int]
    INTERVENTIONS_FIELD_NUMBER: _ClassVar[int]
    SAMPLE_KEY_FIELD_NUMBER: _ClassVar[int]
    model: str
    image: Image
    interventions: _containers.RepeatedCompositeFieldContainer[_intervention_pb2.Intervention]
    sample_key: str
    def __init__(self, model: _Optional[str] = ..., image: _Optional[_Union[Image, _Mapping]] = ..., interventions: _Optional[_Iterable[_Union[_intervention_pb2.Intervention, _Mapping]]] = ..., sample_key: _Optional[str] = ...) -> None: ...

class PreviewResponse(_message.Message):
    __slots__ = ("png", "width", "height", "grid_rows", "grid_columns", "plan")
    PNG_FIELD_NUMBER: _ClassVar[int]
    WIDTH_FIELD_NUMBER: _ClassVar[int]
    HEIGHT_FIELD_NUMBER: _ClassVar[int]
    GRID_ROWS_FIELD_NUMBER: _ClassVar[int]
    GRID_COLUMNS_FIELD_NUMBER: _ClassVar[int]
    PLAN_FIELD_NUMBER: _ClassVar[int]
    png: bytes
    width: int
    height: int
    grid_rows: int
    grid_columns: int
    plan: _containers.RepeatedCompositeFieldContainer[ResolvedIntervention]
    def __init__(self, png: _Optional[bytes] = ..., width: _Optional[int] = ..., height: _Optional[int] = ..., grid_rows: _Optional[int] = ..., grid_columns: _Optional[int] = ..., plan: _Optional[_Iterable[_Union[ResolvedIntervention, _Mapping]]] = ...) -> None: ...

class ResolvedIntervention(_message.Message):
    __slots__ = ("intervention", "resolutions", "changed_nothing", "fired", "relative_change")
    INTERVENTION_FIELD_NUMBER: _ClassVar[int]
    RESOLUTIONS_FIELD_NUMBER: _ClassVar[int]
    CHANGED_NOTHING_FIELD_NUMBER: _ClassVar[int]
    FIRED_FIELD_NUMBER: _ClassVar[int]
    RELATIVE_CHANGE_FIELD_NUMBER: _ClassVar[int]
    intervention: _intervention_pb2.Intervention
    resolutions: _containers.RepeatedCompositeFieldContainer[Resolution]
    changed_nothing: bool
    fired: int
    relative_change: float
    def __init__(self, intervention: _Optional[_Union[_intervention_pb2.Intervention, _Mapping]] = ..., resolutions: _Optional[_Iterable[_Union[Resolution, _Mapping]]] = ..., changed_nothing: _Optional[bool] = ..., fired: _Optional[int] = ..., relative_change: _Optional[float] = ...) -> None: ...

class Resolution(_message.Message):
    __slots__ = ("image", "indices", "digest", "points", "view")
    IMAGE_FIELD_NUMBER: _ClassVar[int]
    INDICES_FIELD_NUMBER: _ClassVar[int]
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    POINTS_FIELD_NUMBER: _ClassVar[int]
    VIEW_FIELD_NUMBER: _ClassVar[int]
    image: int
    indices: _containers.RepeatedScalarFieldContainer[int]
    digest: str
    points: _containers.RepeatedScalarFieldContainer[str]
    view: int
    def __init__(self, image: _Optional[int] = ..., indices: _Optional[_Iterable[int]] = ..., digest: _Optional[str] = ..., points: _Optional[_Iterable[str]] = ..., view: _Optional[int] = ...) -> None: ...

class Span(_message.Message):
    __slots__ = ("kind", "start", "end", "image", "grid_rows", "grid_columns", "tile", "row", "column")
    KIND_FIELD_NUMBER: _ClassVar[int]
    START_FIELD_NUMBER: _ClassVar[int]
    END_FIELD_NUMBER: _ClassVar[int]
    IMAGE_FIELD_NUMBER: _ClassVar[int]
    GRID_ROWS_FIELD_NUMBER: _ClassVar[int]
    GRID_COLUMNS_FIELD_NUMBER: _ClassVar[int]
    TILE_FIELD_NUMBER: _ClassVar[int]
    ROW_FIELD_NUMBER: _ClassVar[int]
    COLUMN_FIELD_NUMBER: _ClassVar[int]
    kind: SpanKind
    start: int
    end: int
    image: int
    grid_rows: int
    grid_columns: int
    tile: int
    row: int
    column: int
    def __init__(self, kind: _Optional[_Union[SpanKind, str]] = ..., start: _Optional[int] = ..., end: _Optional[int] = ..., image: _Optional[int] = ..., grid_rows: _Optional[int] = ..., grid_columns: _Optional[int] = ..., tile: _Optional[int] = ..., row: _Optional[int] = ..., column: _Optional[int] = ...) -> None: ...

class Provenance(_message.Message):
    __slots__ = ("server_version", "model", "model_digest", "dtype", "device", "image_digests", "preprocessing", "prompt_text", "layout", "plan", "sampling", "sample_key", "output_digest", "digest", "request", "stages", "template_time")
    SERVER_VERSION_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    MODEL_DIGEST_FIELD_NUMBER: _ClassVar[int]
    DTYPE_FIELD_NUMBER: _ClassVar[int]
    DEVICE_FIELD_NUMBER: _ClassVar[int]
    IMAGE_DIGESTS_FIELD_NUMBER: _ClassVar[int]
    PREPROCESSING_FIELD_NUMBER: _ClassVar[int]
    PROMPT_TEXT_FIELD_NUMBER: _ClassVar[int]
    LAYOUT_FIELD_NUMBER: _ClassVar[int]
    PLAN_FIELD_NUMBER: _ClassVar[int]
    SAMPLING_FIELD_NUMBER: _ClassVar[int]
    SAMPLE_KEY_FIELD_NUMBER: _ClassVar[int]
    OUTPUT_DIGEST_FIELD_NUMBER: _ClassVar[int]
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    REQUEST_FIELD_NUMBER: _ClassVar[int]
    STAGES_FIELD_NUMBER: _ClassVar[int]
    TEMPLATE_TIME_FIELD_NUMBER: _ClassVar[int]
    server_version: str
    model: str
    model_digest: str
    dtype: str
    device: str
    image_digests: _containers.RepeatedScalarFieldContainer[str]
    preprocessing: str
    prompt_text: str
    layout: _containers.RepeatedCompositeFieldContainer[Span]
    plan: _containers.RepeatedCompositeFieldContainer[ResolvedIntervention]
    sampling: Sampling
    sample_key: str
    output_digest: str
    digest: str
    request: str
    stages: _containers.RepeatedCompositeFieldContainer[Stage]
    template_time: str
    def __init__(self, server_version: _Optional[str] = ..., model: _Optional[str] = ..., model_digest: _Optional[str] = ..., dtype: _Optional[str] = ..., device: _Optional[str] = ..., image_digests: _Optional[_Iterable[str]] = ..., preprocessing: _Optional[str] = ..., prompt_text: _Optional[str] = ..., layout: _Optional[_Iterable[_Union[Span, _Mapping]]] = ..., plan: _Optional[_Iterable[_Union[ResolvedIntervention, _Mapping]]] = ..., sampling: _Optional[_Union[Sampling, _Mapping]] = ..., sample_key: _Optional[str] = ..., output_digest: _Optional[str] = ..., digest: _Optional[str] = ..., request: _Optional[str] = ..., stages: _Optional[_Iterable[_Union[Stage, _Mapping]]] = ..., template_time: _Optional[str] = ...) -> None: ...

class Stage(_message.Message):
    __slots__ = ("name", "digest")
    NAME_FIELD_NUMBER: _ClassVar[int]
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    name: str
    digest: str
    def __init__(self, name: _Optional[str] = ..., digest: _Optional[str] = ...) -> None: ...

class CaptureTarget(_message.Message):
    __slots__ = ("target", "reduction", "top", "keep", "sae", "prefix", "lens")
    TARGET_FIELD_NUMBER: _ClassVar[int]
    REDUCTION_FIELD_NUMBER: _ClassVar[int]
    TOP_FIELD_NUMBER: _ClassVar[int]
    KEEP_FIELD_NUMBER: _ClassVar[int]
    SAE_FIELD_NUMBER: _ClassVar[int]
    PREFIX_FIELD_NUMBER: _ClassVar[int]
    LENS_FIELD_NUMBER: _ClassVar[int]
    target: _intervention_pb2.Target
    reduction: Reduction
    top: int
    keep: bool
    sae: str
    prefix: int
    lens: str
    def __init__(self, target: _Optional[_Union[_intervention_pb2.Target, _Mapping]] = ..., reduction: _Optional[_Union[Reduction, str]] = ..., top: _Optional[int] = ..., keep: _Optional[bool] = ..., sae: _Optional[str] = ..., prefix: _Optional[int] = ..., lens: _Optional[str] = ...) -> None: ...

class CaptureRequest(_message.Message):
    __slots__ = ("model", "prompt", "interventions", "targets", "dtype", "max_tokens", "max_bytes", "sample_key")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    PROMPT_FIELD_NUMBER: _ClassVar[int]
    INTERVENTIONS_FIELD_NUMBER: _ClassVar[int]
    TARGETS_FIELD_NUMBER: _ClassVar[int]
    DTYPE_FIELD_NUMBER: _ClassVar[int]
    MAX_TOKENS_FIELD_NUMBER: _ClassVar[int]
    MAX_BYTES_FIELD_NUMBER: _ClassVar[int]
    SAMPLE_KEY_FIELD_NUMBER: _ClassVar[int]
    model: str
    prompt: Prompt
    interventions: _containers.RepeatedCompositeFieldContainer[_intervention_pb2.Intervention]
    targets: _containers.RepeatedCompositeFieldContainer[CaptureTarget]
    dtype: _intervention_pb2.DataType
    max_tokens: int
    max_bytes: int
    sample_key: str
    def __init__(self, model: _Optional[str] = ..., prompt: _Optional[_Union[Prompt, _Mapping]] = ..., interventions: _Optional[_Iterable[_Union[_intervention_pb2.Intervention, _Mapping]]] = ..., targets: _Optional[_Iterable[_Union[CaptureTarget, _Mapping]]] = ..., dtype: _Optional[_Union[_intervention_pb2.DataType, str]] = ..., max_tokens: _Optional[int] = ..., max_bytes: _Optional[int] = ..., sample_key: _Optional[str] = ...) -> None: ...

class CaptureResponse(_message.Message):
    __slots__ = ("started", "activation", "finished")
    STARTED_FIELD_NUMBER: _ClassVar[int]
    ACTIVATION_FIELD_NUMBER: _ClassVar[int]
    FINISHED_FIELD_NUMBER: _ClassVar[int]
    started: Started
    activation: Activation
    finished: CaptureFinished
    def __init__(self, started: _Optional[_Union[Started, _Mapping]] = ..., activation: _Optional[_Union[Activation, _Mapping]] = ..., finished: _Optional[_Union[CaptureFinished, _Mapping]] = ...) -> None: ...

class Activation(_message.Message):
    __slots__ = ("target", "point", "step", "image", "view", "tokens", "shape", "data", "offset", "size", "top", "features", "positions")
    TARGET_FIELD_NUMBER: _ClassVar[int]
    POINT_FIELD_NUMBER: _ClassVar[int]
    STEP_FIELD_NUMBER: _ClassVar[int]
    IMAGE_FIELD_NUMBER: _ClassVar[int]
    VIEW_FIELD_NUMBER: _ClassVar[int]
    TOKENS_FIELD_NUMBER: _ClassVar[int]
    SHAPE_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    SIZE_FIELD_NUMBER: _ClassVar[int]
    TOP_FIELD_NUMBER: _ClassVar[int]
    FEATURES_FIELD_NUMBER: _ClassVar[int]
    POSITIONS_FIELD_NUMBER: _ClassVar[int]
    target: int
    point: str
    step: int
    image: int
    view: int
    tokens: _containers.RepeatedScalarFieldContainer[int]
    shape: _containers.RepeatedScalarFieldContainer[int]
    data: bytes
    offset: int
    size: int
    top: _containers.RepeatedCompositeFieldContainer[TopTokens]
    features: _containers.RepeatedCompositeFieldContainer[TopFeatures]
    positions: _containers.RepeatedCompositeFieldContainer[TracePosition]
    def __init__(self, target: _Optional[int] = ..., point: _Optional[str] = ..., step: _Optional[int] = ..., image: _Optional[int] = ..., view: _Optional[int] = ..., tokens: _Optional[_Iterable[int]] = ..., shape: _Optional[_Iterable[int]] = ..., data: _Optional[bytes] = ..., offset: _Optional[int] = ..., size: _Optional[int] = ..., top: _Optional[_Iterable[_Union[TopTokens, _Mapping]]] = ..., features: _Optional[_Iterable[_Union[TopFeatures, _Mapping]]] = ..., positions: _Optional[_Iterable[_Union[TracePosition, _Mapping]]] = ...) -> None: ...

class TopFeatures(_message.Message):
    __slots__ = ("features", "values")
    FEATURES_FIELD_NUMBER: _ClassVar[int]
    VALUES_FIELD_NUMBER: _ClassVar[int]
    features: _containers.RepeatedScalarFieldContainer[int]
    values: _containers.RepeatedScalarFieldContainer[float]
    def __init__(self, features: _Optional[_Iterable[int]] = ..., values: _Optional[_Iterable[float]] = ...) -> None: ...

class TopTokens(_message.Message):
    __slots__ = ("tokens",)
    TOKENS_FIELD_NUMBER: _ClassVar[int]
    tokens: _containers.RepeatedCompositeFieldContainer[TokenLogprob]
    def __init__(self, tokens: _Optional[_Iterable[_Union[TokenLogprob, _Mapping]]] = ...) -> None: ...

class CaptureFinished(_message.Message):
    __slots__ = ("text", "usage", "provenance", "kept")
    TEXT_FIELD_NUMBER: _ClassVar[int]
    USAGE_FIELD_NUMBER: _ClassVar[int]
    PROVENANCE_FIELD_NUMBER: _ClassVar[int]
    KEPT_FIELD_NUMBER: _ClassVar[int]
    text: str
    usage: Usage
    provenance: Provenance
    kept: _containers.RepeatedCompositeFieldContainer[KeptActivation]
    def __init__(self, text: _Optional[str] = ..., usage: _Optional[_Union[Usage, _Mapping]] = ..., provenance: _Optional[_Union[Provenance, _Mapping]] = ..., kept: _Optional[_Iterable[_Union[KeptActivation, _Mapping]]] = ...) -> None: ...

class KeptActivation(_message.Message):
    __slots__ = ("target", "point", "handle", "shape")
    TARGET_FIELD_NUMBER: _ClassVar[int]
    POINT_FIELD_NUMBER: _ClassVar[int]
    HANDLE_FIELD_NUMBER: _ClassVar[int]
    SHAPE_FIELD_NUMBER: _ClassVar[int]
    target: int
    point: str
    handle: str
    shape: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, target: _Optional[int] = ..., point: _Optional[str] = ..., handle: _Optional[str] = ..., shape: _Optional[_Iterable[int]] = ...) -> None: ...

class TraceRequest(_message.Message):
    __slots__ = ("model", "clean", "corrupted", "metric", "grid", "direction", "path", "sample_key")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    CLEAN_FIELD_NUMBER: _ClassVar[int]
    CORRUPTED_FIELD_NUMBER: _ClassVar[int]
    METRIC_FIELD_NUMBER: _ClassVar[int]
    GRID_FIELD_NUMBER: _ClassVar[int]
    DIRECTION_FIELD_NUMBER: _ClassVar[int]
    PATH_FIELD_NUMBER: _ClassVar[int]
    SAMPLE_KEY_FIELD_NUMBER: _ClassVar[int]
    model: str
    clean: TraceInput
    corrupted: TraceInput
    metric: Metric
    grid: TraceGrid
    direction: TraceDirection
    path: TracePath
    sample_key: str
    def __init__(self, model: _Optional[str] = ..., clean: _Optional[_Union[TraceInput, _Mapping]] = ..., corrupted: _Optional[_Union[TraceInput, _Mapping]] = ..., metric: _Optional[_Union[Metric, _Mapping]] = ..., grid: _Optional[_Union[TraceGrid, _Mapping]] = ..., direction: _Optional[_Union[TraceDirection, str]] = ..., path: _Optional[_Union[TracePath, _Mapping]] = ..., sample_key: _Optional[str] = ...) -> None: ...

class TraceInput(_message.Message):
    __slots__ = ("prompt", "interventions")
    PROMPT_FIELD_NUMBER: _ClassVar[int]
    INTERVENTIONS_FIELD_NUMBER: _ClassVar[int]
    prompt: Prompt
    interventions: _containers.RepeatedCompositeFieldContainer[_intervention_pb2.Intervention]
    def __init__(self, prompt: _Optional[_Union[Prompt, _Mapping]] = ..., interventions: _Optional[_Iterable[_Union[_intervention_pb2.Intervention, _Mapping]]] = ...) -> None: ...

class Metric(_message.Message):
    __slots__ = ("logprob", "logprob_difference", "probability", "divergence")
    LOGPROB_FIELD_NUMBER: _ClassVar[int]
    LOGPROB_DIFFERENCE_FIELD_NUMBER: _ClassVar[int]
    PROBABILITY_FIELD_NUMBER: _ClassVar[int]
    DIVERGENCE_FIELD_NUMBER: _ClassVar[int]
    logprob: str
    logprob_difference: Contrast
    probability: str
    divergence: Divergence
    def __init__(self, logprob: _Optional[str] = ..., logprob_difference: _Optional[_Union[Contrast, _Mapping]] = ..., probability: _Optional[str] = ..., divergence: _Optional[_Union[Divergence, _Mapping]] = ...) -> None: ...

class Contrast(_message.Message):
    __slots__ = ("answer", "other")
    ANSWER_FIELD_NUMBER: _ClassVar[int]
    OTHER_FIELD_NUMBER: _ClassVar[int]
    answer: str
    other: str
    def __init__(self, answer: _Optional[str] = ..., other: _Optional[str] = ...) -> None: ...

class Divergence(_message.Message):
    __slots__ = ("answer",)
    ANSWER_FIELD_NUMBER: _ClassVar[int]
    answer: str
    def __init__(self, answer: _Optional[str] = ...) -> None: ...

class TraceGrid(_message.Message):
    __slots__ = ("points", "layers", "positions", "heads", "each_head")
    POINTS_FIELD_NUMBER: _ClassVar[int]
    LAYERS_FIELD_NUMBER: _ClassVar[int]
    POSITIONS_FIELD_NUMBER: _ClassVar[int]
    HEADS_FIELD_NUMBER: _ClassVar[int]
    EACH_HEAD_FIELD_NUMBER: _ClassVar[int]
    points: _containers.RepeatedScalarFieldContainer[str]
    layers: _containers.RepeatedScalarFieldContainer[int]
    positions: _containers.RepeatedCompositeFieldContainer[TracePositions]
    heads: _containers.RepeatedScalarFieldContainer[int]
    each_head: bool
    def __init__(self, points: _Optional[_Iterable[str]] = ..., layers: _Optional[_Iterable[int]] = ..., positions: _Optional[_Iterable[_Union[TracePositions, _Mapping]]] = ..., heads: _Optional[_Iterable[int]] = ..., each_head: _Optional[bool] = ...) -> None: ...

class TracePositions(_message.Message):
    __slots__ = ("each", "words", "patches", "group")
    EACH_FIELD_NUMBER: _ClassVar[int]
    WORDS_FIELD_NUMBER: _ClassVar[int]
    PATCHES_FIELD_NUMBER: _ClassVar[int]
    GROUP_FIELD_NUMBER: _ClassVar[int]
    each: _intervention_pb2.TokenSelector
    words: _intervention_pb2.TokenSelector
    patches: TracePatches
    group: TraceGroup
    def __init__(self, each: _Optional[_Union[_intervention_pb2.TokenSelector, _Mapping]] = ..., words: _Optional[_Union[_intervention_pb2.TokenSelector, _Mapping]] = ..., patches: _Optional[_Union[TracePatches, _Mapping]] = ..., group: _Optional[_Union[TraceGroup, _Mapping]] = ...) -> None: ...

class TracePatches(_message.Message):
    __slots__ = ("by", "grid")
    class By(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        BY_UNSPECIFIED: _ClassVar[TracePatches.By]
        BY_BLOCK: _ClassVar[TracePatches.By]
        BY_ROW: _ClassVar[TracePatches.By]
        BY_COLUMN: _ClassVar[TracePatches.By]
    BY_UNSPECIFIED: TracePatches.By
    BY_BLOCK: TracePatches.By
    BY_ROW: TracePatches.By
    BY_COLUMN: TracePatches.By
    BY_FIELD_NUMBER: _ClassVar[int]
    GRID_FIELD_NUMBER: _ClassVar[int]
    by: TracePatches.By
    grid: int
    def __init__(self, by: _Optional[_Union[TracePatches.By, str]] = ..., grid: _Optional[int] = ...) -> None: ...

class TraceGroup(_message.Message):
    __slots__ = ("tokens", "label")
    TOKENS_FIELD_NUMBER: _ClassVar[int]
    LABEL_FIELD_NUMBER: _ClassVar[int]
    tokens: _intervention_pb2.TokenSelector
    label: str
    def __init__(self, tokens: _Optional[_Union[_intervention_pb2.TokenSelector, _Mapping]] = ..., label: _Optional[str] = ...) -> None: ...

class TracePath(_message.Message):
    __slots__ = ("receiver", "via")
    RECEIVER_FIELD_NUMBER: _ClassVar[int]
    VIA_FIELD_NUMBER: _ClassVar[int]
    receiver: _intervention_pb2.Target
    via: TraceVia
    def __init__(self, receiver: _Optional[_Union[_intervention_pb2.Target, _Mapping]] = ..., via: _Optional[_Union[TraceVia, str]] = ...) -> None: ...

class TraceResponse(_message.Message):
    __slots__ = ("started", "baseline", "cell", "finished")
    STARTED_FIELD_NUMBER: _ClassVar[int]
    BASELINE_FIELD_NUMBER: _ClassVar[int]
    CELL_FIELD_NUMBER: _ClassVar[int]
    FINISHED_FIELD_NUMBER: _ClassVar[int]
    started: TraceStarted
    baseline: TraceBaseline
    cell: TraceCell
    finished: TraceFinished
    def __init__(self, started: _Optional[_Union[TraceStarted, _Mapping]] = ..., baseline: _Optional[_Union[TraceBaseline, _Mapping]] = ..., cell: _Optional[_Union[TraceCell, _Mapping]] = ..., finished: _Optional[_Union[TraceFinished, _Mapping]] = ...) -> None: ...

class TraceStarted(_message.Message):
    __slots__ = ("request_id", "cells", "points", "layers", "positions", "heads", "rows", "rows_naive", "flops", "cells_unchanged")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    CELLS_FIELD_NUMBER: _ClassVar[int]
    POINTS_FIELD_NUMBER: _ClassVar[int]
    LAYERS_FIELD_NUMBER: _ClassVar[int]
    POSITIONS_FIELD_NUMBER: _ClassVar[int]
    HEADS_FIELD_NUMBER: _ClassVar[int]
    ROWS_FIELD_NUMBER: _ClassVar[int]
    ROWS_NAIVE_FIELD_NUMBER: _ClassVar[int]
    FLOPS_FIELD_NUMBER: _ClassVar[int]
    CELLS_UNCHANGED_FIELD_NUMBER: _ClassVar[int]
    request_id: str
    cells: int
    points: _containers.RepeatedScalarFieldContainer[str]
    layers: _containers.RepeatedScalarFieldContainer[int]
    positions: _containers.RepeatedCompositeFieldContainer[TracePosition]
    heads: _containers.RepeatedScalarFieldContainer[int]
    rows: int
    rows_naive: int
    flops: int
    cells_unchanged: int
    def __init__(self, request_id: _Optional[str] = ..., cells: _Optional[int] = ..., points: _Optional[_Iterable[str]] = ..., layers: _Optional[_Iterable[int]] = ..., positions: _Optional[_Iterable[_Union[TracePosition, _Mapping]]] = ..., heads: _Optional[_Iterable[int]] = ..., rows: _Optional[int] = ..., rows_naive: _Optional[int] = ..., flops: _Optional[int] = ..., cells_unchanged: _Optional[int] = ...) -> None: ...

class TracePosition(_message.Message):
    __slots__ = ("label", "tokens", "source_tokens", "patches")
    LABEL_FIELD_NUMBER: _ClassVar[int]
    TOKENS_FIELD_NUMBER: _ClassVar[int]
    SOURCE_TOKENS_FIELD_NUMBER: _ClassVar[int]
    PATCHES_FIELD_NUMBER: _ClassVar[int]
    label: str
    tokens: _containers.RepeatedScalarFieldContainer[int]
    source_tokens: _containers.RepeatedScalarFieldContainer[int]
    patches: _containers.RepeatedCompositeFieldContainer[TracePatch]
    def __init__(self, label: _Optional[str] = ..., tokens: _Optional[_Iterable[int]] = ..., source_tokens: _Optional[_Iterable[int]] = ..., patches: _Optional[_Iterable[_Union[TracePatch, _Mapping]]] = ...) -> None: ...

class TracePatch(_message.Message):
    __slots__ = ("token", "image", "view", "row", "column", "grid_rows", "grid_columns")
    TOKEN_FIELD_NUMBER: _ClassVar[int]
    IMAGE_FIELD_NUMBER: _ClassVar[int]
    VIEW_FIELD_NUMBER: _ClassVar[int]
    ROW_FIELD_NUMBER: _ClassVar[int]
    COLUMN_FIELD_NUMBER: _ClassVar[int]
    GRID_ROWS_FIELD_NUMBER: _ClassVar[int]
    GRID_COLUMNS_FIELD_NUMBER: _ClassVar[int]
    token: int
    image: int
    view: int
    row: int
    column: int
    grid_rows: int
    grid_columns: int
    def __init__(self, token: _Optional[int] = ..., image: _Optional[int] = ..., view: _Optional[int] = ..., row: _Optional[int] = ..., column: _Optional[int] = ..., grid_rows: _Optional[int] = ..., grid_columns: _Optional[int] = ...) -> None: ...

class TraceBaseline(_message.Message):
    __slots__ = ("clean", "corrupted")
    CLEAN_FIELD_NUMBER: _ClassVar[int]
    CORRUPTED_FIELD_NUMBER: _ClassVar[int]
    clean: float
    corrupted: float
    def __init__(self, clean: _Optional[float] = ..., corrupted: _Optional[float] = ...) -> None: ...

class TraceCell(_message.Message):
    __slots__ = ("point", "layer", "position", "head", "value", "effect", "rows_computed", "error")
    POINT_FIELD_NUMBER: _ClassVar[int]
    LAYER_FIELD_NUMBER: _ClassVar[int]
    POSITION_FIELD_NUMBER: _ClassVar[int]
    HEAD_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    EFFECT_FIELD_NUMBER: _ClassVar[int]
    ROWS_COMPUTED_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    point: int
    layer: int
    position: int
    head: int
    value: float
    effect: float
    rows_computed: int
    error: SweepError
    def __init__(self, point: _Optional[int] = ..., layer: _Optional[int] = ..., position: _Optional[int] = ..., head: _Optional[int] = ..., value: _Optional[float] = ..., effect: _Optional[float] = ..., rows_computed: _Optional[int] = ..., error: _Optional[_Union[SweepError, _Mapping]] = ...) -> None: ...

class TraceFinished(_message.Message):
    __slots__ = ("cells", "failed", "rows_computed", "rows_reused", "flops", "total_seconds", "provenance")
    CELLS_FIELD_NUMBER: _ClassVar[int]
    FAILED_FIELD_NUMBER: _ClassVar[int]
    ROWS_COMPUTED_FIELD_NUMBER: _ClassVar[int]
    ROWS_REUSED_FIELD_NUMBER: _ClassVar[int]
    FLOPS_FIELD_NUMBER: _ClassVar[int]
    TOTAL_SECONDS_FIELD_NUMBER: _ClassVar[int]
    PROVENANCE_FIELD_NUMBER: _ClassVar[int]
    cells: int
    failed: int
    rows_computed: int
    rows_reused: int
    flops: int
    total_seconds: float
    provenance: Provenance
    def __init__(self, cells: _Optional[int] = ..., failed: _Optional[int] = ..., rows_computed: _Optional[int] = ..., rows_reused: _Optional[int] = ..., flops: _Optional[int] = ..., total_seconds: _Optional[float] = ..., provenance: _Optional[_Union[Provenance, _Mapping]] = ...) -> None: ...

class VerifyRequest(_message.Message):
    __slots__ = ("provenance", "images")
    PROVENANCE_FIELD_NUMBER: _ClassVar[int]
    IMAGES_FIELD_NUMBER: _ClassVar[int]
    provenance: Provenance
    images: _containers.RepeatedCompositeFieldContainer[Image]
    def __init__(self, provenance: _Optional[_Union[Provenance, _Mapping]] = ..., images: _Optional[_Iterable[_Union[Image, _Mapping]]] = ...) -> None: ...

class VerifyResponse(_message.Message):
    __slots__ = ("agrees", "differences", "provenance")
    AGREES_FIELD_NUMBER: _ClassVar[int]
    DIFFERENCES_FIELD_NUMBER: _ClassVar[int]
    PROVENANCE_FIELD_NUMBER: _ClassVar[int]
    agrees: bool
    differences: _containers.RepeatedCompositeFieldContainer[Difference]
    provenance: Provenance
    def __init__(self, agrees: _Optional[bool] = ..., differences: _Optional[_Iterable[_Union[Difference, _Mapping]]] = ..., provenance: _Optional[_Union[Provenance, _Mapping]] = ...) -> None: ...

class Difference(_message.Message):
    __slots__ = ("stage", "recorded", "found")
    STAGE_FIELD_NUMBER: _ClassVar[int]
    RECORDED_FIELD_NUMBER: _ClassVar[int]
    FOUND_FIELD_NUMBER: _ClassVar[int]
    stage: str
    recorded: str
    found: str
    def __init__(self, stage: _Optional[str] = ..., recorded: _Optional[str] = ..., found: _Optional[str] = ...) -> None: ...

class AttributeRequest(_message.Message):
    __slots__ = ("model", "prompt", "interventions", "metric", "method", "points", "layers", "steps", "source", "sample_key")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    PROMPT_FIELD_NUMBER: _ClassVar[int]
    INTERVENTIONS_FIELD_NUMBER: _ClassVar[int]
    METRIC_FIELD_NUMBER: _ClassVar[int]
    METHOD_FIELD_NUMBER: _ClassVar[int]
    POINTS_FIELD_NUMBER: _ClassVar[int]
    LAYERS_FIELD_NUMBER: _ClassVar[int]
    STEPS_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    SAMPLE_KEY_FIELD_NUMBER: _ClassVar[int]
    model: str
    prompt: Prompt
    interventions: _containers.RepeatedCompositeFieldContainer[_intervention_pb2.Intervention]
    metric: Metric
    method: AttributionMethod
    points: _containers.RepeatedScalarFieldContainer[str]
    layers: _containers.RepeatedScalarFieldContainer[int]
    steps: int
    source: TraceInput
    sample_key: str
    def __init__(self, model: _Optional[str] = ..., prompt: _Optional[_Union[Prompt, _Mapping]] = ..., interventions: _Optional[_Iterable[_Union[_intervention_pb2.Intervention, _Mapping]]] = ..., metric: _Optional[_Union[Metric, _Mapping]] = ..., method: _Optional[_Union[AttributionMethod, str]] = ..., points: _Optional[_Iterable[str]] = ..., layers: _Optional[_Iterable[int]] = ..., steps: _Optional[int] = ..., source: _Optional[_Union[TraceInput, _Mapping]] = ..., sample_key: _Optional[str] = ...) -> None: ...

class AttributeResponse(_message.Message):
    __slots__ = ("started", "scores", "finished")
    STARTED_FIELD_NUMBER: _ClassVar[int]
    SCORES_FIELD_NUMBER: _ClassVar[int]
    FINISHED_FIELD_NUMBER: _ClassVar[int]
    started: Started
    scores: Activation
    finished: AttributeFinished
    def __init__(self, started: _Optional[_Union[Started, _Mapping]] = ..., scores: _Optional[_Union[Activation, _Mapping]] = ..., finished: _Optional[_Union[AttributeFinished, _Mapping]] = ...) -> None: ...

class AttributeFinished(_message.Message):
    __slots__ = ("value", "baseline", "tokens", "rows_computed", "provenance")
    VALUE_FIELD_NUMBER: _ClassVar[int]
    BASELINE_FIELD_NUMBER: _ClassVar[int]
    TOKENS_FIELD_NUMBER: _ClassVar[int]
    ROWS_COMPUTED_FIELD_NUMBER: _ClassVar[int]
    PROVENANCE_FIELD_NUMBER: _ClassVar[int]
    value: float
    baseline: float
    tokens: _containers.RepeatedCompositeFieldContainer[TokenLogprob]
    rows_computed: int
    provenance: Provenance
    def __init__(self, value: _Optional[float] = ..., baseline: _Optional[float] = ..., tokens: _Optional[_Iterable[_Union[TokenLogprob, _Mapping]]] = ..., rows_computed: _Optional[int] = ..., provenance: _Optional[_Union[Provenance, _Mapping]] = ...) -> None: ...
