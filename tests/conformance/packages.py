"""Builds every client as its registry wants it, installs it into an empty environment, and runs there the program that its README opens
with and its example.

    clients/python/.venv/bin/python tests/conformance/packages.py [LANGUAGE ...]
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
import urllib.request
import venv
import zipfile
from collections.abc import Callable
from pathlib import Path

from run import BINARY, BUILT, CLIENTS, ROOT, Server

MODULE = "github.com/scotoma/scotoma/clients/go"
VERSION = "0.2.0"


def call(*command: str | Path, cwd: Path | None = None, env: dict[str, str] | None = None) -> str:
    """What a command prints; with what it said where it fails."""
    done = subprocess.run([str(c) for c in command], cwd=cwd, env={**os.environ, **(env or {})}, capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(map(str, command))}: exit {done.returncode}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}")
    return done.stdout


def opening(language: str, address: str) -> str:
    """The program that a README opens with, asking the server at `address`."""
    readme = (CLIENTS / language / "README.md").read_text()
    program = re.search(r"```\w+\n(.*?)```", readme, re.S)
    assert program, f"{language}: its README opens with no program"
    assert "127.0.0.1:7878" in program[1]
    return program[1].replace("127.0.0.1:7878", address)


def check(language: str, said: str) -> str:
    """The program says what the model answers, and the digest of its record, which is that of every other client."""
    answer, digest = said.strip().splitlines()
    assert answer.strip() == "no", said
    assert re.fullmatch(r"[0-9a-f]{64}", digest), said
    return digest


def table(said: str) -> None:
    """The example prints its variants."""
    assert all(name in said for name in ("original", "permuted", "half occluded", "without layer 6")), said


def python(empty: Path, address: str) -> str:
    """A wheel and a source distribution; the wheel is installed, with what draws plots."""
    venv.create(empty / "venv", with_pip=True)
    pip, interpreter = empty / "venv/bin/pip", empty / "venv/bin/python"
    call(pip, "install", "-q", "build")
    call(interpreter, "-m", "build", "-o", empty / "dist", CLIENTS / "python")
    wheel, source = next((empty / "dist").glob("*.whl")), next((empty / "dist").glob("*.tar.gz"))
    with zipfile.ZipFile(wheel) as files, tarfile.open(source) as sources:
        assert "scotoma/py.typed" in files.namelist(), "the types are lost"
        assert any(name.endswith("/README.md") for name in sources.getnames())
    venv.create(empty / "own", with_pip=True)
    call(empty / "own/bin/pip", "install", "-q", f"{wheel}[data,plot]")
    (empty / "main.py").write_text(opening("python", address))
    said = call(empty / "own/bin/python", "main.py", cwd=empty)
    assert "shapes" in call(empty / "own/bin/scotoma-client", "models", "--server", address)
    example, data = CLIENTS / "python/examples/benchmark.py", ROOT / "models/shapes/benchmark.tsv"
    table(call(empty / "own/bin/python", example, data, "--server", address, "--out", empty / "plot.png"))
    assert (empty / "plot.png").read_bytes().startswith(b"\x89PNG")
    return said


def server(empty: Path, _: str) -> str:
    """A stranger without Rust: the wheel with the server and the client's, its page, and a first answer, within two minutes."""
    tools, wheels = empty / "tools", empty / "wheels"
    venv.create(tools, with_pip=True)
    call(tools / "bin/pip", "install", "-q", "-r", CLIENTS / "python/server/requirements.txt")
    call(tools / "bin/python", "-m", "build", "-n", "-w", "-o", empty / "built", CLIENTS / "python/server", env={"SCOTOMA_SERVER_BINARY": BINARY})
    call(tools / "bin/python", "-m", "build", "-w", "-o", wheels, CLIENTS / "python")
    wheel = next((empty / "built").glob("*.whl"))
    if sys.platform == "linux":
        call(tools / "bin/auditwheel", "repair", "-w", wheels, wheel, env={"PATH": f"{tools / 'bin'}:{os.environ['PATH']}"})
    else:
        shutil.copy(wheel, wheels)
    begin = time.monotonic()
    venv.create(empty / "own", with_pip=True)
    call(empty / "own/bin/pip", "install", "-q", *wheels.glob("*.whl"))
    path = {**os.environ, "PATH": f"{empty / 'own/bin'}:/usr/bin:/bin"}
    path.pop("SCOTOMA_BINARY", None)
    assert call("scotoma", "--version", env=path).strip() == f"scotoma {VERSION}"
    serve = [empty / "own/bin/python", "-m", "scotoma.serve", "--listen", "127.0.0.1:0", "--log", "error"]
    with subprocess.Popen(serve, stdout=subprocess.PIPE, text=True, env=path) as process:
        try:
            assert process.stdout is not None
            address = re.search(r"http://(\S+) ", process.stdout.readline())
            assert address, "the server says where it serves"
            with urllib.request.urlopen(f"http://{address[1]}/") as page:
                assert b"<html" in page.read().lower(), "the page is in the wheel"
            (empty / "main.py").write_text(opening("python", address[1]))
            said = call(empty / "own/bin/python", "main.py", cwd=empty, env=path)
        finally:
            process.terminate()
        assert process.wait(60) == 0, "the server ends in order"
    took = time.monotonic() - begin
    assert took < 120, f"{took:.0f} s from the wheels to the first answer"
    return said


def typescript(empty: Path, address: str) -> str:
    """What npm packs."""
    call("npm", "pack", "--pack-destination", empty, cwd=CLIENTS / "typescript")
    (empty / "package.json").write_text(json.dumps({"name": "empty", "private": True, "type": "module"}))
    call("npm", "install", "--no-audit", "--no-fund", f"./scotoma-{VERSION}.tgz", cwd=empty)
    (empty / "main.js").write_text(opening("typescript", address))
    shutil.copy(CLIENTS / "typescript/examples/benchmark.mjs", empty)
    table(call("node", "benchmark.mjs", ROOT / "models/shapes/benchmark.tsv", "shapes", address, cwd=empty))
    return call("node", "main.js", cwd=empty)


def go(empty: Path, address: str) -> str:
    """A module's zip, behind a proxy of files."""
    served = empty / "proxy" / MODULE / "@v"
    served.mkdir(parents=True)
    call("go", "-C", CLIENTS / "go/tools", "run", "./modzip", f"{MODULE}@v{VERSION}", CLIENTS / "go", served / f"v{VERSION}.zip")
    shutil.copy(CLIENTS / "go/go.mod", served / f"v{VERSION}.mod")
    (served / f"v{VERSION}.info").write_text(json.dumps({"Version": f"v{VERSION}"}))
    (served / "list").write_text(f"v{VERSION}\n")
    env = {"GOPROXY": f"file://{empty / 'proxy'},{call('go', 'env', 'GOPROXY').strip()}", "GONOSUMDB": MODULE, "GOFLAGS": "-mod=mod -modcacherw"}
    # A cache of its own would fetch everything again; this version must not come from an earlier run, nor what Go noted of its imports.
    env["GODEBUG"] = "goindex=0"
    cached = Path(call("go", "env", "GOMODCACHE").strip())
    for stale in (cached / f"{MODULE}@v{VERSION}", cached / "cache/download" / MODULE):
        if stale.exists():
            call("chmod", "-R", "u+w", stale)
            shutil.rmtree(stale)
    (empty / "main.go").write_text(opening("go", address))
    call("go", "mod", "init", "empty", cwd=empty, env=env)
    call("go", "get", f"{MODULE}@v{VERSION}", cwd=empty, env=env)
    call("go", "mod", "tidy", cwd=empty, env=env)
    table(call("go", "run", f"{MODULE}/examples/benchmark", ROOT / "models/shapes/benchmark.tsv", "shapes", address, cwd=empty, env=env))
    return call("go", "run", ".", cwd=empty, env=env)


def rust(empty: Path, address: str) -> str:
    """The crates as cargo packages them: the client, and the contract that it stands on."""
    crates = "scotoma-proto", "scotoma-client"
    call("cargo", "package", *(f"-p{crate}" for crate in crates), "--allow-dirty", "--no-verify", "--locked", cwd=ROOT)
    for name in crates:
        with tarfile.open(ROOT / f"target/package/{name}-{VERSION}.crate") as crate:
            crate.extractall(empty, filter="data")
    manifest = f"""[package]
name = "empty"
version = "0.0.0"
edition = "2024"

[dependencies]
scotoma-client = {{ path = "scotoma-client-{VERSION}" }}
tokio = {{ version = "1", features = ["macros", "rt-multi-thread"] }}

# Published together, so the registry does not have it yet.
[patch.crates-io]
scotoma-proto = {{ path = "scotoma-proto-{VERSION}" }}

[workspace]
"""
    (empty / "Cargo.toml").write_text(manifest)
    shutil.copy(ROOT / "Cargo.lock", empty)
    (empty / "src").mkdir()
    (empty / "src/main.rs").write_text(opening("rust", address))
    # What is built already is not built again.
    env = {"CARGO_TARGET_DIR": str(ROOT / "target")}
    tree = call("cargo", "tree", "--prefix", "none", cwd=empty, env=env)
    assert "candle" not in tree, "there is no candle in a client's tree"
    table(call(BUILT / "examples/benchmark", ROOT / "models/shapes/benchmark.tsv", "shapes", address))
    return call("cargo", "run", "-q", cwd=empty, env=env)


PACKAGES: dict[str, Callable[[Path, str], str]] = {"python": python, "server": server, "typescript": typescript, "go": go, "rust": rust}


def main() -> int:
    """Every language that is named, or all."""
    server, digests, failed = Server(), {}, 0
    picture = ROOT / "models/shapes/goldens/pictures/square.png"
    try:
        for language in sys.argv[1:] or list(PACKAGES):
            start = time.monotonic()
            with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
                empty = Path(folder)
                shutil.copy(picture, empty / "picture.png")
                try:
                    digests[language] = check(language, PACKAGES[language](empty, f"127.0.0.1:{server.port}"))
                    print(f"{language}: built, installed, says what its README shows; {time.monotonic() - start:.0f} s", flush=True)
                except (AssertionError, RuntimeError, OSError) as error:
                    failed += 1
                    print(f"{language}: {type(error).__name__}: {error}", flush=True)
    finally:
        server.stop()
    if len(set(digests.values())) > 1:
        failed += 1
        print(f"their records differ: {digests}")
    print(f"packages: {len(digests)} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
