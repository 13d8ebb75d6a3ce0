"""The program is found and started, and what it does goes through."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from scotoma import Client, LocalServer
from scotoma.local import find_binary

BINARY = os.environ.get("SCOTOMA_BINARY", str(Path(__file__).parents[3] / "target/quick/scotoma"))


def test_a_local_server_lasts_as_long_as_its_block(png: bytes) -> None:
    with LocalServer("--log", "error", binary=BINARY) as server, Client(server.address) as client:
        assert server.alive
        assert "".join(token.text for token in client.generate("Is there a red circle?", png)).strip() == "yes"
    assert not server.alive


def test_a_server_that_does_not_start_says_so() -> None:
    with pytest.raises(RuntimeError, match="did not start"):
        LocalServer("--no-such-flag", binary=BINARY)


def test_the_program_is_looked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "scotoma"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    monkeypatch.delenv("SCOTOMA_BINARY", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert find_binary() == str(program)
    monkeypatch.setenv("PATH", "")
    with pytest.raises(FileNotFoundError, match="pip install scotoma-server"):
        find_binary()
    with pytest.raises(FileNotFoundError, match="nowhere"):
        find_binary("nowhere")
    monkeypatch.setenv("SCOTOMA_BINARY", str(program))
    assert find_binary() == str(program)


def test_flags_signals_and_the_exit_code_go_through() -> None:
    environment = {**os.environ, "SCOTOMA_BINARY": BINARY}
    serve = [sys.executable, "-m", "scotoma.serve"]
    wrong = subprocess.run([*serve, "--no-such-flag"], capture_output=True, text=True, env=environment)
    assert wrong.returncode == 2
    assert "--no-such-flag" in wrong.stderr
    flags = ["--listen", "127.0.0.1:0", "--log", "error"]
    with subprocess.Popen([*serve, *flags], stdout=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stdout is not None
        assert "http://127.0.0.1:" in process.stdout.readline()
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
    missing = subprocess.run(serve, capture_output=True, text=True, env={**environment, "SCOTOMA_BINARY": "nowhere"})
    assert missing.returncode == 127
    assert "nowhere" in missing.stderr
