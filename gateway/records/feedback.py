"""What users say of answers: the last word of each user counts, and every word is kept."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from gateway.caller import Caller
from gateway.records.recording import FEEDBACK, remark
from retrieval.records.record import Kept, Record, fields_of
from retrieval.records.store import RecordStore
from serving.redaction import redact

Rating = Literal["up", "down"]
Failure = Literal[
    "missing knowledge",
    "stale knowledge",
    "wrong retrieval",
    "hallucination",
    "bad format",
    "wrong tone",
    "weak reasoning",
    "policy violation",
]


@dataclass(frozen=True, slots=True)
class Opinion:
    """What one user thinks of one answer."""

    rating: Rating
    failure: Failure | None = None
    correction: str | None = None
    comment: str | None = None

    def redacted(self) -> "Opinion":
        """As it is kept."""
        correction, comment = (text and redact(text) for text in (self.correction, self.comment))
        return Opinion(self.rating, self.failure, correction, comment)


async def note(store: RecordStore, answer: Kept, caller: Caller, opinion: Opinion) -> tuple[Record, bool]:
    """Keep it, and whether it is news: the same said twice, one after the other or at once, is kept once."""
    kept = opinion.redacted()
    facts = {"rating": kept.rating, "failure": kept.failure}
    words = {"correction": kept.correction, "comment": kept.comment}
    record = remark(answer.record, caller, FEEDBACK, facts, words)

    def stands(said: Sequence[Kept]) -> Kept | None:
        last = (one for one in standing(said) if one.record.subject == record.subject)
        return next((one for one in last if opinion_of(one.record) == kept), None)

    found = await store.add_unless(record, stands)
    return (record, True) if found is None else (found.record, False)


def opinion_of(record: Record) -> Opinion:
    """What was said; words that were erased are missing."""
    facts, words = fields_of(record.facts), fields_of(record.words)
    return Opinion(facts["rating"], facts["failure"], words.get("correction"), words.get("comment"))


def standing(said: Iterable[Kept]) -> list[Kept]:
    """The last word of each user who is still known, oldest first."""
    last = {one.record.subject: one for one in said if one.record.kind == FEEDBACK and one.record.facts}
    return sorted(last.values(), key=lambda one: one.record.created)
