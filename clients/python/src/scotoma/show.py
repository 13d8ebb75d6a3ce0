"""How notebooks show messages of the contract: their own classes say nothing of that."""

from __future__ import annotations

import html
import math
import sys
from collections.abc import Iterable
from typing import Any

from scotoma import paint
from scotoma.v1 import inference_service_pb2 as pb
from scotoma.v1 import intervention_pb2 as iv


def tokens_html(tokens: Iterable[pb.Token | pb.TokenLogprob]) -> str:
    """Words, the more unlikely the redder; hovering says how likely."""
    said = []
    for token in tokens:
        likely = math.exp(token.logprob)
        colour = f"rgba(178,36,36,{0.6 * (1 - likely):.2f})"
        title = f"{likely:.1%}, log-probability {token.logprob:.4g}, token {token.id}"
        said.append(f'<span style="background:{colour}" title="{title}">{html.escape(token.text)}</span>')
    return f'<p style="white-space:pre-wrap">{"".join(said)}</p>'


def finished_html(finished: pb.Finished) -> str:
    """An answer: its text, what it took, and what the interventions did."""
    usage = finished.usage
    took = f"{usage.generation_tokens} tokens in {usage.total_seconds:.2f} s, {usage.prompt_tokens} of the prompt"
    share = f"; {usage.flops / usage.baseline_flops:.0%} of the untouched model's operations" if usage.flops else ""
    why = pb.FinishReason.Name(finished.reason).removeprefix("FINISH_REASON_").lower()
    text = f'<p style="white-space:pre-wrap">{html.escape(finished.text)}</p>'
    return text + f"<small>{took}{share}; ended by {why}</small>" + plan_html(finished.provenance.plan)


def plan_html(plan: Iterable[pb.ResolvedIntervention]) -> str:
    """Interventions as they ran."""
    rows = []
    for own in plan:
        kind = own.intervention.WhichOneof("kind")
        change = own.relative_change if own.HasField("relative_change") else None
        effect = "changed nothing" if own.changed_nothing else ""
        rows.append({"intervention": kind, "fired": own.fired, "relative change": change, "": effect})
    return paint.table(rows) if rows else ""


def scored_html(scored: pb.ScoreResponse) -> str:
    """Continuations with their likelihoods, the best one marked."""
    rows = [
        {
            "": "best" if place == scored.best else "",
            "continuation": "".join(token.text for token in score.tokens),
            "logprob": score.logprob,
            "mean": score.mean_logprob,
            "probability": f"{math.exp(score.logprob):.2%}",
        }
        for place, score in enumerate(scored.scores)
    ]
    return paint.table(rows) + plan_html(scored.provenance.plan)


def result_html(result: pb.SweepResult) -> str:
    """One variant of a sweep."""
    kind = result.WhichOneof("outcome")
    if kind == "error":
        return f"<p>variant {result.variant}: {html.escape(result.error.message)}</p>"
    return finished_html(result.generated) if kind == "generated" else scored_html(result.scored)


def intervention_html(intervention: iv.Intervention) -> str:
    """Its canonical JSON."""
    from scotoma.interventions import to_json

    return f"<code>{html.escape(to_json(intervention))}</code>"


SHOWN: dict[type[Any], Any] = {
    pb.Finished: finished_html,
    pb.ScoreResponse: scored_html,
    pb.SweepResult: result_html,
    iv.Intervention: intervention_html,
}


def register() -> bool:
    """Tells a notebook that runs already how it shows messages; False where none does."""
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    if shell is None:
        return False
    formatter = shell.display_formatter.formatters["text/html"]
    for kind, shown in SHOWN.items():
        formatter.for_type(kind, shown)
    return True
