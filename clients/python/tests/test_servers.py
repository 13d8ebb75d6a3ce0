"""Calls while servers change: what is tried again, what goes along, and which server it goes to."""

from __future__ import annotations

import re
import signal
import subprocess
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

import grpc
import pytest
from blake3 import blake3
from conftest import serving
from fakes import fake

import scotoma
from scotoma import AsyncClient, Client, ScotomaError
from scotoma.calls import Call, Patience, weight
from scotoma.v1 import benchmark_service_pb2, inference_service_pb2

QUESTION, WORDS = "Is there a red circle?", ["yes", "no"]
PICTURE = b"a picture"
GOING_DOWN = (grpc.StatusCode.UNAVAILABLE, "going down", "DRAINING", 0.05)


def test_one_call_is_one_call_over_all_of_its_tries() -> None:
    with fake() as server, Client(server.address) as client:
        server.refusals = [GOING_DOWN, GOING_DOWN]
        client.score(QUESTION, WORDS, PICTURE)
        client.score(QUESTION, WORDS, PICTURE, idempotency_key="mine", request_id="r", traceparent="00-1-2-01")
        first, again, third, other = server.calls
    names = ("idempotency-key", "x-request-id", "x-scotoma-picture")
    for name in names:
        assert first[name] == again[name] == third[name]
    assert first["x-scotoma-picture"] == other["x-scotoma-picture"] == blake3(PICTURE).hexdigest()
    assert re.fullmatch(r"[!-~]{1,128}", first["idempotency-key"])
    assert [other[name] for name in (*names[:2], "traceparent")] == ["mine", "r", "00-1-2-01"]
    assert "traceparent" not in first


def test_requests_go_where_their_activations_are() -> None:
    of = {name: [{"patch": {"handle": name}}] for name in "abc"}
    attribute = inference_service_pb2.AttributeRequest(interventions=of["a"], source={"interventions": of["b"]})
    header = benchmark_service_pb2.EvaluateHeader(variants=[{"name": "as it is"}, {"interventions": of["c"]}])
    assert Call.of({}, attribute).handles == ("a", "b")
    assert Call.of({}, header).handles == ("c",)


def test_the_span_of_opentelemetry_goes_along() -> None:
    from opentelemetry.sdk.trace import TracerProvider

    with fake() as server, Client(server.address) as client:
        with TracerProvider().get_tracer("test").start_as_current_span("outer") as span:
            client.score(QUESTION, WORDS)
        trace = f"{span.get_span_context().trace_id:032x}"
        assert server.calls[0]["traceparent"].split("-")[1] == trace


def test_what_is_not_worth_waiting_for_is_not_waited_for() -> None:
    with fake() as server:
        server.refusals = [GOING_DOWN, (grpc.StatusCode.UNAVAILABLE, "the hub", "HUB"), (*GOING_DOWN[:3], 0.9)]
        with Client(server.address, patience=0) as client, pytest.raises(ScotomaError) as down:
            client.score(QUESTION, WORDS, request_id="mine")
        assert (down.value.retry_after, down.value.request_id) == (0.05, "of-the-server")
        with Client(server.address) as client:
            with pytest.raises(ScotomaError, match="hub"):
                client.score(QUESTION, WORDS)
            assert len(server.calls) == 2
            with pytest.raises(ScotomaError, match="going down"):
                client.score(QUESTION, WORDS, timeout=0.5)
    begun = time.monotonic()
    with Client("127.0.0.1:1", patience=0.5) as client, pytest.raises(ScotomaError) as gone:
        client.score(QUESTION, WORDS, request_id="mine")
    assert 0.4 < time.monotonic() - begun < 3
    assert gone.value.request_id == "mine"


def test_waits_grow_and_end_with_the_patience() -> None:
    lost = ScotomaError(grpc.StatusCode.UNAVAILABLE, "lost")
    patience = Patience(60)
    waits = [patience.wait(lost) or 0 for _ in range(8)]
    assert 0.1 <= waits[0] <= 0.2
    assert all(2.5 <= wait <= 5 for wait in waits[6:])
    assert Patience(0).wait(lost) is None
    told = ScotomaError(grpc.StatusCode.UNAVAILABLE, "later", retry_after=2)
    assert 2 <= (Patience(60).wait(told) or 0) <= 2.4
    assert Patience(60, timeout=1).wait(told) is None


def test_a_picture_has_its_server_and_another_one_when_that_is_gone() -> None:
    with fake() as a, fake() as b, Client([a.address, b.address]) as client:
        pictures = [f"picture {i}".encode() for i in range(24)]
        for picture in pictures * 2:
            client.score(QUESTION, WORDS, picture)
        own = {s.address: {c["x-scotoma-picture"] for c in s.calls} for s in (a, b)}
        assert not own[a.address] & own[b.address]
        assert min(map(len, own.values())) >= 4
        for address, handles in own.items():
            for handle in handles:
                assert weight(address, handle) == max(weight(s.address, handle) for s in (a, b))
        counts = len(a.calls), len(b.calls)
        for _ in range(10):
            client.score(QUESTION, WORDS)
        assert (len(a.calls) - counts[0], len(b.calls) - counts[1]) == (5, 5)
        a.stop()  # type: ignore[attr-defined]
        begun = time.monotonic()
        for picture in pictures:
            client.score(QUESTION, WORDS, picture)
        assert time.monotonic() - begun < 5, "nothing waits where another server is there"


def test_a_server_that_does_not_serve_gets_no_new_calls() -> None:
    with fake() as a, fake() as b, Client([f"http://{a.address}", b.address]) as client:
        a.serving = False
        for i in range(12):
            client.score(QUESTION, WORDS, f"picture {i}".encode())
        assert (len(a.calls), len(b.calls)) == (0, 12)


def test_uploads_go_where_they_are_needed() -> None:
    with fake() as a, fake() as b, Client([a.address, b.address]) as client:
        image = client.upload_image(PICTURE)
        holder, other = (a, b) if a.uploads else (b, a)
        client.score(QUESTION, WORDS, image)
        assert (len(holder.calls), len(other.calls)) == (1, 0)
        holder.uploads.clear()
        client.score(QUESTION, WORDS, image)
        assert holder.uploads == {image.handle}, "one that has lost it gets it again"
        holder.stop()  # type: ignore[attr-defined]
        client.score(QUESTION, WORDS, image)
        assert other.uploads == {image.handle}
        with pytest.raises(ScotomaError, match="upload it again") as unknown:
            client.score(QUESTION, WORDS, scotoma.v1.inference_service_pb2.Image(handle="00"))
        assert unknown.value.code is grpc.StatusCode.NOT_FOUND


def test_addresses_are_checked() -> None:
    for addresses, says in (([], "empty"), (["a:1", "http://a:1"], "twice")):
        with pytest.raises(ValueError, match=says):
            Client(addresses)
    with pytest.raises(ValueError, match="patience"):
        Client("a:1", patience=-1)


async def test_asyncio_waits_and_moves_on() -> None:
    with fake() as a, fake() as b:
        a.refusals = [GOING_DOWN]
        b.refusals = [GOING_DOWN]
        async with AsyncClient([a.address, b.address]) as client:
            image = await client.upload_image(PICTURE)
            await client.score(QUESTION, WORDS, image)
        assert len(a.calls) + len(b.calls) == 3
        assert len({c["idempotency-key"] for c in a.calls + b.calls}) == 1


def questions(png: bytes, count: int) -> Iterator[scotoma.Question]:
    for i in range(count):
        yield scotoma.sample(str(i), QUESTION, png + bytes([i % 7]), answer="yes", category="existence")


def names(results: Iterable[scotoma.v1.benchmark_service_pb2.SampleResult]) -> list[tuple[str, str, str]]:
    return sorted((r.id, r.variant, r.output_digest) for r in results)


VARIANTS: dict[str, list[scotoma.v1.intervention_pb2.Intervention]] = {
    "original": [],
    "permuted": [scotoma.permute_tokens()],
}


def restart(process: subprocess.Popen[str], how: signal.Signals) -> None:
    process.send_signal(how)
    process.wait(60)


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_a_benchmark_goes_on_when_its_server_comes_back(how: signal.Signals, png: bytes, tmp_path: Path) -> None:
    file = tmp_path / "results.jsonl"
    with serving(ends=how) as (process, address):
        client = Client(address)
        run = client.evaluate("shapes", questions(png, 300), variants=VARIANTS, results=file)
        stream = iter(run)
        results = [next(stream)]
        restart(process, how)
    with serving(listen=address):
        results += list(stream)
        assert (len(results), run.finished.results, run.finished.failed) == (600, 600, 0)
        assert len(file.read_text().splitlines()) == 600, "nothing twice"
        header = run.started.header
        whole = client.evaluate("shapes", questions(png, 300), variants={v.name: v for v in header.variants})
        assert names(whole) == names(results) == names(scotoma.read_results(file))
        assert whole.finished.metrics == run.finished.metrics
        client.close()


def test_a_benchmark_says_what_is_missing_when_the_patience_is_over(png: bytes) -> None:
    with serving(ends=signal.SIGKILL) as (process, address), Client(address, patience=0.5) as client:
        run = client.evaluate("shapes", questions(png, 300), variants=VARIANTS)
        stream = iter(run)
        next(stream)
        restart(process, signal.SIGKILL)
        with pytest.raises(ScotomaError, match=r"\d+ answers came, up to \d+ to \d+ questions .* missing") as lost:
            list(stream)
        assert lost.value.code is grpc.StatusCode.UNAVAILABLE


def test_a_benchmark_over_two_servers_is_that_of_one(png: bytes) -> None:
    with serving(ends=signal.SIGKILL) as (process, a), serving() as (_, b):
        with Client(b) as client:
            alone = client.evaluate("shapes", questions(png, 300), variants=VARIANTS)
            header = alone.started.header
            expected = names(alone)
        variants = {v.name: v for v in header.variants}
        with Client([a, b]) as client:
            run = client.evaluate("shapes", questions(png, 300), variants=variants)
            assert names(run) == expected
            assert run.finished.metrics == alone.finished.metrics
            assert run.finished.comparisons == alone.finished.comparisons
            assert run.finished.results == 600
            run = client.evaluate("shapes", questions(png, 300), variants=variants)
            stream = iter(run)
            results = [next(stream)]
            restart(process, signal.SIGKILL)
            results += list(stream)
            assert names(results) == expected
            assert run.finished.metrics == alone.finished.metrics


async def test_asyncio_benchmarks_go_on(png: bytes) -> None:
    with serving(ends=signal.SIGKILL) as (process, a), serving() as (_, b):
        async with AsyncClient([a, b]) as client:
            run = await client.evaluate("shapes", questions(png, 300), variants=VARIANTS)
            results = []
            async for result in run:
                results.append(result)
                if len(results) == 20:
                    restart(process, signal.SIGKILL)
            assert len(set(names(results))) == len(results) == run.finished.results == 600
