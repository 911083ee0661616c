"""The record of every answer, written however it ended: to the log and to the metrics."""

from typing import Protocol

import structlog

from gateway.metrics import Metrics
from serving.records import InteractionRecord

_log = structlog.get_logger()


class Audit(Protocol):
    """Where records go."""

    def write(self, record: InteractionRecord) -> None:
        """Keep one record."""
        ...


class AuditLog:
    """One structured log line per answer, without its words, and the counters that dashboards read."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    def write(self, record: InteractionRecord) -> None:
        """Keep one record."""
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
        )
