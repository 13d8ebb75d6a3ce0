"""Overload: more than the server has room for, in bytes, pixels, activations and requests."""

from __future__ import annotations

import functools
import statistics
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import grpc
import pytest
from asks import (
    Answers,
    Greedy,
    connection,
    eventually,
    generate,
    generate_request,
    health,
    plain_picture,
    unfinished_message,
)
from conftest import Server, picture, serving

from scotoma.v1 import inference_service_pb2 as pb
from scotoma.v1 import intervention_pb2
from scotoma.v1.inference_service_pb2_grpc import InferenceServiceStub

MIB = 1 << 20


def warm(server: Server) -> int:
    """Asks once, so that what all requests share is in memory, and returns the bytes of the process."""
    with connection(server) as channel:
        generate(channel, generate_request(picture()))
    return server.memory()


def given_back(server: Server, most: int) -> None:
    """Waits until the process has given memory back: its allocator does so as it goes on, not while nothing is asked."""
    with connection(server) as channel:

        def is_given_back() -> bool:
            generate(channel, generate_request(picture()))
            return server.memory() < most

        eventually("the memory is given back", is_given_back, 30)


def test_unfinished_messages_are_bounded_and_given_back() -> None:
    """Before: 18 messages that lacked a byte took 1.2 GiB, and the memory stayed when their client had left."""
    with serving("--pending-mib", "192", "--pending-mib-per-key", "64", "--keepalive", "5") as server:
        before = warm(server)
        # Without keys each connection is a client.
        with ThreadPoolExecutor(18) as pool:
            there = list(pool.map(lambda _: unfinished_message(server, 60 * MIB, 60 * MIB - 1), range(18)))
        time.sleep(0.5)
        held = server.peak() - before
        print(f"18 unfinished messages of 60 MiB: {held / MIB:.0f} MiB more at most")
        assert held < 1.2 * 192 * MIB + 18 * MIB, held / MIB
        for one in there:
            one.close()
        given_back(server, before + 64 * MIB)


def test_a_refused_message_says_which_budget_has_no_room() -> None:
    """The refusal comes before the bytes, with a delay after which to try again."""
    with serving("--pending-mib", "1", "--max-message-mib", "8") as server, connection(server) as channel:
        waiting = unfinished_message(server, MIB // 2, 1000)
        time.sleep(0.2)
        stub = InferenceServiceStub(channel)
        with pytest.raises(grpc.RpcError) as refused:
            stub.UploadImage(pb.UploadImageRequest(data=bytes(MIB)), timeout=5)
        assert refused.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
        assert "message_bytes" in refused.value.details()
        assert "--pending-mib" in refused.value.details()
        details = dict(refused.value.trailing_metadata())["grpc-status-details-bin"]
        assert b"google.rpc.RetryInfo" in details
        waiting.close()
        eventually("room again", lambda: _uploads(stub))


def _uploads(stub: InferenceServiceStub) -> bool:
    try:
        return bool(stub.UploadImage(pb.UploadImageRequest(data=picture()), timeout=5).handle)
    except grpc.RpcError:
        return False


def test_what_is_small_on_the_wire_and_large_in_memory() -> None:
    """Before: an empty intervention of two bytes took some hundreds when it was decoded, 64 MiB of them 10 GB."""
    one = pb.GenerateRequest(interventions=[intervention_pb2.Intervention()]).SerializeToString()
    with serving() as server, connection(server) as channel:
        before = warm(server)
        call = channel.unary_stream("/scotoma.v1.InferenceService/Generate")
        with pytest.raises(grpc.RpcError) as refused:
            list(call(one * (16 * MIB), timeout=30))
        assert refused.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED, refused.value
        held = server.peak() - before
        print(f"16 Mi empty interventions: {held / MIB:.0f} MiB more at most")
        assert held < 128 * MIB


def test_uploads_take_turns() -> None:
    """Before: 24 uploads of a PNG of 8192 x 8192 were all decoded at once, in 4.6 GiB."""
    large = plain_picture(8192)
    with serving() as server, connection(server) as channel:
        before = warm(server)
        stub = InferenceServiceStub(channel)
        answers = Answers()

        def upload(number: int) -> float:
            begun = time.monotonic()
            stub.UploadImage(pb.UploadImageRequest(data=large + b" " * number), timeout=240)
            return time.monotonic() - begun

        with ThreadPoolExecutor(24) as pool:
            list(pool.map(lambda number: answers.ask(lambda: upload(number)), range(24)))
        held = server.peak() - before
        print(f"24 uploads of 8192 x 8192: {held / MIB:.0f} MiB more at most")
        assert len(answers.seconds) == 24
        # --decoding-pixels, each of up to eight bytes in a PNG of eight bits.
        assert held < 8 * 96 * MIB
        given_back(server, before + 128 * MIB)


def test_activations_that_nobody_reads() -> None:
    """Before: 24 captures of 43 MiB that nobody read took 1 GiB."""
    everywhere = intervention_pb2.Target(point="language_model.blocks.{l}.hook_resid_pre")
    request = pb.CaptureRequest(
        prompt=pb.Prompt(text="what is it? " * 250, raw=True),
        targets=[pb.CaptureTarget(target=everywhere)] * 4,
        max_tokens=1,
    )
    with serving("--unread-mib", "48", "--unread-mib-per-key", "32", "--read-timeout", "4") as server:
        before = warm(server)
        with connection(server) as channel:
            stub = InferenceServiceStub(channel)
            calls = [stub.Capture(request, timeout=60) for _ in range(24)]
            refused = sum(1 for call in calls if _is_refused(call))
            held = server.peak() - before
            print(f"24 unread captures: {refused} refused, {held / MIB:.0f} MiB more at most")
            assert refused
            assert held < 4 * 48 * MIB, "what waits, parts of it as they are sent, keys and values of the prompt"
            # Those that nobody reads are ended, and make room.
            eventually("room again", lambda: not _is_refused(stub.Capture(request, timeout=60)), 20)
            for call in calls:
                call.cancel()
        given_back(server, before + 128 * MIB)


def _is_refused(call: grpc.Call) -> bool:
    """Reads the first message alone."""
    try:
        next(iter(call))
    except grpc.RpcError as error:
        assert error.code() == grpc.StatusCode.RESOURCE_EXHAUSTED, error
        assert "--unread-mib" in error.details(), error
        return True
    return False


def test_ten_times_the_load_for_a_minute() -> None:
    """Before: a refusal took 12.5 s at the median. All are answered or refused, and memory keeps within the budgets.

    Requests are sent ten times as fast as they are answered, as far as a client in Python can, from eight connections.
    """
    seconds, budgets = 60, 512 + 256  # MiB: messages, and pictures that are decoded
    pictures = [picture(seed, 336) for seed in range(64)]
    with ExitStack() as stack, serving("--queue", "8", "--max-running", "4") as server, connection(server) as other:
        channels = [stack.enter_context(connection(server)) for _ in range(8)]
        channel = channels[0]
        for one in pictures[:8]:
            generate(channel, generate_request(one))
        before = server.memory()
        with Greedy(channel, 8, lambda number: generate_request(pictures[number % 64] + b" " * number)) as alone:
            time.sleep(5)
        rate = len(alone.answers.seconds) / 5
        answers, checks, threads = Answers(), [], []
        over = threading.Event()

        def watch() -> None:
            while not over.wait(0.1):
                checks.append(health(other))

        watcher = threading.Thread(target=watch)
        watcher.start()
        begun, sent = time.monotonic(), 0
        while (now := time.monotonic() - begun) < seconds:
            if sent >= 10 * rate * now or sum(thread.is_alive() for thread in threads[-2000:]) > 800:
                time.sleep(0.002)
                continue
            request = generate_request(pictures[sent % 64] + b" " * sent)
            by = channels[sent % len(channels)]
            asked = functools.partial(generate, by, request)
            send = threading.Thread(target=answers.ask, args=(asked,))
            send.start()
            threads.append(send)
            sent += 1
        for thread in threads:
            thread.join(60)
        over.set()
        watcher.join()
        assert not answers.errors, answers.errors[:3]
        assert len(answers.seconds) + len(answers.refused) == sent
        held = server.peak() - before
        refused = statistics.median(answers.refused)
        print(
            f"{rate:.0f} answers/s alone; {sent / seconds:.0f} requests/s for {seconds} s: "
            f"{len(answers.seconds)} answered, "
            f"{len(answers.refused)} refused within {1e3 * refused:.0f} ms at the median; health "
            f"{1e3 * statistics.median(checks):.0f} ms; {held / MIB:.0f} MiB more at most"
        )
        assert refused < 0.25
        assert held < 1.2 * budgets * MIB
