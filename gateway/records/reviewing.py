"""The queue of answers that somebody should look at, and what reviewers decide of them."""

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Any, Literal

from gateway.caller import Caller
from gateway.documents.access import writes
from gateway.errors import Conflict
from gateway.records.access import visible
from gateway.records.feedback import opinion_of, standing
from gateway.records.recording import remark
from retrieval.acl import Principal
from retrieval.catalog import Catalog
from retrieval.records.book import DECISION, first
from retrieval.records.record import Kept, Record, fields_of
from retrieval.records.store import RecordStore
from serving.redaction import redact

Verdict = Literal["accept", "reject", "correct"]
_SHOWN = ("outcome", "reason", "confidence", "threshold", "probability", "index", "model", "generation", "unsupported")


@dataclass(frozen=True, slots=True)
class Decision:
    """What a reviewer makes of an answer."""

    decision: Verdict
    correction: str | None = None
    note: str | None = None


async def decide(store: RecordStore, answer: Kept, caller: Caller, decision: Decision) -> tuple[Record, bool]:
    """Keep the first decision, and whether this is it; Conflict when another one stands."""
    words = {"correction": decision.correction, "note": decision.note}
    redacted = {name: text and redact(text) for name, text in words.items()}
    wanted = remark(answer.record, caller, DECISION, {"decision": decision.decision}, redacted)
    found = await store.add_unless(wanted, first)
    if found is None:
        return wanted, True
    if _content(found.record) != _content(wanted):
        raise Conflict("this answer is decided already: a decision stands as it was made", code="already_decided")
    return found.record, False


async def items(
    catalog: Catalog, store: RecordStore, principal: Principal, waiting: Sequence[Kept]
) -> list[dict[str, Any]]:
    """Answers that await a decision, as this reviewer may see them.

    Words are shown to those who may read every document that they may come from; passages of the others are left out.
    A follow-up may say again what an earlier answer had from a document that this one did not find.
    """
    named = {document for one in waiting for document in one.record.documents}
    seen = await visible(catalog, principal, named)
    said = await store.book.about_each([one.record.id for one in waiting])
    return [_item(one.record, seen, said[one.record.id], reads_all=writes(principal)) for one in waiting]


def _item(record: Record, seen: Set[str], said: Sequence[Kept], *, reads_all: bool) -> dict[str, Any]:
    facts, sources = fields_of(record.facts), fields_of(record.sources)
    readable = reads_all or (not facts.get("turns") and seen >= set(record.documents))
    words = fields_of(record.words) if readable else {}
    return {
        "object": "review.item",
        "answer": record.id,
        "created": record.created,
        **{name: facts.get(name) for name in _SHOWN},
        "withheld": record.words is not None and not readable,
        "question": words.get("question"),
        "text": words.get("answer"),
        "passages": _of_seen(sources, "passages", seen),
        "citations": _of_seen(sources, "citations", seen),
        "feedback": [_told(one.record) for one in standing(said)],
    }


def _of_seen(sources: Mapping[str, Any], name: str, seen: Set[str]) -> list[Any]:
    return [one for one in sources.get(name, ()) if one["document"] in seen]


def _told(feedback: Record) -> dict[str, Any]:
    opinion = opinion_of(feedback)
    return {"rating": opinion.rating, "failure": opinion.failure, "corrected": opinion.correction is not None}


def _content(record: Record) -> tuple[str, str | None, str | None]:
    words = fields_of(record.words)
    return fields_of(record.facts)["decision"], words.get("correction"), words.get("note")
