"""Writes src/scotoma/_sync, the client for threads, from the one for asyncio. `make proto` runs it."""

from pathlib import Path

import unasync

SOURCE = Path(__file__).parent / "src" / "scotoma" / "_async"
WORDS = {
    "AsyncAnswer": "Answer",
    "AsyncAttribution": "Attribution",
    "AsyncCapture": "Capture",
    "AsyncClient": "Client",
    "AsyncConnection": "Connection",
    "AsyncEvaluation": "Evaluation",
    "AsyncRun": "Run",
    "AsyncServer": "Server",
    "AsyncServers": "Servers",
    "AsyncStream": "Stream",
    "AsyncSweep": "Sweep",
    "AsyncSweeps": "Sweeps",
    "AsyncTrace": "Trace",
    "StopAsyncIteration": "StopIteration",
    "_async": "_sync",
    "aiter": "iter",
    "anext": "next",
}
MARK = "# Generated from {name} by generate.py; not to be edited.\n"


def main() -> None:
    """Of the runtime both are written."""
    files = [path for path in SOURCE.glob("*.py") if path.name != "runtime.py"]
    rule = unasync.Rule("/_async/", "/_sync/", additional_replacements=WORDS)
    unasync.unasync_files([str(path) for path in files], [rule])
    for path in files:
        made = SOURCE.parent / "_sync" / path.name
        text = made.read_text().replace("AsyncIterable", "Iterable").replace("AsyncIterator", "Iterator")
        made.write_text(MARK.format(name=f"_async/{path.name}") + text)


if __name__ == "__main__":
    main()
