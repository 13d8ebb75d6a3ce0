"""Python client of the Scotoma server: vision-language models under composable interventions.

from scotoma import Client, permute_tokens

with Client("127.0.0.1:7878") as client:
    for token in client.generate("Is there a red circle?", "picture.png", interventions=[permute_tokens(7)]):
        print(token.text, end="")
"""

from scotoma._async.client import AsyncClient
from scotoma._async.stream import AsyncAnswer, AsyncCapture, AsyncEvaluation, AsyncSweep
from scotoma._sync.client import Client
from scotoma._sync.stream import Answer, Capture, Evaluation, Sweep
from scotoma.errors import FieldViolation, ScotomaError
from scotoma.interventions import (
    drop_layers,
    intervention,
    occlude_cells,
    occlude_non_salient,
    occlude_random,
    occlude_salient,
    permute_tokens,
    swap_projector,
    to_json,
)
from scotoma.messages import Image, Question, sample
from scotoma.results import read_results
from scotoma.rows import rows
from scotoma.views import Activation, Preview

__all__ = [
    "Activation",
    "Answer",
    "AsyncAnswer",
    "AsyncCapture",
    "AsyncClient",
    "AsyncEvaluation",
    "AsyncSweep",
    "Capture",
    "Client",
    "Evaluation",
    "FieldViolation",
    "Image",
    "Preview",
    "Question",
    "ScotomaError",
    "Sweep",
    "drop_layers",
    "intervention",
    "occlude_cells",
    "occlude_non_salient",
    "occlude_random",
    "occlude_salient",
    "permute_tokens",
    "read_results",
    "rows",
    "sample",
    "swap_projector",
    "to_json",
]
