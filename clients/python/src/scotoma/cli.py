"""The command `scotoma-client`: a question, or a benchmark, from the shell."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from scotoma import Client, ScotomaError, intervention
from scotoma.v1.intervention_pb2 import Intervention


def _intervention(text: str) -> Intervention:
    import json

    try:
        ((name, fields),) = json.loads(text).items()
        return intervention(name, **fields)
    except (AttributeError, TypeError, ValueError) as error:
        raise argparse.ArgumentTypeError(f"{text}: {error}; an object in canonical JSON is needed") from None


def _parser() -> argparse.ArgumentParser:
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--server", default="127.0.0.1:7878", help="address, https:// for TLS; several with commas")
    common.add_argument("--patience", type=float, default=60, help="seconds to wait for a server that is not there")
    common.add_argument("--api-key", help="the key that the server knows this client by")
    common.add_argument("--ca", help="certificates that the server's is signed by, PEM")
    common.add_argument("--model", default="", help="name of a resident model")
    common.add_argument("--intervene", type=_intervention, action="append", default=[], metavar="JSON")
    parser = argparse.ArgumentParser(prog="scotoma-client", description="Ask a Scotoma server.")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("models", parents=[common], help="list the resident models")
    ask = commands.add_parser("generate", parents=[common], help="ask a question about pictures")
    ask.add_argument("question")
    ask.add_argument("images", nargs="*", type=Path)
    evaluate = commands.add_parser("evaluate", parents=[common], help="run a benchmark")
    evaluate.add_argument("rule")
    evaluate.add_argument("data", type=Path, help="a table (.tsv, .csv, .parquet) or a manifest (.jsonl)")
    evaluate.add_argument("--results", type=Path, help="results go here, and a run that finds them goes on")
    return parser


def main(arguments: list[str] | None = None) -> int:
    """Runs a command; 1 where it fails."""
    asked = _parser().parse_args(arguments)
    try:
        servers = asked.server.split(",")
        with Client(servers, api_key=asked.api_key, ca=asked.ca, patience=asked.patience) as client:
            if asked.command == "models":
                for model in client.list_models():
                    print(f"{model.name}\t{model.family}\t{model.dtype}\t{model.device}")
            elif asked.command == "generate":
                options = {"model": asked.model, "interventions": asked.intervene}
                for token in client.generate(asked.question, asked.images, **options):
                    print(token.text, end="", flush=True)
                print()
            else:
                variants = {"original": [], **({"changed": asked.intervene} if asked.intervene else {})}
                run = client.evaluate(
                    asked.rule, asked.data, variants=variants, results=asked.results, model=asked.model, progress=True
                )
                run.finish()
                for m in run.metrics:
                    print(f"{m.variant}\t{m.name}\t{m.value:.4f}\t[{m.low:.4f}, {m.high:.4f}]\tn {m.n}")
    except (OSError, ScotomaError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
