"""Enough evidence? Before generation from what was found, after it from what the answer's own check says."""

from collections.abc import Sequence

from gateway.events import Reason, Status
from retrieval.index import IndexRecipe
from retrieval.search import Findings
from serving.grounding import Grounding


def enough_evidence(findings: Findings, recipe: IndexRecipe) -> Reason | None:
    """None to go on, or why not; the threshold belongs to the index version."""
    if not findings.passages:
        return "no_hits"
    return "below_threshold" if findings.confidence < recipe.abstain_below else None


def judge(grounding: Grounding, violations: Sequence[str], *, cut: bool) -> tuple[Status, Reason | None]:
    """An answer stands when it is whole, fits its schema and every statement in it is supported.

    `violations` are of the output schema; `cut` is an answer that reached its token limit, of which the rest could
    have taken back what was said. The model's own "I do not know" is an abstention.
    """
    if violations:
        return "review", "policy"
    if grounding.abstained:
        return "abstained", "ungrounded"
    if cut or grounding.unsupported or not grounding.citations:
        return "review", "ungrounded"
    return "answered", None
