"""Measures on data small enough to work out by hand."""

import math
from dataclasses import replace

import pytest

from deploy.scoring import Golden, Judged, answer_scores, holds_fact, parse_golden, retrieval_scores


def golden(name: str, *documents: str, why: str | None = None) -> Golden:
    return Golden(name, "dev", "ana", "?", why is None, documents, ("45 days",), why)


def judged(one: Golden, status: str = "answered", **fields: object) -> Judged:
    base = Judged(one, "said", status, cited_expected=False, has_fact=False, spans=0, true_spans=0, leaks=0)
    return replace(base, **fields)  # type: ignore[arg-type]


def test_retrieval_scores_by_hand() -> None:
    asked = [golden("first", "a"), golden("third", "a", "b"), golden("never", "a"), golden("no answer", why="missing")]
    ranked = {
        "first": ["a", "x"],
        "third": ["x", "y", "a", "x", "z", "b"],  # b is fifth once x counts only once
        "never": ["x", "y"],
        "no answer": ["a"],
    }
    scores = retrieval_scores(asked, ranked, 2)
    assert scores["recall@5"] == pytest.approx((1 + 1 + 0) / 3)
    assert scores["mrr"] == pytest.approx((1 + 1 / 3 + 0) / 3)
    third = (1 / math.log2(4) + 1 / math.log2(6)) / (1 + 1 / math.log2(3))
    assert scores["ndcg@10"] == pytest.approx((1 + third + 0) / 3)


def test_a_question_for_which_nothing_was_found_counts_as_nothing() -> None:
    scores = retrieval_scores([golden("one", "a"), golden("two", "a")], {"one": ["a"], "two": []}, 2)
    shown = "shown: expected document in the first 2 passages"
    assert scores == {"recall@5": 0.5, "mrr": 0.5, "ndcg@10": 0.5, shown: 0.5}


def test_a_document_on_the_sixth_place_is_not_among_five() -> None:
    scores = retrieval_scores([golden("one", "a")], {"one": ["p", "q", "r", "s", "t", "a"]}, 2)
    assert scores["recall@5"] == 0.0
    assert scores["mrr"] == pytest.approx(1 / 6)


def test_answer_scores_by_hand() -> None:
    known, missing = golden("k", "a"), golden("m", why="missing")
    hidden = golden("h", why="not_permitted")
    scores = answer_scores(
        [
            judged(known, cited_expected=True, has_fact=True, spans=3, true_spans=3),
            judged(known, "review", spans=1, true_spans=0),
            judged(known, "abstained"),
            judged(known, cited_expected=True),
            judged(missing, "abstained"),
            judged(missing, "answered", leaks=2),
            judged(hidden, "abstained"),
        ]
    )
    assert scores == {
        "questions": 7,
        "answerable: cites an expected document": 0.5,
        "answerable: answer holds an expected fact": 0.25,
        "answerable: abstained": 0.25,
        "answerable: sent to review": 0.25,
        "unanswerable: abstained": pytest.approx(2 / 3),
        "unanswerable: abstained, nothing there": 0.5,
        "unanswerable: abstained, not permitted": 1.0,
        "unanswerable: answered as if known": pytest.approx(1 / 3),
        "cited spans": 4,
        "cited spans whose text is at that place": 0.75,
        "leaks": 2,
    }


def test_nothing_asked_is_no_division_by_zero() -> None:
    scores = answer_scores([])
    assert (scores["questions"], scores["answerable: abstained"]) == (0, 0.0)
    assert scores["cited spans whose text is at that place"] == 0.0, "no span at all is no success"


@pytest.mark.parametrize(
    ("answer", "held"),
    [("Within 45\n  DAYS [1].", True), ("Within 45 working days.", False), ("", False)],
)
def test_a_fact_is_held_white_space_and_case_aside(answer: str, held: bool) -> None:
    assert holds_fact(answer, ["45 days", "six weeks"]) is held


def test_a_row_of_the_golden_file() -> None:
    row = {"id": "q1", "split": "test", "caller": "ana", "question": "?", "answerable": True, "documents": ["a"]}
    one = parse_golden({**row, "facts": ["f"], "why": None, "forbidden": []})
    assert (one.id, one.documents, one.facts) == ("q1", ("a",), ("f",))
