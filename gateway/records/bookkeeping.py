"""Opens what keeps records: the store, what writes to it while answers are given, and what lets go of it in time."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import NoReturn

from gateway.audit import Audit, Required
from gateway.records.recording import ANSWER, FEEDBACK, Recorder
from gateway.settings import Settings
from gateway.telemetry.metrics import Metrics
from retrieval.catalog import Catalog
from retrieval.records.book import DECISION
from retrieval.records.erasing import RecordErasure
from retrieval.records.retention import Retention
from retrieval.records.store import RecordStore


@dataclass(frozen=True, slots=True)
class Bookkeeping:
    """`required` tells whose answers are not given without their records."""

    store: RecordStore
    audit: Audit
    retention: Retention
    erasure: RecordErasure
    required: Required

    @classmethod
    @asynccontextmanager
    async def open(cls, settings: Settings, catalog: Catalog, metrics: Metrics) -> AsyncIterator["Bookkeeping"]:
        """As the settings say."""
        async with RecordStore.open(catalog, settings, settings.record_spool_bytes) as store:
            store.moved = metrics.records_moved
            metrics.record_spool.set_function(lambda: store.spool.used)
            required = Required(settings.audit == "required", settings.audited_tenants)
            recorder = Recorder(settings.record_content, settings.review_below)
            audit = Audit(metrics, store.spool, recorder, required=required, words=settings.log_content)
            erasure = RecordErasure(store, lambda: _now() + settings.backup_retention)
            yield cls(store, audit, _retention(settings), erasure, required)

    async def check(self) -> None:
        """SpoolError when everybody's answers are refused for want of their records."""
        if self.required.everybody:
            self.store.spool.check()

    async def expire(self) -> NoReturn:
        """Let go of what is too old, for as long as the process lives."""
        await self.retention.run(self.store.forgetting, _now)


def _retention(settings: Settings) -> Retention:
    whole = {ANSWER: settings.record_days, FEEDBACK: settings.feedback_days, DECISION: settings.review_days}
    return Retention(whole, words={ANSWER: settings.record_content_days})


def _now() -> datetime:
    return datetime.now(UTC)
