"""Spans of a request and of its stages, by OpenTelemetry and the names of its GenAI conventions; off unless asked for.

No span holds a word of a question, a document or an answer, nor a header: versions, counts and kinds of failure alone.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import AbstractContextManager, asynccontextmanager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Self

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

_OPERATOR_PATHS = frozenset({"/healthz", "/readyz", "/metrics"})
_EXPORT_SECONDS = 5.0
_W3C = TraceContextTextMapPropagator()
Told = Mapping[str, str | int | float | list[str]]


@dataclass(frozen=True, slots=True)
class Trace:
    """A span. One that is not recorded has no children, but still tells other processes not to record either."""

    _span: trace.Span
    _tracer: trace.Tracer

    @property
    def headers(self) -> Mapping[str, str]:
        """What goes with a request to another process, so that its spans hang below this one."""
        carried: dict[str, str] = {}
        if self is not UNTRACED:
            _W3C.inject(carried, trace.set_span_in_context(self._span, Context()))
        return carried

    def child(self, name: str, told: Told | None = None, *, remote: bool = False) -> AbstractContextManager["Trace"]:
        """A span below this one, for as long as the block; `remote` where another process does the work."""
        return self._child(name, told or {}, remote) if self._span.is_recording() else nullcontext(self)

    @contextmanager
    def _child(self, name: str, told: Told, remote: bool) -> Iterator["Trace"]:
        """Explicit parents: what an answer's stages are part of must not depend on which task takes its next event."""
        kind = trace.SpanKind.CLIENT if remote else trace.SpanKind.INTERNAL
        span = self._tracer.start_span(name, trace.set_span_in_context(self._span, Context()), kind, dict(told))
        try:
            yield Trace(span, self._tracer)
        except Exception as error:
            span.set_attribute("error.type", type(error).__name__)
            span.set_status(trace.StatusCode.ERROR)
            raise
        finally:
            span.end()

    def laps(self, seconds: Mapping[str, float]) -> None:
        """Stages that are over, below this span and one after the other from its beginning."""
        at = getattr(self._span, "start_time", None)
        if at is None or not self._span.is_recording():
            return
        parent = trace.set_span_in_context(self._span, Context())
        for stage, took in seconds.items():
            span = self._tracer.start_span(stage, parent, start_time=at)
            at += round(took * 1e9)
            span.end(at)

    def tell(self, told: Told) -> None:
        """Add to what the span says of itself."""
        self._span.set_attributes(dict(told))

    def answered(self, method: str, route: str, status: int) -> None:
        """How the request of this span ended; both names are of bounded sets."""
        if not self._span.is_recording():
            return
        self._span.update_name(f"{method} {route}")
        self.tell({"http.request.method": method, "http.route": route, "http.response.status_code": status})
        if status >= 500:
            self._span.set_status(trace.StatusCode.ERROR)


UNTRACED = Trace(trace.INVALID_SPAN, trace.NoOpTracer())


class Tracing:
    """Where spans go: to `endpoint`, in batches, by a thread of its own.

    `sample` is the share of requests that are recorded. With `trust` a request that says which trace it belongs to is
    part of that one, and recorded if that is: for gateways that only an operator's own services reach.
    """

    def __init__(self, endpoint: str | None = None, *, sample: float = 1.0, trust: bool = False) -> None:
        self._endpoint = endpoint
        self._sample = sample
        self._trust = trust
        self._tracer: trace.Tracer | None = None

    @asynccontextmanager
    async def open(self) -> AsyncIterator[Self]:
        """Record from now on; at the end what was recorded is sent."""
        if self._endpoint is None:
            yield self
            return
        # loaded where it is wanted: a third of a second of every other start
        from opentelemetry.exporter.otlp.proto.http import Compression
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
        from opentelemetry.sdk.trace.sampling import ParentBasedTraceIdRatio

        provider = TracerProvider(
            sampler=ParentBasedTraceIdRatio(self._sample),
            resource=Resource.create({"service.name": "twinpin"}),
            shutdown_on_exit=False,
        )
        exporter = OTLPSpanExporter(self._endpoint, timeout=_EXPORT_SECONDS, compression=Compression.Gzip)
        provider.add_span_processor(BatchSpanProcessor(exporter))
        self._tracer = provider.get_tracer("twinpin")
        try:
            yield self
        finally:
            self._tracer = None
            await asyncio.to_thread(provider.shutdown)

    def request(self, path: str, headers: list[tuple[bytes, bytes]]) -> AbstractContextManager[Trace]:
        """The span of a request, for as long as the block; `Trace.answered` names it."""
        if self._tracer is None or path in _OPERATOR_PATHS:
            return nullcontext(UNTRACED)
        return self._request(self._tracer, headers)

    @contextmanager
    def _request(self, tracer: trace.Tracer, headers: list[tuple[bytes, bytes]]) -> Iterator[Trace]:
        span = tracer.start_span("request", self._parent(headers), trace.SpanKind.SERVER)
        try:
            yield Trace(span, tracer)
        finally:
            span.end()

    def _parent(self, headers: list[tuple[bytes, bytes]]) -> Context:
        if not self._trust:
            return Context()
        given = {name.decode("latin-1"): value.decode("latin-1") for name, value in headers}
        return _W3C.extract(given, Context())
