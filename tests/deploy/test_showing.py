"""What a terminal shows of answers and passages."""

import io
from typing import Any

from rich.console import Console

from deploy.showing import show_answer, show_passages

ANSWER: dict[str, Any] = {
    "id": "ans_1",
    "status": "answered",
    "reason": None,
    "answer": "Within 45 days [1].",
    "citations": [],
    "unsupported": [],
    "warnings": [],
    "confidence": {"value": 0.314, "threshold": 0.42, "probability": None},
    "versions": {"index": "idx-a", "model": "mdl-a"},
    "timings": {"total": 0.5},
    "usage": {"prompt_tokens": 1, "completion_tokens": 2},
}
OLD = {
    "code": "old_evidence",
    "document": "[b]a.md",
    "updated": "2020-01-01",
    "message": "check whether it still holds",
}
PASSAGE: dict[str, Any] = {
    "title": "Refunds",
    "source": "a.md",
    "text": "within 45 days",
    "span": [0, 14],
    "updated": "2020-01-01",
    "old": True,
    "scores": {"fused": 1.0, "dense": 1.0, "bm25": 1.0, "rerank": None},
}


def shown(what: Any, value: Any) -> str:
    out = io.StringIO()
    what(Console(file=out, width=200), value)
    return out.getvalue()


def test_a_warning_is_shown_with_the_answer_and_its_document_word_for_word() -> None:
    assert "warning: [b]a.md: check whether it still holds" in shown(show_answer, {**ANSWER, "warnings": [OLD]})
    assert "warning" not in shown(show_answer, ANSWER)


def test_an_answer_shows_its_confidence_beside_what_is_enough() -> None:
    refused = {**ANSWER, "status": "abstained", "reason": "below_threshold"}
    assert "abstained (below_threshold)  confidence 0.31, enough from 0.42" in shown(show_answer, refused)


def test_an_answer_of_a_gateway_that_knows_no_warnings_and_no_confidence_is_shown() -> None:
    earlier = {name: value for name, value in ANSWER.items() if name not in ("warnings", "confidence")}
    assert "Within 45 days" in shown(show_answer, earlier)
    assert "confidence" not in shown(show_answer, earlier)


def test_a_passage_shows_its_date_and_whether_it_is_old() -> None:
    assert "updated 2020-01-01  old" in shown(show_passages, [PASSAGE])
    fresh = shown(show_passages, [{**PASSAGE, "old": False, "updated": None}])
    assert "updated unknown" in fresh
    assert "old" not in fresh
