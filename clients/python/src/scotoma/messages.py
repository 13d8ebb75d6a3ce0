"""Requests from what people write: texts, pictures, options."""

from __future__ import annotations

import base64
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypedDict, Union

import numpy as np

from scotoma import pictures
from scotoma.arrays import data_type
from scotoma.axes import Part, Plan, field_of, plan
from scotoma.build import build
from scotoma.calls import Call
from scotoma.names import nearest
from scotoma.selectors import Hook, TargetLike, target
from scotoma.v1 import benchmark_service_pb2 as bench
from scotoma.v1 import inference_service_pb2 as pb
from scotoma.v1.intervention_pb2 import Intervention, Target

if TYPE_CHECKING:
    import PIL.Image

# A picture: the bytes of a file (JPEG, PNG, WebP, GIF, BMP, TIFF, PNM), a path to one, a Pillow image of any mode, an
# array of whole numbers of 0 to 255, (height, width[, 3 or 4]), or what `upload_image` returned.
Image = Union[bytes, str, "os.PathLike[str]", "PIL.Image.Image", "np.ndarray[Any, Any]", pb.Image]

# What is asked: the user's words, or a conversation as transformers and OpenAI write it: messages {"role", "content"},
# whose content is a text or a list of parts: {"type": "text", "text": ...}, {"type": "image", "image": an Image} (or
# "path", "url" with a data URI, "base64"; with none of them the next of `images`),
# {"type": "image_url", "image_url": {"url": ...}}.
Asked = Union[str, "Iterable[Mapping[str, Any]]"]

# What a benchmark asks: samples, or rows of a file.
Question = bench.Sample | bench.Row

# Variants of `evaluate` by name: interventions, or an EvaluateVariant where they show other pictures.
Variants = Mapping[str, "Iterable[Intervention] | bench.EvaluateVariant"]


def image_message(image: Image) -> pb.Image:
    """A picture, whatever it is."""
    if isinstance(image, pb.Image):
        return image
    if isinstance(image, bytes):
        return pb.Image(data=image)
    if isinstance(image, (str, os.PathLike)):
        return pb.Image(data=Path(image).read_bytes())
    if isinstance(image, np.ndarray):
        image = pictures.array_image(image)
    return pb.Image(data=pictures.png(image))


ROLES = {"system": pb.ROLE_SYSTEM, "user": pb.ROLE_USER, "assistant": pb.ROLE_ASSISTANT}


def prompt(
    text: Asked,
    images: Image | Iterable[Image],
    raw: bool,
    multi_image: pb.MultiImage = 0,  # type: ignore[assignment]
) -> pb.Prompt:
    """A question about one picture, several or none, or a conversation."""
    single = isinstance(images, (bytes, str, os.PathLike, np.ndarray, pb.Image)) or hasattr(images, "save")
    many = [image_message(i) for i in ([images] if single else images)]  # type: ignore[union-attr,arg-type]
    if isinstance(text, str):
        return pb.Prompt(text=text, images=many, raw=raw, multi_image=multi_image)
    rest = iter(many)
    listed = [chat_message(at, m, rest) for at, m in enumerate(text)]
    made = pb.Prompt(messages=listed, raw=raw, multi_image=multi_image)
    if left := sum(1 for _ in rest):
        raise ValueError(f"images: {left} more than there are parts of type image without one")
    return made


def check_fields(at: str, given: object, *known: str) -> Mapping[str, Any]:
    """Fails on fields that nobody would read."""
    if not isinstance(given, Mapping):
        raise TypeError(f"{at}: {type(given).__name__}; a dict with {', '.join(known)} is needed")
    if others := [name for name in given if name not in known]:
        raise ValueError(f"{at}[{others[0]!r}]: not known; {', '.join(known)} are")
    return given


def chat_message(place: int, message: object, images: Iterator[pb.Image]) -> pb.ChatMessage:
    """A message; a part of type image without a picture takes the next of `images`."""
    at = f"messages[{place}]"
    if isinstance(message, pb.ChatMessage):
        return message
    fields = check_fields(at, message, "role", "content")
    role, content = fields.get("role"), fields.get("content")
    if role not in ROLES:
        raise ValueError(f"{at}['role']: {role!r}; {', '.join(ROLES)} are known")
    if isinstance(content, str):
        return pb.ChatMessage(role=ROLES[role], parts=[pb.ChatPart(text=content)])
    if not isinstance(content, (list, tuple)):
        raise TypeError(f"{at}['content']: {type(content).__name__}; a str or a list of parts is needed")
    parts = [chat_part(f"{at}['content'][{i}]", part, images) for i, part in enumerate(content)]
    return pb.ChatMessage(role=ROLES[role], parts=parts)


def chat_part(at: str, part: object, images: Iterator[pb.Image]) -> pb.ChatPart:
    """Words or a picture."""
    if isinstance(part, str):
        return pb.ChatPart(text=part)
    kind = part.get("type") if isinstance(part, Mapping) else None
    if kind == "text":
        return pb.ChatPart(text=check_fields(at, part, "type", "text")["text"])
    if kind == "image":
        fields = check_fields(at, part, "type", "image", "path", "url", "base64")
        given = [(name, value) for name, value in fields.items() if name != "type"]
        if not given:
            image = next(images, None)
            if image is None:
                raise ValueError(f"{at}: no picture; give it as 'image' or 'path', or one more of images")
            return pb.ChatPart(image=image)
        if len(given) > 1:
            raise ValueError(f"{at}: one of image, path, url and base64 is needed")
        name, value = given[0]
        if name == "base64":
            return pb.ChatPart(image=pb.Image(data=base64.b64decode(value)))
        return pb.ChatPart(image=image_message(from_url(at, value) if name == "url" else value))
    if kind == "image_url":
        url = check_fields(at, part, "type", "image_url")["image_url"]
        return pb.ChatPart(image=image_message(from_url(at, url["url"] if isinstance(url, Mapping) else url)))
    raise ValueError(f"{at}: type {kind!r}; text, image and image_url are known")


def from_url(at: str, url: str) -> bytes | str:
    """The bytes of a data URI, or a path."""
    if url.startswith("data:"):
        header, _, data = url.partition(",")
        if not header.endswith(";base64"):
            raise ValueError(f"{at}: a data URI in base64 is needed")
        return base64.b64decode(data)
    if "://" in url and not url.startswith("file://"):
        raise ValueError(f"{at}: {url}: pictures are files or data URIs; fetch it first")
    return url.removeprefix("file://")


def sample(
    id: str,  # noqa: A002
    question: str,
    images: Image | Iterable[Image] = (),
    *,
    options: Iterable[str] = (),
    answer: str = "",
    category: str = "",
    group: str = "",
    hint: str = "",
    substitutes: Mapping[str, Image | Iterable[Image]] | None = None,
    **fields: str,
) -> bench.Sample:
    """One question of a benchmark; further keywords are columns that its rules read.

    `substitutes` are pictures for variants that show others than its own, by the name in `EvaluateVariant.pictures`.
    """
    others = {n: bench.Pictures(images=prompt("", p, False).images) for n, p in (substitutes or {}).items()}
    return bench.Sample(
        substitutes=others,
        id=id,
        question=question,
        images=prompt("", images, False).images,
        options=options,
        answer=answer,
        category=category,
        group=group,
        hint=hint,
        fields=fields,
    )


class CallSettings(TypedDict, total=False):
    """What every call takes, whatever it asks."""

    timeout: float | None
    """Seconds until the call ends with DEADLINE_EXCEEDED, its tries and waits together; None: no limit."""
    idempotency_key: str
    """Of all tries of this call, 1 to 128 visible ASCII characters: a call that ran already is answered from its run.
    Drawn by default for calls of one answer; a stream with a key goes on for a while where its reader leaves."""
    request_id: str
    """Names the call in the server's log and in errors; drawn by default."""
    traceparent: str
    """The span that this call belongs to (W3C trace context); OpenTelemetry's current one by default, where
    opentelemetry-api is installed."""


class CallOptions(CallSettings, total=False):
    """What every call of a model takes."""

    model: str
    """Name of a resident model; the first one by default."""


class SamplingOptions(TypedDict, total=False):
    """How tokens are chosen, by the names of transformers; the contract's `Sampling` says more of each."""

    temperature: float
    """0: greedy, the default. At most 100."""
    top_k: int
    """Keep the k likeliest tokens; 0: all."""
    top_p: float
    """Keep the likeliest tokens that together reach this probability, above 0 and at most 1."""
    seed: int
    """Of the draws; drawn by the server and returned by default."""
    do_sample: bool
    """Sample as the model's generation_config.json says."""
    min_p: float
    """Keep tokens at least so likely as this share of the likeliest."""
    typical_p: float
    """Keep tokens that surprise about as much as expected."""
    epsilon_cutoff: float
    """Keep tokens at least so likely."""
    eta_cutoff: float
    """The same, less where much is likely."""
    top_h: float
    """Keep the likeliest tokens until they hold this share of the entropy."""
    repetition_penalty: float
    """Divides the logits of all tokens so far; 1: none."""
    no_repeat_ngram_size: int
    """No sequence of so many tokens comes twice."""
    min_tokens: int
    """The answer has at least so many tokens."""
    suppress_tokens: Iterable[int]
    """Tokens that never come."""
    logit_bias: Mapping[int, float]
    """Added to the logits of these tokens."""
    ignore_generation_config: bool
    """Take nothing from generation_config.json but the tokens that end an answer."""
    sampling: pb.Sampling
    """All of the above as one message, in place of them."""


class EvaluateOptions(CallSettings, SamplingOptions, total=False):
    """What evaluate takes."""

    model: str
    """Name of a resident model; the first one by default."""
    answering: bench.Answering
    """How answers come about: by generation unless this says otherwise."""
    max_tokens: int
    """At most this many tokens in an answer; what the rule says by default."""
    progress_every: int
    """Metrics anew after this many results; 100 by default."""
    unjudged: bool
    """The server's judge is not asked."""
    multi_image: pb.MultiImage
    """How LLaVA-OneVision prepares several pictures: MULTI_IMAGE_PADDED (the default) or MULTI_IMAGE_TILED."""
    columns: Mapping[str, str]
    """Of rows, the column that holds an id, question, image, options, answer, category, hint, group; or `ignore`."""


class InterveneOptions(CallOptions, total=False):
    """What every call under interventions takes."""

    interventions: Iterable[Intervention]
    """The changes to the forward pass."""
    sample_key: str
    """Identifies the sample among those that share a seed."""


class ScoreOptions(InterveneOptions, total=False):
    """What `score` takes."""

    raw: bool
    """The text is the whole prompt already; no chat template."""
    multi_image: pb.MultiImage
    """How LLaVA-OneVision prepares several pictures: MULTI_IMAGE_PADDED (the default) or MULTI_IMAGE_TILED."""


class GenerateOptions(ScoreOptions, SamplingOptions, total=False):
    """What `generate` takes."""

    max_tokens: int
    """At most this many tokens; 0: what the model's generation_config.json says, or 256, or what the context leaves."""
    stop: str | Iterable[str]
    """The answer ends before this, or the first of these."""
    top_logprobs: int
    """Log-probabilities of this many likeliest tokens with each token."""


class CaptureOptions(ScoreOptions, total=False):
    """What `capture` takes."""

    reduction: Literal["none", "mean", "norm", "last", "top_tokens", "received", "top_features"]
    """What is sent of the rows, for targets that are no CaptureTarget; all by default."""
    top: int
    """Likeliest tokens of "top_tokens", 1 to 100; strongest features of "top_features", 1 to 1,000."""
    sae: str
    """The sparse autoencoder of "top_features"; the only one by default."""
    lens: str
    """The tuned lens of "top_tokens"; the logit lens by default."""
    prefix: int
    """Tell only the first so many features, such as a prefix of a Matryoshka autoencoder."""
    keep: bool
    """Keep the values on the server for `patch`."""

    dtype: Any
    """Numbers are sent as this: "f32" (the default), "f16", "bf16", a dtype of NumPy or torch, or a DataType."""
    max_tokens: int
    """Tokens to generate, so that there are steps beyond the prompt."""
    max_bytes: int
    """Most bytes of all activations together; 0: what the server allows."""


class AttributeOptions(ScoreOptions, total=False):
    """What `attribute` takes."""

    method: Literal[
        "gradient",
        "gradient_values",
        "gradient_times_input",
        "integrated_gradients",
        "patching",
        "grad_cam",
        "attention_relevance",
        "attention_rollout",
        "attention_flow",
    ]
    """What is made of gradients; "gradient_times_input" by default."""
    points: str | Hook | Iterable[str | Hook]
    """Hooks (`hooks.blocks[:].hook_resid_pre`), names of points, "pixels"; by default what the method looks at."""
    other: str
    """Another answer, which may differ in its last token; its log-probability is taken away."""
    probability: bool
    """The probability of the answer, in place of its logarithm."""
    source: Image | Intervention | Iterable[Intervention]
    """The baseline of integrated gradients, or what patching puts in: another picture under the same question, or
    interventions."""
    steps: int
    """Gradients that are averaged on the way, 1 to 512; of integrated gradients and patching."""


# Names of transformers, vLLM and OpenAI for what has another one here.
_ELSEWHERE = {
    "max_new_tokens": "max_tokens",
    "max_completion_tokens": "max_tokens",
    "max_length": "max_tokens",
    "min_new_tokens": "min_tokens",
    "stop_strings": "stop",
    "logprobs": "top_logprobs",
    "model_name": "model",
    "image": "images",
    "bad_words_ids": "suppress_tokens",
}
_SAMPLING = tuple(field.name for field in pb.Sampling.DESCRIPTOR.fields)


def checked(message: Any, options: Mapping[str, Any], *more: str) -> dict[str, Any]:  # noqa: ANN401
    """Returns options as fields of a message: sampling gathered, a single `stop` in a list, `dtype` as its number.

    Raises TypeError on a name that there is not, with the nearest that there are.
    """
    own = message.DESCRIPTOR.fields_by_name
    sampled = [name for name in _SAMPLING if name in options] if "sampling" in own else []
    known = {*own, *more, *Call.NAMES, *(_SAMPLING if "sampling" in own else ())} - {"prompt", "input", "known"}
    for name in options:
        if name not in known:
            there = _ELSEWHERE.get(name)
            said = f"{name!r} is called {there!r} here" if there in known else nearest(name, known)
            raise TypeError(f"{message.DESCRIPTOR.name}: {said}")
    rest = {name: value for name, value in options.items() if name not in sampled}
    if sampled:
        if "sampling" in rest:
            raise TypeError(f"{sampled[0]}: say it in sampling, or all of it beside")
        given = {name: options[name] for name in sampled}
        rest["sampling"] = build(pb.Sampling, given, "sampling")
    if isinstance(rest.get("stop"), str):
        rest["stop"] = [rest["stop"]]
    if "dtype" in rest and "dtype" in own and own["dtype"].enum_type is not None:
        rest["dtype"] = data_type(rest["dtype"])
    return rest


def request(message: Any, fields: dict[str, Any], options: Mapping[str, object]) -> tuple[Any, Call]:  # noqa: ANN401
    """The request with its options, and what goes with it."""
    rest = checked(message, options, *(("raw", "multi_image") if "text" in fields else ()))
    raw, multi_image = rest.pop("raw", False), rest.pop("multi_image", 0)
    named = {name: rest.pop(name) for name in Call.NAMES if name in rest}
    if "text" in fields:
        fields["prompt"] = prompt(fields.pop("text"), fields.pop("images"), bool(raw), multi_image)
    made = message(**fields, **rest)
    return made, Call.of(named, made)


def attribution(
    text: Asked, answer: str, images: Image | Iterable[Image], options: AttributeOptions
) -> tuple[dict[str, Any], dict[str, Any]]:
    """The fields of an AttributeRequest, and the options that are left."""
    own: dict[str, Any] = dict(options)
    other, probability = own.pop("other", None), own.pop("probability", False)
    if other is not None and probability:
        raise ValueError("probability: that of one answer; with other the difference of log-probabilities is taken")
    if other is not None:
        metric = pb.Metric(logprob_difference=pb.Contrast(answer=answer, other=other))
    else:
        metric = pb.Metric(probability=answer) if probability else pb.Metric(logprob=answer)
    fields: dict[str, Any] = {"text": text, "images": images, "metric": metric}
    known = {"method": own.pop("method", "gradient_times_input"), "points": (), "layers": ()}
    points = own.pop("points", ())
    hooks = [points] if isinstance(points, (str, Hook)) else list(points)
    layers = {hook.layers for hook in hooks if isinstance(hook, Hook) and hook.layers}
    if len(layers) > 1:
        raise ValueError("points: hooks of different layers; name each by itself, or ask for all layers of each")
    known["points"] = [hook.name if isinstance(hook, Hook) else hook for hook in hooks]
    known["layers"] = list(next(iter(layers), ()))
    made = build(pb.AttributeRequest, known, "")
    fields |= {"method": made.method, "points": made.points, "layers": made.layers}
    source = own.pop("source", None)
    if source is not None:
        changes = [source] if isinstance(source, Intervention) else source
        if isinstance(changes, (list, tuple)) and not changes:
            raise ValueError("source: empty; a picture, pictures or interventions are needed")
        if isinstance(changes, (list, tuple)) and all(isinstance(each, Intervention) for each in changes):
            fields["source"] = pb.TraceInput(interventions=changes)
        else:
            fields["source"] = pb.TraceInput(
                prompt=prompt(text, source, bool(own.get("raw")), own.get("multi_image", 0))
            )
    return fields, own


class SweepOptions(GenerateOptions, total=False):
    """What `sweep` takes."""

    continuations: Iterable[str]
    """Score these; without them each variant generates."""
    variants: Iterable[Iterable[Intervention]] | Mapping[str, Iterable[Intervention]]
    """The interventions of each variant, after those of `interventions`; a dict names them."""
    grid: Intervention | Iterable[Intervention]
    """Interventions whose fields `axes` change."""
    axes: Mapping[str, Any]
    """Values, or a dict of labels and values, by what they change: a field of `grid` (its name where one intervention
    has it, or its path, `interventions[0].drop_layers.layers[0]`), "interventions" (one or several for each value),
    "question", "image", "model", or another option of this call. All combinations; the last axis moves fastest."""
    concurrency: int
    """Requests at once where one cannot say all axes; 4 by default."""


# What `capture` takes as a target.
CaptureTargetLike = TargetLike | pb.CaptureTarget


def capture_targets(
    targets: CaptureTargetLike | Iterable[CaptureTargetLike], **reading: object
) -> list[pb.CaptureTarget]:
    """What to capture: messages, or hooks, names of points and targets with reduction, top and others of `reading`."""
    if isinstance(targets, (str, Hook, Target, pb.CaptureTarget)):
        targets = [targets]
    fields = {name: value or None for name, value in reading.items()}
    listed = []
    for place, own in enumerate(targets):
        if isinstance(own, pb.CaptureTarget):
            if any(value is not None for value in fields.values()):
                raise ValueError(f"targets[{place}]: a CaptureTarget says {', '.join(fields)} itself")
            listed.append(own)
        else:
            listed.append(build(pb.CaptureTarget, {"target": target(own), **fields}, f"targets[{place}]"))
    return listed


class Swept:
    """A sweep as its requests, and what its table says."""

    def __init__(self, text: Asked, images: Image | Iterable[Image], options: SweepOptions) -> None:
        """Reads the options of a sweep; what cannot be said raises ValueError."""
        rest: dict[str, Any] = dict(options)
        given, variants, self._axes = rest.pop("grid", ()), rest.pop("variants", ()), dict(rest.pop("axes", {}))
        self.concurrency: int = rest.pop("concurrency", 4)
        self._grid = [given] if isinstance(given, Intervention) else list(given)
        self._fields = {"text": text, "images": images}
        self._options = rest
        if self._grid and not self._axes:
            raise ValueError("grid: axes are needed, which say what differs in it")
        if variants and self._axes:
            raise ValueError("variants: axes say them already; the axis 'interventions' takes a list for each")
        if isinstance(variants, Mapping):
            self._axes, variants = {"variant": variants}, ()
        self._variants = list(variants)
        self.plan: Plan | None = None
        if self._axes:
            request_fields = (pb.GenerateRequest, pb.ScoreRequest, pb.Sampling)
            names = {field.name for message in request_fields for field in message.DESCRIPTOR.fields}
            self.plan = plan(self._axes, self._grid, names - {"prompt", "interventions", "sampling"})
        if "continuations" in rest:
            rest["continuations"] = list(rest["continuations"])
        self.continuations: list[str] = rest.get("continuations", [])

    @property
    def parts(self) -> list[Part]:
        """What each request is about."""
        return [Part({}, {})] if self.plan is None else self.plan.parts

    @property
    def labels(self) -> dict[str, list[Any]]:
        """What stands in the columns of the table."""
        return {} if self.plan is None else self.plan.labels

    def request(self, part: Part) -> tuple[pb.SweepRequest, Call]:
        """The request of a part, and what goes with it."""
        own = {**self._options, **part.options}
        fields = {name: own.pop(name, value) for name, value in self._fields.items()}
        if "continuations" in own:
            score, call = request(pb.ScoreRequest, fields, own)
            asked = pb.SweepRequest(score=score)
        else:
            generate, call = request(pb.GenerateRequest, fields, own)
            asked = pb.SweepRequest(generate=generate)
        for variant in self._variants if self.plan is None else self.plan.variants:
            asked.variants.add(interventions=variant)
        if self.plan is not None and not self.plan.variants:
            asked.grid.interventions.extend(self._grid)
            for axis in self.plan.inner:
                asked.grid.axes.add(field=field_of(axis), numbers=pb.SweepNumbers(values=axis.values))
        call.handles = (*call.handles, *Call.of({}, asked).handles)
        return asked, call


def header(rule: str | bench.CustomRule, variants: Variants, options: Mapping[str, Any]) -> bench.EvaluateHeader:
    """What is done with every question."""
    rules: dict[str, Any] = {"rule": rule} if isinstance(rule, str) else {"custom": rule}
    listed = []
    for name, own in variants.items():
        variant = own if isinstance(own, bench.EvaluateVariant) else bench.EvaluateVariant(interventions=own)
        if variant.name not in ("", name):
            raise ValueError(f"variants: {name!r} holds a variant that is named {variant.name!r}; one name will do")
        listed.append(bench.EvaluateVariant(name=name, interventions=variant.interventions, pictures=variant.pictures))
    return bench.EvaluateHeader(variants=listed, **rules, **checked(bench.EvaluateHeader, options))


def question(asked: Question) -> bench.EvaluateRequest:
    """A sample or a row on its way."""
    if isinstance(asked, bench.Row):
        return bench.EvaluateRequest(row=asked)
    return bench.EvaluateRequest(sample=asked)
