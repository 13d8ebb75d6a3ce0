# Generated from _async/client.py by generate.py; not to be edited.
"""The calls."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Callable, Iterable
from os import PathLike
from typing import Any

import grpc
from typing_extensions import Self, Unpack

from scotoma._sync.runtime import Event, channel, iterate, sleep
from scotoma._sync.stream import Answer, Capture, Evaluation, Sweep, Begun, begin
from scotoma.channel import Pem, Settings
from scotoma.errors import ScotomaError, from_rpc
from scotoma.messages import (
    Asked,
    CallOptions,
    CaptureOptions,
    EvaluateOptions,
    GenerateOptions,
    Image,
    InterveneOptions,
    Question,
    ScoreOptions,
    SweepOptions,
    Variants,
    header,
    image_message,
    question,
    request,
    sweep_request,
)
from scotoma.results import ResultsFile
from scotoma.rows import rows
from scotoma.v1 import benchmark_service_pb2 as bench
from scotoma.v1 import inference_service_pb2 as pb
from scotoma.v1 import model_service_pb2 as models
from scotoma.v1.benchmark_service_pb2_grpc import BenchmarkServiceStub
from scotoma.v1.inference_service_pb2_grpc import InferenceServiceStub
from scotoma.v1.model_service_pb2_grpc import ModelServiceStub
from scotoma.views import Preview


class Client:
    """A connection to a server, such as "127.0.0.1:7878", or with TLS "https://host:port".

    A call that fails raises ScotomaError.
    """

    def __init__(
        self,
        address: str = "127.0.0.1:7878",
        *,
        api_key: str | None = None,
        ca: Pem | None = None,
        cert: Pem | None = None,
        key: Pem | None = None,
        keepalive: float = 30,
        attempts: int = 4,
    ) -> None:
        """Opens a channel; the first call connects.

        `api_key`: the key that the server knows this client by. `ca`: certificates (PEM, or a file) that the server's
        may be signed by, in place of the system's; `cert` and `key`: this client's own, for a server that asks for one.
        `keepalive`: silent seconds after which a connection is asked for a sign of life; after as many again it is
        given up. `attempts`: how often a call is tried whose connection is lost before its first message; after it
        never.
        """
        self._settings = Settings(address, api_key, ca, cert, key, keepalive, attempts)
        self._channel = channel(self._settings)
        self._inference = InferenceServiceStub(self._channel)  # type: ignore[no-untyped-call]
        self._models = ModelServiceStub(self._channel)  # type: ignore[no-untyped-call]
        self._benchmarks = BenchmarkServiceStub(self._channel)  # type: ignore[no-untyped-call]

    def generate(
        self, text: Asked, images: Image | Iterable[Image] = (), **options: Unpack[GenerateOptions]
    ) -> Answer:
        """Streams an answer about one picture, several or none.

        `text` is the user's words, or a conversation: messages {"role", "content"} as transformers and OpenAI write
        them, pictures as parts {"type": "image", "image": ...}. A last message of the assistant is continued.
        """
        asked = request(pb.GenerateRequest, {"text": text, "images": images}, options)
        return Answer(self._begin(self._inference.Generate, *asked))

    def score(
        self,
        text: Asked,
        continuations: Iterable[str],
        images: Image | Iterable[Image] = (),
        **options: Unpack[ScoreOptions],
    ) -> pb.ScoreResponse:
        """The likelihood of each continuation; `best` is the one with the highest mean log-probability."""
        fields = {"text": text, "images": images, "continuations": continuations}
        response: pb.ScoreResponse = self._call(self._inference.Score, *request(pb.ScoreRequest, fields, options))
        return response

    def preview(self, image: Image, **options: Unpack[InterveneOptions]) -> Preview:
        """The picture as the model will see it, and its patch grid."""
        asked = request(pb.PreviewRequest, {"image": image_message(image)}, options)
        return Preview(self._call(self._inference.Preview, *asked))

    def capture(
        self,
        text: Asked,
        targets: Iterable[pb.CaptureTarget],
        images: Image | Iterable[Image] = (),
        **options: Unpack[CaptureOptions],
    ) -> Capture:
        """Activations at hook points, as arrays, as they come."""
        fields = {"text": text, "images": images, "targets": targets}
        asked, timeout = request(pb.CaptureRequest, fields, options)
        return Capture(self._begin(self._inference.Capture, asked, timeout), asked.dtype)

    def sweep(
        self, text: Asked, images: Image | Iterable[Image] = (), **options: Unpack[SweepOptions]
    ) -> Sweep:
        """One input under many variants, results as they are done."""
        axes = {name: list(values) for name, values in options.get("axes", {}).items()}
        if axes:
            options["axes"] = axes
        return Sweep(self._begin(self._inference.Sweep, *sweep_request(text, images, options)), axes)

    def evaluate(
        self,
        rule: str | bench.CustomRule,
        questions: Iterable[Question] | Iterable[Question] | str | PathLike[str],
        *,
        variants: Variants | None = None,
        results: str | PathLike[str] | None = None,
        known: Iterable[bench.SampleResult] = (),
        progress: bool = False,
        timeout: float | None = None,
        **options: Unpack[EvaluateOptions],
    ) -> Evaluation:
        """A benchmark: questions are taken as fast as the server answers.

        `questions` are samples, rows, or the path of a table (.tsv, .csv, .parquet) or manifest (.jsonl). With
        `results`, a file, results are written down as they come, and a run that finds them there goes on where it
        ended, with the seeds that were drawn. `known` are results from elsewhere that are counted and not computed
        again. `progress` shows a bar.
        """
        asked = header(rule, variants or {}, options)
        data = questions if isinstance(questions, (str, PathLike)) else None
        file = None if results is None else ResultsFile(results, asked, data)
        earlier = [*known, *([] if file is None else file.known)]
        first = asked if file is None else file.header
        source = rows(questions) if isinstance(questions, (str, PathLike)) else questions
        if progress:
            from tqdm.auto import tqdm

            source = tqdm(iterate(source), desc=rule if isinstance(rule, str) else "custom", unit=" questions")
        broken: list[Exception] = []
        # Of each try the last is the one that counts.
        tries: list[Event] = []

        def requests(begun: Event) -> Iterator[bench.EvaluateRequest]:
            # The header goes alone, so that it can go again; questions are asked for once the run has begun.
            yield bench.EvaluateRequest(header=first)
            begun.wait()
            if begun is not tries[-1]:
                return
            for result in earlier:
                yield bench.EvaluateRequest(known=result)
            try:
                for one in iterate(source):
                    yield question(one)
            except Exception as error:  # (raised again where results are read)
                broken.append(error)

        def another() -> Event:
            tries.append(Event())
            for other in tries[:-1]:
                other.set()
            return tries[-1]

        def send(left: float | None) -> Begun:
            asking = requests(another())
            return begin(self._benchmarks.Evaluate(asking, timeout=left, metadata=self._settings.metadata))

        try:
            evaluation = Evaluation(self._retried(send, timeout), earlier, file, broken)
            if file is not None:
                file.begun(evaluation.started)
        except Exception:
            another()
            if file is not None:
                file.close()
            raise
        tries[-1].set()
        return evaluation

    def describe(self, *, timeout: float | None = None) -> list[bench.RuleInfo]:
        """The rule sets that the server knows."""
        response = self._call(self._benchmarks.Describe, bench.DescribeRequest(), timeout)
        return list(response.rules)

    def upload_image(self, image: Image, *, timeout: float | None = None) -> pb.Image:
        """Keeps a picture on the server; what comes back stands for it in later calls."""
        asked = pb.UploadImageRequest(data=image_message(image).data)
        response = self._call(self._inference.UploadImage, asked, timeout)
        return pb.Image(handle=response.handle)

    def verify(
        self, provenance: pb.Provenance, images: Iterable[Image] = (), *, timeout: float | None = None
    ) -> pb.VerifyResponse:
        """Runs a recorded answer again: `agrees`, or which stage differs first."""
        asked = pb.VerifyRequest(provenance=provenance, images=[image_message(i) for i in images])
        response: pb.VerifyResponse = self._call(self._inference.Verify, asked, timeout)
        return response

    def list_models(self, *, timeout: float | None = None) -> list[models.ModelInfo]:
        """The resident models in the order of loading."""
        response = self._call(self._models.ListModels, models.ListModelsRequest(), timeout)
        return list(response.models)

    def get_model(self, **options: Unpack[CallOptions]) -> models.ModelInfo:
        """One resident model."""
        asked = request(models.GetModelRequest, {}, options)
        response: models.GetModelResponse = self._call(self._models.GetModel, *asked)
        return response.model

    def list_hook_points(self, **options: Unpack[CallOptions]) -> list[models.HookPoint]:
        """The named places in a model's forward pass, in data-path order."""
        asked = request(models.ListHookPointsRequest, {}, options)
        response = self._call(self._models.ListHookPoints, *asked)
        return list(response.hook_points)

    def load_model(
        self,
        place: str,
        *,
        name: str = "",
        dtype: str = "",
        device: str = "",
        adapter: str = "",
        timeout: float | None = None,
    ) -> Iterator[models.LoadModelResponse]:
        """Makes a model resident: progress, then the model. `place`: a folder of the server, a hub id, or "shapes";
        `adapter`: a LoRA adapter, so named, that is merged into its weights."""
        asked = models.LoadModelRequest(name=name, place=place, dtype=dtype, device=device, adapter=adapter)
        return (self._begin(self._models.LoadModel, asked, timeout)).all()

    def unload_model(self, model: str, *, timeout: float | None = None) -> int:
        """Takes a model away, waits for the requests that run on it, and returns the bytes that became free."""
        response = self._call(self._models.UnloadModel, models.UnloadModelRequest(model=model), timeout)
        freed: int = response.freed_bytes
        return freed

    def load_projector(self, name: str, file: str, **options: Unpack[CallOptions]) -> models.ModelInfo:
        """Makes the projector in a file of the server resident under `name`."""
        asked = request(models.LoadProjectorRequest, {"name": name, "file": file}, options)
        response: models.LoadProjectorResponse = self._call(self._models.LoadProjector, *asked)
        return response.model

    def check_parity(self, **options: Unpack[CallOptions]) -> Iterator[models.CheckParityResponse]:
        """Runs the golden set of a model: cases as they are compared, then the report."""
        return (self._begin(self._models.CheckParity, *request(models.CheckParityRequest, {}, options))).all()

    def close(self) -> None:
        """Ends the connection and every call on it."""
        self._channel.close()

    def __enter__(self) -> Self:
        """Closes on leaving the block."""
        return self

    def __exit__(self, *_: object) -> None:
        """Closes."""
        self.close()

    def _retried(self, send: Callable[[float | None], Any], timeout: float | None) -> Any:  # noqa: ANN401
        """Sends a call until it is answered, is refused for good, or the attempts or the time are used up."""
        until = None if timeout is None else time.monotonic() + timeout
        attempt = 1
        while True:
            left = None if until is None else max(until - time.monotonic(), 0)
            try:
                return send(left)
            except ScotomaError as error:
                wait = self._settings.wait(error, attempt, left)
                if wait is None:
                    raise
            sleep(wait)
            attempt += 1

    def _begin(self, method: Any, asked: Any, timeout: float | None) -> Begun:  # noqa: ANN401 (stubs are untyped)
        def send(left: float | None) -> Begun:
            return begin(method(asked, timeout=left, metadata=self._settings.metadata))

        begun: Begun = self._retried(send, timeout)
        return begun

    def _call(self, method: Any, asked: Any, timeout: float | None) -> Any:  # noqa: ANN401
        def send(left: float | None) -> Any:  # noqa: ANN401
            try:
                return method(asked, timeout=left, metadata=self._settings.metadata)
            except grpc.RpcError as error:
                raise from_rpc(error) from None

        return self._retried(send, timeout)
