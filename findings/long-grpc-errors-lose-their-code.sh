#!/bin/sh
# grpcio 1.85.1: an error whose message is long arrives with another code.
#
# gRPC sends an error's message in HTTP/2 trailers. Python's gRPC refuses metadata of more than 16 KiB, and some of more than 8 KiB; the
# caller then sees RESOURCE_EXHAUSTED and not the code that the server sent. What counts is the text as it is sent: each byte of a
# character outside of ASCII takes three (`%C3%A9`), so that 3,000 of "é" are too many, and an error with details
# (`grpc-status-details-bin`) carries its message twice.
#
# Seen: NOT_FOUND with 8,000 letters arrives as NOT_FOUND, with 17,000 letters or 3,000 times "é" as RESOURCE_EXHAUSTED ("Stream removed
# (received metadata size exceeds hard limit ...)"). So an error that repeats what the client sent has to cut it short.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check grpcio==1.85.1
"$folder/venv/bin/python" - <<'PYTHON'
from concurrent.futures import ThreadPoolExecutor

import grpc


def code(message: str) -> str:
    """The code that a client sees of a call that the server ends with NOT_FOUND and this message."""
    server = grpc.server(ThreadPoolExecutor(1))
    refuse = grpc.unary_unary_rpc_method_handler(lambda _, context: context.abort(grpc.StatusCode.NOT_FOUND, message))
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("a.Service", {"Call": refuse}),))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
            channel.unary_unary("/a.Service/Call")(b"", timeout=30)
    except grpc.RpcError as error:
        return error.code().name
    finally:
        server.stop(None)
    return "OK"


seen = {name: code(text) for name, text in {"8,000 x": "x" * 8000, "17,000 x": "x" * 17000, "3,000 é": "é" * 3000}.items()}
print(seen)
assert seen == {"8,000 x": "NOT_FOUND", "17,000 x": "RESOURCE_EXHAUSTED", "3,000 é": "RESOURCE_EXHAUSTED"}, seen
PYTHON
