"""Every golden set on a device: in f32 against the goldens, in bf16 against what transformers itself loses there.

    python tests/gpu/parity.py [--device cuda:0] [--sets tiny-gqa-tied,shapes]

f32: every hook point within 1e-5 of the golden, the same first greedy tokens. bf16: at every hook point of every case the error to the f32
golden is at most 1.5 times that of transformers in bf16, which tests/gpu/reference.py measures on the same device (or 2^-9, half a unit
in the last place, where that is less), and the greedy tokens are the golden's as long as they are certain in bf16. Cases whose pruning
chooses by attention are measured and not judged: a rounding changes which tokens stay.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safetensors.numpy import load_file, save_file

from serving import ROOT, Results, Server, arguments_of, serving

if TYPE_CHECKING:
    from scotoma import Client

GOLDENS = ROOT / "tests" / "goldens"
SHAPES = ROOT / "models" / "shapes"
SETS = (
    "tiny-gqa-tied", "tiny-full-old-names", "tiny-next-llama", "tiny-next-mistral", "tiny-onevision", "tiny-phi3", "tiny-gemma",
    "tiny-gemma2", "tiny-qwen3", "tiny-vipllava", "tiny-pixtral", "tiny-internvl", "shapes",
)  # fmt: skip
TOLERANCE = 1e-5
BOUND, LEAST = 1.5, 2.0**-9
AT_ONCE = 8
ATTEMPTS = 2
"""Here errors of numbers are sought; how often a server fails is the soak's question."""


def folders(name: str) -> tuple[Path, Path, Path]:
    """The model of a set, its golden files, and the pictures that they are of."""
    if name == "shapes":
        return SHAPES, SHAPES / "goldens", SHAPES / "goldens" / "pictures"
    own = GOLDENS / name / "pictures"
    return GOLDENS / name / "model", GOLDENS / name, own if own.exists() else GOLDENS / "pictures"


def kind(point: str) -> str:
    """A hook point with `{l}` for its layer, as reports name it."""
    return ".".join("{l}" if part.isdigit() else part for part in point.split("."))


def checkpoint(name: str, into: Path, cases: list[dict], tokens: int) -> Path:
    """A folder with the model of a set and some of its cases; of their answers only so many tokens."""
    model, golden, pictures = folders(name)
    goldens = into / "goldens"
    goldens.mkdir(parents=True)
    for file in model.iterdir():
        if file.is_file():
            (into / file.name).symlink_to(file)
    (goldens / "pictures").symlink_to(pictures)
    listed = json.loads((golden / "cases.json").read_text())
    (goldens / "cases.json").write_text(json.dumps({"chat": listed["chat"], "cases": cases}))
    for case in cases:
        file = f"{case['name']}.safetensors"
        values = load_file(golden / file)
        values["greedy"] = values["greedy"][:tokens]
        save_file(values, goldens / file)
    return into


def check(client: Client, name: str, folder: Path, resident: str, dtype: str) -> tuple[list, Any]:
    """Loads a checkpoint, runs its golden set, and unloads it: its cases, and the report."""
    list(client.load_model(str(folder), name=resident, dtype=dtype))
    try:
        second = next((f for f in ("second_projector.safetensors", "mm_projector.bin") if (GOLDENS / name / f).exists()), None)
        if second:
            client.load_projector("second", str(GOLDENS / name / second), model=resident)
        events = list(client.check_parity(model=resident))
    finally:
        client.unload_model(resident)
    return [e.case for e in events if e.HasField("case")], events[-1].report


def full_precision(client: Client, name: str, scratch: Path, tokens: int) -> dict:
    """A set in f32 against its goldens."""
    cases = json.loads((folders(name)[1] / "cases.json").read_text())["cases"]
    folder = checkpoint(name, scratch / f"f32-{name}", cases, tokens)
    try:
        compared, report = check(client, name, folder, f"f32-{name}", "f32")
    except Exception as error:  # noqa: BLE001
        print(f"f32   {name}: asked again after: {str(error)[:200]}", flush=True)
        compared, report = check(client, name, folder, f"f32-{name}-again", "f32")
    worst = max(compared, key=lambda c: c.max_relative_error)
    return {
        "set": name, "cases": len(compared), "error": worst.max_relative_error, "at": f"{worst.name}: {worst.worst_hook_point}",
        "other_tokens": list(report.other_tokens),
        "passed": worst.max_relative_error <= TOLERANCE and not report.other_tokens,
    }  # fmt: skip


def half_precision(client: Client, name: str, scratch: Path, case: dict, reference: dict, attempt: int) -> dict:
    """A case in bf16 against transformers in bf16: by kind of hook point the error of both."""
    resident = f"bf16-{name}-{case['name']}-{attempt}"
    folder = checkpoint(name, scratch / resident, [case], reference["certain"])
    _, report = check(client, name, folder, resident, "bf16")
    theirs: dict[str, float] = {}
    for point, error in reference["errors"].items():
        theirs[kind(point)] = max(error, theirs.get(kind(point), 0.0))
    points = {
        p.name: {"ours": p.max_relative_error, "theirs": theirs[p.name]} for p in report.points
    }  # fmt: skip
    over = {n: p for n, p in points.items() if p["ours"] > max(BOUND * p["theirs"], LEAST)}
    return {
        "case": case["name"], "judged": reference["judged"], "points": points, "over": over, "certain": reference["certain"],
        "other_tokens": bool(report.other_tokens),
    }  # fmt: skip


class References:
    """Transformers in bf16, a process a set, all at once; on the CPU where the device refuses."""

    def __init__(self, sets: list[str], device: str, scratch: Path) -> None:
        self.scratch, self.device = scratch, device
        self.pool = ThreadPoolExecutor(max(1, min(len(sets), (os.cpu_count() or 2) - 1)))
        self.found: dict[str, Future] = {name: self.pool.submit(self.measure, name) for name in sets}

    def measure(self, name: str) -> dict:
        for device in dict.fromkeys((self.device, "cpu")):
            out = self.scratch / f"reference-{name}-{device.replace(':', '')}.json"
            command = [sys.executable, str(Path(__file__).with_name("reference.py")), name, str(out), "--device", device]
            environment = os.environ | {"OMP_NUM_THREADS": "1", "TQDM_DISABLE": "1"}
            if subprocess.run(command, env=environment, stdout=sys.stderr).returncode == 0:  # noqa: S603
                return json.loads(out.read_text())
        raise RuntimeError(f"transformers does not run {name}")


def of_set(server: Server, name: str, scratch: Path, reference: dict, device: str) -> dict:
    """A set in bf16: the worst ratio, and what is over the bound."""
    listed = json.loads((folders(name)[1] / "cases.json").read_text())["cases"]

    def run(case: dict) -> dict:
        errors: list[str] = []
        with server.client() as client:
            for attempt in range(ATTEMPTS):
                try:
                    found = half_precision(client, name, scratch, case, reference["cases"][case["name"]], attempt)
                    return found | {"again": errors}
                except Exception as error:  # noqa: BLE001 (a case that fails is a result)
                    errors.append(str(error)[:300])
        nothing = {"judged": True, "points": {}, "over": {}, "other_tokens": False, "again": errors}
        return nothing | {"case": case["name"], "failed": errors[-1]}

    with ThreadPoolExecutor(AT_ONCE) as pool:
        cases = list(pool.map(run, listed))
    judged = [c for c in cases if c["judged"]]
    ratios = [
        (p["ours"] / max(p["theirs"], LEAST / BOUND), p["ours"], p["theirs"], f"{c['case']}: {n}")
        for c in judged for n, p in c["points"].items()
    ]  # fmt: skip
    ratio, ours, theirs, at = max(ratios, default=(0.0, 0.0, 0.0, "nothing"))
    return {
        "set": name, "yardstick": reference["device"], "fell_back": reference["device"] != device, "cases": len(cases), "judged": len(judged), "ratio": ratio, "ours": ours,
        "theirs": theirs, "at": at, "over": {f"{c['case']}: {n}": p for c in judged for n, p in c["over"].items()},
        "certain_tokens": sum(c.get("certain", 0) for c in judged),
        "other_tokens": [c["case"] for c in judged if c["other_tokens"]],
        "failed": {c["case"]: c["failed"] for c in cases if "failed" in c}, "again": [e for c in cases for e in c["again"]],
        "by_case": cases,
    }  # fmt: skip


def print_set(found: dict, dtype: str) -> None:
    """One line, and what is wrong below it."""
    if dtype == "f32":
        others = f"  other tokens: {', '.join(found['other_tokens'])}" if found["other_tokens"] else ""
        print(f"f32   {found['set']:<20} {found['cases']:>3} cases  {found['error']:.1e} at {found['at']}{others}", flush=True)
        return
    yardstick = " on the CPU, since the device refused" if found["fell_back"] else ""
    print(
        f"bf16  {found['set']:<20} {found['judged']:>3} of {found['cases']} cases  {found['ratio']:.2f} x transformers{yardstick}: "
        f"{found['ours']:.1e} / {found['theirs']:.1e} at {found['at']}; {found['certain_tokens']} certain tokens",
        flush=True,
    )  # fmt: skip
    for at, point in list(found["over"].items())[:8]:
        print(f"      over the bound: {at}: {point['ours']:.1e}, transformers {point['theirs']:.1e}")
    if len(found["over"]) > 8:
        print(f"      and {len(found['over']) - 8} more")
    for case in found["other_tokens"]:
        print(f"      other tokens: {case}")
    if found["again"]:
        print(f"      {len(found['again'])} times an error, asked again: {found['again'][0]}")
    for case, why in found["failed"].items():
        print(f"      failed: {case}: {why}")


def main() -> None:
    """Runs the sets, f32 first, bf16 as transformers is done with each."""
    parser = arguments_of(__doc__ or "")
    parser.add_argument("--sets", default=",".join(SETS))
    parser.add_argument("--tokens", type=int, default=4, help="of each answer in f32; each is a pass over all before it")
    arguments = parser.parse_args()
    sets = ["tiny-gqa-tied", "shapes"] if arguments.quick else arguments.sets.split(",")
    results, passed = Results(arguments.out, "parity"), True
    full: list[dict] = []
    half: list[dict] = []
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        references = References(sets, arguments.device, scratch)
        with serving(arguments.binary, arguments.device, "--allow-load") as server:
            with server.client() as client:
                for name in sets:
                    try:
                        found = full_precision(client, name, scratch, arguments.tokens)
                    except Exception as error:  # noqa: BLE001 (the other sets are wanted all the same)
                        print(f"f32   {name}: {error}", flush=True)
                        found = {"set": name, "failed": str(error)[:300], "passed": False}
                    else:
                        print_set(found, "f32")
                    full.append(found)
                    passed &= found["passed"]
                    results.write(f32=full)
            left = set(sets)
            while left:
                ready = [n for n in left if references.found[n].done()]
                if not ready:
                    time.sleep(0.1)
                for name in ready:
                    left.discard(name)
                    try:
                        reference = references.found[name].result()
                        found = of_set(server, name, scratch, reference, arguments.device)
                    except Exception as error:  # noqa: BLE001
                        print(f"bf16  {name}: {error}", flush=True)
                        passed = False
                        continue
                    print_set(found, "bf16")
                    half.append(found)
                    passed &= not (found["over"] or found["other_tokens"] or found["failed"])
                    results.write(bf16=half)
    results.finish(passed)


if __name__ == "__main__":
    main()
