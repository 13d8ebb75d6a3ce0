"""`--state`: what is there after a server was killed, and what is never served.

Before (0.2.0) a restart lost every upload, kept activation and loaded model, and every parity result.
"""

from __future__ import annotations

import os
import subprocess
import urllib.request
from pathlib import Path

import grpc
import pytest
from google.protobuf.json_format import ParseDict
from scotoma import Client, intervention
from scotoma.v1 import inference_service_pb2 as pb
from scotoma.v1.inference_service_pb2_grpc import InferenceServiceStub

from conftest import BINARY, ROOT, Server, picture, serving

TINY = ROOT / "tests/goldens/tiny-gqa-tied/model"
POINT = "language_model.blocks.0.hook_resid_post"


def prompt(image: pb.Image) -> pb.Prompt:
    return pb.Prompt(text="Which shape is red?", images=[image])


def keep(server: Server, image: pb.Image) -> str:
    """Has the activations at a hook point kept, and returns their handle."""
    where = {"point": POINT, "tokens": {"anyOf": [{"named": "NAMED_ALL"}]}, "steps": {"last": 0}}
    target = ParseDict({"target": where, "keep": True}, pb.CaptureTarget())
    with grpc.insecure_channel(server.address) as channel:
        events = list(InferenceServiceStub(channel).Capture(pb.CaptureRequest(prompt=prompt(image), targets=[target])))
    return events[-1].finished.kept[0].handle


def patched(server: Server, image: pb.Image, handle: str) -> str:
    """Answers with the kept activations in place of the model's own; returns the digest of the answer."""
    patch = intervention("patch", target={"point": POINT, "steps": {"last": 0}}, handle=handle)
    with grpc.insecure_channel(server.address) as channel:
        request = pb.GenerateRequest(prompt=prompt(image), interventions=[patch], max_tokens=4)
        events = list(InferenceServiceStub(channel).Generate(request))
    return events[-1].finished.provenance.output_digest


def metric(server: Server, name: str) -> list[str]:
    with urllib.request.urlopen(f"http://{server.address}/metrics") as page:
        return [line for line in page.read().decode().splitlines() if line.startswith(name)]


def fill(server: Server) -> tuple[pb.Image, str, str]:
    """Uploads a picture, keeps activations, loads a model and checks parity."""
    with Client(server.address) as client:
        image = client.upload_image(picture())
        handle = keep(server, image)
        loaded = client.load_model(str(TINY), name="mine")
        list(loaded) if hasattr(loaded, "__iter__") else None
        list(client.check_parity())
    return image, handle, patched(server, image, handle)


def test_a_killed_server_comes_back_with_all_of_it(tmp_path: Path) -> None:
    flags = ["--state", str(tmp_path / "state"), "--allow-load"]
    with serving(*flags) as server:
        image, handle, answer = fill(server)
        parity = metric(server, "scotoma_parity_max_relative_error")
        assert parity
        # As a lost machine would: what was answered is on the disk.
        server.kill()
    with serving(*flags) as server:
        assert patched(server, image, handle) == answer
        assert metric(server, "scotoma_parity_max_relative_error") == parity
        with Client(server.address) as client:
            assert [model.name for model in client.list_models()] == ["shapes", "mine"]
            client.unload_model("mine")
        server.kill()
    with serving(*flags) as server, Client(server.address) as client:
        assert [model.name for model in client.list_models()] == ["shapes"]


def test_what_is_damaged_is_never_served(tmp_path: Path) -> None:
    flags = ["--state", str(tmp_path / "state"), "--allow-load"]
    with serving(*flags) as server:
        image, handle, _ = fill(server)
        server.kill()
    files = [path for path in (tmp_path / "state").rglob("*") if path.is_file() and path.stat().st_size > 100]
    assert len(files) >= 4, files
    for path in files:
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 1
        path.write_bytes(content)
    with serving(*flags) as server:
        dropped = [line for line in server.lines() if "of --state is dropped" in line]
        assert len(dropped) == len(files), server.lines()
        for call in (lambda: keep(server, image), lambda: patched(server, pb.Image(data=picture()), handle)):
            with pytest.raises(grpc.RpcError) as failed:
                call()
            assert failed.value.code() == grpc.StatusCode.NOT_FOUND
        with Client(server.address) as client:
            assert [model.name for model in client.list_models()] == ["shapes"]
            assert client.upload_image(picture()) == image


def test_a_folder_is_one_servers(tmp_path: Path) -> None:
    flags = ["--state", str(tmp_path / "state")]
    with serving(*flags) as server:
        second = [BINARY, "serve", "--listen", "127.0.0.1:0", *flags]
        done = subprocess.run(second, capture_output=True, text=True, timeout=60, env=os.environ)
        assert done.returncode == 1
        assert "another server uses this folder" in done.stderr, done.stderr
        assert server.process.poll() is None


def test_the_folder_is_bounded(tmp_path: Path) -> None:
    flags = ["--state", str(tmp_path / "state"), "--upload-mib", "1"]
    with serving(*flags) as server, Client(server.address) as client:
        noise = [os.urandom(400 * 400 * 3) for _ in range(6)]
        pictures = [b"P6 400 400 255\n" + one for one in noise]
        for one in pictures:
            client.upload_image(one)
        used = sum(path.stat().st_size for path in (tmp_path / "state").rglob("*") if path.is_file())
        assert used < 2 << 20, used


def test_a_model_of_the_command_line_stays_unloaded(tmp_path: Path) -> None:
    """Before: it came back, and took the room of what was loaded in its place."""
    flags = ["--state", str(tmp_path / "state"), "--allow-load", "--model", "shapes", "--model", f"tiny={TINY}"]

    def models(*more: str) -> list[str]:
        with serving(*flags, *more) as server, Client(server.address) as client:
            found = [model.name for model in client.list_models()]
            said = any("a client has unloaded it" in line for line in server.lines())
            assert said == ("tiny" not in found), server.lines()
            server.kill()
        return found

    with serving(*flags) as server, Client(server.address) as client:
        client.unload_model("tiny")
        server.kill()
    assert models() == ["shapes"]
    with serving(*flags) as server, Client(server.address) as client:
        list(client.load_model(str(TINY), name="tiny"))
        server.kill()
    with serving(*flags) as server, Client(server.address) as client:
        assert [model.name for model in client.list_models()] == ["shapes", "tiny"], "a client has loaded it again"
        client.unload_model("tiny")
        server.kill()
    flags.remove("--allow-load")
    assert models() == ["shapes", "tiny"], "where clients may not load, the command line is all there is"
