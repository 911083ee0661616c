"""Enough evidence? Before generation from what was found, after it from what the answer's own check says."""

from gateway.events import Reason, Status
from retrieval.index import IndexRecipe
from retrieval.search import Findings
from serving.grounding import Grounding


def enough_evidence(findings: Findings, recipe: IndexRecipe) -> Reason | None:
    """None to go on, or why not; the threshold belongs to the index version."""
    if not findings.passages:
        return "no_hits"
    return "below_threshold" if findings.confidence < recipe.abstain_below else None


def judge(grounding: Grounding) -> tuple[Status, Reason | None]:
    """An answer stands when every statement in it is supported; the model's own "I do not know" is an abstention."""
    if grounding.abstained:
        return "abstained", "ungrounded"
    if grounding.unsupported or not grounding.citations:
        return "review", "ungrounded"
    return "answered", None
