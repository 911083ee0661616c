"""The record of every answer, however it ended: to the spool, before it is acknowledged where that is required."""

import asyncio
from dataclasses import dataclass

import structlog

from gateway.records.recording import Recorder
from gateway.telemetry.metrics import Metrics
from retrieval.errors import SpoolError
from retrieval.records.record import Record
from retrieval.records.spool import Spool
from serving.records import InteractionRecord, Said
from serving.redaction import redact

_log = structlog.get_logger()
_ROOM_EACH = 64 * 1024  # more than all but the longest records take
_LONG_HISTORY = 16 * 1024  # characters: to redact more would hold up everybody else's answers


@dataclass(frozen=True, slots=True)
class Required:
    """Whose answers are given only once their records are durable: everybody's, or those of some tenants."""

    everybody: bool
    tenants: frozenset[str] = frozenset()

    def __contains__(self, tenant: str) -> bool:
        return self.everybody or tenant in self.tenants


class Audit:
    """A tenant in `required` gets no answer whose record is not durable; else one that cannot be kept is told."""

    def __init__(
        self, metrics: Metrics, spool: Spool, recorder: Recorder, *, required: Required, words: bool = False
    ) -> None:
        """With `words` the log has question and answer too, redacted."""
        self._metrics = metrics
        self._spool = spool
        self._recorder = recorder
        self._required = required
        self._words = words
        self._open = 0
        spool.on_lost = self._lost

    def admit(self, tenant: str) -> None:
        """Before anything is spent on an answer; SpoolError when its record could not be kept. Ends with `leave`."""
        if tenant in self._required and not self._spool.has_room((self._open + 1) * _ROOM_EACH):
            self._metrics.record_refused()
            raise SpoolError(self._spool.trouble or "the record spool has no room for the record of another answer")
        self._open += 1

    async def keep(self, record: InteractionRecord) -> None:
        """The record of an answer that is about to be acknowledged; SpoolError when it must not be."""
        written = await self._written(record)
        if record.tenant in self._required:
            await self._spool.keep(written)
        else:
            self._put(written)
        self._count(record)

    def write(self, record: InteractionRecord) -> None:
        """The record of an answer that nobody waits for."""
        self._put(self._recorder.record(record))
        self._count(record)

    def leave(self) -> None:
        """An answer that was admitted has its record, or never will."""
        self._open -= 1

    async def _written(self, record: InteractionRecord) -> Record:
        if sum(len(text) for _, text in record.said.history) > _LONG_HISTORY:
            return await asyncio.to_thread(self._recorder.record, record)
        return self._recorder.record(record)

    def _put(self, record: Record) -> None:
        try:
            self._spool.put(record)
        except SpoolError as error:
            self._lost(record, error)

    def _lost(self, record: Record, error: SpoolError) -> None:
        """Where records are required, what has none was not acknowledged."""
        refused = record.tenant in self._required
        if refused:
            self._metrics.record_refused()
        else:
            self._metrics.record_dropped()
        told = "record_refused" if refused else "record_dropped"
        _log.error(told, id=record.id, tenant=record.tenant, reason=str(error))

    def _count(self, record: InteractionRecord) -> None:
        """One log line, and the counters that dashboards read."""
        self._metrics.answer(record)
        _log.info(
            "answer",
            id=record.id,
            tenant=record.tenant,
            outcome=record.outcome,
            reason=record.reason,
            confidence=None if record.confidence is None else round(record.confidence, 4),
            threshold=record.threshold,
            index=record.index,
            model=record.model,
            rewritten=record.rewritten_by,
            passages=len(record.passages),
            degraded=record.degraded,
            citations=record.citations,
            unsupported=record.unsupported,
            warnings=record.warnings,
            tokens=record.prompt_tokens + record.completion_tokens,
            seconds=round(record.timings.get("total", 0.0), 3),
            **(_words(record.said) if self._words else {}),
        )


def _words(said: Said) -> dict[str, str | None]:
    return {"question": redact(said.question), "answer": None if said.answer is None else redact(said.answer)}
