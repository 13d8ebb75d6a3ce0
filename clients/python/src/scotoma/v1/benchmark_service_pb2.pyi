from scotoma.v1 import inference_service_pb2 as _inference_service_pb2
from scotoma.v1 import intervention_pb2 as _intervention_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Reader(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    READER_UNSPECIFIED: _ClassVar[Reader]
    READER_LETTER: _ClassVar[Reader]
    READER_YES_NO: _ClassVar[Reader]
    READER_SHORT: _ClassVar[Reader]
    READER_RELAXED: _ClassVar[Reader]

class Answering(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    ANSWERING_UNSPECIFIED: _ClassVar[Answering]
    ANSWERING_GENERATE: _ClassVar[Answering]
    ANSWERING_OPTION_LETTERS: _ClassVar[Answering]
    ANSWERING_OPTION_TEXTS: _ClassVar[Answering]

class Verdict(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    VERDICT_UNSPECIFIED: _ClassVar[Verdict]
    VERDICT_RIGHT: _ClassVar[Verdict]
    VERDICT_WRONG: _ClassVar[Verdict]
    VERDICT_UNPARSED: _ClassVar[Verdict]
    VERDICT_UNJUDGED: _ClassVar[Verdict]
    VERDICT_GRADED: _ClassVar[Verdict]
READER_UNSPECIFIED: Reader
READER_LETTER: Reader
READER_YES_NO: Reader
READER_SHORT: Reader
READER_RELAXED: Reader
ANSWERING_UNSPECIFIED: Answering
ANSWERING_GENERATE: Answering
ANSWERING_OPTION_LETTERS: Answering
ANSWERING_OPTION_TEXTS: Answering
VERDICT_UNSPECIFIED: Verdict
VERDICT_RIGHT: Verdict
VERDICT_WRONG: Verdict
VERDICT_UNPARSED: Verdict
VERDICT_UNJUDGED: Verdict
VERDICT_GRADED: Verdict

class EvaluateRequest(_message.Message):
    __slots__ = ("header", "sample", "known", "row")
    HEADER_FIELD_NUMBER: _ClassVar[int]
    SAMPLE_FIELD_NUMBER: _ClassVar[int]
    KNOWN_FIELD_NUMBER: _ClassVar[int]
    ROW_FIELD_NUMBER: _ClassVar[int]
    header: EvaluateHeader
    sample: Sample
    known: SampleResult
    row: Row
    def __init__(self, header: _Optional[_Union[EvaluateHeader, _Mapping]] = ..., sample: _Optional[_Union[Sample, _Mapping]] = ..., known: _Optional[_Union[SampleResult, _Mapping]] = ..., row: _Optional[_Union[Row, _Mapping]] = ...) -> None: ...

class EvaluateHeader(_message.Message):
    __slots__ = ("model", "rule", "custom", "variants", "answering", "sampling", "max_tokens", "progress_every", "unjudged", "columns", "multi_image")
    class ColumnsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    MODEL_FIELD_NUMBER: _ClassVar[int]
    RULE_FIELD_NUMBER: _ClassVar[int]
    CUSTOM_FIELD_NUMBER: _ClassVar[int]
    VARIANTS_FIELD_NUMBER: _ClassVar[int]
    ANSWERING_FIELD_NUMBER: _ClassVar[int]
    SAMPLING_FIELD_NUMBER: _ClassVar[int]
    MAX_TOKENS_FIELD_NUMBER: _ClassVar[int]
    PROGRESS_EVERY_FIELD_NUMBER: _ClassVar[int]
    UNJUDGED_FIELD_NUMBER: _ClassVar[int]
    COLUMNS_FIELD_NUMBER: _ClassVar[int]
    MULTI_IMAGE_FIELD_NUMBER: _ClassVar[int]
    model: str
    rule: str
    custom: CustomRule
    variants: _containers.RepeatedCompositeFieldContainer[EvaluateVariant]
    answering: Answering
    sampling: _inference_service_pb2.Sampling
    max_tokens: int
    progress_every: int
    unjudged: bool
    columns: _containers.ScalarMap[str, str]
    multi_image: _inference_service_pb2.MultiImage
    def __init__(self, model: _Optional[str] = ..., rule: _Optional[str] = ..., custom: _Optional[_Union[CustomRule, _Mapping]] = ..., variants: _Optional[_Iterable[_Union[EvaluateVariant, _Mapping]]] = ..., answering: _Optional[_Union[Answering, str]] = ..., sampling: _Optional[_Union[_inference_service_pb2.Sampling, _Mapping]] = ..., max_tokens: _Optional[int] = ..., progress_every: _Optional[int] = ..., unjudged: _Optional[bool] = ..., columns: _Optional[_Mapping[str, str]] = ..., multi_image: _Optional[_Union[_inference_service_pb2.MultiImage, str]] = ...) -> None: ...

class CustomRule(_message.Message):
    __slots__ = ("prompt", "reader", "max_tokens")
    PROMPT_FIELD_NUMBER: _ClassVar[int]
    READER_FIELD_NUMBER: _ClassVar[int]
    MAX_TOKENS_FIELD_NUMBER: _ClassVar[int]
    prompt: str
    reader: Reader
    max_tokens: int
    def __init__(self, prompt: _Optional[str] = ..., reader: _Optional[_Union[Reader, str]] = ..., max_tokens: _Optional[int] = ...) -> None: ...

class EvaluateVariant(_message.Message):
    __slots__ = ("name", "interventions", "pictures")
    NAME_FIELD_NUMBER: _ClassVar[int]
    INTERVENTIONS_FIELD_NUMBER: _ClassVar[int]
    PICTURES_FIELD_NUMBER: _ClassVar[int]
    name: str
    interventions: _containers.RepeatedCompositeFieldContainer[_intervention_pb2.Intervention]
    pictures: str
    def __init__(self, name: _Optional[str] = ..., interventions: _Optional[_Iterable[_Union[_intervention_pb2.Intervention, _Mapping]]] = ..., pictures: _Optional[str] = ...) -> None: ...

class Sample(_message.Message):
    __slots__ = ("id", "images", "question", "hint", "options", "answer", "category", "group", "fields", "substitutes")
    class FieldsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    class SubstitutesEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: Pictures
        def __init__(self, key: _Optional[str] = ..., value: _Optional[_Union[Pictures, _Mapping]] = ...) -> None: ...
    ID_FIELD_NUMBER: _ClassVar[int]
    IMAGES_FIELD_NUMBER: _ClassVar[int]
    QUESTION_FIELD_NUMBER: _ClassVar[int]
    HINT_FIELD_NUMBER: _ClassVar[int]
    OPTIONS_FIELD_NUMBER: _ClassVar[int]
    ANSWER_FIELD_NUMBER: _ClassVar[int]
    CATEGORY_FIELD_NUMBER: _ClassVar[int]
    GROUP_FIELD_NUMBER: _ClassVar[int]
    FIELDS_FIELD_NUMBER: _ClassVar[int]
    SUBSTITUTES_FIELD_NUMBER: _ClassVar[int]
    id: str
    images: _containers.RepeatedCompositeFieldContainer[_inference_service_pb2.Image]
    question: str
    hint: str
    options: _containers.RepeatedScalarFieldContainer[str]
    answer: str
    category: str
    group: str
    fields: _containers.ScalarMap[str, str]
    substitutes: _containers.MessageMap[str, Pictures]
    def __init__(self, id: _Optional[str] = ..., images: _Optional[_Iterable[_Union[_inference_service_pb2.Image, _Mapping]]] = ..., question: _Optional[str] = ..., hint: _Optional[str] = ..., options: _Optional[_Iterable[str]] = ..., answer: _Optional[str] = ..., category: _Optional[str] = ..., group: _Optional[str] = ..., fields: _Optional[_Mapping[str, str]] = ..., substitutes: _Optional[_Mapping[str, Pictures]] = ...) -> None: ...

class Row(_message.Message):
    __slots__ = ("line", "cells", "json", "images", "number", "files")
    class CellsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    class FilesEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: bytes
        def __init__(self, key: _Optional[str] = ..., value: _Optional[bytes] = ...) -> None: ...
    LINE_FIELD_NUMBER: _ClassVar[int]
    CELLS_FIELD_NUMBER: _ClassVar[int]
    JSON_FIELD_NUMBER: _ClassVar[int]
    IMAGES_FIELD_NUMBER: _ClassVar[int]
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    FILES_FIELD_NUMBER: _ClassVar[int]
    line: int
    cells: _containers.ScalarMap[str, str]
    json: str
    images: _containers.RepeatedCompositeFieldContainer[_inference_service_pb2.Image]
    number: int
    files: _containers.ScalarMap[str, bytes]
    def __init__(self, line: _Optional[int] = ..., cells: _Optional[_Mapping[str, str]] = ..., json: _Optional[str] = ..., images: _Optional[_Iterable[_Union[_inference_service_pb2.Image, _Mapping]]] = ..., number: _Optional[int] = ..., files: _Optional[_Mapping[str, bytes]] = ...) -> None: ...

class Pictures(_message.Message):
    __slots__ = ("images",)
    IMAGES_FIELD_NUMBER: _ClassVar[int]
    images: _containers.RepeatedCompositeFieldContainer[_inference_service_pb2.Image]
    def __init__(self, images: _Optional[_Iterable[_Union[_inference_service_pb2.Image, _Mapping]]] = ...) -> None: ...

class SampleResult(_message.Message):
    __slots__ = ("id", "variant", "category", "group", "text", "answer", "verdict", "grade", "options", "record_digest", "output_digest", "usage", "error", "grade_of", "review", "logprob")
    ID_FIELD_NUMBER: _ClassVar[int]
    VARIANT_FIELD_NUMBER: _ClassVar[int]
    CATEGORY_FIELD_NUMBER: _ClassVar[int]
    GROUP_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    ANSWER_FIELD_NUMBER: _ClassVar[int]
    VERDICT_FIELD_NUMBER: _ClassVar[int]
    GRADE_FIELD_NUMBER: _ClassVar[int]
    OPTIONS_FIELD_NUMBER: _ClassVar[int]
    RECORD_DIGEST_FIELD_NUMBER: _ClassVar[int]
    OUTPUT_DIGEST_FIELD_NUMBER: _ClassVar[int]
    USAGE_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    GRADE_OF_FIELD_NUMBER: _ClassVar[int]
    REVIEW_FIELD_NUMBER: _ClassVar[int]
    LOGPROB_FIELD_NUMBER: _ClassVar[int]
    id: str
    variant: str
    category: str
    group: str
    text: str
    answer: str
    verdict: Verdict
    grade: float
    options: _containers.RepeatedCompositeFieldContainer[OptionScore]
    record_digest: str
    output_digest: str
    usage: _inference_service_pb2.Usage
    error: _inference_service_pb2.SweepError
    grade_of: float
    review: str
    logprob: float
    def __init__(self, id: _Optional[str] = ..., variant: _Optional[str] = ..., category: _Optional[str] = ..., group: _Optional[str] = ..., text: _Optional[str] = ..., answer: _Optional[str] = ..., verdict: _Optional[_Union[Verdict, str]] = ..., grade: _Optional[float] = ..., options: _Optional[_Iterable[_Union[OptionScore, _Mapping]]] = ..., record_digest: _Optional[str] = ..., output_digest: _Optional[str] = ..., usage: _Optional[_Union[_inference_service_pb2.Usage, _Mapping]] = ..., error: _Optional[_Union[_inference_service_pb2.SweepError, _Mapping]] = ..., grade_of: _Optional[float] = ..., review: _Optional[str] = ..., logprob: _Optional[float] = ...) -> None: ...

class OptionScore(_message.Message):
    __slots__ = ("option", "logprob", "mean_logprob")
    OPTION_FIELD_NUMBER: _ClassVar[int]
    LOGPROB_FIELD_NUMBER: _ClassVar[int]
    MEAN_LOGPROB_FIELD_NUMBER: _ClassVar[int]
    option: str
    logprob: float
    mean_logprob: float
    def __init__(self, option: _Optional[str] = ..., logprob: _Optional[float] = ..., mean_logprob: _Optional[float] = ...) -> None: ...

class EvaluateResponse(_message.Message):
    __slots__ = ("started", "result", "progress", "finished", "settled")
    STARTED_FIELD_NUMBER: _ClassVar[int]
    RESULT_FIELD_NUMBER: _ClassVar[int]
    PROGRESS_FIELD_NUMBER: _ClassVar[int]
    FINISHED_FIELD_NUMBER: _ClassVar[int]
    SETTLED_FIELD_NUMBER: _ClassVar[int]
    started: EvaluateStarted
    result: SampleResult
    progress: EvaluateProgress
    finished: EvaluateFinished
    settled: EvaluateSettled
    def __init__(self, started: _Optional[_Union[EvaluateStarted, _Mapping]] = ..., result: _Optional[_Union[SampleResult, _Mapping]] = ..., progress: _Optional[_Union[EvaluateProgress, _Mapping]] = ..., finished: _Optional[_Union[EvaluateFinished, _Mapping]] = ..., settled: _Optional[_Union[EvaluateSettled, _Mapping]] = ...) -> None: ...

class EvaluateSettled(_message.Message):
    __slots__ = ("questions",)
    QUESTIONS_FIELD_NUMBER: _ClassVar[int]
    questions: int
    def __init__(self, questions: _Optional[int] = ...) -> None: ...

class EvaluateStarted(_message.Message):
    __slots__ = ("request_id", "rule", "model_digest", "header", "judge", "server_version")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    RULE_FIELD_NUMBER: _ClassVar[int]
    MODEL_DIGEST_FIELD_NUMBER: _ClassVar[int]
    HEADER_FIELD_NUMBER: _ClassVar[int]
    JUDGE_FIELD_NUMBER: _ClassVar[int]
    SERVER_VERSION_FIELD_NUMBER: _ClassVar[int]
    request_id: str
    rule: str
    model_digest: str
    header: EvaluateHeader
    judge: Judge
    server_version: str
    def __init__(self, request_id: _Optional[str] = ..., rule: _Optional[str] = ..., model_digest: _Optional[str] = ..., header: _Optional[_Union[EvaluateHeader, _Mapping]] = ..., judge: _Optional[_Union[Judge, _Mapping]] = ..., server_version: _Optional[str] = ...) -> None: ...

class Judge(_message.Message):
    __slots__ = ("model", "prompt")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    PROMPT_FIELD_NUMBER: _ClassVar[int]
    model: str
    prompt: str
    def __init__(self, model: _Optional[str] = ..., prompt: _Optional[str] = ...) -> None: ...

class EvaluateProgress(_message.Message):
    __slots__ = ("results", "metrics")
    RESULTS_FIELD_NUMBER: _ClassVar[int]
    METRICS_FIELD_NUMBER: _ClassVar[int]
    results: int
    metrics: _containers.RepeatedCompositeFieldContainer[BenchmarkMetric]
    def __init__(self, results: _Optional[int] = ..., metrics: _Optional[_Iterable[_Union[BenchmarkMetric, _Mapping]]] = ...) -> None: ...

class EvaluateFinished(_message.Message):
    __slots__ = ("results", "failed", "metrics", "comparisons", "rows_computed", "total_seconds")
    RESULTS_FIELD_NUMBER: _ClassVar[int]
    FAILED_FIELD_NUMBER: _ClassVar[int]
    METRICS_FIELD_NUMBER: _ClassVar[int]
    COMPARISONS_FIELD_NUMBER: _ClassVar[int]
    ROWS_COMPUTED_FIELD_NUMBER: _ClassVar[int]
    TOTAL_SECONDS_FIELD_NUMBER: _ClassVar[int]
    results: int
    failed: int
    metrics: _containers.RepeatedCompositeFieldContainer[BenchmarkMetric]
    comparisons: _containers.RepeatedCompositeFieldContainer[Comparison]
    rows_computed: int
    total_seconds: float
    def __init__(self, results: _Optional[int] = ..., failed: _Optional[int] = ..., metrics: _Optional[_Iterable[_Union[BenchmarkMetric, _Mapping]]] = ..., comparisons: _Optional[_Iterable[_Union[Comparison, _Mapping]]] = ..., rows_computed: _Optional[int] = ..., total_seconds: _Optional[float] = ...) -> None: ...

class BenchmarkMetric(_message.Message):
    __slots__ = ("variant", "name", "value", "low", "high", "most", "n", "unparsed")
    VARIANT_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    LOW_FIELD_NUMBER: _ClassVar[int]
    HIGH_FIELD_NUMBER: _ClassVar[int]
    MOST_FIELD_NUMBER: _ClassVar[int]
    N_FIELD_NUMBER: _ClassVar[int]
    UNPARSED_FIELD_NUMBER: _ClassVar[int]
    variant: str
    name: str
    value: float
    low: float
    high: float
    most: float
    n: int
    unparsed: int
    def __init__(self, variant: _Optional[str] = ..., name: _Optional[str] = ..., value: _Optional[float] = ..., low: _Optional[float] = ..., high: _Optional[float] = ..., most: _Optional[float] = ..., n: _Optional[int] = ..., unparsed: _Optional[int] = ...) -> None: ...

class Comparison(_message.Message):
    __slots__ = ("variant", "n", "better", "worse", "difference", "low", "high", "p")
    VARIANT_FIELD_NUMBER: _ClassVar[int]
    N_FIELD_NUMBER: _ClassVar[int]
    BETTER_FIELD_NUMBER: _ClassVar[int]
    WORSE_FIELD_NUMBER: _ClassVar[int]
    DIFFERENCE_FIELD_NUMBER: _ClassVar[int]
    LOW_FIELD_NUMBER: _ClassVar[int]
    HIGH_FIELD_NUMBER: _ClassVar[int]
    P_FIELD_NUMBER: _ClassVar[int]
    variant: str
    n: int
    better: int
    worse: int
    difference: float
    low: float
    high: float
    p: float
    def __init__(self, variant: _Optional[str] = ..., n: _Optional[int] = ..., better: _Optional[int] = ..., worse: _Optional[int] = ..., difference: _Optional[float] = ..., low: _Optional[float] = ..., high: _Optional[float] = ..., p: _Optional[float] = ...) -> None: ...

class DescribeRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class DescribeResponse(_message.Message):
    __slots__ = ("rules",)
    RULES_FIELD_NUMBER: _ClassVar[int]
    rules: _containers.RepeatedCompositeFieldContainer[RuleInfo]
    def __init__(self, rules: _Optional[_Iterable[_Union[RuleInfo, _Mapping]]] = ...) -> None: ...

class RuleInfo(_message.Message):
    __slots__ = ("name", "about", "max_tokens", "compared", "judged")
    NAME_FIELD_NUMBER: _ClassVar[int]
    ABOUT_FIELD_NUMBER: _ClassVar[int]
    MAX_TOKENS_FIELD_NUMBER: _ClassVar[int]
    COMPARED_FIELD_NUMBER: _ClassVar[int]
    JUDGED_FIELD_NUMBER: _ClassVar[int]
    name: str
    about: str
    max_tokens: int
    compared: bool
    judged: str
    def __init__(self, name: _Optional[str] = ..., about: _Optional[str] = ..., max_tokens: _Optional[int] = ..., compared: _Optional[bool] = ..., judged: _Optional[str] = ...) -> None: ...
