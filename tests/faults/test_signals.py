"""Signals: what ends, what does not, and with which code."""

from __future__ import annotations

from scotoma import Client

from conftest import Server


def test_sigterm_of_an_idle_server_ends_it_at_once(server: Server) -> None:
    with Client(server.address) as client:
        assert [model.name for model in client.list_models()] == ["shapes"]
    server.signal()
    assert server.wait(5) == 0
