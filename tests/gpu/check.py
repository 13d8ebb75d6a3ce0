"""Checks and measures on a card, in six minutes: `make gpu-check`, or from the folder of `make gpu-folder` on a machine without Rust.

    python tests/gpu/check.py [--only parity,laws,soak,table] [--limit table=200] [--device cuda:0] [--binary PATH] [--out FOLDER]
    python tests/gpu/check.py --only table --dtype f16        a part alone takes flags of its own: see its script's --help

Parts, each a process of its own under a time limit:

  parity  every golden set: f32 within 1e-5; bf16 no farther from f32 than 1.5 times transformers' own bf16, measured beside it
  laws    a row has the same bits in any company: products of 1 to 8,192 rows, answers alone, at once, in chunks, in sweeps
  soak    fresh servers under questions, sweeps, captures and cancels at once: answers that fail, of 10,000
  table   every stage beside transformers, eager and with CUDA graphs, with floors

FOLDER gets report.txt (what is printed), PART.json of each part and log.txt (standard error, logs of servers), each as it goes: a run that
is cut has what was done. Needs Python 3.10 with torch, transformers 5.17 and the client's packages; wheels in the folder `wheels` beside the
binary's are used first. Ends with 0 if all parts pass.
"""

from __future__ import annotations

import argparse
import json
import lzma
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
PARTS = {
    "parity": ("tests/gpu/parity.py", 120), "laws": ("tests/gpu/laws.py", 90), "soak": ("tests/gpu/soak.py", 70),
    "table": ("benches/vs_transformers/gpu.py", 180),
}  # fmt: skip
"""By name: the script, and the seconds that it may take."""
IMPORTS = """
import importlib.util
import blake3, grpc, google.rpc.status_pb2, numpy, PIL, safetensors, typing_extensions
missing = [name for name in ("torch", "transformers") if not importlib.util.find_spec(name)]
assert not missing, missing
"""
"""The large ones are looked for only: importing them takes seconds of the card's time."""


def limits_of(text: str) -> dict[str, int]:
    """PART=SECONDS, separated by commas."""
    limits = {name: seconds for name, (_, seconds) in PARTS.items()}
    for one in filter(None, text.split(",")):
        name, _, seconds = one.partition("=")
        if name not in limits or not seconds.isdigit():
            raise argparse.ArgumentTypeError(f"{one!r}: PART=SECONDS is needed, PART one of {', '.join(limits)}")
        limits[name] = int(seconds)
    return limits


def parts_of(text: str) -> list[str]:
    """Names of parts, separated by commas."""
    names = text.split(",")
    if wrong := [n for n in names if n not in PARTS]:
        raise argparse.ArgumentTypeError(f"{wrong[0]!r}: {', '.join(PARTS)} are the parts")
    return names


def unpacked(binary: Path, scratch: Path) -> Path:
    """The binary, which may be packed by xz to travel."""
    packed = binary if binary.suffix == ".xz" else binary.with_name(f"{binary.name}.xz")
    if binary.suffix != ".xz" and binary.exists():
        return binary.resolve()
    if not packed.exists():
        sys.exit(f"{binary}: no such file; `make cuda` builds it, --binary says where it is")
    with lzma.open(packed) as source, (scratch / "scotoma").open("wb") as target:
        shutil.copyfileobj(source, target, 1 << 20)
    (scratch / "scotoma").chmod(0o755)
    return scratch / "scotoma"


def environment(wheels: Path, scratch: Path) -> dict[str, str]:
    """The environment of the parts, with the wheels unpacked in front of what is installed."""
    own = os.environ | {"PYTHONUNBUFFERED": "1", "TQDM_DISABLE": "1", "HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}
    site = scratch / "site"
    for wheel in sorted(wheels.glob("*.whl")):
        with zipfile.ZipFile(wheel) as file:
            file.extractall(site)
    before = own.get("PYTHONPATH")
    own["PYTHONPATH"] = os.pathsep.join([str(site), *([before] if before else [])])
    found = subprocess.run([sys.executable, "-c", IMPORTS], env=own, capture_output=True, text=True)  # noqa: S603
    if found.returncode:
        sys.exit(f"Python packages are missing or do not fit:\n{found.stderr[-1000:]}")
    return own


class Report:
    """What is printed, on standard output and in a file."""

    def __init__(self, out: Path) -> None:
        self.file = (out / "report.txt").open("w")

    def say(self, text: str) -> None:
        print(text, flush=True)
        self.file.write(f"{text}\n")
        self.file.flush()


def run(name: str, command: list[str], limit: int, own: dict[str, str], out: Path, report: Report) -> dict:
    """Runs a part, ends it and all that it started at its limit, and tells what came of it."""
    start = time.monotonic()
    report.say(f"\n== {name} (at most {limit} s)")
    with (out / "log.txt").open("a") as log:
        log.write(f"== {name}\n")
        log.flush()
        process = subprocess.Popen(  # noqa: S603
            command, stdout=subprocess.PIPE, stderr=log, text=True, env=own, start_new_session=True
        )
        cut = threading.Event()

        def end() -> None:
            cut.set()
            os.killpg(process.pid, signal.SIGKILL)

        timer = threading.Timer(limit, end)
        timer.start()
        for line in process.stdout or ():
            report.say(line.rstrip("\n"))
        code = process.wait()
        timer.cancel()
    seconds = time.monotonic() - start
    state = "cut" if cut.is_set() else "passed" if code == 0 else "failed"
    report.say(f"-- {name}: {state} after {seconds:.0f} s" + (f" (exit {code})" if state == "failed" else ""))
    return {"part": name, "state": state, "exit": code, "seconds": round(seconds, 1), "limit": limit}


def main() -> None:
    """Runs the parts one after the other."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", type=parts_of, default=list(PARTS), help="parts, separated by commas, in the order to run them")
    parser.add_argument("--limit", type=limits_of, default=limits_of(""), help="seconds of parts, such as table=200,soak=120")
    parser.add_argument("--device", default="cuda:0")
    parser.add_argument("--binary", type=Path, default=ROOT / "target" / "dist" / "scotoma", help="may be packed: scotoma.xz")
    parser.add_argument("--wheels", type=Path, default=ROOT / "wheels", help="folder of Python packages that travel along")
    parser.add_argument("--out", type=Path, default=ROOT / "target" / "gpu-check")
    parser.add_argument("--quick", action="store_true", help="small numbers, to try it on a machine without a card")
    arguments, more = parser.parse_known_args()
    if more and len(arguments.only) != 1:
        parser.error(f"{' '.join(more)}: flags of a part are taken where it runs alone (--only PART)")
    out = arguments.out.resolve()
    out.mkdir(parents=True, exist_ok=True)
    (out / "log.txt").write_text("")
    report, rows, start = Report(out), [], time.monotonic()
    with tempfile.TemporaryDirectory() as scratch:
        binary = unpacked(arguments.binary, Path(scratch))
        own = environment(arguments.wheels, Path(scratch))
        version = subprocess.run([str(binary), "--version"], capture_output=True, text=True)  # noqa: S603
        if version.returncode:
            sys.exit(f"{binary} does not run here: {version.stderr[-500:]}")
        report.say(f"{version.stdout.strip()} on {arguments.device}, parts {', '.join(arguments.only)}")
        for name in arguments.only:
            script = ROOT / PARTS[name][0]
            command = [sys.executable, str(script), "--binary", str(binary), "--device", arguments.device, "--out", str(out), *more]
            if arguments.quick:
                command.append("--quick")
            rows.append(run(name, command, arguments.limit[name], own, out, report))
            (out / "check.json").write_text(json.dumps({"version": version.stdout.strip(), "parts": rows}, indent=1))
    summary = ", ".join(f"{row['part']} {row['state']}" for row in rows)
    report.say(f"\n{summary}; {time.monotonic() - start:.0f} s in all; results in {out}")
    sys.exit(0 if all(row["state"] == "passed" for row in rows) else 1)


if __name__ == "__main__":
    main()
