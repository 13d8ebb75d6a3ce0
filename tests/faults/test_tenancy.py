"""Keys, quotas, ownership, retries, and what is written down of requests."""

from __future__ import annotations

import itertools
import json
import signal
import subprocess
import threading
import time
import uuid
from collections.abc import Iterator
from concurrent import futures
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf.json_format import ParseDict
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2, trace_service_pb2_grpc
from scotoma import Client, ScotomaError, intervention
from scotoma.v1 import inference_service_pb2 as inference
from scotoma.v1 import model_service_pb2 as models
from scotoma.v1.inference_service_pb2_grpc import InferenceServiceStub
from scotoma.v1.model_service_pb2_grpc import ModelServiceStub

from conftest import BINARY, Server, picture, serving

POINT = "language_model.blocks.0.hook_resid_post"


class Keys:
    """A file of keys, drawn by `scotoma key`."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "keys.txt"
        self.file.write_text("# keys of the tests\n")

    def draw(self, name: str, *flags: str) -> str:
        """Adds a key and returns it."""
        drawn = subprocess.run([BINARY, "key", name, *flags], check=True, capture_output=True, text=True)
        out = drawn.stdout.splitlines()
        with self.file.open("a") as file:
            file.write(out[4] + "\n")
        return out[1]


@pytest.fixture
def keys(tmp_path: Path) -> Keys:
    return Keys(tmp_path)


def bearer(key: str, **metadata: str) -> list[tuple[str, str]]:
    return [("authorization", f"Bearer {key}"), *((name.replace("_", "-"), value) for name, value in metadata.items())]


def question(seed: int = 0, tokens: int = 8) -> inference.GenerateRequest:
    prompt = inference.Prompt(text="Is there a red circle?", images=[inference.Image(data=picture(seed))])
    sampling = inference.Sampling(temperature=100.0, seed=96)
    return inference.GenerateRequest(prompt=prompt, max_tokens=tokens, sampling=sampling)


@contextmanager
def services(server: Server) -> Iterator[tuple[InferenceServiceStub, ModelServiceStub]]:
    with grpc.insecure_channel(server.address) as channel:
        yield InferenceServiceStub(channel), ModelServiceStub(channel)  # type: ignore[no-untyped-call]


def records(server: Server, target: str) -> list[dict[str, Any]]:
    """Returns the lines of the log of one target."""
    lines = [json.loads(line) for line in server.lines() if line.startswith("{")]
    return [line["fields"] for line in lines if line["target"] == target]


def eventually(found: Any, seconds: float = 10) -> Any:
    """Waits until `found` returns something."""
    until = time.monotonic() + seconds
    while not (value := found()):
        assert time.monotonic() < until, "it did not come about"
        time.sleep(0.05)
    return value


def test_one_keys_uploads_evict_none_of_anothers(keys: Keys) -> None:
    """40 uploads of one key evicted 19 of another's 21. Now each has its share, and none goes."""
    one, other = keys.draw("one"), keys.draw("other")
    # Each of about 20 kB; 21 fit into one key's half of a MiB.
    pictures = [picture(i, 84) + bytes(20_000) + bytes([i]) for i in range(61)]
    with serving("--api-keys", str(keys.file), "--upload-mib", "1") as server, services(server) as (service, _):

        def upload(i: int, key: str) -> str:
            request = inference.UploadImageRequest(data=pictures[i])
            return str(service.UploadImage(request, metadata=bearer(key)).handle)

        kept = [upload(i, other) for i in range(21)]
        for i in range(21, 61):
            upload(i, one)
        for handle in kept:
            asked = question(tokens=1)
            asked.prompt.images[0].handle = handle
            assert list(service.Generate(asked, metadata=bearer(other)))
        with pytest.raises(grpc.RpcError) as refused:
            list(service.Generate(asked, metadata=bearer(one)))
        assert refused.value.code() == grpc.StatusCode.NOT_FOUND


def test_one_keys_activations_are_not_anothers(keys: Keys) -> None:
    """By its handle one key patched in another's kept activations, and so read them."""
    one, other = keys.draw("one"), keys.draw("other")
    where = {"point": POINT, "tokens": {"anyOf": [{"named": "NAMED_ALL"}]}, "steps": {"last": 0}}
    target = ParseDict({"target": where, "keep": True}, inference.CaptureTarget())
    with serving("--api-keys", str(keys.file)) as server, services(server) as (service, _):
        capture = inference.CaptureRequest(prompt=question().prompt, targets=[target])
        handle = list(service.Capture(capture, metadata=bearer(one)))[-1].finished.kept[0].handle
        asked = question(seed=1, tokens=2)
        patch = intervention("patch", target={"point": POINT, "steps": {"last": 0}}, handle=handle)
        asked.interventions.append(patch)
        assert list(service.Generate(asked, metadata=bearer(one)))
        said = []
        for unknown in (handle, "0" * len(handle)):
            asked.interventions[0].patch.handle = unknown
            with pytest.raises(grpc.RpcError) as refused:
                list(service.Generate(asked, metadata=bearer(other)))
            assert refused.value.code() == grpc.StatusCode.NOT_FOUND
            said.append(refused.value.details().replace(unknown, "HANDLE"))
        assert said[0] == said[1], "in the words of one that never was"


def test_any_key_unloaded_models_and_probed_paths(keys: Keys, tmp_path: Path) -> None:
    """Any key could unload others' models, probe paths, and forge a line of the log by a newline in a name."""
    root, user = keys.draw("root", "--admin"), keys.draw("user")
    audit = tmp_path / "audit.jsonl"
    flags = ["--api-keys", str(keys.file), "--allow-load", "--model-root", str(tmp_path), "--audit-log", str(audit)]
    with serving(*flags, "--log-format", "json", "--log", "warn,scotoma::request=info") as server:
        with services(server) as (_, service):

            def refusal(key: str, request: models.LoadModelRequest) -> tuple[grpc.StatusCode, str]:
                with pytest.raises(grpc.RpcError) as refused:
                    list(service.LoadModel(request, metadata=bearer(key, x_request_id="forged")))
                return refused.value.code(), str(refused.value.details())

            denied = grpc.StatusCode.PERMISSION_DENIED
            assert refusal(user, models.LoadModelRequest(name="x", place="/etc"))[0] == denied
            there = refusal(root, models.LoadModelRequest(name="x", place="/etc"))
            gone = refusal(root, models.LoadModelRequest(name="x", place="/no/such/folder"))
            assert there == gone
            assert there[0] == denied
            forged = models.LoadModelRequest(name='x\n{"level":"INFO"}', place="shapes")
            assert refusal(root, forged)[0] == grpc.StatusCode.INVALID_ARGUMENT
            with pytest.raises(grpc.RpcError) as refused:
                service.UnloadModel(models.UnloadModelRequest(model="shapes"), metadata=bearer(user))
            assert refused.value.code() == denied
            assert refused.value.details().startswith("this API key has no leave")
            list(service.LoadModel(models.LoadModelRequest(name="two", place="shapes"), metadata=bearer(root)))

        lines = eventually(lambda: lines if len(lines := audit.read_text().splitlines()) == 6 else None)
        said = [json.loads(line)["fields"] for line in lines]
        assert [(s["key"], s["method"], s["code"]) for s in said] == [
            ("user", "LoadModel", "PermissionDenied"),
            ("root", "LoadModel", "PermissionDenied"),
            ("root", "LoadModel", "PermissionDenied"),
            ("root", "LoadModel", "InvalidArgument"),
            ("user", "UnloadModel", "PermissionDenied"),
            ("root", "LoadModel", "Ok"),
        ]
        assert said[0]["asked"] == 'name="x" place="/etc"'
        assert said[0]["request_id"] == "forged"
        assert said[3]["asked"].startswith('name="x\\n{')
        assert audit.stat().st_mode & 0o777 == 0o600
        assert [line["method"] for line in records(server, "scotoma::request")].count("LoadModel") == 5


def test_a_key_had_no_quota_and_no_end(keys: Keys) -> None:
    """There was no rate, no longest run and no expiry. Refusals say when to come again, and that is true."""
    few, short, old = (
        keys.draw("few", "--requests-per-minute", "60"),
        keys.draw("short", "--max-run", "100ms"),
        keys.draw("old", "--expires", "2024-02-29"),
    )
    with serving("--api-keys", str(keys.file)) as server, services(server) as (service, model_service):

        def listing(key: str) -> None:
            model_service.ListModels(models.ListModelsRequest(), metadata=bearer(key))

        with pytest.raises(grpc.RpcError) as refused:
            listing(old)
        assert refused.value.code() == grpc.StatusCode.UNAUTHENTICATED
        assert "expired on 2024-02-29" in refused.value.details()
        for scheme in ("Bearer", "bearer", "BEARER"):
            model_service.ListModels(models.ListModelsRequest(), metadata=[("authorization", f"{scheme} {short}")])
        with Client(server.address, api_key=few, patience=0) as client, pytest.raises(ScotomaError) as limited:
            for _ in range(100):
                client.list_models()
        wait = limited.value.retry_after
        assert 0 < (wait or 0) <= 1.1, wait
        time.sleep(wait)
        listing(few)
        begun = time.monotonic()
        with pytest.raises(grpc.RpcError) as cut:
            list(service.Generate(question(tokens=1900), metadata=bearer(short)))
        assert cut.value.code() == grpc.StatusCode.DEADLINE_EXCEEDED
        assert time.monotonic() - begun < 5


def test_a_retry_is_answered_from_the_run_that_exists(keys: Keys) -> None:
    """A call that was tried again ran twice. Twenty clients that leave and come back compute one answer."""
    key = keys.draw("one")
    with serving("--api-keys", str(keys.file)) as server, services(server) as (service, _):
        call = uuid.uuid4().hex
        answers = []
        for _ in range(20):
            left = service.Generate(question(tokens=1500), metadata=bearer(key, idempotency_key=call))
            for _ in range(3):
                next(left)
            left.cancel()
        whole = list(service.Generate(question(tokens=1500), metadata=bearer(key, idempotency_key=call)))
        answers = [whole[0].started.request_id, whole[-1].finished.text]
        again = list(service.Generate(question(tokens=1500), metadata=bearer(key, idempotency_key=call)))
        assert [again[0].started.request_id, again[-1].finished.text] == answers
        text = metrics(server)
        # One run, whose tokens were generated once.
        generated = float(text.split("\nscotoma_generation_tokens_total ")[1].split("\n")[0])
        assert generated == whole[-1].finished.usage.generation_tokens, generated
        with pytest.raises(grpc.RpcError) as other:
            list(service.Generate(question(seed=1), metadata=bearer(key, idempotency_key=call)))
        assert other.value.code() == grpc.StatusCode.INVALID_ARGUMENT


def metrics(server: Server) -> str:
    import urllib.request

    with urllib.request.urlopen(f"http://{server.address}/metrics", timeout=10) as response:
        return str(response.read().decode())


def test_every_request_has_a_line_and_its_own_id(keys: Keys) -> None:
    """Who asked what was nowhere. Every request has one line, refused ones too, under the client's id."""
    key = keys.draw("alice")
    with serving("--api-keys", str(keys.file), "--log-format", "json", "--metrics-by-key") as server:
        with services(server) as (service, model_service):
            call = service.Generate(question(), metadata=bearer(key, x_request_id="run-7/3"))
            list(call)
            assert ("x-request-id", "run-7/3") in [(k, v) for k, v in call.initial_metadata()]
            for wrong in [bearer("0" * 40, x_request_id="stranger"), []]:
                with pytest.raises(grpc.RpcError):
                    model_service.ListModels(models.ListModelsRequest(), metadata=wrong)
        lines = eventually(lambda: lines if len(lines := records(server, "scotoma::request")) == 3 else None)
        first, stranger, nameless = lines
        assert (first["request_id"], first["key"], first["method"], first["model"], first["code"]) == (
            "run-7/3", "alice", "Generate", "shapes", "Ok",
        )  # fmt: skip
        assert first["rows_computed"] > 0
        assert first["tokens"] == 8
        assert "reason" not in first
        assert 0 < first["first_token_seconds"] <= first["seconds"] < 60
        assert first["bytes_in"] > len(picture())
        assert first["bytes_out"] > 100
        assert (stranger["request_id"], stranger["key"], stranger["code"], stranger["reason"]) == (
            "stranger", "", "Unauthenticated", "UNAUTHENTICATED",
        )  # fmt: skip
        assert len(nameless["request_id"]) == 16
        text = metrics(server)
        budget = 'scotoma_budget_limit{budget="uploads"}'
        for name in ["process_resident_memory_bytes", "process_cpu_seconds_total", budget]:
            assert f"\n{name} " in text, name
        assert 'scotoma_key_requests_total{key="alice",code="Ok"} 1' in text


class Receiver(trace_service_pb2_grpc.TraceServiceServicer):
    """An OTLP receiver, as a collector is one."""

    def __init__(self) -> None:
        self.spans: list[Any] = []
        self.lock = threading.Lock()

    def Export(self, request: Any, context: grpc.ServicerContext) -> Any:
        with self.lock:
            for resource in request.resource_spans:
                names = {a.key: a.value.string_value for a in resource.resource.attributes}
                assert names["service.name"] == "scotoma"
                for scope in resource.scope_spans:
                    self.spans += scope.spans
        return trace_service_pb2.ExportTraceServiceResponse()


def test_traces_arrive_below_the_clients_span() -> None:
    """There were no traces. Stages are spans below the request's, and that is below the client's."""
    receiver = Receiver()
    host = grpc.server(futures.ThreadPoolExecutor(2))
    trace_service_pb2_grpc.add_TraceServiceServicer_to_server(receiver, host)  # type: ignore[no-untyped-call]
    port = host.add_insecure_port("127.0.0.1:0")
    host.start()
    trace, parent = uuid.uuid4().hex, uuid.uuid4().hex[:16]
    try:
        with serving("--otlp", f"http://127.0.0.1:{port}") as server:
            with services(server) as (service, _):
                list(service.Generate(question(), metadata=[("traceparent", f"00-{trace}-{parent}-01")]))
            # What is left is exported when the server ends.
            server.signal(signal.SIGTERM)
            assert server.wait(20) == 0
    finally:
        host.stop(1)
    spans = {span.name: span for span in receiver.spans}
    request = spans["Generate"]
    assert request.trace_id.hex() == trace
    assert request.parent_span_id.hex() == parent
    attributes = {a.key: a.value for a in request.attributes}
    assert attributes["scotoma.model"].string_value == "shapes"
    assert attributes["scotoma.tokens"].int_value == 8
    stages = ["input", "compile", "queue", "encode", "prefill", "decode"]
    assert set(spans) == {"Generate", *stages}
    for before, after in itertools.pairwise(stages):
        assert spans[before].end_time_unix_nano <= spans[after].start_time_unix_nano + 1_000_000, (before, after)
    for name in stages:
        span = spans[name]
        assert span.parent_span_id == request.span_id
        assert request.start_time_unix_nano <= span.start_time_unix_nano <= span.end_time_unix_nano
        assert span.end_time_unix_nano <= request.end_time_unix_nano


def test_pages_of_any_origin_could_call() -> None:
    """CORS was `*` by default; unset now means none."""
    import http.client

    def allowed(server: Server) -> str | None:
        connection = http.client.HTTPConnection(server.address, timeout=10)
        headers = {"Origin": "https://evil.example", "Content-Type": "application/grpc-web+proto"}
        connection.request("POST", "/scotoma.v1.ModelService/ListModels", b"\0" * 5, headers)
        response = connection.getresponse()
        response.read()
        return response.getheader("access-control-allow-origin")

    with serving() as server:
        assert allowed(server) is None
    with serving("--cors-origin", "https://lab.example") as server:
        assert allowed(server) is None
    with serving("--cors-origin", "*") as server:
        assert allowed(server) == "*"
