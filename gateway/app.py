"""The online composition root: one lifespan opens every part, in order, and closes it again."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NoReturn, TypeAlias

import structlog
from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from fastapi.telemetry import TelemetryConfig
from starlette.exceptions import HTTPException

from deploy.pinboard import ReleaseConfigError
from gateway import errors
from gateway.answering import Answering
from gateway.answers.engines import engine_of
from gateway.answers.prompting import Prompting
from gateway.auth import Authenticator
from gateway.background import Background
from gateway.cache.opening import Cache, CacheRefused, open_cache, shared_secret
from gateway.documents.ingesting import Intake, Library
from gateway.flipping.flip import Flip, OpenModel, VersionRefused
from gateway.flipping.follower import Follower
from gateway.flipping.lastgood import LastGood
from gateway.flipping.versions import IndexVersions, OpenIndex, open_built
from gateway.flipping.watch import Watch, start_release
from gateway.health.gates import Gates
from gateway.health.probes import Probes
from gateway.health.readiness import Probe, Readiness
from gateway.http import rendering
from gateway.http.draining import Draining
from gateway.http.middleware import RequestEdge
from gateway.http.openapi import described
from gateway.identity.config import IdentityError
from gateway.limits.budgets import BudgetsUnavailable
from gateway.limits.caps import LimitsRefused
from gateway.limits.concurrency import Concurrency
from gateway.limits.opening import open_limits
from gateway.metering import EngineMeter
from gateway.parts import Opening, Parts
from gateway.records.bookkeeping import Bookkeeping
from gateway.release import ModelVersion, Release
from gateway.routes import answer, feedback, gates, ops, review, search, usage
from gateway.routes import documents as document_routes
from gateway.routes import records as record_routes
from gateway.routes import release as release_routes
from gateway.routes.mcp import Mcp
from gateway.settings import Settings
from gateway.telemetry.exposition import Exposition
from gateway.telemetry.metrics import Metrics
from gateway.telemetry.tracing import Tracing
from gateway.usage import UsageBook
from retrieval.catalog import Catalog
from retrieval.documents import Documents
from retrieval.erasure import Erasable, Eraser
from retrieval.errors import RetrievalError
from retrieval.ingest.sandbox import ParserPool
from retrieval.opening import place_of
from retrieval.receipt import Signer
from retrieval.sql.ingestions import Ingestions
from retrieval.sql.usage import UsageLedger
from serving.errors import ServingError
from serving.generator import Generator
from serving.tokens import load_token_counter
from serving.weights import directory_name

# its own spans, counts and lines hold what clients sent
_NO_TELEMETRY: TelemetryConfig = {"tracing": False, "metrics": False, "logs": False, "auto_configure": False}
_MARGIN_SECONDS = 5.0
_CANNOT_START = (
    ReleaseConfigError,
    IdentityError,
    VersionRefused,
    RetrievalError,
    ServingError,
    LimitsRefused,
    BudgetsUnavailable,
    CacheRefused,
)
_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Outside:
    """What stands behind the gateway: stores, embedding models, the engine."""

    open_index: OpenIndex
    open_model: OpenModel
    generator: Generator


Reach: TypeAlias = Callable[[Settings, Metrics], Outside]


def create_app(settings: Settings, opening: Opening | None = None, draining: Draining | None = None) -> FastAPI:
    """The gateway, not yet started: the lifespan opens its parts, by default the real ones of `open_parts`."""
    draining = draining or Draining()
    metrics = Metrics(settings.measured_tenants)
    tracing = Tracing(settings.traces_url, sample=settings.traces_sample, trust=settings.traces_trust)

    agents = Mcp()

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        try:
            async with tracing.open(), (opening or open_parts)(settings, metrics) as parts, agents.open():
                app.state.parts = parts
                metrics.in_flight.set_function(lambda: parts.limits.in_flight)
                async with _probing(app, parts):
                    yield
        except _CANNOT_START as error:
            _log.critical("cannot_start", reason=str(error))
            raise

    app = FastAPI(title="Twinpin", lifespan=lifespan, docs_url=None, redoc_url=None, telemetry=_NO_TELEMETRY)
    app.router.routes.extend(answer.router.routes)  # by themselves: to be found in an included router costs more
    for routes in (search, feedback, review, record_routes, document_routes, release_routes, usage, gates, ops):
        app.include_router(routes.router)
    app.router.routes.append(agents.route)
    for expected in (errors.GatewayError, RetrievalError, ServingError, TimeoutError):
        app.add_exception_handler(expected, rendering.render)
    app.add_exception_handler(RequestValidationError, rendering.render_invalid)
    app.add_exception_handler(HTTPException, rendering.render_http)
    app.add_exception_handler(Exception, rendering.render_unexpected)
    app.state.draining = draining
    limits = {"": settings.max_body_bytes, "/v1/documents": settings.max_document_bytes}
    app.openapi = described(app)  # type: ignore[method-assign]  # as FastAPI's manual has it
    app.add_middleware(RequestEdge, metrics=metrics, tracing=tracing, draining=draining, max_body_bytes=limits)
    return app


@asynccontextmanager
async def _probing(app: FastAPI, parts: Parts) -> AsyncIterator[None]:
    seconds = parts.settings.probe_seconds
    async with Background.open() as background:
        if seconds:
            background.start("probes", Probes(app, parts, parts.gates, seconds).run())
        yield


def reach(settings: Settings, metrics: Metrics) -> Outside:
    """The real stores, embedding models and engine; its replicas serve every model version."""
    place, generator = place_of(settings), engine_of(settings, metrics)
    return Outside(
        open_index=lambda recipe, catalog, parser: open_built(recipe, place, catalog, parser),
        open_model=lambda manifest: ModelVersion(
            manifest, generator, load_token_counter(settings.models / directory_name(manifest.base.digest))
        ),
        generator=generator,
    )


@asynccontextmanager
async def open_parts(settings: Settings, metrics: Metrics, reach: Reach = reach) -> AsyncIterator[Parts]:
    """Open the pinned versions and everything around them; close in reverse."""
    outside, changed = reach(settings, metrics), asyncio.Event()
    async with AsyncExitStack() as stack:
        stack.push_async_callback(outside.generator.close)
        catalog = await stack.enter_async_context(Catalog.open(settings.catalog))
        parser = stack.enter_context(ParserPool())
        indexes = IndexVersions(settings.answer_seconds + _MARGIN_SECONDS)
        stack.push_async_callback(indexes.close)
        documents = Documents(catalog, indexes, parser, changed.set)
        flip = Flip(
            indexes=indexes,
            open_index=lambda recipe: outside.open_index(recipe, catalog, parser),
            open_model=outside.open_model,
            last_good=LastGood(settings.last_release),
            quiet=documents.quiet,
        )
        release = await start_release(settings.releases, flip)
        books = await stack.enter_async_context(Bookkeeping.open(settings, catalog, metrics))
        most = settings.engine_connections * len(settings.engine_urls)
        concurrency = Concurrency(most, settings.first_token_seconds)
        book = UsageBook(UsageLedger(catalog))
        meter = EngineMeter(settings.engine_dollars_per_hour, metrics)
        cache = await stack.enter_async_context(open_cache(settings, catalog, metrics, meter))
        library = _library(settings, documents, books, cache, metrics)
        known = Authenticator.open(settings.keys, settings.identity, metrics)
        authenticator = await stack.enter_async_context(known)
        stack.push_async_callback(book.write)
        background = await stack.enter_async_context(Background.open())
        lease_seconds = settings.answer_seconds + _MARGIN_SECONDS
        limits = await stack.enter_async_context(
            open_limits(settings, lease_seconds, background, metrics, book.count, concurrency)
        )
        reusing, prompting = None if cache is None else cache.reusing, Prompting(shared_secret(settings))
        probes = {"catalog": catalog.check, **_probes(indexes, release), "background": background.check}
        parts = Parts(
            settings=settings,
            authenticator=authenticator,
            limits=limits,
            usage=book,
            release=release,
            answering=Answering(books.audit, metrics, meter, prompting, catalog, reusing),
            readiness=Readiness({**probes, "records": books.check}, metrics.ready),
            metrics=metrics,
            exposition=Exposition(metrics.registry),
            library=library,
            cache=None if cache is None else cache.erasure,
            records=books.store,
            follower=Follower(indexes, documents.quiet, changed, heard=metrics.followed),
            watch=Watch(settings.releases, flip, release, metrics),
            gates=Gates(settings.closed_paths, metrics),
        )
        for name, work in _works(parts, books, cache, meter):
            background.start(name, work)
        yield parts
        _log.info("closing")


def _works(
    parts: Parts, books: Bookkeeping, cache: Cache | None, meter: EngineMeter
) -> Iterator[tuple[str, Coroutine[Any, Any, NoReturn]]]:
    """What goes on beside the requests for as long as the parts are open."""
    yield "keys", parts.authenticator.keys.run()
    if parts.authenticator.people is not None:
        yield "identity", parts.authenticator.people.run()
    yield "releases", parts.watch.run()
    yield "following", parts.follower.run()
    yield "intake", parts.library.intake.run()
    if cache is not None:
        yield "cache", cache.following.run()
    yield "records", books.store.run()
    yield "retention", books.expire()
    yield "readiness", parts.readiness.run()
    yield "usage", parts.usage.run()
    yield "engine costs", meter.run()


def _library(
    settings: Settings, documents: Documents, books: Bookkeeping, cache: Cache | None, metrics: Metrics
) -> Library:
    others: list[Erasable] = [books.erasure] if cache is None else [cache.erasure, books.erasure]
    signer, arrived = Signer(settings.signing_key), books.erasure.arrived
    eraser = Eraser(documents, place_of(settings), signer, _now, settings.backup_retention, others, arrived)
    ingestions = Ingestions(documents.catalog)
    return Library(documents.catalog, documents, eraser, ingestions, Intake(ingestions, documents, metrics.document))


def _probes(indexes: IndexVersions, release: Release) -> Mapping[str, Probe]:
    async def index() -> None:
        for serving in indexes.serving():
            await serving.store.count()

    async def engine() -> None:
        await release.resolve().model_version.check()

    return {"index": index, "engine": engine}


def _now() -> datetime:
    return datetime.now(UTC)
