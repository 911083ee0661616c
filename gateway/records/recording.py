"""Answers, and what is said of them, as the record book takes it: which of it is fact, person, source and words."""

import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, Literal

import msgspec

from gateway.caller import Caller
from retrieval.records.book import DECISION
from retrieval.records.record import Record, part
from serving.records import InteractionRecord, Said
from serving.redaction import redact

ANSWER: Final = "answer"
FEEDBACK: Final = "feedback"
_PREFIXES: Final = {FEEDBACK: "fb", DECISION: "rev"}
Content = Literal["digest", "redacted"]
_APART = ("id", "created", "tenant", "asker", "said", "passages", "cited", "timings")
_FACTS = tuple(name for name in InteractionRecord.__slots__ if name not in _APART)
_MICROSECONDS = 6


@dataclass(frozen=True, slots=True)
class Recorder:
    """`content` says whether words are kept; a review is wanted of what is less probable than `review_below`."""

    content: Content
    review_below: float

    def record(self, interaction: InteractionRecord) -> Record:
        """The record of one answer."""
        timings = {stage: round(seconds, _MICROSECONDS) for stage, seconds in interaction.timings.items()}
        facts = {name: getattr(interaction, name) for name in _FACTS}
        asker, read = interaction.asker, interaction.passages
        return Record(
            id=interaction.id,
            kind=ANSWER,
            created=interaction.created,
            tenant=interaction.tenant,
            subject=asker.subject,
            facts=part({**facts, "timings": timings}),
            person=part({name: getattr(asker, name) for name in asker.__slots__}),
            sources=part({"passages": read, "citations": interaction.cited}) if read else None,
            words=part(_redacted(interaction.said)) if self.content == "redacted" else None,
            documents=tuple(dict.fromkeys(one.document for one in read)),
            review=self._wants_review(interaction),
        )

    def _wants_review(self, interaction: InteractionRecord) -> bool:
        """What failed its check, and what was answered with little confidence."""
        unsure = interaction.probability is not None and interaction.probability < self.review_below
        return interaction.outcome == "review" or (interaction.outcome == "answered" and unsure)


def remark(
    answer: Record, caller: Caller, kind: str, facts: Mapping[str, Any], words: Mapping[str, str | None]
) -> Record:
    """The record of what somebody says of an answer. It goes with the answer's documents: it may hold their words."""
    told = {name: text for name, text in words.items() if text}
    return Record(
        id=f"{_PREFIXES[kind]}_{secrets.token_hex(12)}",
        kind=kind,
        created=datetime.now(UTC),
        tenant=answer.tenant,
        subject=caller.principal.subject,
        facts=part(facts),
        person=part({"credential": caller.credential, "app": caller.app}),
        words=part(told) if told else None,
        sources=part({}) if answer.documents else None,
        documents=answer.documents,
        about=answer.id,
    )


def _redacted(said: Said) -> dict[str, Any]:
    """Every text in it, wherever it stands."""
    redacted: dict[str, Any] = _each_text(msgspec.to_builtins(said), redact)
    return redacted


def _each_text(value: Any, change: Callable[[str], str]) -> Any:
    match value:
        case str():
            return change(value)
        case dict():
            return {name: _each_text(one, change) for name, one in value.items()}
        case list() | tuple():
            return [_each_text(one, change) for one in value]
        case _:
            return value
