"""The client against a real server."""

from __future__ import annotations

import base64
import json
import os
import signal
import subprocess
import time
import urllib.request
from collections.abc import Iterable
from pathlib import Path

import grpc
import numpy as np
import pytest
from conftest import ROOT, serving
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase
from PIL import Image

import scotoma
import scotoma.v1.benchmark_service_pb2
import scotoma.v1.intervention_pb2
from scotoma import AsyncClient, Client, ScotomaError, blank_image, hooks
from scotoma.v1.benchmark_service_pb2 import ANSWERING_GENERATE
from scotoma.v1.inference_service_pb2 import CaptureTarget, Sampling
from scotoma.v1.intervention_pb2 import DATA_TYPE_BF16, DATA_TYPE_F16

QUESTION = "Is there a red circle?"


@pytest.fixture
def client(server: str) -> Iterable[Client]:
    with Client(server) as client:
        yield client


def running(server: str) -> int:
    with urllib.request.urlopen(f"http://{server}/metrics") as response:
        lines = response.read().decode().splitlines()
    return int(next(line.split()[-1] for line in lines if line.startswith("scotoma_requests_running")))


def test_tokens_come_one_by_one_and_make_the_text(client: Client, png: bytes) -> None:
    answer = client.generate(QUESTION, png, top_logprobs=3)
    assert answer.started.image_tokens == 36
    with pytest.raises(ValueError, match="not complete"):
        _ = answer.finished
    tokens = list(answer)
    assert "".join(t.text for t in tokens).strip() == answer.finished.text.strip() == "yes"
    assert len(tokens) == answer.finished.usage.generation_tokens
    assert all(len(t.top) == 3 and t.top[0].id == t.id for t in tokens)


def test_an_image_is_bytes_a_path_or_pillow(client: Client, png: bytes, pillow: Image.Image, tmp_path: Path) -> None:
    path = tmp_path / "picture.png"
    path.write_bytes(png)
    digests = {
        client.generate(QUESTION, image, max_tokens=4).finish().provenance.output_digest
        for image in (png, path, str(path), pillow, np.asarray(pillow), [png])
    }
    assert len(digests) == 1


def test_interventions_come_back_resolved_and_repeat(client: Client, png: bytes) -> None:
    interventions = [
        scotoma.permute_tokens(7),
        scotoma.occlude_random(0.5, 7),
        scotoma.drop_layers([2, 3]),
        scotoma.swap_projector(random_seed=7),
    ]
    records = [client.generate(QUESTION, png, interventions=interventions).finish().provenance for _ in range(2)]
    assert records[0] == records[1]
    permuted, occluded, dropped, swapped = (r.resolutions[0] for r in records[0].plan)
    assert sorted(permuted.indices) == list(range(36))
    assert len(occluded.indices) == 18
    assert list(dropped.indices) == [2, 3]
    assert len(swapped.digest) == 64
    assert scotoma.to_json(records[0].plan[0].intervention) == (
        '{"permuteTokens": {"seed": "7", "scope": "SCOPE_ALL"}}'
    )


def test_an_unset_seed_comes_back_drawn(client: Client, png: bytes) -> None:
    record = client.generate(QUESTION, png, interventions=[scotoma.permute_tokens()]).finish().provenance
    again = [record.plan[0].intervention]
    assert client.generate(QUESTION, png, interventions=again).finish().provenance.plan == record.plan


def test_sampling_repeats_by_its_seed(client: Client, png: bytes) -> None:
    sampling = Sampling(temperature=2.0, top_p=0.9, seed=5)
    texts = {
        client.generate("Describe the picture.", png, sampling=sampling, max_tokens=12).finish().text for _ in "12"
    }
    assert len(texts) == 1


def test_score_prefers_what_generate_says(client: Client, png: bytes) -> None:
    response = client.score(QUESTION, [" no", " yes"], png)
    assert response.best == 1
    assert response.scores[1].logprob == pytest.approx(sum(t.logprob for t in response.scores[1].tokens))


def test_preview_shows_the_occlusion(client: Client, png: bytes) -> None:
    response = client.preview(png, interventions=[scotoma.occlude_cells([0])])
    preview = response.image()
    assert response._repr_png_() == response.png
    heat = response.heat_map(range(36))
    assert (heat.size, response.grid) == ((336, 336), (6, 6))
    assert heat.getpixel((330, 330)) != heat.getpixel((60, 60))
    assert preview.size == (response.width, response.height) == (84, 84)
    assert preview.getpixel((3, 3)) == (0, 0, 0)
    assert preview.getpixel((20, 3)) == (235, 235, 235)


def test_models_and_hook_points(client: Client) -> None:
    (model,) = client.list_models()
    assert model == client.get_model(model="shapes")
    assert "permute_tokens" in model.interventions
    names = {p.name for p in client.list_hook_points()}
    assert {"projector.hook_out", "language_model.blocks.{l}.hook_resid_post"} <= names


def test_models_come_and_go(png: bytes) -> None:
    goldens = ROOT / "tests/goldens/tiny-next-llama"
    with serving("--allow-load") as (_, address), Client(address) as client:
        *progress, last = client.load_model(str(goldens / "model"), name="next")
        assert 0 < progress[-1].progress.done <= progress[-1].progress.total
        assert last.model.family == "llava_next"
        assert client.generate(QUESTION, png, model="next", max_tokens=2).finish().usage.image_tokens > 36
        info = client.load_projector("second", str(goldens / "mm_projector.bin"), model="next")
        assert list(info.projectors) == ["default", "second"]
        # With the projector that was added.
        assert client.unload_model("next") > last.model.resident_bytes
        with pytest.raises(ScotomaError) as gone:
            client.generate(QUESTION, png, model="next")
        assert gone.value.code is grpc.StatusCode.NOT_FOUND


def test_loading_needs_leave(client: Client) -> None:
    with pytest.raises(ScotomaError) as refused:
        list(client.load_model("shapes", name="more"))
    assert refused.value.code is grpc.StatusCode.PERMISSION_DENIED


def test_the_embedded_model_is_certified(client: Client) -> None:
    *cases, last = client.check_parity()
    assert [c.case.done for c in cases] == list(range(1, cases[0].case.total + 1))
    assert last.report.passed
    assert 0 < last.report.max_relative_error <= last.report.tolerance == 1e-5


def test_errors_carry_code_reason_and_field(client: Client, png: bytes) -> None:
    with pytest.raises(ScotomaError) as refused:
        client.generate(QUESTION, png, interventions=[scotoma.drop_layers([99])])
    assert refused.value.code is grpc.StatusCode.INVALID_ARGUMENT
    assert refused.value.fields[0].field == "interventions[0].drop_layers.layers[0]"
    assert refused.value.reason
    assert "7" in str(refused.value), "says what would be valid"
    with pytest.raises(ScotomaError) as unknown:
        client.get_model(model="nonesuch")
    assert unknown.value.code is grpc.StatusCode.NOT_FOUND
    with pytest.raises(ScotomaError) as late:
        client.generate(QUESTION, png, timeout=1e-6).finish()
    assert late.value.code is grpc.StatusCode.DEADLINE_EXCEEDED
    assert client.generate(QUESTION, png).finish().text.strip() == "yes", "the next request works"


def test_leaving_the_loop_cancels(client: Client, server: str, png: bytes) -> None:
    for _ in client.generate(
        ". ".join([QUESTION] * 60), png, max_tokens=1000, sampling=Sampling(temperature=100, seed=1)
    ):
        break
    until = time.monotonic() + 20
    while running(server) > 0:
        assert time.monotonic() < until, "the request still runs"


def test_sigterm_in_the_middle_of_a_stream_loses_no_token(png: bytes) -> None:
    options = {"max_tokens": 600, "sampling": Sampling(temperature=100, seed=96)}
    with serving() as (process, address):
        with Client(address) as client:
            whole = client.generate(QUESTION, png, **options).finish()  # type: ignore[arg-type]
            tokens = iter(client.generate(QUESTION, png, **options))  # type: ignore[arg-type]
            text = next(tokens).text
            process.send_signal(signal.SIGTERM)
            text += "".join(token.text for token in tokens)
            assert text == whole.text
        # Before `serving` sends it again, which ends at once what has not ended by then.
        process.wait(60)


def test_reflection_lists_the_services(server: str) -> None:
    with grpc.insecure_channel(server) as channel:
        services = set(ProtoReflectionDescriptorDatabase(channel).get_services())
    assert {"scotoma.v1.InferenceService", "scotoma.v1.ModelService", "grpc.health.v1.Health"} <= services


async def test_asyncio_gives_the_same(server: str, client: Client, png: bytes) -> None:
    async with AsyncClient(server) as other:
        answer = await other.generate(QUESTION, png, interventions=[scotoma.permute_tokens(3)])
        tokens = [token async for token in answer]
        expected = client.generate(QUESTION, png, interventions=[scotoma.permute_tokens(3)])
        assert tokens == list(expected)
        assert answer.finished.provenance == expected.finished.provenance
        assert (await other.score(QUESTION, [" no", " yes"], png)).best == 1
        assert (await other.preview(png)).width == 84
        assert await other.list_models() == client.list_models()
        assert await other.get_model() == client.get_model()
        assert await other.list_hook_points() == client.list_hook_points()
        with pytest.raises(ScotomaError) as refused:
            await other.generate("", png)
        assert refused.value.fields[0].field.startswith("prompt")


async def test_asyncio_leaving_the_loop_cancels(server: str, png: bytes) -> None:
    async with AsyncClient(server) as client:
        sampling = Sampling(temperature=100, seed=96)
        async with await client.generate(QUESTION, png, max_tokens=1000, sampling=sampling) as answer:
            async for _ in answer:
                break
        until = time.monotonic() + 20
        while running(server) > 0:
            assert time.monotonic() < until, "the request still runs"


def test_captures_and_records(client: Client, png: bytes) -> None:
    point = "language_model.blocks.{l}.hook_resid_post"
    target = CaptureTarget(target={"point": point, "steps": {"last": 0}}, reduction="REDUCTION_MEAN")
    layers = client.get_model().language_model.layers
    activations = list(client.capture(QUESTION, [target], png))
    assert [a.point for a in activations] == [point.format(l=layer) for layer in range(layers)]
    assert all(a.array.shape == (1, 128) and a.array.dtype == np.float32 for a in activations)
    for dtype in (DATA_TYPE_F16, DATA_TYPE_BF16):
        halves = list(client.capture(QUESTION, [target], png, dtype=dtype))
        assert np.allclose(halves[0].array, activations[0].array, rtol=1e-2, atol=1e-2)
    kept = client.capture(
        QUESTION, [CaptureTarget(target={"point": point, "layers": [1], "steps": {"last": 0}}, keep=True)], png
    )
    assert [k.point for k in kept.finish().kept] == [point.format(l=1)]
    damage = [scotoma.intervention("exit_early", layer=layers - 2), scotoma.intervention("blank_image")]
    record = client.generate(QUESTION, png, interventions=damage, max_tokens=4).finish().provenance
    assert [r.fired for r in record.plan] == [1, 1]
    assert client.verify(record, [png]).agrees
    record.stages[3].digest = "0"
    assert [d.stage for d in client.verify(record, [png]).differences] == ["record", "logits"]
    with pytest.raises(ValueError, match="exit_earl"):
        scotoma.intervention("exit_earl", layer=1)


def test_a_sweep_is_requests_of_their_own(client: Client, png: bytes) -> None:
    grid = [scotoma.drop_layers([0]), scotoma.permute_tokens(0)]
    axes = {"interventions[0].drop_layers.layers[0]": range(3), "interventions[1].permute_tokens.seed": [5, 6]}
    image = client.upload_image(png)
    results = {r.variant: r for r in client.sweep(QUESTION, image, grid=grid, axes=axes, max_tokens=3)}
    assert sorted(results) == list(range(6))
    assert list(results[5].places) == [2, 1]
    changes = [scotoma.drop_layers([2]), scotoma.permute_tokens(6)]
    alone = client.generate(QUESTION, png, interventions=changes, max_tokens=3).finish()
    assert results[5].generated.provenance == alone.provenance
    assert sum(r.generated.usage.rows_reused for r in results.values()) > 0
    variants = [[], [scotoma.drop_layers([99])]]
    scored = {r.variant: r for r in client.sweep(QUESTION, png, continuations=[" yes", " no"], variants=variants)}
    assert scored[0].scored.provenance == client.score(QUESTION, [" yes", " no"], png).provenance
    assert scored[1].error.field == "interventions[0].drop_layers.layers[0]"


def test_one_run_writes_a_results_file(client: Client, png: bytes, server: str, tmp_path: Path) -> None:
    binary = os.environ.get("SCOTOMA_BINARY", str(ROOT / "target/quick/scotoma"))
    questions = [scotoma.sample(str(i), QUESTION, png, answer="yes", category="existence") for i in range(3)]
    file = tmp_path / "results.jsonl"
    line = [binary, "eval", "shapes", "--server", f"http://{server}", "--out", str(file)]
    run = client.evaluate("shapes", questions, results=file)
    # Held by this client: refused to another one and to the command line.
    with pytest.raises(BlockingIOError, match="another run is writing to it"):
        client.evaluate("shapes", questions, results=file)
    refused = subprocess.run(line, capture_output=True, text=True, check=False)
    assert refused.returncode == 1
    assert f"{file}: another run is writing to it" in refused.stderr
    run.finish()
    # Held by the command line: refused to this client, until it is killed.
    file.unlink()
    Path(f"{file}.run.json").unlink()
    with subprocess.Popen(line, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        while not file.exists() or file.stat().st_size == 0:
            assert process.poll() is None, "it has begun"
            time.sleep(0.005)
        process.send_signal(signal.SIGSTOP)
        with pytest.raises(BlockingIOError, match="another run is writing to it"):
            client.evaluate("shapes", questions, results=file)
        process.kill()
    variants: dict[str, list[scotoma.v1.intervention_pb2.Intervention]] = {"original": []}
    with pytest.raises(ValueError, match=r"answering \"ANSWERING_GENERATE\" then, unset now"):
        client.evaluate("shapes", questions, variants=variants, results=file)
    with client.evaluate("shapes", questions, variants=variants, answering=ANSWERING_GENERATE, results=file) as after:
        assert after.known


def test_what_is_given_is_used(client: Client, png: bytes) -> None:
    with pytest.raises(ValueError, match="axes are needed"):
        client.sweep(QUESTION, png, grid=[scotoma.drop_layers([1])])
    named = scotoma.v1.benchmark_service_pb2.EvaluateVariant(name="b")
    with pytest.raises(ValueError, match="'a' holds a variant that is named 'b'"):
        client.evaluate("shapes", [], variants={"a": named})
    with pytest.raises(ValueError, match=r"ca: .* is not encrypted"):
        Client("127.0.0.1:1", ca=b"")
    with pytest.raises(TypeError, match="temperature"):
        client.generate(QUESTION, png, temperatur=0.7)  # type: ignore[call-arg]


def test_a_benchmark_is_streamed_and_resumed(client: Client, png: bytes, tmp_path: Path) -> None:
    def questions() -> Iterable[scotoma.v1.benchmark_service_pb2.Sample]:
        for i in range(6):
            yield scotoma.sample(str(i), QUESTION, png, answer="yes", category="existence")

    variants = {"original": [], "permuted": [scotoma.permute_tokens()]}
    file = tmp_path / "results.jsonl"
    run = client.evaluate("shapes", questions(), variants=variants, results=file)
    assert run.started.rule == "shapes/scotoma"
    first = next(iter(run))
    run.cancel()
    again = client.evaluate("shapes", questions(), variants=variants, results=file)
    assert again.known == [first]
    assert again.started.header == run.started.header, "with the seeds that were drawn"
    frame = again.to_pandas()
    assert (len(frame), set(frame.verdict), again.finished.results, again.finished.failed) == (12, {"right"}, 12, 0)
    assert len(again.metrics_to_pandas()) == 2
    assert len(scotoma.read_results(file)) == 12
    with pytest.raises(ValueError, match="another run"):
        client.evaluate("shapes", questions(), results=file)
    (tmp_path / "other.jsonl.run.json").write_text("{}")
    with pytest.raises(ValueError, match="no header of a run"):
        client.evaluate("shapes", questions(), results=tmp_path / "other.jsonl")
    with pytest.raises(ScotomaError, match="mmvp/lmms-eval"):
        client.evaluate("nothing", questions())

    def broken() -> Iterable[scotoma.Question]:
        yield from questions()
        raise OSError("no more")

    half = client.evaluate("shapes", broken())
    with pytest.raises(OSError, match="no more"):
        half.finish()
    assert half.finished.results == 6


def test_a_file_of_questions(client: Client, png: bytes, tmp_path: Path) -> None:
    (tmp_path / "picture.png").write_bytes(png)
    inline = base64.b64encode(png).decode()
    lines = [
        "index\timage\tquestion\tA\tB\tanswer\tnote",
        f"1\t{inline}\t{QUESTION}\t\t\tyes\t",
        f'2\tpicture.png\t"{QUESTION}"\t\t\tyes\t"two\n""lines"""',
        f"3\t1\t{QUESTION}\tyes\tno\tC\t",
        f"4\t1\t{QUESTION}\t\t\tyes\t\n",
    ]
    table = "\n".join(lines)
    (tmp_path / "items.tsv").write_text(table)
    results = {r.id: r for r in client.evaluate("shapes", tmp_path / "items.tsv", progress=True)}
    assert {i for i, r in results.items() if r.verdict == 1} == {"1", "2", "4"}
    assert 'line 5: answer: "C", the options are A to B' in results["3"].error.message
    rows = [
        {"index": i, "image": image, "question": QUESTION, "answer": "yes"}
        for i, image in enumerate(("picture.png", inline, ["picture.png"]))
    ]
    (tmp_path / "items.jsonl").write_text("\n".join(map(json.dumps, rows)))
    assert {r.verdict for r in client.evaluate("shapes", tmp_path / "items.jsonl")} == {1}
    for text, says in ((table + "5\t99\t?\n", "line 7: 3 columns"), (table + "5\t99\t?\ty\tn\tA\t\n", "row 99")):
        (tmp_path / "bad.tsv").write_text(text)
        with pytest.raises(ValueError, match=says):
            client.evaluate("shapes", tmp_path / "bad.tsv").finish()


async def test_asyncio_evaluates(server: str, png: bytes) -> None:
    async with AsyncClient(server) as client:
        one = [scotoma.sample("1", QUESTION, png, options=["yes", "no"], answer="A")]
        run = await client.evaluate("custom/letter", one)
        assert [result.id async for result in run] == ["1"]
    assert run.finished.results == 1


def test_attributions(client: Client, png: bytes) -> None:
    """Scores are arrays, a point at a time; what is wrong is said before anything is sent."""
    found = client.attribute(QUESTION, " yes", png, points=hooks.blocks[2:4].hook_resid_pre)
    scores = list(found)
    assert [own.point.split(".")[2] for own in scores] == ["2", "3"]
    assert all(own.array.shape == (found.started.prompt_tokens,) for own in scores)
    assert abs(found.finish().value - client.score(QUESTION, [" yes"], png).scores[0].logprob) < 1e-4
    pixels = client.attribute(
        QUESTION, " yes", png, other=" no", method="integrated_gradients", source=blank_image(), steps=2
    )
    (heat,) = pixels
    assert (heat.point, heat.array.ndim) == ("pixels", 2)
    finished = pixels.finish()
    assert finished.HasField("baseline")
    assert pixels.gap == pytest.approx(heat.array.sum(dtype="float64") - (finished.value - finished.baseline))
    assert found.gap is None
    for wrong in ({"method": "gradients"}, {"other": " no", "probability": True}, {"step": 3}):
        with pytest.raises((TypeError, ValueError)):
            client.attribute(QUESTION, " yes", png, **wrong)
