"""Python client of the Scotoma server: vision-language models under composable interventions.

from scotoma import Client, permute_tokens

with Client("127.0.0.1:7878") as client:
    for token in client.generate("Is there a red circle?", "picture.png", interventions=[permute_tokens(7)]):
        print(token.text, end="")
"""

from scotoma.client import AsyncClient, Client, Image, sample
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
from scotoma.stream import Activation, Answer, AsyncAnswer

__all__ = [
    "Activation",
    "Answer",
    "AsyncAnswer",
    "AsyncClient",
    "Client",
    "FieldViolation",
    "Image",
    "ScotomaError",
    "drop_layers",
    "intervention",
    "occlude_cells",
    "occlude_non_salient",
    "occlude_random",
    "occlude_salient",
    "permute_tokens",
    "sample",
    "swap_projector",
    "to_json",
]
