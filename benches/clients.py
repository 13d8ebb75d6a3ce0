"""What each client adds to a small request: 1,000 answers of one token, one after the other, about a picture that the server remembers.

    make test-clients    # builds the runners
    clients/python/.venv/bin/python benches/clients.py
"""

from __future__ import annotations

import base64
import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "tests" / "conformance"))

from run import QUESTION, ROOT, RUNNERS, Server  # noqa: E402


def main() -> None:
    """Medians, in milliseconds: of the whole as the client sees it, of the server's own time, and of the difference."""
    square = (ROOT / "models/shapes/goldens/pictures/square.png").read_bytes()
    server = Server()
    print(f"{'':<12}{'client':>10}{'server':>10}{'over it':>10}   ms, medians of 1,000")
    with tempfile.TemporaryDirectory() as folder:
        for language, runner in RUNNERS.items():
            empty = dict.fromkeys(("secure", "control", "ca", "cert", "key", "apiKey", "folder", "place", "benchmark"), "")
            script = {
                **empty, "address": f"127.0.0.1:{server.port}", "question": QUESTION,
                "pictures": {"square": base64.b64encode(square).decode()}, "cases": [{"name": "overhead", "do": "overhead"}],
            }  # fmt: skip
            said, found = Path(folder) / "script.json", Path(folder) / "observed.json"
            said.write_text(json.dumps(script))
            subprocess.run([*runner, str(said), str(found)], check=True)
            times = json.loads(found.read_text())["overhead"]["times"]
            whole, own = zip(*times, strict=True)
            over = statistics.median(w - o for w, o in times)
            row = [statistics.median(whole), statistics.median(own), over]
            print(f"{language:<12}" + "".join(f"{1e3 * value:>10.2f}" for value in row))
    server.stop()


if __name__ == "__main__":
    main()
