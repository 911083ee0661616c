"""What users say of answers: the last word of each user counts, and every word is kept."""

import secrets
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Final, Literal

from gateway.caller import Caller
from retrieval.records.record import Kept, Record, fields_of, part
from retrieval.records.store import RecordStore
from serving.redaction import redact

FEEDBACK: Final = "feedback"
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
    record = _record(answer.record, caller, kept)

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


def _record(answer: Record, caller: Caller, opinion: Opinion) -> Record:
    """It goes with the documents of its answer: a correction may hold their words."""
    told = asdict(opinion)
    words = {name: told[name] for name in ("correction", "comment") if told[name]}
    return Record(
        id=f"fb_{secrets.token_hex(12)}",
        kind=FEEDBACK,
        created=datetime.now(UTC),
        tenant=answer.tenant,
        subject=caller.principal.subject,
        facts=part({"rating": opinion.rating, "failure": opinion.failure}),
        person=part({"credential": caller.credential, "app": caller.app}),
        words=part(words) if words else None,
        sources=part({}) if answer.documents else None,
        documents=answer.documents,
        about=answer.id,
    )
