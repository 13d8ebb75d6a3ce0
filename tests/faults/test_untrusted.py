"""Files and texts that are made to harm: what they come to is an error with the right code, and the server goes on."""

from __future__ import annotations

import json
import os
import shutil
import struct
import time
import zipfile
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import pytest
from scotoma.v1 import inference_service_pb2 as pb
from scotoma.v1 import intervention_pb2, model_service_pb2
from scotoma.v1.inference_service_pb2_grpc import InferenceServiceStub
from scotoma.v1.model_service_pb2_grpc import ModelServiceStub

from asks import connection, generate, generate_request, health
from conftest import ROOT, Server, picture, serving

Code = grpc.StatusCode


def refused(call: Callable[[], Iterable[object]]) -> grpc.RpcError:
    """Returns the error of a call, or of its stream."""
    with pytest.raises(grpc.RpcError) as error:
        list(call())
    return error.value


def test_pictures_that_are_malformed(server: Server) -> None:
    """Before: one on which the png crate panics was INTERNAL."""
    good = picture()
    with connection(server) as channel:
        stub = InferenceServiceStub(channel)
        for data in [b"", b"\x89PNG\r\n\x1a\n", good[:60], good[:40] + bytes(40), b"P6 9999999999 1 255\n"]:
            error = refused(lambda data=data: stub.Generate(generate_request(data), timeout=10))
            assert error.code() == Code.INVALID_ARGUMENT, error
        assert generate(channel, generate_request(good)) < 10


@pytest.mark.parametrize("size", [300, 5_000, 1_000_000])
def test_errors_repeat_little_of_what_was_sent(server: Server, size: int) -> None:
    """Before: past 4,000 characters grpcio reported RESOURCE_EXHAUSTED in place of NOT_FOUND."""
    long = "é" * size
    with connection(server) as channel:
        stub = InferenceServiceStub(channel)
        asked = pb.GenerateRequest(model=long, prompt=pb.Prompt(text="a"))
        error = refused(lambda: stub.Generate(asked, timeout=10))
        assert error.code() == Code.NOT_FOUND, error
        assert len(error.details()) < 400
        assert "shapes" in error.details(), "what would be valid is still there"
        asked = pb.GenerateRequest(prompt=pb.Prompt(text="a", images=[pb.Image(handle=long)]))
        assert refused(lambda: stub.Generate(asked, timeout=10)).code() == Code.NOT_FOUND
        scale = intervention_pb2.Scale(target=intervention_pb2.Target(point=long), factor=1)
        asked = pb.GenerateRequest(
            prompt=pb.Prompt(text="a"), interventions=[intervention_pb2.Intervention(scale=scale)]
        )
        assert refused(lambda: stub.Generate(asked, timeout=10)).code() == Code.INVALID_ARGUMENT


def test_texts_that_no_context_holds(server: Server) -> None:
    """Before: they were tokenized for minutes before they were refused."""
    with connection(server) as channel:
        stub = InferenceServiceStub(channel)
        begun = time.monotonic()
        long = pb.GenerateRequest(prompt=pb.Prompt(text="what " * 200_000))
        error = refused(lambda: stub.Generate(long, timeout=10))
        assert error.code() == Code.INVALID_ARGUMENT
        assert "at most 32768" in error.details()
        many = pb.ScoreRequest(prompt=pb.Prompt(text="It is"), continuations=[" a" * 1000] * 1024)
        error = refused(lambda: [stub.Score(many, timeout=10)])
        assert error.code() == Code.INVALID_ARGUMENT
        assert "at most 1048576" in error.details()
        assert time.monotonic() - begun < 2


def test_an_enum_number_that_no_contract_has(server: Server) -> None:
    """Before: INTERNAL, inside a grid."""
    named = intervention_pb2.Tokens(named=77)
    rows = intervention_pb2.TokenSelector(any_of=[named])
    scale = intervention_pb2.Scale(target=intervention_pb2.Target(point="hook_embed", tokens=rows), factor=1)
    grid = pb.SweepGrid(
        interventions=[intervention_pb2.Intervention(scale=scale)],
        axes=[pb.SweepAxis(field="interventions[0].scale.factor", numbers=pb.SweepNumbers(values=[1, 2]))],
    )
    generated = pb.GenerateRequest(prompt=pb.Prompt(text="a"), max_tokens=1)
    with connection(server) as channel:
        call = pb.SweepRequest(generate=generated, grid=grid)
        error = refused(lambda: InferenceServiceStub(channel).Sweep(call, timeout=10))
        assert error.code() == Code.INVALID_ARGUMENT, error
        assert "grid" in error.details()


def test_names_forge_no_lines_of_the_log() -> None:
    """Before: a model of that name wrote a line of its own."""
    with serving("--allow-load") as server, connection(server) as channel:
        stub = ModelServiceStub(channel)
        for name in ["a\nINFO forged", "a\x1b[2J", "x" * 129]:
            asked = model_service_pb2.LoadModelRequest(name=name, place="shapes")
            error = refused(lambda asked=asked: stub.LoadModel(asked, timeout=20))
            assert error.code() == Code.INVALID_ARGUMENT, error
        assert not any(line.startswith("INFO forged") for line in server.lines())


def load(server: Server, folder: Path) -> grpc.RpcError:
    """Loads a model that does not load."""
    with connection(server) as channel:
        asked = model_service_pb2.LoadModelRequest(name="m", place=str(folder))
        return refused(lambda: ModelServiceStub(channel).LoadModel(asked, timeout=30))


def test_files_that_are_no_files(tmp_path: Path) -> None:
    """Before: a named pipe as config.json blocked every load for ever."""
    with serving("--allow-load") as server:
        os.mkfifo(tmp_path / "config.json")
        begun = time.monotonic()
        error = load(server, tmp_path)
        assert error.code() == Code.INVALID_ARGUMENT, error
        assert "not a regular file" in error.details()
        with connection(server) as channel:
            pipe = tmp_path / "template.jinja"
            os.mkfifo(pipe)
            asked = model_service_pb2.LoadModelRequest(name="m", place="shapes", chat_template=str(pipe))
            error = refused(lambda: ModelServiceStub(channel).LoadModel(asked, timeout=20))
            assert error.code() == Code.INVALID_ARGUMENT, error
        assert time.monotonic() - begun < 10


def test_pickles_that_nest_and_lie(tmp_path: Path) -> None:
    """Before: recursion without bound and a length that was allocated unread ended the server."""
    source = ROOT / "models/shapes"
    nested = b"\x80\x02}X\x01\x00\x00\x00a)" + b"\x85" * (2 << 20) + b"s."
    lying = b"\x80\x02X" + struct.pack("<I", 0xFFFFFFFF)
    with serving("--allow-load") as server:
        before = server.peak()
        for number, pickled in enumerate([nested, lying]):
            folder = tmp_path / str(number)
            folder.mkdir()
            for name in ["config.json", "preprocessor_config.json", "tokenizer.json", "tokenizer_config.json"]:
                shutil.copy(source / name, folder / name)
            with zipfile.ZipFile(folder / "pytorch_model.bin", "w") as archive:
                archive.writestr("model/data.pkl", pickled)
            assert load(server, folder).code() == Code.INVALID_ARGUMENT
        assert server.peak() - before < 300 << 20
        with connection(server) as channel:
            assert generate(channel, generate_request(picture())) < 10


def copied(folder: Path) -> Path:
    """Copies the embedded model's checkpoint."""
    shutil.copytree(ROOT / "models/shapes", folder, ignore=shutil.ignore_patterns("goldens", "paper", "*.p[ny]*"))
    return folder


def test_tokenizers_that_panic(tmp_path: Path) -> None:
    """Before: the file was taken, and requests ended as CANCELLED, without a status."""
    panics = copied(tmp_path / "panics")
    read = json.loads((panics / "tokenizer.json").read_text())
    # The library looks the token up when it encodes, and takes for granted that it is there.
    read["post_processor"]["single"].append({"SpecialToken": {"id": "<none>", "type_id": 0}})
    (panics / "tokenizer.json").write_text(json.dumps(read))
    with serving("--allow-load") as server, connection(server) as channel:
        error = load(server, panics)
        assert error.code() == Code.INVALID_ARGUMENT, error
        assert "tokenizer.json" in error.details()
        assert generate(channel, generate_request(picture())) < 10


def not_finite(checkpoint: Path) -> None:
    """Makes numbers of the last matrix to what is none."""
    weights = bytearray(checkpoint.read_bytes())
    (length,) = struct.unpack("<Q", weights[:8])
    begin, end = json.loads(weights[8 : 8 + length])["language_model.lm_head.weight"]["data_offsets"]
    weights[8 + length + begin : 8 + length + end] = b"\xff" * (end - begin)
    checkpoint.write_bytes(weights)


def test_weights_that_are_not_finite(tmp_path: Path) -> None:
    """Before: INTERNAL, which carried a backtrace to the client."""
    broken = copied(tmp_path / "broken")
    not_finite(broken / "model.safetensors")
    environment = {"RUST_BACKTRACE": "1"}
    with serving("--model", f"broken={broken}", **environment) as server, connection(server) as channel:
        stub = InferenceServiceStub(channel)
        words = pb.GenerateRequest(prompt=pb.Prompt(text="Is it?"), max_tokens=4)
        for asked in [generate_request(picture()), words]:
            error = refused(lambda asked=asked: stub.Generate(asked, timeout=10))
            assert error.code() == Code.FAILED_PRECONDITION, error
            assert "finite" in error.details()
            assert not any(trace in error.details() for trace in ("backtrace", ".rs:", "0x", "\n")), error


def test_templates_that_make_much_of_little(tmp_path: Path) -> None:
    """Before: fuel counted instructions, not bytes, and a template made 21 GB."""
    template = tmp_path / "template.jinja"
    twice = "{% set ns.x = ns.x + ns.x %}"
    begin, end = "{% set ns = namespace(x='a') %}{% for i in range(40) %}", "{% endfor %}{{ ns.x }}"
    template.write_text(begin + twice + end)
    with serving("--allow-load") as server, connection(server) as channel:
        before = server.peak()
        asked = model_service_pb2.LoadModelRequest(name="m", place="shapes", chat_template=str(template))
        error = refused(lambda: ModelServiceStub(channel).LoadModel(asked, timeout=20))
        assert error.code() == Code.INVALID_ARGUMENT, error
        assert server.peak() - before < 300 << 20


def test_deadlines_are_called_deadlines(server: Server) -> None:
    """Before: 10 of 60 that had passed were CANCELLED."""
    with connection(server) as channel, ThreadPoolExecutor(60) as pool:
        stub = InferenceServiceStub(channel)
        health(channel)

        def ask(number: int) -> Code | None:
            request = generate_request(picture(number, 336), tokens=1000)
            try:
                list(stub.Generate(request, timeout=0.02 + 0.005 * number))
            except grpc.RpcError as error:
                return error.code()
            return None

        codes = [code for code in pool.map(ask, range(60)) if code is not None]
    assert codes
    assert set(codes) == {Code.DEADLINE_EXCEEDED}, codes
