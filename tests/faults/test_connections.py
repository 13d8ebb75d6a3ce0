"""Connections: half-open ones, silent ones, too many of them."""

from __future__ import annotations

import resource
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import grpc
import pytest
from scotoma.v1 import benchmark_service_pb2 as bench
from scotoma.v1.benchmark_service_pb2_grpc import BenchmarkServiceStub

from asks import connection, eventually, generate, generate_request, health
from conftest import Server, picture, serving

KEEPALIVE = 1
"""Seconds; what comes to nothing is gone after twice as many."""


def opened(server: Server, data: bytes = b"") -> socket.socket:
    """Connects, sends so much and no more."""
    there = socket.create_connection(("127.0.0.1", server.port), timeout=10)
    if data:
        there.sendall(data)
    return there


def seconds_to_the_end(there: socket.socket) -> float:
    """Reads until the server closes the connection, and closes it."""
    begun = time.monotonic()
    there.settimeout(20)
    with there, suppress(ConnectionError):
        while there.recv(1 << 16):
            pass
    return time.monotonic() - begun


@pytest.mark.parametrize(
    "begun",
    [
        b"",
        b"PRI * HTTP/2.0\r\n",
        b"GET /metrics HTTP/1.1\r\nhost: a\r\n",
        b"GET /metrics HTTP/1.1\r\nhost: a\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\x06\x04\0\0\0\0\0",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0",
    ],
    ids=[
        "silence",
        "half a preface",
        "half a head",
        "one request and silence",
        "a preface alone",
        "half the settings",
        "settings and no pongs",
    ],
)
def test_what_comes_to_nothing_is_gone_after_twice_the_keepalive(begun: bytes) -> None:
    """Before: half a preface was kept for ever, half a head for 30 s whatever --keepalive said."""
    with serving("--keepalive", str(KEEPALIVE)) as server:
        there = [opened(server, begun) for _ in range(8)]
        took = max(seconds_to_the_end(one) for one in there)
        # Three seconds for a machine that does other work as well.
        assert took < 2 * KEEPALIVE + 3, took


def test_bytes_now_and_then_do_not_keep_a_connection() -> None:
    """Before: each byte of a head that is never finished was another 30 s."""
    with serving("--keepalive", str(KEEPALIVE)) as server:
        there = opened(server, b"GET /metrics HTTP/1.1\r\n")
        begun = time.monotonic()
        with there, pytest.raises(OSError):  # noqa: PT011 (broken pipe or reset)
            while time.monotonic() - begun < 10:
                there.sendall(b"x")
                time.sleep(0.2)
        assert time.monotonic() - begun < 2 * KEEPALIVE + 2


def test_a_client_that_waits_between_calls_stays() -> None:
    """HTTP/2 has pings: a connection that answers them is not closed."""
    with serving("--keepalive", str(KEEPALIVE)) as server, connection(server) as channel:
        states: list[grpc.ChannelConnectivity] = []
        health(channel)
        channel.subscribe(states.append)
        time.sleep(3 * KEEPALIVE)
        health(channel)
        assert set(states) <= {grpc.ChannelConnectivity.READY}, states


def test_a_handshake_that_never_ends(tmp_path: Path) -> None:
    """Before: kept for ever."""
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    subprocess.run(
        [
            "openssl",
            "req",
            "-x509",
            "-newkey",
            "ed25519",
            "-nodes",
            "-keyout",
            key,
            "-out",
            cert,
            "-days",
            "1",
            "-subj",
            "/CN=localhost",
            "-addext",
            "subjectAltName=DNS:localhost",
        ],
        check=True,
        capture_output=True,
    )
    with serving("--keepalive", str(KEEPALIVE), "--tls-cert", str(cert), "--tls-key", str(key)) as server:
        # A record of the handshake whose rest never comes.
        there = opened(server, b"\x16\x03\x01\x02\x00\x01\x00")
        assert seconds_to_the_end(there) < 2 * KEEPALIVE + 1
        # Half a preface behind a handshake that ended well.
        context = ssl.create_default_context(cafile=str(cert))
        context.set_alpn_protocols(["h2"])
        there = context.wrap_socket(opened(server), server_hostname="localhost")
        there.sendall(b"PRI * ")
        assert seconds_to_the_end(there) < 2 * KEEPALIVE + 1


def test_no_more_connections_than_allowed() -> None:
    """Before: no bound but the system's. Who is turned away hears why, and there is room again once others leave."""
    with serving("--max-connections", "3") as server:
        there = [opened(server) for _ in range(3)]
        time.sleep(0.2)
        late = opened(server)
        late.settimeout(5)
        said = late.recv(1 << 16)
        assert b"--max-connections" in said, said
        assert seconds_to_the_end(late) < 1
        assert any("--max-connections" in line for line in server.lines())
        for one in there:
            one.close()
        eventually("room again", lambda: _serves(server))


def test_one_address_leaves_room_for_others() -> None:
    """Before: one machine could take all of --max-connections."""
    # This machine is a proxy by default, behind which are many.
    flags = ("--max-connections", "8", "--max-connections-per-address", "2", "--proxy", "192.0.2.1")
    with serving(*flags, listen="127.0.0.1:0") as server:
        there = [opened(server) for _ in range(2)]
        time.sleep(0.2)
        late = opened(server)
        late.settimeout(5)
        said = late.recv(1 << 16)
        assert b"--max-connections-per-address" in said, said
        assert seconds_to_the_end(late) < 1
        other = socket.create_connection(("127.0.0.1", server.port), timeout=10, source_address=("127.0.0.2", 0))
        with other:
            other.sendall(b"GET /metrics HTTP/1.1\r\nhost: a\r\n\r\n")
            assert other.recv(1 << 16).startswith(b"HTTP/1.1 200")
        for one in there:
            one.close()
        eventually("room again", lambda: _serves(server))
    with serving("--max-connections", "8") as server:
        there = [opened(server) for _ in range(7)]
        assert _serves(server), "connections of this machine count in all only"
        for one in there:
            one.close()


def test_open_streams_are_bounded() -> None:
    """Before: a connection after the other, 200 streams on each, of a benchmark that is never asked."""
    over = threading.Event()

    def begun() -> Iterator[bench.EvaluateRequest]:
        header = bench.EvaluateHeader(rule="shapes", variants=[bench.EvaluateVariant(name="original")])
        yield bench.EvaluateRequest(header=header)
        over.wait(60)

    flags = ("--max-streams", "6", "--max-streams-per-key", "4")
    with serving(*flags) as server, connection(server) as greedy, connection(server) as polite:
        there = [BenchmarkServiceStub(greedy).Evaluate(begun()) for _ in range(4)]
        for one in there:
            next(iter(one))
        with pytest.raises(grpc.RpcError) as refused:
            generate(greedy, generate_request(picture()))
        assert refused.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
        assert "--max-streams-per-key" in refused.value.details()
        generate(polite, generate_request(picture()))
        # Streams that need no key have a bound of their own, and leave others alone.
        watch = greedy.unary_stream("/grpc.health.v1.Health/Watch")
        watchers = [watch(b"") for _ in range(32)]
        for one in watchers:
            next(iter(one))
        with pytest.raises(grpc.RpcError) as refused:
            next(iter(watch(b"")))
        assert refused.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
        assert health(polite) < 1
        for one in (*watchers, *there):
            one.cancel()
        over.set()
        eventually("room again", lambda: _serves(server))
        generate(greedy, generate_request(picture()))


def _serves(server: Server) -> bool:
    try:
        with connection(server) as channel:
            return health(channel, 1) < 1
    except (grpc.RpcError, grpc.FutureTimeoutError):
        return False


def test_without_descriptors_the_server_waits_and_says_so(server: Server) -> None:
    """Before: accepting was tried again at once, a core was busy with it, and nothing was logged."""
    with connection(server) as channel:
        health(channel)
        limit = server.descriptors() + 4
        resource.prlimit(server.process.pid, resource.RLIMIT_NOFILE, (limit, limit))
        there = [opened(server) for _ in range(12)]
        before, begun = _processor_seconds(server), time.monotonic()
        time.sleep(2)
        assert health(channel) < 0.5, "connections that are there are served"
        busy = (_processor_seconds(server) - before) / (time.monotonic() - begun)
        assert busy < 0.25, f"{busy:.2f} of a core"
        lines = [line for line in server.lines() if "not accepted" in line]
        assert 1 <= len(lines) <= 3, lines
        for one in there:
            one.close()
    eventually("room again", lambda: _serves(server))


def _processor_seconds(server: Server) -> float:
    fields = Path(f"/proc/{server.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / 100
