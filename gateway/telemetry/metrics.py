"""Every metric, declared once. No label comes from a client; versions, routes, tenants and reasons are bounded sets."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sized
from itertools import product
from typing import Literal, Protocol, get_args

from deploy.pins import Pins
from gateway.limits.concurrency import Priority
from gateway.telemetry.families import AXES, Families
from serving.cost import Bill
from serving.records import InteractionRecord

OTHER = "other"
METHODS = frozenset({"DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"})
_ENGINE = "engine", "served"
_ROLES = "stable", "previous", "candidate", "fallback"
_TOKEN_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)
_STAGES = frozenset(
    {"rewrite", "retrieval", "embed", "search", "rerank", "pack", "confidence", "prompt", "generation", "grounding"}
)


class Counted(Protocol):
    """What finding tells of itself, and a record of it."""

    @property
    def passages(self) -> Sized: ...

    @property
    def violations(self) -> int: ...

    @property
    def stale(self) -> int: ...

    @property
    def collapsed(self) -> int: ...

    @property
    def degraded(self) -> bool: ...


Seen = Literal["clean", "leak", "failed", "blind"]


class Versions(Protocol):
    """The two versions that a request resolved to."""

    @property
    def index(self) -> str: ...

    @property
    def model(self) -> str: ...


class Metrics:
    """One registry per process, filled at the HTTP edge, by the record of each answer, and by what runs beside them.

    `tenants` are those that are counted by name; all others are one.
    """

    def __init__(self, tenants: Collection[str] = ()) -> None:
        made = Families()
        self.registry = made.registry
        self._forget = made.forget
        self._tenants = frozenset(tenants)
        self._pins: Pins | None = None
        self._left: dict[str, frozenset[str]] = {}
        self._declare_edge(made)
        self._declare_answers(made)
        self._declare_finding(made)
        self._declare_operation(made)

    def _declare_edge(self, made: Families) -> None:
        self._requests = made.counter(
            "requests",
            "HTTP requests by route template, status, and the versions where the route resolves any.",
            *("method", "route", "status", *AXES),
        )
        self._request_seconds = made.histogram(
            "request_seconds", "Seconds from a request's arrival to the last byte of its response.", "route"
        )
        self.requests_in_flight = made.gauge("requests_in_flight", "HTTP requests being served now.")
        self._budget_refusals = made.counter(
            "budget_refusals", "Requests refused for a limit, and whose limit it was.", "limit", "whose", "tenant"
        )

        self.answers_limit = made.gauge(
            "answers_limit", "Answers under way at most, so that the engine's first words come in time."
        )
        self._overload_refusals = made.counter(
            "overload_refusals", "Requests refused as many answers are under way as come in time.", "priority"
        )
        for priority in get_args(Priority):
            self._overload_refusals.labels(priority)

    def _declare_answers(self, made: Families) -> None:
        self._answers = made.counter(
            "answers",
            "Answers by how they ended, and the two versions that made them.",
            *("outcome", "reason", *AXES),
        )
        self._tenant_answers = made.counter("tenant_answers", "Answers by tenant.", "tenant", "outcome")
        self._tenant_tokens = made.counter("tenant_tokens", "Tokens as the engine counted them.", "tenant", "kind")
        self._tenant_cost = made.counter("tenant_cost_dollars", "List cost of all answers.", "tenant")
        self._seconds = made.histogram("answer_seconds", "Seconds from a question to the end of its answer.", *AXES)
        self._first_token = made.histogram(
            "first_token_seconds", "Seconds from a question to the first word that the model says.", *AXES
        )
        self._gaps = made.histogram(
            "inter_token_seconds", "Seconds between two pieces of an answer.", "model", buckets=_TOKEN_SECONDS
        )
        self._stages = made.histogram("stage_seconds", "Seconds per stage of an answer.", "stage")
        self._tokens = made.counter("tokens", "Tokens as the engine counted them.", "kind", "model")
        self._cost = made.counter("cost_dollars", "List cost of all answers.", "model")
        self._effective_cost = made.counter(
            "effective_cost_dollars", "What the engine cost while it worked, by whom it worked for.", "tenant", "model"
        )
        self._idle_cost = made.counter("idle_cost_dollars", "What the engine cost while it had nothing to do.")
        self._citations = made.counter(
            "citations", "Citations that hold, and markers removed because they pointed nowhere.", "validity", "model"
        )
        self._unsupported = made.counter(
            "unsupported_answers", "Answers that say something no passage supports.", *AXES
        )
        self._formats = made.counter(
            "format_checks",
            "Answers held against a schema, the model version's or the client's, by whether they fit.",
            "result",
            "model",
        )
        self._sanitized = made.counter(
            "sanitized_answers", "Answers with links, images, HTML or the like that were made dead.", "model"
        )
        self._rewrites = made.counter(
            "rewrites",
            "Follow-ups searched for in other words, by whose words, and why they are not the model's.",
            *("by", "failure", "model"),
        )
        self._cache = made.counter(
            "cache_answers", "Answers by whether a kept one was given, and why not.", "outcome", "reason"
        )
        self._cache_writes = made.counter(
            "cache_writes", "Answers that were made, by whether they are kept, and why not.", "result"
        )
        self._cache_purged = made.counter("cache_purged", "Kept answers dropped as a document of theirs changed.")
        self._cache_entries = made.gauge("cache_entries", "Answers that this process keeps.")
        self._cache_bytes = made.gauge("cache_bytes", "Bytes of them.")
        self.cache_degraded = made.gauge("cache_degraded", "1 while Redis is gone, and each process keeps its own.")
        self._feedback = made.counter(
            "feedback",
            "What users said of answers, and whether they gave a correction.",
            *("rating", "failure", "corrected", *AXES),
        )
        self.in_flight = made.gauge(
            "answers_in_flight", "Answers, searches and requests about documents under way now."
        )

    def _declare_finding(self, made: Families) -> None:
        self._misses = made.counter("retrieval_misses", "Findings without a single passage.", "index")
        self._violations = made.counter(
            "access_violations",
            "Chunks an index returned although its own access fields forbid the caller. Any is an incident.",
            "index",
        )
        self._stale = made.counter(
            "stale_chunks", "Chunks that the catalog dropped after an index found them.", "index"
        )
        self._collapsed = made.counter(
            "collapsed_passages", "Permitted passages left out because they only repeat another one.", "index"
        )
        self._degraded = made.counter(
            "not_reranked", "Findings left in the fused order because the reranker was away or too slow.", "index"
        )
        self._old_evidence = made.counter(
            "old_evidence", "Answers whose best evidence is old by the rule of its category.", "index"
        )

    def _declare_operation(self, made: Families) -> None:
        self._probed = made.counter("probes", "Leak probes by path and what they saw.", "path", "seen")
        self._path_closed = made.gauge("path_closed", "Whether a leak probe has closed this path.", "path")
        self._documents = made.counter("documents", "Documents handed in over HTTP, by what became of them.", "status")
        self._release_refused = made.counter(
            "release_config_errors", "Reasons for which releases.yaml was not put in force."
        )
        self._generation = made.gauge("release_generation", "Generation of the pins in force.")
        self._release_ok = made.gauge("release_config_ok", "1 while releases.yaml as it stands is in force.")
        self._pinned = made.gauge("pinned_version", "1 for each version that a pin names.", "axis", "pin", "version")
        self._followed = made.gauge(
            "index_followed_timestamp_seconds", "When an index was last seen to be at the catalog's head.", "index"
        )
        self.record_spool = made.gauge("record_spool_bytes", "Bytes of records that SQL has not taken yet.")
        self._records_dropped = made.counter("records_dropped", "Answers given whose record could not be kept.")
        self._records_refused = made.counter("records_refused", "Answers not given, as their record is required.")
        self._records_moved = made.counter("records_moved", "Records that SQL has taken from the spool.")
        self._decisions = made.counter("review_decisions", "What reviewers decided of answers.", "decision")
        self.keys_ok = made.gauge("keys_config_ok", "1 while the key file as it stands is in force.")
        self._identity_ok = made.gauge("identity_config_ok", "1 while the identity file as it stands is in force.")
        self._issuers = made.gauge("identity_issuers", "Issuers of tokens, by the state of their keys.", "state")
        self.limits_ok = made.gauge("limits_config_ok", "1 while limits.yaml as it stands is in force.")
        self.budgets_degraded = made.gauge(
            "budgets_degraded", "1 while Redis is gone, and each process counts for itself."
        )
        self._engine_out = made.gauge(
            "engine_out", "1 while a replica of the engine is not asked for a model, as it does not answer.", *_ENGINE
        )
        self._fallbacks = made.counter(
            "fallback_answers", "Answers by the fallback model, as no engine served the stable one.", "model"
        )
        self._engine_retries = made.counter(
            "engine_retries", "Requests sent to the engine again, by what became of the one before.", "failure"
        )
        self._ready = made.gauge("part_ready", "1 while a part that answers need is there.", "part")

    def tenant(self, name: str) -> str:
        """The label of a tenant: its name if it is one of the configured, so that a hundred thousand are one series."""
        return name if name in self._tenants else OTHER

    def request(self, method: str, route: str, status: int, seconds: float, versions: Versions | None = None) -> None:
        """Count an HTTP request; `method` is one of `METHODS` or `OTHER`, `route` a template and never a path."""
        named = (versions.index, versions.model) if versions else ("", "")
        self._requests.labels(method, route, str(status), *named).inc()
        self._request_seconds.labels(route).observe(seconds)

    def budget_refused(self, limit: str, whose: str, tenant: str) -> None:
        """Count a refusal: which limit, and whether it was the tenant's, the key's or the person's."""
        self._budget_refusals.labels(limit, whose, self.tenant(tenant)).inc()

    def overload_refused(self, priority: str) -> None:
        """Count a refusal for want of time."""
        self._overload_refusals.labels(priority).inc()

    def found(self, index: str, found: Counted) -> None:
        """Count what the two access checks dropped, what only repeated, what was not reranked, and what is missing."""
        self._misses.labels(index).inc(not found.passages)
        self._violations.labels(index).inc(found.violations)
        self._stale.labels(index).inc(found.stale)
        self._collapsed.labels(index).inc(found.collapsed)
        self._degraded.labels(index).inc(found.degraded)

    def answer(self, record: InteractionRecord) -> None:
        """Count an answer, however it ended."""
        if record.confidence is not None and record.cache != "hit":  # finding ended
            self.found(record.index, record)
        versions = record.index, record.model
        self._old_evidence.labels(record.index).inc("old_evidence" in record.warnings)
        self._answers.labels(record.outcome, record.reason or "none", *versions).inc()
        self._unsupported.labels(*versions).inc(record.unsupported > 0)
        if record.fallback_for is not None:
            self._fallbacks.labels(record.model).inc()
        if record.rewritten_by or record.rewrite_failure:
            labels = record.rewritten_by or "none", record.rewrite_failure or "none", record.model
            self._rewrites.labels(*labels).inc()
        self._citations.labels("valid", record.model).inc(record.citations)
        self._citations.labels("removed", record.model).inc(record.markers_removed)
        self._time(record)
        self._count(record)

    def _time(self, record: InteractionRecord) -> None:
        versions, timings = (record.index, record.model), record.timings
        if "first_token" in timings:
            self._first_token.labels(*versions).observe(timings["first_token"])
        self._seconds.labels(*versions).observe(timings["total"])
        for stage in _STAGES & timings.keys():
            self._stages.labels(stage).observe(timings[stage])

    def _count(self, record: InteractionRecord) -> None:
        tenant = self.tenant(record.tenant)
        self._tenant_answers.labels(tenant, record.outcome).inc()
        used = {"prompt": record.prompt_tokens, "completion": record.completion_tokens, "cached": record.cached_tokens}
        for kind, tokens in used.items():
            self._tokens.labels(kind, record.model).inc(tokens)
            self._tenant_tokens.labels(tenant, kind).inc(tokens)
        self._cost.labels(record.model).inc(record.cost)
        self._tenant_cost.labels(tenant).inc(record.cost)

    def engine(self, bill: Bill) -> None:
        """Count what the engine has cost; payers go by the labels of their tenants."""
        self._idle_cost.inc(bill.idle)
        for payer, dollars in bill.shares.items():
            self._effective_cost.labels(payer.tenant, payer.model).inc(dollars)

    def generated(self, model: str, gaps: Iterable[float], *, fits: bool | None, sanitized: bool) -> None:
        """Seconds between the pieces of an answer, and what became of its text.

        `fits` says whether it fits its schema, None where it had none to fit; `sanitized`, whether any of it was live.
        """
        observe = self._gaps.labels(model).observe
        for seconds in gaps:
            observe(seconds)
        if fits is not None:
            self._formats.labels("fits" if fits else "violates", model).inc()
        self._sanitized.labels(model).inc(sanitized)

    def cache(self, outcome: str, reason: str) -> None:
        """Count an answer by whether it was made for who asked."""
        self._cache.labels(outcome, reason).inc()

    def cache_write(self, result: str) -> None:
        """Count an answer that could be given again."""
        self._cache_writes.labels(result).inc()

    def cache_purged(self, count: int) -> None:
        """Count answers that went with a change."""
        self._cache_purged.inc(count)

    def cache_held(self, entries: Callable[[], int], size: Callable[[], int]) -> None:
        """Where to look how many are kept, and how many bytes those are."""
        self._cache_entries.set_function(entries)
        self._cache_bytes.set_function(size)

    def feedback(self, index: str, model: str, *, rating: str, failure: str | None, corrected: bool) -> None:
        """Count what a user said of an answer. Its versions may be long gone, and then have no name any more."""
        known = _named(self._pins)
        named = (name if name in known[axis] else OTHER for axis, name in zip(AXES, (index, model), strict=True))
        self._feedback.labels(rating, failure or "none", "yes" if corrected else "no", *named).inc()

    def probes(self, paths: Iterable[str]) -> None:
        """From 0 on, whether they are sent or not: an alert does not see the first event of a series otherwise."""
        for path, seen in product(paths, get_args(Seen)):
            self._probed.labels(path, seen)

    def probed(self, path: str, seen: Seen) -> None:
        """Count a leak probe."""
        self._probed.labels(path, seen).inc()

    def path_closed(self, path: str, closed: bool) -> None:
        """Whether a path is closed."""
        self._path_closed.labels(path).set(closed)

    def record_dropped(self) -> None:
        """Count an answer that is given without its record."""
        self._records_dropped.inc()

    def record_refused(self) -> None:
        """Count an answer that is not given, as its record cannot be kept."""
        self._records_refused.inc()

    def records_moved(self, count: int) -> None:
        """Count records that are in SQL now."""
        self._records_moved.inc(count)

    def decision(self, decision: str) -> None:
        """Count what a reviewer decided."""
        self._decisions.labels(decision).inc()

    def document(self, status: str) -> None:
        """Count what became of a document."""
        self._documents.labels(status).inc()

    def release(self, generation: int, pins: Pins, *, ok: bool) -> None:
        """Show which pins are in force, and whether they are those of the file."""
        self._generation.set(generation)
        self._release_ok.set(ok)
        if pins != self._pins:
            self._flip(_named(self._pins), _named(pins))
            self._pins = pins
            self._pinned.clear()
            for (axis, pin), role in product((("index", pins.index), ("model", pins.model)), _ROLES):
                if version := getattr(pin, role):
                    self._pinned.labels(axis, role, version).set(1)

    def _flip(self, before: dict[str, frozenset[str]], after: dict[str, frozenset[str]]) -> None:
        """Versions that the last flip left are forgotten with this one, as answers of theirs were still under way."""
        self._forget({axis: left - after[axis] for axis, left in self._left.items()})
        self._left = {axis: before[axis] - after[axis] for axis in AXES}
        self._begin(after)

    def _begin(self, named: dict[str, frozenset[str]]) -> None:
        """From 0 on: Prometheus does not see the first event of a series that begins with it."""
        for index in named["index"]:
            for family in (self._misses, self._violations, self._stale, self._collapsed, self._degraded):
                family.labels(index)
        for versions in product(*named.values()):
            self._unsupported.labels(*versions)
        for model in named["model"]:
            self._fallbacks.labels(model)
        for validity, model in product(("valid", "removed"), named["model"]):
            self._citations.labels(validity, model)

    def release_refused(self) -> None:
        """Count a reason for which the file was refused."""
        self._release_refused.inc()

    def followed(self, index: str, now: float) -> None:
        """An index is at the catalog's head; `now` in seconds since the epoch."""
        self._followed.labels(index).set(now)

    def identity(self, states: Mapping[str, int], *, ok: bool) -> None:
        """Show how issuers' keys are, and whether they are those of the identity file; there may be none."""
        self._identity_ok.set(ok)
        for state, count in states.items():
            self._issuers.labels(state).set(count)

    def engine_out(self, engine: str, served: str, *, out: bool) -> None:
        """Show whether a replica is asked for a model."""
        self._engine_out.labels(engine, served).set(out)

    def engine_retried(self, failure: str) -> None:
        """Count a request that is sent again."""
        self._engine_retries.labels(failure).inc()

    def ready(self, part: str, *, ready: bool) -> None:
        """Show whether a part is there."""
        self._ready.labels(part).set(ready)


def _named(pins: Pins | None) -> dict[str, frozenset[str]]:
    """Every version that a pin names, by axis."""
    if pins is None:
        return {axis: frozenset() for axis in AXES}
    return {"index": frozenset(pins.index.named), "model": frozenset(pins.model.named)}
