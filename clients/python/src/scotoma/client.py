"""The calls, for threads (`Client`) and for asyncio (`AsyncClient`)."""

from __future__ import annotations

import io
import os
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict, Union

import grpc
from typing_extensions import Self, Unpack

from scotoma.errors import from_rpc
from scotoma.stream import Activation, Answer, AsyncAnswer, _Whole
from scotoma.v1 import benchmark_service_pb2 as bench
from scotoma.v1 import inference_service_pb2 as pb
from scotoma.v1 import model_service_pb2 as models
from scotoma.v1.benchmark_service_pb2_grpc import BenchmarkServiceStub
from scotoma.v1.inference_service_pb2_grpc import InferenceServiceStub
from scotoma.v1.intervention_pb2 import Intervention
from scotoma.v1.model_service_pb2_grpc import ModelServiceStub

if TYPE_CHECKING:
    import PIL.Image

# A picture: the bytes of a PNG, JPEG or WebP, a path to one, a Pillow image, or what `upload_image` returned.
Image = Union[bytes, str, "os.PathLike[str]", "PIL.Image.Image", pb.Image]

# Variants of `evaluate` by name: interventions, or an EvaluateVariant where they show other pictures.
Variants = Mapping[str, "Iterable[Intervention] | bench.EvaluateVariant"]

_MAX_MESSAGE_BYTES = 64 << 20
_OPTIONS = [("grpc.max_receive_message_length", _MAX_MESSAGE_BYTES), ("grpc.max_send_message_length", -1)]


def _image(image: Image) -> pb.Image:
    if isinstance(image, pb.Image):
        return image
    if isinstance(image, bytes):
        return pb.Image(data=image)
    if isinstance(image, (str, os.PathLike)):
        return pb.Image(data=Path(image).read_bytes())
    png = io.BytesIO()
    image.save(png, "PNG")
    return pb.Image(data=png.getvalue())


def _prompt(text: str, images: Image | Iterable[Image], raw: bool) -> pb.Prompt:
    single = isinstance(images, (bytes, str, os.PathLike, pb.Image)) or hasattr(images, "save")
    many = [images] if single else images
    return pb.Prompt(text=text, images=[_image(i) for i in many], raw=raw)  # type: ignore[arg-type,union-attr]


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
    others = {n: bench.Pictures(images=_prompt("", p, False).images) for n, p in (substitutes or {}).items()}
    return bench.Sample(
        substitutes=others,
        id=id,
        question=question,
        images=_prompt("", images, False).images,
        options=options,
        answer=answer,
        category=category,
        group=group,
        hint=hint,
        fields=fields,
    )


def _evaluate(
    rule: str | bench.CustomRule,
    samples: Iterable[bench.Sample],
    variants: Variants,
    known: Iterable[bench.SampleResult],
    header: Mapping[str, Any],
) -> Iterator[bench.EvaluateRequest]:
    rules: dict[str, Any] = {"rule": rule} if isinstance(rule, str) else {"custom": rule}
    listed = []
    for name, own in variants.items():
        variant = own if isinstance(own, bench.EvaluateVariant) else bench.EvaluateVariant(interventions=own)
        listed.append(bench.EvaluateVariant(name=name, interventions=variant.interventions, pictures=variant.pictures))
    yield bench.EvaluateRequest(header=bench.EvaluateHeader(variants=listed, **rules, **header))
    yield from (bench.EvaluateRequest(known=result) for result in known)
    yield from (bench.EvaluateRequest(sample=s) for s in samples)


class CallOptions(TypedDict, total=False):
    """What every call takes."""

    model: str
    """Name of a resident model; the first one by default."""
    timeout: float | None
    """Seconds until the call ends with DEADLINE_EXCEEDED; None: no limit."""


class EvaluateOptions(TypedDict, total=False):
    """What evaluate takes."""

    model: str
    """Name of a resident model; the first one by default."""
    answering: bench.Answering
    """How answers come about: by generation unless this says otherwise."""
    max_tokens: int
    """At most this many tokens in an answer; what the rule says by default."""
    progress_every: int
    """A progress message after this many results; 100 by default."""


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


class GenerateOptions(ScoreOptions, total=False):
    """What `generate` takes."""

    max_tokens: int
    """At most this many tokens; 0: 256, or what the context leaves."""
    sampling: pb.Sampling
    """How tokens are chosen; greedy by default."""
    stop: Iterable[str]
    """The answer ends before the first of these."""
    top_logprobs: int
    """Log-probabilities of this many likeliest tokens with each token."""


class CaptureOptions(ScoreOptions, total=False):
    """What `capture` takes."""

    dtype: int
    """Numbers are sent as this, a scotoma.v1 DataType; f32 by default."""
    max_tokens: int
    """Tokens to generate, so that there are steps beyond the prompt."""
    max_bytes: int
    """Most bytes of all activations together; 0: what the server allows."""


def _request(message: Any, fields: dict[str, Any], options: Mapping[str, object]) -> tuple[Any, Any]:  # noqa: ANN401
    """The request with its options, and the timeout."""
    rest = dict(options)
    timeout, raw = rest.pop("timeout", None), rest.pop("raw", False)
    if "text" in fields:
        fields["prompt"] = _prompt(fields.pop("text"), fields.pop("images"), bool(raw))
    return message(**fields, **rest), timeout


class SweepOptions(GenerateOptions, total=False):
    """What `sweep` takes."""

    continuations: Iterable[str]
    """Score these; without them each variant generates."""
    variants: Iterable[Iterable[Intervention]]
    """The interventions of each variant, after those of `interventions`."""
    grid: Iterable[Intervention]
    """Instead of `variants`: interventions whose fields `axes` change."""
    axes: Mapping[str, Iterable[float]]
    """Values by field, as in `interventions[0].drop_layers.layers[0]`; all combinations, the last axis fastest."""


def _sweep(text: str, images: Image | Iterable[Image], options: SweepOptions) -> tuple[pb.SweepRequest, float | None]:
    rest: dict[str, Any] = dict(options)
    variants, grid, axes = rest.pop("variants", ()), rest.pop("grid", ()), rest.pop("axes", {})
    fields = {"text": text, "images": images}
    if "continuations" in rest:
        score, timeout = _request(pb.ScoreRequest, fields, rest)
        request = pb.SweepRequest(score=score)
    else:
        generate, timeout = _request(pb.GenerateRequest, fields, rest)
        request = pb.SweepRequest(generate=generate)
    for variant in variants:
        request.variants.add(interventions=variant)
    if axes:
        request.grid.interventions.extend(grid)
        for field, values in axes.items():
            request.grid.axes.add(field=field, numbers=pb.SweepNumbers(values=values))
    return request, timeout


def _result(event: pb.SweepResponse) -> pb.SweepResult | None:
    return event.result if event.HasField("result") else None


def _target(address: str) -> str:
    return address.removeprefix("http://")


class Client:
    """A connection to a server, such as "127.0.0.1:7878"; safe to share between threads.

    A call that fails raises ScotomaError.
    """

    def __init__(self, address: str = "127.0.0.1:7878") -> None:
        """Opens a channel; the first call connects."""
        self._channel = grpc.insecure_channel(_target(address), options=_OPTIONS)
        self._inference = InferenceServiceStub(self._channel)  # type: ignore[no-untyped-call]
        self._models = ModelServiceStub(self._channel)  # type: ignore[no-untyped-call]
        self._benchmarks = BenchmarkServiceStub(self._channel)  # type: ignore[no-untyped-call]

    def generate(self, text: str, images: Image | Iterable[Image] = (), **options: Unpack[GenerateOptions]) -> Answer:
        """Streams an answer about one picture, several or none."""
        request, timeout = _request(pb.GenerateRequest, {"text": text, "images": images}, options)
        return Answer(self._inference.Generate(request, timeout=timeout))

    def score(
        self,
        text: str,
        continuations: Iterable[str],
        images: Image | Iterable[Image] = (),
        **options: Unpack[ScoreOptions],
    ) -> pb.ScoreResponse:
        """The likelihood of each continuation; `best` is the one with the highest mean log-probability."""
        fields = {"text": text, "images": images, "continuations": continuations}
        response: pb.ScoreResponse = self._call(self._inference.Score, *_request(pb.ScoreRequest, fields, options))
        return response

    def preview(self, image: Image, **options: Unpack[InterveneOptions]) -> pb.PreviewResponse:
        """The picture as the model will see it, as PNG, and its patch grid."""
        request = _request(pb.PreviewRequest, {"image": _image(image)}, options)
        response: pb.PreviewResponse = self._call(self._inference.Preview, *request)
        return response

    def capture(
        self,
        text: str,
        targets: Iterable[pb.CaptureTarget],
        images: Image | Iterable[Image] = (),
        **options: Unpack[CaptureOptions],
    ) -> Iterator[Activation]:
        """Activations at hook points as they come; leaving the loop cancels."""
        fields = {"text": text, "images": images, "targets": targets}
        request, timeout = _request(pb.CaptureRequest, fields, options)
        call, whole = self._inference.Capture(request, timeout=timeout), _Whole()
        try:
            for event in call:
                if (activation := whole.take(event)) is not None:
                    yield activation
        except grpc.RpcError as error:
            raise from_rpc(error) from None
        finally:
            call.cancel()

    def sweep(
        self, text: str, images: Image | Iterable[Image] = (), **options: Unpack[SweepOptions]
    ) -> Iterator[pb.SweepResult]:
        """One input under many variants, results as they are done; leaving the loop cancels."""
        request, timeout = _sweep(text, images, options)
        call = self._inference.Sweep(request, timeout=timeout)
        try:
            for event in call:
                if (result := _result(event)) is not None:
                    yield result
        except grpc.RpcError as error:
            raise from_rpc(error) from None
        finally:
            call.cancel()

    def evaluate(
        self,
        rule: str | bench.CustomRule,
        samples: Iterable[bench.Sample],
        *,
        variants: Variants | None = None,
        known: Iterable[bench.SampleResult] = (),
        timeout: float | None = None,
        **header: Unpack[EvaluateOptions],
    ) -> Iterator[bench.EvaluateResponse]:
        """A benchmark: samples are taken as fast as the server answers; a `result` for each, `finished` with metrics
        last. `known` results of an earlier run are counted and not computed again. Leaving the loop cancels."""
        requests = _evaluate(rule, samples, variants or {}, known, header)
        call = self._benchmarks.Evaluate(requests, timeout=timeout)
        try:
            yield from call
        except grpc.RpcError as error:
            raise from_rpc(error) from None
        finally:
            call.cancel()

    def upload_image(self, image: Image, *, timeout: float | None = None) -> pb.Image:
        """Keeps a picture on the server; what comes back stands for it in later calls."""
        response = self._call(self._inference.UploadImage, pb.UploadImageRequest(data=_image(image).data), timeout)
        return pb.Image(handle=response.handle)

    def verify(
        self, provenance: pb.Provenance, images: Iterable[Image] = (), *, timeout: float | None = None
    ) -> pb.VerifyResponse:
        """Runs a recorded answer again: `agrees`, or which stage differs first."""
        request = pb.VerifyRequest(provenance=provenance, images=[_image(i) for i in images])
        response: pb.VerifyResponse = self._call(self._inference.Verify, request, timeout)
        return response

    def list_models(self, *, timeout: float | None = None) -> list[models.ModelInfo]:
        """The resident models in the order of loading."""
        response = self._call(self._models.ListModels, models.ListModelsRequest(), timeout)
        return list(response.models)

    def get_model(self, **options: Unpack[CallOptions]) -> models.ModelInfo:
        """One resident model."""
        response: models.GetModelResponse = self._call(
            self._models.GetModel, *_request(models.GetModelRequest, {}, options)
        )
        return response.model

    def list_hook_points(self, **options: Unpack[CallOptions]) -> list[models.HookPoint]:
        """The named places in a model's forward pass, in data-path order."""
        request = _request(models.ListHookPointsRequest, {}, options)
        response = self._call(self._models.ListHookPoints, *request)
        return list(response.hook_points)

    def load_model(
        self, place: str, *, name: str = "", dtype: str = "", device: str = "", timeout: float | None = None
    ) -> Iterator[models.LoadModelResponse]:
        """Makes a model resident: progress, then the model. `place`: a folder of the server, a hub id, or "shapes"."""
        request = models.LoadModelRequest(name=name, place=place, dtype=dtype, device=device)
        call = self._models.LoadModel(request, timeout=timeout)
        try:
            yield from call
        except grpc.RpcError as error:
            raise from_rpc(error) from None

    def unload_model(self, model: str, *, timeout: float | None = None) -> int:
        """Takes a model away, waits for the requests that run on it, and returns the bytes that became free."""
        response = self._call(self._models.UnloadModel, models.UnloadModelRequest(model=model), timeout)
        freed: int = response.freed_bytes
        return freed

    def load_projector(self, name: str, file: str, **options: Unpack[CallOptions]) -> models.ModelInfo:
        """Makes the projector in a file of the server resident under `name`."""
        request = _request(models.LoadProjectorRequest, {"name": name, "file": file}, options)
        response: models.LoadProjectorResponse = self._call(self._models.LoadProjector, *request)
        return response.model

    def check_parity(self, **options: Unpack[CallOptions]) -> Iterator[models.CheckParityResponse]:
        """Runs the golden set of a model: cases as they are compared, then the report."""
        request, timeout = _request(models.CheckParityRequest, {}, options)
        try:
            yield from self._models.CheckParity(request, timeout=timeout)
        except grpc.RpcError as error:
            raise from_rpc(error) from None

    def close(self) -> None:
        """Ends the connection and every call on it."""
        self._channel.close()

    def __enter__(self) -> Self:
        """Closes on leaving the block."""
        return self

    def __exit__(self, *_: object) -> None:
        """Closes."""
        self.close()

    @staticmethod
    def _call(method: Any, request: object, timeout: float | None) -> Any:  # noqa: ANN401 (stubs are untyped)
        try:
            return method(request, timeout=timeout)
        except grpc.RpcError as error:
            raise from_rpc(error) from None


class AsyncClient:
    """The same calls for asyncio."""

    def __init__(self, address: str = "127.0.0.1:7878") -> None:
        """Opens a channel; the first call connects. To be made inside a running event loop."""
        self._channel = grpc.aio.insecure_channel(_target(address), options=_OPTIONS)
        self._inference = InferenceServiceStub(self._channel)  # type: ignore[no-untyped-call]
        self._models = ModelServiceStub(self._channel)  # type: ignore[no-untyped-call]
        self._benchmarks = BenchmarkServiceStub(self._channel)  # type: ignore[no-untyped-call]

    async def generate(
        self, text: str, images: Image | Iterable[Image] = (), **options: Unpack[GenerateOptions]
    ) -> AsyncAnswer:
        """Streams an answer about one picture, several or none."""
        request, timeout = _request(pb.GenerateRequest, {"text": text, "images": images}, options)
        return await AsyncAnswer(self._inference.Generate(request, timeout=timeout))._begin()

    async def score(
        self,
        text: str,
        continuations: Iterable[str],
        images: Image | Iterable[Image] = (),
        **options: Unpack[ScoreOptions],
    ) -> pb.ScoreResponse:
        """The likelihood of each continuation; `best` is the one with the highest mean log-probability."""
        fields = {"text": text, "images": images, "continuations": continuations}
        response: pb.ScoreResponse = await self._call(
            self._inference.Score, *_request(pb.ScoreRequest, fields, options)
        )
        return response

    async def preview(self, image: Image, **options: Unpack[InterveneOptions]) -> pb.PreviewResponse:
        """The picture as the model will see it, as PNG, and its patch grid."""
        request = _request(pb.PreviewRequest, {"image": _image(image)}, options)
        response: pb.PreviewResponse = await self._call(self._inference.Preview, *request)
        return response

    async def capture(
        self,
        text: str,
        targets: Iterable[pb.CaptureTarget],
        images: Image | Iterable[Image] = (),
        **options: Unpack[CaptureOptions],
    ) -> AsyncIterator[Activation]:
        """Activations at hook points as they come; leaving the loop cancels."""
        fields = {"text": text, "images": images, "targets": targets}
        request, timeout = _request(pb.CaptureRequest, fields, options)
        call, whole = self._inference.Capture(request, timeout=timeout), _Whole()
        try:
            async for event in call:
                if (activation := whole.take(event)) is not None:
                    yield activation
        except grpc.RpcError as error:
            raise from_rpc(error) from None
        finally:
            call.cancel()

    async def sweep(
        self, text: str, images: Image | Iterable[Image] = (), **options: Unpack[SweepOptions]
    ) -> AsyncIterator[pb.SweepResult]:
        """One input under many variants, results as they are done; leaving the loop cancels."""
        request, timeout = _sweep(text, images, options)
        call = self._inference.Sweep(request, timeout=timeout)
        try:
            async for event in call:
                if (result := _result(event)) is not None:
                    yield result
        except grpc.RpcError as error:
            raise from_rpc(error) from None
        finally:
            call.cancel()

    async def evaluate(
        self,
        rule: str | bench.CustomRule,
        samples: Iterable[bench.Sample],
        *,
        variants: Variants | None = None,
        known: Iterable[bench.SampleResult] = (),
        timeout: float | None = None,
        **header: Unpack[EvaluateOptions],
    ) -> AsyncIterator[bench.EvaluateResponse]:
        """A benchmark: samples are taken as fast as the server answers; a `result` for each, `finished` with metrics
        last. `known` results of an earlier run are counted and not computed again. Leaving the loop cancels."""
        requests = _evaluate(rule, samples, variants or {}, known, header)
        call = self._benchmarks.Evaluate(requests, timeout=timeout)
        try:
            async for response in call:
                yield response
        except grpc.RpcError as error:
            raise from_rpc(error) from None
        finally:
            call.cancel()

    async def upload_image(self, image: Image, *, timeout: float | None = None) -> pb.Image:
        """Keeps a picture on the server; what comes back stands for it in later calls."""
        request = pb.UploadImageRequest(data=_image(image).data)
        response = await self._call(self._inference.UploadImage, request, timeout)
        return pb.Image(handle=response.handle)

    async def verify(
        self, provenance: pb.Provenance, images: Iterable[Image] = (), *, timeout: float | None = None
    ) -> pb.VerifyResponse:
        """Runs a recorded answer again: `agrees`, or which stage differs first."""
        request = pb.VerifyRequest(provenance=provenance, images=[_image(i) for i in images])
        response: pb.VerifyResponse = await self._call(self._inference.Verify, request, timeout)
        return response

    async def list_models(self, *, timeout: float | None = None) -> list[models.ModelInfo]:
        """The resident models in the order of loading."""
        response = await self._call(self._models.ListModels, models.ListModelsRequest(), timeout)
        return list(response.models)

    async def get_model(self, **options: Unpack[CallOptions]) -> models.ModelInfo:
        """One resident model."""
        response: models.GetModelResponse = await self._call(
            self._models.GetModel, *_request(models.GetModelRequest, {}, options)
        )
        return response.model

    async def list_hook_points(self, **options: Unpack[CallOptions]) -> list[models.HookPoint]:
        """The named places in a model's forward pass, in data-path order."""
        request = _request(models.ListHookPointsRequest, {}, options)
        response = await self._call(self._models.ListHookPoints, *request)
        return list(response.hook_points)

    async def load_model(
        self, place: str, *, name: str = "", dtype: str = "", device: str = "", timeout: float | None = None
    ) -> AsyncIterator[models.LoadModelResponse]:
        """Makes a model resident: progress, then the model. `place`: a folder of the server, a hub id, or "shapes"."""
        request = models.LoadModelRequest(name=name, place=place, dtype=dtype, device=device)
        call = self._models.LoadModel(request, timeout=timeout)
        try:
            async for response in call:
                yield response
        except grpc.RpcError as error:
            raise from_rpc(error) from None

    async def unload_model(self, model: str, *, timeout: float | None = None) -> int:
        """Takes a model away, waits for the requests that run on it, and returns the bytes that became free."""
        response = await self._call(self._models.UnloadModel, models.UnloadModelRequest(model=model), timeout)
        freed: int = response.freed_bytes
        return freed

    async def load_projector(self, name: str, file: str, **options: Unpack[CallOptions]) -> models.ModelInfo:
        """Makes the projector in a file of the server resident under `name`."""
        request = _request(models.LoadProjectorRequest, {"name": name, "file": file}, options)
        response: models.LoadProjectorResponse = await self._call(self._models.LoadProjector, *request)
        return response.model

    async def check_parity(self, **options: Unpack[CallOptions]) -> AsyncIterator[models.CheckParityResponse]:
        """Runs the golden set of a model: cases as they are compared, then the report."""
        request, timeout = _request(models.CheckParityRequest, {}, options)
        try:
            async for response in self._models.CheckParity(request, timeout=timeout):
                yield response
        except grpc.RpcError as error:
            raise from_rpc(error) from None

    async def close(self) -> None:
        """Ends the connection and every call on it."""
        await self._channel.close()

    async def __aenter__(self) -> Self:
        """Closes on leaving the block."""
        return self

    async def __aexit__(self, *_: object) -> None:
        """Closes."""
        await self.close()

    @staticmethod
    async def _call(method: Any, request: object, timeout: float | None) -> Any:  # noqa: ANN401 (stubs are untyped)
        try:
            return await method(request, timeout=timeout)
        except grpc.RpcError as error:
            raise from_rpc(error) from None
