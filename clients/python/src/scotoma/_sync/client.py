# Generated from _async/client.py by generate.py; not to be edited.
"""The calls."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Iterable, Sequence
from os import PathLike
from typing import Any

import numpy as np
import numpy.typing as npt
from typing_extensions import Self, Unpack

from scotoma._sync.run import Run
from scotoma._sync.runtime import iterate, ordered
from scotoma._sync.servers import Servers
from scotoma._sync.stream import Answer, Attribution, Capture, Evaluation, Sweep, Trace
from scotoma._sync.sweeps import Sweeps
from scotoma.calls import Call
from scotoma.channel import Pem, Settings
from scotoma.features import MOST_ACTIVE, FeatureTable, picture_names
from scotoma.messages import (
    Asked,
    AttributeOptions,
    CallOptions,
    CallSettings,
    CaptureOptions,
    CaptureTargetLike,
    EvaluateOptions,
    GenerateOptions,
    Image,
    InterveneOptions,
    Question,
    ScoreOptions,
    SweepOptions,
    Swept,
    Variants,
    attribution,
    capture_targets,
    header,
    image_message,
    prompt,
    request,
)
from scotoma.results import ResultsFile
from scotoma.rows import rows
from scotoma.selectors import TargetLike
from scotoma.studies import Item, Mean, Stack, TraceOptions, asked_of, trace_request
from scotoma.v1 import benchmark_service_pb2 as bench
from scotoma.v1 import inference_service_pb2 as pb
from scotoma.v1 import model_service_pb2 as models
from scotoma.v1.intervention_pb2 import Intervention
from scotoma.views import Activation, Patching, Preview


def bar(items: Iterable[Item] | Iterable[Item], name: str, progress: bool) -> Any:  # noqa: ANN401 (tqdm's)
    """The items, with a bar of them where `progress` is set."""
    if not progress:
        return items
    from tqdm.auto import tqdm

    return tqdm(iterate(items), desc=name, unit=" items")


class Client:
    """A connection to a server, such as "127.0.0.1:7878", or with TLS "https://host:port".

    A call that fails raises ScotomaError.
    """

    def __init__(
        self,
        address: str | Iterable[str] = "127.0.0.1:7878",
        *,
        api_key: str | None = None,
        ca: Pem | None = None,
        cert: Pem | None = None,
        key: Pem | None = None,
        keepalive: float = 30,
        patience: float = 60,
    ) -> None:
        """Opens a channel to each server; the first call connects.

        `address`: of a server, or a list of those that answer the same: calls about one picture go to one of them, and
        to another where it is lost. `api_key`: the key that the server knows this client by. `ca`: certificates (PEM,
        or a file) that the server's may be signed by, in place of the system's; `cert` and `key`: this client's own,
        for a server that asks for one. `keepalive`: silent seconds after which a connection is asked for a sign of
        life; after as many again it is given up. `patience`: for how many seconds a call waits for a server that is
        lost before the call's first message, or that goes down; 0: not at all. After its first message a call is never
        tried again, but a benchmark goes on with what is not answered.
        """
        addresses = (address,) if isinstance(address, str) else tuple(address)
        self._servers = Servers(Settings(addresses, api_key, ca, cert, key, keepalive, patience))

    def generate(
        self, text: Asked, images: Image | Iterable[Image] = (), **options: Unpack[GenerateOptions]
    ) -> Answer:
        """Streams an answer about one picture, several or none.

        `text` is the user's words, or a conversation: messages {"role", "content"} as transformers and OpenAI write
        them, pictures as parts {"type": "image", "image": ...}. A last message of the assistant is continued.
        """
        asked = request(pb.GenerateRequest, {"text": text, "images": images}, options)
        return Answer(self._servers.begin("inference.Generate", *asked))

    def score(
        self,
        text: Asked,
        continuations: Iterable[str],
        images: Image | Iterable[Image] = (),
        **options: Unpack[ScoreOptions],
    ) -> pb.ScoreResponse:
        """The likelihood of each continuation; `best` is the one with the highest mean log-probability."""
        fields = {"text": text, "images": images, "continuations": continuations}
        response: pb.ScoreResponse = self._servers.unary(
            "inference.Score", *request(pb.ScoreRequest, fields, options)
        )
        return response

    def preview(self, image: Image, **options: Unpack[InterveneOptions]) -> Preview:
        """The picture as the model will see it, and its patch grid."""
        asked = request(pb.PreviewRequest, {"image": image_message(image)}, options)
        return Preview(self._servers.unary("inference.Preview", *asked))

    def capture(
        self,
        text: Asked,
        targets: CaptureTargetLike | Iterable[CaptureTargetLike],
        images: Image | Iterable[Image] = (),
        **options: Unpack[CaptureOptions],
    ) -> Capture:
        """Activations at hook points, as arrays, as they come.

        A target is a hook (`hooks.blocks[:].attn.pattern.at(tokens.last)`), the name of a point, a Target, or a
        CaptureTarget; `reduction`, `top`, `keep`, `sae`, `prefix` and `lens` are for all but the last.
        """
        own: dict[str, Any] = dict(options)
        said = {name: own.pop(name, None) for name in ("reduction", "top", "keep", "sae", "prefix", "lens")}
        fields = {"text": text, "images": images, "targets": capture_targets(targets, **said)}
        asked, call = request(pb.CaptureRequest, fields, own)
        begun = self._servers.begin("inference.Capture", asked, call)
        return Capture(begun, asked.dtype, self._servers.uploaded)

    def attribute(
        self,
        text: Asked,
        answer: str,
        images: Image | Iterable[Image] = (),
        **options: Unpack[AttributeOptions],
    ) -> Attribution:
        """How much each row of a run matters for an answer, by its gradient: an array for each point, rows first.

        What gradients are taken of is the log-probability of `answer`; less that of `other`, where that is said.
        """
        asked, call = request(pb.AttributeRequest, *attribution(text, answer, images, options))
        return Attribution(self._servers.begin("inference.Attribute", asked, call))

    def sweep(
        self, text: Asked, images: Image | Iterable[Image] = (), **options: Unpack[SweepOptions]
    ) -> Sweep:
        """One input under many variants, results as they are done.

        `variants` lists them; `axes` vary anything: fields of the interventions of `grid`, the interventions, the
        question, the picture, the model, an option. What variants have in common is computed once within a request;
        what no request can vary is asked in several, a few at once.
        """
        swept = Swept(text, images, options)
        if len(swept.parts) == 1:
            begun = self._servers.begin("inference.Sweep", *swept.request(swept.parts[0]))
        else:
            begun = Sweeps(self._servers, swept).begin()
        return Sweep(begun, swept.labels, swept.continuations)

    def mean_activation(
        self,
        items: Iterable[Item] | Iterable[Item],
        hook: TargetLike,
        text: Asked | None = None,
        *,
        progress: bool = False,
        concurrency: int = 4,
        **options: Unpack[ScoreOptions],
    ) -> npt.NDArray[np.float32]:
        """The mean of a hook point over many inputs, and over the tokens that `hook` names: (width,), or with heads
        (heads, width); of several layers one after the other.

        `items` are pictures, all asked `text`, pairs of a question and its pictures, or samples; they may be any
        number. Means over tokens are taken by the server, `concurrency` at once; the sum is in the items' order.
        """

        mean = Mean()
        for own in self._means(bar(items, "mean activation", progress), hook, text, concurrency, options):
            mean.add(own)
        return mean.array()

    def activations(
        self,
        items: Iterable[Item] | Iterable[Item],
        hook: TargetLike,
        text: Asked | None = None,
        *,
        progress: bool = False,
        concurrency: int = 4,
        **options: Unpack[ScoreOptions],
    ) -> dict[str, npt.NDArray[np.float32]]:
        """Activations of many inputs, for probes: by name of the point (of each layer) an array, a row for each item.

        A row is the mean over the tokens that `hook` names. `items` are as for `mean_activation`, one picture each at
        points of the tower and the projector.
        """

        stack = Stack()
        for own in self._means(bar(items, "activations", progress), hook, text, concurrency, options):
            stack.add(own)
        return stack.arrays()

    def _means(
        self,
        items: Iterable[Item] | Iterable[Item],
        hook: TargetLike,
        text: Asked | None,
        concurrency: int,
        options: ScoreOptions,
    ) -> Iterator[list[Activation]]:
        def captured(item: Item) -> list[Activation]:
            asked, images = asked_of(item, text)
            return [own for own in self.capture(asked, hook, images, reduction="mean", **options)]

        return ordered(captured, items, concurrency)

    def top_features(
        self,
        items: Iterable[Item] | Iterable[Item],
        hook: TargetLike,
        text: Asked | None = None,
        *,
        sae: str = "",
        top: int = 10,
        progress: bool = False,
        concurrency: int = 4,
        **options: Unpack[ScoreOptions],
    ) -> FeatureTable:
        """What features of a sparse autoencoder fire on: how often, and the `top` items where each is strongest.

        `items` are as for `mean_activation`; `hook` is where the autoencoder reads, with the tokens that count, such as
        `hooks.blocks[1].hook_resid_post.at(tokens.visual)`. `scotoma features` does the same and makes a page of it.
        """

        def captured(item: Item) -> tuple[list[Activation], list[bytes]]:
            asked, images = asked_of(item, text)
            if isinstance(asked, str):
                # Once: they are named as well as sent.
                images = list(prompt(asked, images, False).images)
            reading: Any = {"reduction": "top_features", "sae": sae or None, "top": MOST_ACTIVE}
            found = [own for own in self.capture(asked, hook, images, **reading, **options)]
            return found, picture_names(images) if isinstance(asked, str) else []

        table = FeatureTable(top)
        for own, names in ordered(captured, bar(items, "features", progress), concurrency):
            table.add(own, names)
        return table

    def trace(
        self,
        clean: Item,
        corrupted: Item | Intervention | Sequence[Intervention],
        answer: str,
        other: str | None = None,
        *,
        text: Asked | None = None,
        **options: Unpack[TraceOptions],
    ) -> Trace:
        """Patches activations of one run into another, place by place: the cells of `patching_grid` as they come."""
        asked, call, name = trace_request(clean, corrupted, answer, other, text, options)
        return Trace(self._servers.begin("inference.Trace", asked, call), name)

    def patching_grid(
        self,
        clean: Item,
        corrupted: Item | Intervention | Sequence[Intervention],
        answer: str,
        other: str | None = None,
        *,
        text: Asked | None = None,
        progress: bool = False,
        **options: Unpack[TraceOptions],
    ) -> Patching:
        """Patches activations of the clean run into the corrupted one, for every layer and position in turn, and
        measures how far each restores the answer: the difference of the log-probabilities of `answer` and `other`, or
        the log-probability of `answer` alone; `metric` may also be "probability" or "divergence".

        `clean` and `corrupted` are pictures, both asked `text`, or pairs of a question and its pictures; `corrupted`
        may be interventions on the clean input. `positions` are each of these tokens (by default all), groups by name,
        {"picture": tokens.visual, "last": tokens.last}, or "words", "rows" or "columns" (of patches). With the
        direction "noise" corrupted activations go into the clean run. `each_head` makes every head a row. With
        `receiver`, a hook, only the path from each cell to it counts (path patching).

        The server plans it as one trace: what cells have in common is computed once.
        """
        begun = self.trace(clean, corrupted, answer, other, text=text, **options)
        return begun.grid(progress=progress)

    def evaluate(
        self,
        rule: str | bench.CustomRule,
        questions: Iterable[Question] | Iterable[Question] | str | PathLike[str],
        *,
        variants: Variants | None = None,
        results: str | PathLike[str] | None = None,
        known: Iterable[bench.SampleResult] = (),
        progress: bool = False,
        **options: Unpack[EvaluateOptions],
    ) -> Evaluation:
        """A benchmark: questions are taken as fast as the server answers.

        `questions` are samples, rows, or the path of a table (.tsv, .csv, .parquet) or manifest (.jsonl). With
        `results`, a file, results are written down as they come, and a run that finds them there goes on where it
        ended, with the seeds that were drawn. `known` are results from elsewhere that are counted and not computed
        again. `progress` shows a bar.

        A run whose server is lost or goes down waits for the next one (`patience` of the client, anew after every
        answer) and goes on there with what is not answered. Of several servers each gets the questions about its
        pictures.
        """
        own: dict[str, Any] = dict(options)
        call = Call.of(own)
        asked = header(rule, variants or {}, own)
        data = questions if isinstance(questions, (str, PathLike)) else None
        file = None if results is None else ResultsFile(results, asked, data)
        earlier = [*known, *([] if file is None else file.known)]
        source = rows(questions) if isinstance(questions, (str, PathLike)) else questions
        if progress:
            from tqdm.auto import tqdm

            source = tqdm(iterate(source), desc=rule if isinstance(rule, str) else "custom", unit=" questions")
        run = Run(self._servers, call, asked if file is None else file.header, earlier, source)
        try:
            evaluation = Evaluation(run.begin(), earlier, file, run.broken)
            if file is not None:
                file.begun(evaluation.started)
        except Exception:
            run.cancel()
            if file is not None:
                file.close()
            raise
        run.go()
        return evaluation

    def describe(self, **options: Unpack[CallSettings]) -> list[bench.RuleInfo]:
        """The rule sets that the server knows."""
        response = self._servers.unary("benchmarks.Describe", bench.DescribeRequest(), Call.of({**options}))
        return list(response.rules)

    def upload_image(self, image: Image, **options: Unpack[CallSettings]) -> pb.Image:
        """Keeps a picture on the server; what comes back stands for it in later calls."""
        data = image_message(image).data
        call = Call.of({**options}, pb.Image(data=data))
        server, response = self._servers.unary_at("inference.UploadImage", pb.UploadImageRequest(data=data), call)
        self._servers.uploaded(server, response.handle, data)
        return pb.Image(handle=response.handle)

    def verify(
        self, provenance: pb.Provenance, images: Iterable[Image] = (), **options: Unpack[CallSettings]
    ) -> pb.VerifyResponse:
        """Runs a recorded answer again: `agrees`, or which stage differs first."""
        asked = pb.VerifyRequest(provenance=provenance, images=[image_message(i) for i in images])
        response: pb.VerifyResponse = self._servers.unary("inference.Verify", asked, Call.of({**options}, asked))
        return response

    def list_models(self, **options: Unpack[CallSettings]) -> list[models.ModelInfo]:
        """The resident models in the order of loading."""
        response = self._servers.unary("models.ListModels", models.ListModelsRequest(), Call.of({**options}))
        return list(response.models)

    def get_model(self, **options: Unpack[CallOptions]) -> models.ModelInfo:
        """One resident model."""
        asked = request(models.GetModelRequest, {}, options)
        response: models.GetModelResponse = self._servers.unary("models.GetModel", *asked)
        return response.model

    def list_hook_points(self, **options: Unpack[CallOptions]) -> list[models.HookPoint]:
        """The named places in a model's forward pass, in data-path order."""
        asked = request(models.ListHookPointsRequest, {}, options)
        response = self._servers.unary("models.ListHookPoints", *asked)
        return list(response.hook_points)

    def load_model(
        self,
        place: str,
        *,
        name: str = "",
        dtype: str = "",
        device: str = "",
        adapter: str = "",
        **options: Unpack[CallSettings],
    ) -> Iterator[models.LoadModelResponse]:
        """Makes a model resident: progress, then the model. `place`: a folder of the server, a hub id, or "shapes";
        `adapter`: a LoRA adapter, so named, that is merged into its weights."""
        asked = models.LoadModelRequest(name=name, place=place, dtype=dtype, device=device, adapter=adapter)
        return (self._servers.begin("models.LoadModel", asked, Call.of({**options}))).all()

    def unload_model(self, model: str, **options: Unpack[CallSettings]) -> int:
        """Takes a model away, waits for the requests that run on it, and returns the bytes that became free."""
        asked = models.UnloadModelRequest(model=model)
        response = self._servers.unary("models.UnloadModel", asked, Call.of({**options}))
        freed: int = response.freed_bytes
        return freed

    def load_projector(self, name: str, file: str, **options: Unpack[CallOptions]) -> models.ModelInfo:
        """Makes the projector in a file of the server resident under `name`."""
        asked = request(models.LoadProjectorRequest, {"name": name, "file": file}, options)
        response: models.LoadProjectorResponse = self._servers.unary("models.LoadProjector", *asked)
        return response.model

    def check_parity(self, **options: Unpack[CallOptions]) -> Iterator[models.CheckParityResponse]:
        """Runs the golden set of a model: cases as they are compared, then the report."""
        return (self._servers.begin("models.CheckParity", *request(models.CheckParityRequest, {}, options))).all()

    def close(self) -> None:
        """Ends the connection and every call on it."""
        self._servers.close()

    def __enter__(self) -> Self:
        """Closes on leaving the block."""
        return self

    def __exit__(self, *_: object) -> None:
        """Closes."""
        self.close()
