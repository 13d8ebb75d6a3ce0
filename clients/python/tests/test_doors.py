"""OpenAI's API as other programs speak it: what tests/doors/run.py has recorded, and what strangers try."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from conftest import ROOT, serving
from google.protobuf import json_format

from scotoma.v1 import inference_service_pb2 as pb
from scotoma.v1 import inference_service_pb2_grpc as rpc

FIXTURES = sorted((ROOT / "tests/doors/fixtures").glob("*.json"))
# The preset that the programs were given.
SHALLOW = [{"dropLayers": {"layers": [7]}}]
Json = dict[str, Any]


@pytest.fixture(scope="module")
def door() -> Iterator[str]:
    with serving("--log", "error", "--preset", f"shallow={json.dumps(SHALLOW)}") as (_, address):
        yield address


def send(address: str, request: Json) -> tuple[int, str, dict[str, str]]:
    """Sends a request as it was sent; returns status, body and headers."""
    # The answer is read as text here.
    headers = {name: value for name, value in request["headers"].items() if name != "accept-encoding"}
    body = json.dumps(request["body"]).encode() if "body" in request else None
    asked = urllib.request.Request(f"http://{address}{request['path']}", body, headers, method=request["method"])
    try:
        with urllib.request.urlopen(asked) as answer:
            return answer.status, answer.read().decode(), dict(answer.headers)
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode(), dict(error.headers)


def over_grpc(address: str, body: Json) -> str | None:
    """Returns the digest of the record of the same request over gRPC; `None`: it fails."""
    model, _, preset = body["model"].partition(":")
    interventions = (SHALLOW if preset == "shallow" else []) + (body.get("interventions") or [])
    names = {"temperature": "temperature", "top_p": "topP", "seed": "seed"}
    fields = {
        "model": model,
        "prompt": {"messages": [message(one) for one in body["messages"]]},
        "interventions": interventions,
        "sampling": {contract: body[own] for own, contract in names.items() if body.get(own) is not None},
        "maxTokens": body.get("max_tokens") or body.get("max_completion_tokens") or 0,
        "topLogprobs": body.get("top_logprobs") or 0,
        "stop": body.get("stop") or [],
        "sampleKey": body.get("sample_key") or "",
    }
    request = json_format.ParseDict(fields, pb.GenerateRequest())
    stub: Any = rpc.InferenceServiceStub
    with grpc.insecure_channel(address) as channel:
        try:
            *_, last = stub(channel).Generate(request)
        except grpc.RpcError:
            return None
    return str(last.finished.provenance.digest)


def message(one: Json) -> Json:
    """Returns a message as the contract spells it."""
    content = one["content"]
    parts = [{"type": "text", "text": content}] if isinstance(content, str) else content
    return {"role": f"ROLE_{one['role'].upper()}", "parts": [part(each) for each in parts]}


def part(one: Json) -> Json:
    if one["type"] == "text":
        return {"text": one["text"]}
    url = one["image_url"] if isinstance(one["image_url"], str) else one["image_url"]["url"]
    return {"image": {"data": url.partition(",")[2]}}


def record_of(body: Json, answer: str) -> str | None:
    """Checks the form of an answer and returns the digest of its record; `None`: the stream ends in an error."""
    streamed = body.get("stream") is True
    data = [line.removeprefix("data: ") for line in answer.splitlines() if line] if streamed else [answer]
    if data[-1] == "[DONE]":
        data.pop()
    objects = [json.loads(one) for one in data]
    if "error" in objects[-1]:
        return None
    for each in objects:
        assert each["object"] == ("chat.completion.chunk" if streamed else "chat.completion")
        assert each["model"] == body["model"]
        assert each["id"].startswith("chatcmpl-")
        assert isinstance(each["created"], int)
    closing = next(each for each in objects if "scotoma" in each)
    choice = closing["choices"][0]
    assert choice["finish_reason"] in ("stop", "length")
    counts = not streamed or (body.get("stream_options") or {}).get("include_usage") is True
    assert ("usage" in objects[-1]) is counts
    if not streamed:
        assert choice["message"]["role"] == "assistant"
        assert isinstance(choice["message"]["content"], str)
        assert (choice["logprobs"] is not None) is bool(body.get("logprobs"))
    return str(closing["scotoma"]["record"])


@pytest.mark.parametrize("path", FIXTURES, ids=lambda path: path.stem)
def test_what_a_program_sends_is_answered_as_over_grpc(door: str, path: Path) -> None:
    fixture, compared = json.loads(path.read_text()), 0
    for request in fixture["requests"]:
        status, answer, _ = send(door, request)
        assert status == request["status"], f"{fixture['program']}: {request['path']}: {answer}"
        if status != 200:
            assert set(json.loads(answer)["error"]) == {"message", "type", "param", "code"}
        elif request["path"] == "/v1/models":
            assert [model["id"] for model in json.loads(answer)["data"]] == ["shapes", "shapes:shallow"]
        elif "messages" in request["body"]:
            record = record_of(request["body"], answer)
            assert record == over_grpc(door, request["body"])
            compared += record is not None
    assert compared, "no answer was compared"


@pytest.mark.parametrize(
    ("line", "status", "code"),
    [
        ("GET /v1/nothing", 404, "unknown_path"),
        ("POST /v1/embeddings", 404, "unknown_path"),
        ("GET /v1/models/none", 404, "model_not_found"),
        ("GET /v1/chat/completions", 405, "wrong_method"),
        ("DELETE /v1/models/shapes", 405, "wrong_method"),
    ],
)
def test_every_path_answers_in_openais_form(door: str, line: str, status: int, code: str) -> None:
    method, path = line.split()
    got, answer, headers = send(door, {"method": method, "path": path, "headers": {}})
    assert (got, json.loads(answer)["error"]["code"]) == (status, code)
    assert ("allow" in headers) is (status == 405)


def test_a_body_that_is_too_long_is_413() -> None:
    with serving("--log", "error", "--max-message-mib", "1") as (_, address):
        long = {"messages": [{"role": "user", "content": "x" * (2 << 20)}]}
        headers = {"content-type": "application/json"}
        status, answer, _ = send(
            address, {"method": "POST", "path": "/v1/chat/completions", "headers": headers, "body": long}
        )
    assert (status, json.loads(answer)["error"]["code"]) == (413, "message_too_large")


@pytest.mark.parametrize("field", ["tools", "tool_choice", "response_format", "reasoning_effort", "n", "beam_width"])
def test_what_is_not_done_is_refused_by_name(door: str, field: str) -> None:
    asked = {"model": "shapes", "messages": [{"role": "user", "content": "words"}], field: 7}
    headers = {"content-type": "application/json"}
    request = {"method": "POST", "path": "/v1/chat/completions", "headers": headers, "body": asked}
    status, answer, _ = send(door, request)
    assert (status, json.loads(answer)["error"]["param"]) == (400, field)
