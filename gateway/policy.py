"""Enough evidence, and of this time? Before generation from what was found, after it from the answer's own check."""

from collections.abc import Sequence

from gateway.answers.events import Confidence, Notice, Reason, Status
from retrieval.calibration import Calibration
from retrieval.findings import Findings, Found
from retrieval.index import IndexRecipe
from serving.grounding import Citation, Grounding


def confidence_in(findings: Findings, recipe: IndexRecipe, calibration: Calibration | None) -> Confidence:
    """What was found, held against the index version's calibration, or its recipe where it has none.

    The category of the passage that it is the confidence of may have a threshold of its own.
    """
    value = findings.confidence
    if calibration is None:
        return Confidence(value, recipe.abstain_below, None)
    return Confidence(value, calibration.threshold_of(findings.category), calibration.probability(value))


def enough_evidence(findings: Findings, confidence: Confidence) -> Reason | None:
    """None to go on, or why not."""
    if not findings.passages:
        return "no_hits"
    return "below_threshold" if confidence.value < confidence.threshold else None


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


def judge_alone(violations: Sequence[str]) -> tuple[Status, Reason]:
    """An answer without documents is the model's own word: nothing but its form was checked, and it says so."""
    return ("review", "policy") if violations else ("answered", "not_retrieved")


def warnings(found: Sequence[Found], citations: Sequence[Citation]) -> tuple[Notice, ...]:
    """One when the best cited passage is old; where nothing is cited, the best one counts."""
    cited = {citation.marker for citation in citations}
    meant = (one for marker, one in enumerate(found, start=1) if not cited or marker in cited)
    best = min(meant, key=lambda one: one.rank, default=None)
    if best is None or not best.old or (updated := best.passage.updated) is None:
        return ()
    passage = best.passage
    kind = f" for the category {passage.category!r}" if passage.category else ""
    told = f"the best evidence is from {updated}, which is old{kind}: check whether it still holds"
    return (Notice("old_evidence", passage.ref.document, updated, told),)
