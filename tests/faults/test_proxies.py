"""Proxies before several replicas, with the configurations of deploy/ and the programs as packages bring them.

Not tried before these tests: no proxy stood between client and server in any of them.
"""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
import pytest
from scotoma import Client, ScotomaError, sample
from scotoma.v1 import inference_service_pb2 as pb
from scotoma.v1.inference_service_pb2_grpc import InferenceServiceStub

from conftest import BINARY, ROOT, picture

sys.path.insert(0, str(ROOT / "deploy"))
import programs

PROXIES = ("haproxy", "nginx", "envoy")
# What a client may see of a replica that ended in the middle of an answer, by the proxy that stood before it.
CUT = {
    grpc.StatusCode.UNAVAILABLE,
    grpc.StatusCode.INTERNAL,
    grpc.StatusCode.CANCELLED,
    grpc.StatusCode.UNKNOWN,
}


def lacking(proxy: str) -> str | None:
    """Says why a proxy cannot be tried; None where it can."""
    if not programs.find(proxy):
        return f"{proxy} is not installed" + (" (make deploy-tools)" if proxy == "envoy" else "")
    return None


@dataclass
class Fleet:
    """Two replicas behind a proxy."""

    proxy: str
    folder: Path
    tls: bool = False
    running: dict[str, programs.Program] = field(default_factory=dict)
    port: int = field(default_factory=programs.free_port)

    def start(self) -> None:
        """Starts everything and waits until the proxy passes a call on."""
        for name in ("a", "b"):
            self.replica(name)
        for name in ("a", "b"):
            self[name].serving()
        addresses = [self[name].address for name in ("a", "b")]
        if self.tls:
            proxy = self.encrypted(addresses)
        else:
            proxy = getattr(programs, self.proxy)(addresses, self.folder, self.port)
        self.running[self.proxy] = proxy
        proxy.ready(self.port)
        with self.client() as client:
            programs.wait_for("an answer through the proxy", lambda: answers(client))

    def encrypted(self, addresses: list[str]) -> programs.Program:
        """Starts the proxy with a certificate of `scotoma certificate`; `port` is that of TLS."""
        certificates = self.folder / "certificates"
        made = [BINARY, "certificate", "localhost", "127.0.0.1", "--out", str(certificates)]
        subprocess.run(made, check=True, capture_output=True)
        pem, key = certificates / "server.pem", certificates / "server.key"
        plain = programs.free_port()
        if self.proxy == "nginx":
            return programs.nginx(addresses, self.folder, plain, (self.port, pem, key))
        if self.proxy == "envoy":
            return programs.envoy(addresses, self.folder, self.port, (pem, key))
        both = self.folder / "both.pem"
        both.write_text(pem.read_text() + key.read_text())
        listen = {"SCOTOMA_PROXY_PEM": str(both), "SCOTOMA_PROXY_TLS_LISTEN": f"127.0.0.1:{self.port}"}
        return programs.haproxy(addresses, self.folder, plain, **listen)

    def replica(self, name: str, port: int | None = None) -> None:
        """Starts a replica."""
        self.running[name] = programs.Replica(name, self.folder, "--threads", "1", port=port, binary=BINARY)

    def __getitem__(self, name: str) -> programs.Replica:
        """Returns a replica."""
        replica = self.running[name]
        assert isinstance(replica, programs.Replica)
        return replica

    def again(self, name: str) -> None:
        """Kills a replica, or the proxy, and starts it anew at the same place."""
        self.running[name].kill()
        if name == self.proxy:
            addresses = [self[replica].address for replica in ("a", "b")]
            self.running[name] = getattr(programs, name)(addresses, self.folder, self.port)
        else:
            self.replica(name, self[name].port)

    def client(self, **options: int) -> Client:
        """Connects through the proxy."""
        if self.tls:
            ca = self.folder / "certificates/ca.pem"
            return Client(f"https://127.0.0.1:{self.port}", ca=ca, **options)
        return Client(f"127.0.0.1:{self.port}", **options)


def answers(client: Client) -> bool:
    """Returns whether a call is answered."""
    try:
        return bool(client.list_models())
    except ScotomaError:
        return False


@pytest.fixture
def fleet(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Fleet]:
    """Two replicas behind the proxy that the test names; "NAME+tls" for an encrypted one."""
    proxy, _, tls = request.param.partition("+")
    if reason := lacking(proxy):
        pytest.skip(reason)
    fleet = Fleet(proxy, tmp_path, bool(tls))
    try:
        fleet.start()
        yield fleet
    finally:
        for program in fleet.running.values():
            program.kill()


def each(*more: str) -> Callable[..., object]:
    """Runs a test once a proxy."""
    return pytest.mark.parametrize("fleet", [proxy + end for proxy in PROXIES for end in ("", *more)], indirect=True)


def ask(client: Client, seed: int) -> tuple[str, int]:
    """Asks until an answer is whole; returns it and how often a try was cut off."""
    for cut in range(200):
        try:
            answer = client.generate("What is in the picture?", picture(seed), max_tokens=24)
            return "".join(token.text for token in answer), cut
        except ScotomaError as error:
            if error.code not in CUT:
                raise
            time.sleep(0.1)
    raise AssertionError(f"question {seed} was not answered in 200 tries")


def answered(count: int, done: threading.Semaphore, asked: list[Future[Any]]) -> None:
    """Waits until so many more questions are answered; fails with why none is for a minute."""
    for _ in range(count):
        assert done.acquire(timeout=60), [work.exception() for work in asked if work.done()]


@each("+tls")
def test_a_killed_replica_loses_nothing_that_clients_see(fleet: Fleet) -> None:
    """300 questions by four clients; after 100 one of two replicas is killed, and after 200 it is back."""
    with Client(fleet["a"].address) as client:
        expected = [ask(client, seed)[0] for seed in range(25)]
    done = threading.Semaphore(0)

    def work(first: int) -> list[tuple[int, str, int]]:
        found = []
        with fleet.client(patience=0) as client:
            for seed in range(first, 300, 4):
                found.append((seed % 25, *ask(client, seed % 25)))
                done.release()
        return found

    with ThreadPoolExecutor(4) as pool:
        asked = [pool.submit(work, first) for first in range(4)]
        answered(100, done, asked)
        port = fleet["b"].port
        fleet["b"].kill()
        answered(100, done, asked)
        fleet.replica("b", port)
        found = [row for work in asked for row in work.result(120)]
    assert len(found) == 300
    assert all(text == expected[seed] for seed, text, _ in found)
    tries = sum(cut for *_, cut in found)
    print(f"{fleet.proxy}: {tries} tries were cut off")
    assert tries <= 40


@pytest.mark.parametrize("fleet", ["haproxy"], indirect=True)
@pytest.mark.parametrize("victims", [("a", "b"), ("haproxy",)], ids=["replicas", "proxy"])
def test_twenty_kills_under_a_run_of_five_thousand(fleet: Fleet, victims: tuple[str, ...]) -> None:
    """5,000 answers by eight clients: the same as of one server that nobody kills, and none is missing."""
    total, kills, callers = 5000, 20, 8
    with Client(fleet["a"].address) as client:
        expected = [ask(client, seed)[0] for seed in range(25)]
    done = threading.Semaphore(0)

    def work(first: int) -> tuple[int, int, int]:
        right = wrong = cut = 0
        with fleet.client(patience=0) as client:
            for i in range(first, total, callers):
                text, tries = ask(client, i % 25)
                right, wrong, cut = right + (text == expected[i % 25]), wrong + (text != expected[i % 25]), cut + tries
                done.release()
        return right, wrong, cut

    with ThreadPoolExecutor(callers) as pool:
        asked = [pool.submit(work, first) for first in range(callers)]
        for kill in range(kills):
            answered(total // (kills + 1), done, asked)
            fleet.again(victims[kill % len(victims)])
        counts = [work.result(300) for work in asked]
    right, wrong, cut = (sum(column) for column in zip(*counts, strict=True))
    print(f"{kills} kills of {', '.join(victims)}: {right} right, {wrong} wrong, {cut} tries cut off")
    assert (right, wrong) == (total, 0)


@each()
def test_requests_about_one_picture_go_to_one_replica(fleet: Fleet) -> None:
    """Eight questions about each of 12 pictures: 12 went up a tower with the header, on either side some."""
    with grpc.insecure_channel(f"127.0.0.1:{fleet.port}") as channel:
        stub = InferenceServiceStub(channel)
        before = {name: fleet[name].metric("scotoma_image_cache_misses_total") for name in ("a", "b")}
        for turn in range(8):
            for seed in range(100, 112):
                message = pb.GenerateRequest(max_tokens=1)
                message.prompt.text = f"{turn}?"
                message.prompt.images.add().data = picture(seed)
                metadata = (("x-scotoma-picture", f"{seed:064x}"),)
                assert list(stub.Generate(message, metadata=metadata, timeout=30))
        misses = {name: fleet[name].metric("scotoma_image_cache_misses_total") - before[name] for name in ("a", "b")}
    assert sum(misses.values()) == 12, misses
    assert all(0 < n < 12 for n in misses.values()), misses


@each()
def test_without_a_picture_both_replicas_work(fleet: Fleet) -> None:
    """No header, no affinity: requests go round, or to the replica that has less to do."""
    with fleet.client() as client:
        for number in range(12):
            client.generate(f"{number} + 3?", max_tokens=2).finish()
    begun = [fleet[name].metric('scotoma_requests_total{method="Generate".*}') for name in ("a", "b")]
    assert sum(begun) >= 12
    assert min(begun) >= 3, begun


def generated(replica: programs.Replica) -> float:
    """Returns how many tokens a replica has generated."""
    return replica.metric("scotoma_generation_tokens_total")


@each()
def test_a_run_of_a_benchmark_goes_on_after_a_replica_was_killed(fleet: Fleet) -> None:
    """`scotoma eval` through the proxy; its replica is killed, and the same command goes on: same results."""
    variant = 'black=[{"blankImage":{"colour":"COLOUR_BLACK"}}]'
    command = [BINARY, "eval", "shapes", "--variant", variant, "--json", "--server"]
    alone = subprocess.run([*command, f"http://{fleet['a'].address}"], check=True, capture_output=True)
    out = fleet.folder / "results.jsonl"
    command += [f"http://127.0.0.1:{fleet.port}", "--out", str(out)]
    before = {name: generated(fleet[name]) for name in ("a", "b")}
    # Long enough for a machine that does other work as well.
    ends = time.monotonic() + 300
    killed = False
    while True:
        run = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        while run.poll() is None and not killed:
            if out.exists() and out.read_bytes().count(b"\n") > 50:
                # Which of both has the run, none but the proxy knows.
                fleet[max(("a", "b"), key=lambda name: generated(fleet[name]) - before[name])].kill()
                killed = True
            time.sleep(0.01)
        stdout, stderr = run.communicate(timeout=240)
        if run.returncode == 0:
            break
        assert time.monotonic() < ends, stderr.decode()
        time.sleep(0.2)
    assert killed, "the run ended before its replica was killed"
    assert json.loads(stdout) == json.loads(alone.stdout)


@each()
def test_a_replica_that_goes_down_gets_no_new_requests(fleet: Fleet) -> None:
    """SIGTERM to one of two under steady questions: no client gives up, and each tries at most a few times more."""
    with fleet.client(patience=0) as client:
        tries = 0
        for seed in range(60):
            if seed == 20:
                fleet["b"].process.terminate()
            tries += ask(client, seed % 25)[1]
    print(f"{fleet.proxy}: {tries} tries were cut off")
    assert tries <= 5


@each()
def test_no_replica_at_all_is_unavailable(fleet: Fleet) -> None:
    """Not a page of HTML, which clients take for a fault of the protocol."""
    for name in ("a", "b"):
        fleet[name].kill()
    time.sleep(3)
    with fleet.client(patience=0) as client:
        with pytest.raises(ScotomaError) as caught:
            client.list_models()
        assert caught.value.code is grpc.StatusCode.UNAVAILABLE
    command = [BINARY, "models", "--patience", "0", "--server", f"http://127.0.0.1:{fleet.port}"]
    asked = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert asked.returncode == 1
    assert "html" not in asked.stderr.lower()


@each()
def test_metrics_are_not_for_those_outside(fleet: Fleet) -> None:
    """/metrics needs no key, so a proxy does not pass it on."""
    curl = ["curl", "-s", "--http2-prior-knowledge", "-o", "/dev/null", "-w", "%{http_code}"]
    got = subprocess.run([*curl, f"http://127.0.0.1:{fleet.port}/metrics"], capture_output=True, text=True, timeout=20)
    assert got.stdout == "404"


def test_replicas_that_speak_tls_behind_haproxy(tmp_path: Path) -> None:
    """SCOTOMA_REPLICAS_CA: the proxy checks and asks replicas with --tls-cert; one that is killed is left out."""
    if reason := lacking("haproxy"):
        pytest.skip(reason)
    made = [BINARY, "certificate", "localhost", "127.0.0.1", "--out", str(tmp_path / "certificates")]
    subprocess.run(made, check=True, capture_output=True)
    files = {name: str(tmp_path / "certificates" / name) for name in ("server.pem", "server.key", "ca.pem")}
    flags = ("--threads", "1", "--tls-cert", files["server.pem"], "--tls-key", files["server.key"])
    running: list[programs.Program] = []
    try:
        replicas = [programs.Replica(name, tmp_path, *flags, binary=BINARY) for name in ("a", "b")]
        running.extend(replicas)
        for replica in replicas:
            replica.serving()
        port = programs.free_port()
        addresses = [replica.address for replica in replicas]
        running.append(programs.haproxy(addresses, tmp_path, port, SCOTOMA_REPLICAS_CA=files["ca.pem"]))
        running[-1].ready(port)
        with Client(f"127.0.0.1:{port}") as client:
            programs.wait_for("an answer through the proxy", lambda: answers(client))
            # Long enough for a health check to fail, were it not understood.
            time.sleep(4)
            assert all(answers(client) for _ in range(4))
            replicas[0].kill()
            time.sleep(3)
            assert all(answers(client) for _ in range(4))
    finally:
        for program in running:
            program.kill()


SILENT = 65
"""Seconds: longer than the minute after which proxies mostly give up a stream that says nothing."""


def silent_run(folder: Path, proxy: str) -> int:
    """Runs a benchmark through a proxy whose second sample is a minute late; returns how many results came."""
    folder.mkdir()
    fleet = Fleet(proxy, folder)
    try:
        fleet.start()

        def samples() -> Iterator[object]:
            for i in range(2):
                yield sample(str(i), "Is there a disc?", picture(i), answer="yes", category="existence")
                time.sleep(SILENT * (1 - i))

        with fleet.client() as client:
            return len(list(client.evaluate("shapes", samples())))
    finally:
        for program in fleet.running.values():
            program.kill()


def test_a_silent_stream_is_not_cut(tmp_path: Path) -> None:
    """An Evaluate whose second sample comes 65 seconds after the first, behind all three proxies at once."""
    there = [proxy for proxy in PROXIES if not lacking(proxy)]
    if not there:
        pytest.skip("no proxy is installed")
    with ThreadPoolExecutor(len(there)) as pool:
        counts = list(pool.map(lambda proxy: silent_run(tmp_path / proxy, proxy), there))
    assert dict(zip(there, counts, strict=True)) == dict.fromkeys(there, 2)
