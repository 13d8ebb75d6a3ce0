"""Python client of the Scotoma server: vision-language models under composable interventions.

from scotoma import Client, permute_tokens

with Client("127.0.0.1:7878") as client:
    for token in client.generate("Is there a red circle?", "picture.png", interventions=[permute_tokens(7)]):
        print(token.text, end="")
"""

from scotoma._async.client import AsyncClient
from scotoma._async.stream import AsyncAnswer, AsyncAttribution, AsyncCapture, AsyncEvaluation, AsyncSweep, AsyncTrace
from scotoma._sync.client import Client
from scotoma._sync.stream import Answer, Attribution, Capture, Evaluation, Sweep, Trace
from scotoma.direct import direct_logits
from scotoma.errors import FieldViolation, ScotomaError
from scotoma.interventions import (
    ablate,
    add_noise,
    blank_image,
    clamp_norm,
    drop_layers,
    exit_early,
    intervention,
    knock_out_attention,
    occlude_cells,
    occlude_non_salient,
    occlude_random,
    occlude_salient,
    patch,
    permute_tokens,
    project_out,
    prune_tokens,
    repeat_layers,
    replace_tokens,
    scale,
    select_tokens,
    set_feature,
    shuffle_patches,
    steer,
    swap_projector,
    to_json,
)
from scotoma.local import LocalServer
from scotoma.messages import Image, Question, sample
from scotoma.pruning import pruning
from scotoma.results import read_results
from scotoma.rows import rows
from scotoma.selectors import Hook, Selector, hooks, layers, steps, target, tokens
from scotoma.show import register as _register
from scotoma.views import Activation, Patching, Preview, plot_matrix

__all__ = [
    "Activation",
    "Answer",
    "AsyncAnswer",
    "AsyncAttribution",
    "AsyncCapture",
    "AsyncClient",
    "AsyncEvaluation",
    "AsyncSweep",
    "AsyncTrace",
    "Attribution",
    "Capture",
    "Client",
    "Evaluation",
    "FieldViolation",
    "Hook",
    "Image",
    "LocalServer",
    "Patching",
    "Preview",
    "Question",
    "ScotomaError",
    "Selector",
    "Sweep",
    "Trace",
    "ablate",
    "add_noise",
    "blank_image",
    "clamp_norm",
    "direct_logits",
    "drop_layers",
    "exit_early",
    "hooks",
    "intervention",
    "knock_out_attention",
    "layers",
    "occlude_cells",
    "occlude_non_salient",
    "occlude_random",
    "occlude_salient",
    "patch",
    "permute_tokens",
    "plot_matrix",
    "project_out",
    "prune_tokens",
    "pruning",
    "read_results",
    "repeat_layers",
    "replace_tokens",
    "rows",
    "sample",
    "scale",
    "select_tokens",
    "set_feature",
    "shuffle_patches",
    "steer",
    "steps",
    "swap_projector",
    "target",
    "to_json",
    "tokens",
]

_register()
