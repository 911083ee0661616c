"""Pure measures of finding and answering over golden questions."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from deploy.ranking import calculate


@dataclass(frozen=True, slots=True)
class Golden:
    """A question as one caller asks it: `facts` stand in each of `documents`, `forbidden` may not be shown."""

    id: str
    split: str
    caller: str
    question: str
    answerable: bool
    documents: tuple[str, ...]
    facts: tuple[str, ...]
    why: str | None
    forbidden: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Judged:
    """One answer held against its golden question."""

    golden: Golden
    answer: str
    status: str
    cited_expected: bool
    has_fact: bool
    spans: int
    true_spans: int
    leaks: int


def retrieval_scores(golden: Iterable[Golden], ranked: Mapping[str, Sequence[str]], passages: int) -> dict[str, float]:
    """Measures over answerable questions. `ranked` is each passage's document, best first, by question id.

    recall@5, MRR and nDCG@10 are over documents; "shown" is the share of questions of which an expected document is
    among the first `passages` passages, which are what the model gets.
    """
    asked = [one for one in golden if one.answerable]
    judged = {one.id: dict.fromkeys(one.documents, 1) for one in asked}
    found = {one.id: list(dict.fromkeys(ranked[one.id])) for one in asked}
    values = calculate(("R@5", "RR", "nDCG@10"), judged, found).values()
    recall, mrr, ndcg = (fmean(column) for column in zip(*values, strict=True)) if asked else (0.0, 0.0, 0.0)
    shown = _share(not set(one.documents).isdisjoint(ranked[one.id][:passages]) for one in asked)
    return {
        "recall@5": recall,
        "mrr": mrr,
        "ndcg@10": ndcg,
        f"shown: expected document in the first {passages} passages": shown,
    }


def answer_scores(judged: Sequence[Judged]) -> dict[str, float | int]:
    """Shares over answerable and unanswerable questions, over cited spans, and the number of leaks."""
    answerable = [one for one in judged if one.golden.answerable]
    unanswerable = [one for one in judged if not one.golden.answerable]
    missing = [one for one in unanswerable if one.golden.why == "missing"]
    hidden = [one for one in unanswerable if one.golden.why == "not_permitted"]
    spans = sum(one.spans for one in judged)
    return {
        "questions": len(judged),
        "answerable: cites an expected document": _share(one.cited_expected for one in answerable),
        "answerable: answer holds an expected fact": _share(one.has_fact for one in answerable),
        "answerable: abstained": _share(one.status == "abstained" for one in answerable),
        "answerable: sent to review": _share(one.status == "review" for one in answerable),
        "unanswerable: abstained": _share(one.status == "abstained" for one in unanswerable),
        "unanswerable: abstained, nothing there": _share(one.status == "abstained" for one in missing),
        "unanswerable: abstained, not permitted": _share(one.status == "abstained" for one in hidden),
        "unanswerable: answered as if known": _share(one.status == "answered" for one in unanswerable),
        "cited spans": spans,
        "cited spans whose text is at that place": sum(one.true_spans for one in judged) / spans if spans else 0.0,
        "leaks": sum(one.leaks for one in judged),
    }


def holds_fact(answer: str, facts: Sequence[str]) -> bool:
    """Whether the answer says any of the facts, white space and case aside."""
    said = _plain(answer)
    return any(_plain(fact) in said for fact in facts)


def parse_golden(row: Mapping[str, Any]) -> Golden:
    """One line of `golden.jsonl`."""
    return Golden(
        id=row["id"],
        split=row["split"],
        caller=row["caller"],
        question=row["question"],
        answerable=row["answerable"],
        documents=tuple(row["documents"]),
        facts=tuple(row["facts"]),
        why=row["why"],
        forbidden=tuple(row.get("forbidden", ())),
    )


def _plain(text: str) -> str:
    return " ".join(text.lower().split())


def _share(flags: Iterable[bool]) -> float:
    held = list(flags)
    return sum(held) / len(held) if held else 0.0
