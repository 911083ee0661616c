"""Pure measures of finding and answering over golden questions."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any, Literal

from deploy.ranking import calculate

Label = Literal[
    "right",
    "missing knowledge",
    "stale knowledge",
    "wrong retrieval",
    "false abstention",
    "ungrounded",
    "bad format",
    "weak reasoning",
    "false answer",
]


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
    """One answer held against its golden question.

    `known`: the library has an expected document that this caller may read; `current`: one that holds an expected fact
    by now; `shown`: one was among the passages that the model got. `reason` is the gateway's for its status.
    """

    golden: Golden
    answer: str
    status: str
    cited_expected: bool
    has_fact: bool
    spans: int
    true_spans: int
    leaks: int
    reason: str | None = None
    known: bool = True
    current: bool = True
    shown: bool = True
    found: tuple[Mapping[str, Any], ...] = ()


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


def label(judged: Judged) -> Label:
    """What became of a question: the first stage that failed it, from the library to the words of the answer."""
    if not judged.golden.answerable:
        return "right" if judged.status == "abstained" else _not_as_asked(judged) or "false answer"
    if judged.status == "answered" and _is_right(judged):
        return "right"
    if not judged.known:
        return "missing knowledge"
    if not judged.current:
        return "stale knowledge"
    if not judged.shown:
        return "wrong retrieval"
    if judged.status == "abstained":
        return "false abstention"
    return _not_as_asked(judged) or "weak reasoning"


def label_counts(judged: Iterable[Judged]) -> dict[str, int]:
    """How many questions have each label, most frequent first."""
    return dict(Counter(label(one) for one in judged).most_common())


def _is_right(judged: Judged) -> bool:
    """Where no facts are given, citing an expected document has to do."""
    return judged.has_fact if judged.golden.facts else judged.cited_expected


def _not_as_asked(judged: Judged) -> Label | None:
    """What the gateway itself found wrong with an answer that it gave."""
    if judged.status != "review":
        return None
    return "bad format" if judged.reason == "policy" else "ungrounded"


def holds_fact(answer: str, facts: Sequence[str]) -> bool:
    """Whether the answer says any of the facts, white space and case aside."""
    said = _plain(answer)
    return any(_plain(fact) in said for fact in facts)


def parse_golden(row: Mapping[str, Any]) -> Golden:
    """One line of `golden.jsonl`; what a file of one's own may leave out is what its documents say."""
    documents = tuple(row["documents"])
    return Golden(
        id=str(row["id"]),
        split=row.get("split") or "test",
        caller=row["caller"],
        question=row["question"],
        answerable=row.get("answerable", bool(documents)),
        documents=documents,
        facts=tuple(row.get("facts", ())),
        why=row.get("why"),
        forbidden=tuple(row.get("forbidden", ())),
    )


def _plain(text: str) -> str:
    return " ".join(text.lower().split())


def _share(flags: Iterable[bool]) -> float:
    held = list(flags)
    return sum(held) / len(held) if held else 0.0
