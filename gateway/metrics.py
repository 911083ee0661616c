"""Every metric, declared once. No label comes from a client; versions, routes and reasons are bounded sets."""

import asyncio
from typing import Protocol

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from serving.records import InteractionRecord

__all__ = ["CONTENT_TYPE_LATEST", "Metrics"]

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0)


class Counted(Protocol):
    """What finding tells of itself, and a record of it."""

    @property
    def violations(self) -> int: ...

    @property
    def stale(self) -> int: ...

    @property
    def collapsed(self) -> int: ...

    @property
    def degraded(self) -> bool: ...


class Metrics:
    """One registry per process, filled at two places: the HTTP edge and the record of each answer."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        versions = ["index", "model"]
        self._requests = Counter(
            "twinpin_requests",
            "HTTP requests by route template and status.",
            ["route", "status"],
            registry=self.registry,
        )
        self._answers = Counter(
            "twinpin_answers",
            "Answers by how they ended, and the two versions that made them.",
            ["outcome", "reason", *versions],
            registry=self.registry,
        )
        self._stages = Histogram(
            "twinpin_stage_seconds",
            "Seconds per stage of an answer.",
            ["stage"],
            buckets=_SECONDS,
            registry=self.registry,
        )
        self._tokens = Counter(
            "twinpin_tokens", "Tokens as the engine counted them.", ["kind", "model"], registry=self.registry
        )
        self._cost = Counter("twinpin_cost_dollars", "List cost of all answers.", ["model"], registry=self.registry)
        self._markers = Counter(
            "twinpin_markers_removed", "Citation markers that pointed nowhere.", ["model"], registry=self.registry
        )
        self._violations = Counter(
            "twinpin_access_violations",
            "Chunks an index returned although its own access fields forbid the caller. Any is an incident.",
            ["index"],
            registry=self.registry,
        )
        self._stale = Counter(
            "twinpin_stale_chunks",
            "Chunks that the catalog dropped after an index found them.",
            ["index"],
            registry=self.registry,
        )
        self._documents = Counter(
            "twinpin_documents",
            "Documents handed in over HTTP, by what became of them.",
            ["status"],
            registry=self.registry,
        )
        self._release_refused = Counter(
            "twinpin_release_config_errors",
            "Reasons for which releases.yaml was not put in force.",
            registry=self.registry,
        )
        self._generation = Gauge(
            "twinpin_release_generation", "Generation of the pins in force.", registry=self.registry
        )
        self._release_ok = Gauge(
            "twinpin_release_config_ok", "1 while releases.yaml as it stands is in force.", registry=self.registry
        )
        self._collapsed = Counter(
            "twinpin_collapsed_passages",
            "Permitted passages left out because they only repeat another one.",
            ["index"],
            registry=self.registry,
        )
        self._degraded = Counter(
            "twinpin_not_reranked",
            "Findings left in the fused order because the reranker was away or too slow.",
            ["index"],
            registry=self.registry,
        )
        self._old_evidence = Counter(
            "twinpin_old_evidence",
            "Answers whose best evidence is old by the rule of its category.",
            ["index"],
            registry=self.registry,
        )
        self._rewrites = Counter(
            "twinpin_rewrites",
            "Follow-ups searched for in other words, by whose words, and why they are not the model's.",
            ["by", "failure", "model"],
            registry=self.registry,
        )
        self.in_flight = Gauge("twinpin_answers_in_flight", "Answers being made now.", registry=self.registry)

    def request(self, route: str, status: int) -> None:
        """Count an HTTP request; `route` is a template, never a path."""
        self._requests.labels(route, str(status)).inc()

    def found(self, index: str, found: Counted) -> None:
        """Count what the two access checks dropped, what only repeated, and what was not reranked."""
        self._violations.labels(index).inc(found.violations)
        self._stale.labels(index).inc(found.stale)
        self._collapsed.labels(index).inc(found.collapsed)
        self._degraded.labels(index).inc(found.degraded)

    def document(self, status: str) -> None:
        """Count what became of a document."""
        self._documents.labels(status).inc()

    def release(self, generation: int, *, ok: bool) -> None:
        """Show which pins are in force, and whether they are those of the file."""
        self._generation.set(generation)
        self._release_ok.set(ok)

    def release_refused(self) -> None:
        """Count a reason for which the file was refused."""
        self._release_refused.inc()

    def answer(self, record: InteractionRecord) -> None:
        """Count an answer, however it ended."""
        self.found(record.index, record)
        self._old_evidence.labels(record.index).inc("old_evidence" in record.warnings)
        if record.rewritten_by or record.rewrite_failure:
            labels = record.rewritten_by or "none", record.rewrite_failure or "none", record.model
            self._rewrites.labels(*labels).inc()
        self._answers.labels(record.outcome, record.reason or "none", record.index, record.model).inc()
        for stage, seconds in record.timings.items():
            self._stages.labels(stage).observe(seconds)
        self._tokens.labels("prompt", record.model).inc(record.prompt_tokens)
        self._tokens.labels("completion", record.model).inc(record.completion_tokens)
        self._tokens.labels("cached", record.model).inc(record.cached_tokens)
        self._cost.labels(record.model).inc(record.cost)
        self._markers.labels(record.model).inc(record.markers_removed)

    async def render(self) -> bytes:
        """The exposition text, made off the event loop because it takes milliseconds."""
        return await asyncio.to_thread(generate_latest, self.registry)
