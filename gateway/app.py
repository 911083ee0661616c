"""The online composition root: one lifespan opens every part, in order, and closes it again."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import cast

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response

from deploy.pinboard import Pinboard, ReleaseConfigError, read_pinboard
from gateway import errors
from gateway.answering import Answering
from gateway.audit import AuditLog
from gateway.auth import Authenticator
from gateway.limits import Limits
from gateway.metrics import Metrics
from gateway.middleware import RequestEdge
from gateway.parts import Opening, Parts
from gateway.readiness import Readiness
from gateway.release import IndexVersion, ModelVersion, Release
from gateway.routes import answer, ops, search
from gateway.settings import Settings
from retrieval.catalog import Catalog
from retrieval.edge_store import EdgeStore
from retrieval.embed import open_embedder
from retrieval.errors import RecipeError, RetrievalError
from retrieval.index import load_recipe, read_manifest
from retrieval.search import Finder
from retrieval.store import ChunkStore
from serving.errors import ServingError
from serving.manifest import load_manifest
from serving.tokens import load_token_counter
from serving.vllm_client import Timeouts, VllmGenerator
from serving.weights import directory_name

_log = structlog.get_logger()
_NOT_JSON = "the body is not valid JSON"


def create_app(settings: Settings, opening: Opening | None = None) -> FastAPI:
    """The gateway, not yet started: the lifespan opens its parts, by default the real ones of `open_parts`."""
    metrics = Metrics()

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        try:
            async with (opening or open_parts)(settings, metrics) as parts:
                app.state.parts = parts
                metrics.in_flight.set_function(lambda: parts.limits.in_flight)
                yield
        except (ReleaseConfigError, RetrievalError, ServingError) as error:
            _log.critical("cannot_start", reason=str(error))
            raise

    app = FastAPI(title="Twinpin", lifespan=lifespan, docs_url=None, redoc_url=None)
    for routes in (answer, search, ops):
        app.include_router(routes.router)
    for expected in (errors.GatewayError, RetrievalError, ServingError, TimeoutError):
        app.add_exception_handler(expected, _render)
    app.add_exception_handler(RequestValidationError, _render_invalid)
    app.add_exception_handler(HTTPException, _render_http)
    app.add_exception_handler(Exception, _render_unexpected)
    limits = {"": settings.max_body_bytes, "/v1/documents": settings.max_document_bytes}
    app.add_middleware(RequestEdge, metrics=metrics, max_body_bytes=limits)
    return app


@asynccontextmanager
async def open_parts(settings: Settings, metrics: Metrics) -> AsyncIterator[Parts]:
    """Open the pinned versions and everything around them; close in reverse."""
    board = read_pinboard(settings.releases)
    async with AsyncExitStack() as stack:
        catalog = await stack.enter_async_context(Catalog.open(settings.catalog))
        index, store = await _open_index(settings, board, catalog, stack)
        model = await _open_model(settings, board, stack)
        release = Release(board.pins, {index.recipe.name: index}, {model.manifest.name: model})
        probes = {
            "catalog": catalog.check,
            "index": store.count,
            "engine": lambda: model.generator.check(model.manifest.name),
        }
        yield Parts(
            settings=settings,
            authenticator=Authenticator(settings.keys),
            limits=Limits(settings.max_concurrency),
            release=release,
            answering=Answering(release, AuditLog(metrics), settings.answer_seconds),
            readiness=Readiness(probes),
            metrics=metrics,
        )
        _log.info("closing")


async def _open_index(
    settings: Settings, board: Pinboard, catalog: Catalog, stack: AsyncExitStack
) -> tuple[IndexVersion, ChunkStore]:
    """Open the pinned index, refused unless a finished build of exactly that recipe is there."""
    recipe = load_recipe(board.index_recipe())
    directory = settings.index_directory(recipe.name)
    if recipe.reranker is not None:
        raise RecipeError(f"index {recipe.name!r} pins the reranker {recipe.reranker.package!r}: this release has none")
    manifest = read_manifest(directory, recipe)
    if manifest.watermark != await catalog.watermark():
        raise RecipeError(f"index {recipe.name!r} is behind the catalog: bring it up to date with `twinpin ingest`")
    store = EdgeStore.open(directory, recipe.embedder.dimensions)
    stack.push_async_callback(store.close)
    held = await store.count()
    if held != manifest.chunks:
        raise RecipeError(
            f"index {recipe.name!r} holds {held} chunks, its manifest says {manifest.chunks}: ingest again"
        )
    embedder = open_embedder(recipe.embedder)
    stack.callback(embedder.close)
    await embedder.embed_query("warm up")
    _log.info("index_open", index=recipe.name, documents=manifest.documents, chunks=held)
    return IndexVersion(recipe, Finder(recipe, embedder, store, catalog)), store


async def _open_model(settings: Settings, board: Pinboard, stack: AsyncExitStack) -> ModelVersion:
    """Connect to the engine that serves the pinned model; it may still be starting."""
    manifest = load_manifest(board.model_manifest())
    timeouts = Timeouts(total=settings.answer_seconds)
    generator = VllmGenerator(settings.engine_url, timeouts=timeouts, connections=settings.engine_connections)
    stack.push_async_callback(generator.close)
    count_tokens = load_token_counter(settings.models / directory_name(manifest.base.digest))
    _log.info("model_pinned", model=manifest.name, engine=settings.engine_url)
    return ModelVersion(manifest, generator, count_tokens)


async def _render(request: Request, error: Exception) -> Response:
    """The one mapping of failures to statuses; what is not ours is logged with its traceback and told as a 500."""
    told = errors.as_gateway_error(error)
    request_id = request.state.request_id
    if told.status >= errors.Internal.status:
        _log.error("request_failed", request_id=request_id, code=told.code, exc_info=error)
    headers = {} if told.retry_after is None else {"retry-after": str(max(1, round(told.retry_after)))}
    if isinstance(told, errors.Unauthenticated):
        headers["www-authenticate"] = "Bearer"
    return JSONResponse(told.body(request_id), status_code=told.status, headers=headers)


async def _render_unexpected(request: Request, error: Exception) -> Response:
    """A fault of ours is rendered outside of all middleware, so that it needs its id here."""
    response = await _render(request, error)
    response.headers["x-request-id"] = request.state.request_id
    return response


async def _render_invalid(request: Request, error: Exception) -> Response:
    """Name the first field at fault, to callers that are known; the value is not repeated."""
    try:
        request.app.state.parts.authenticator.principal(request.headers.get("authorization"))
    except errors.Unauthenticated as unknown:
        return await _render(request, unknown)
    first = cast("RequestValidationError", error).errors()[0]
    if first["type"] == "json_invalid":
        return await _render(request, errors.Invalid(_NOT_JSON))
    field = ".".join(str(part) for part in first["loc"] if part != "body" and not _is_type(part)) or None
    message = first["msg"].removeprefix("Value error, ")
    return await _render(request, errors.Invalid(f"{field}: {message}" if field else message, param=field))


def _is_type(part: object) -> bool:
    """Where a field may have one of several types, its location names the type that was tried."""
    return isinstance(part, str) and (part in ("str", "constrained-str") or part.startswith("list["))


async def _render_http(request: Request, error: Exception) -> Response:
    """What the router, the reading of the body and its limit refuse."""
    refused = cast("HTTPException", error)
    nowhere = f"there is no {request.method} {request.url.path}"
    match refused.status_code:
        case 404:
            told: errors.GatewayError = errors.NotFound(nowhere)
        case 405:
            told = errors.MethodNotAllowed(nowhere)
        case 413:
            told = errors.TooLarge(refused.detail)
        case _:
            told = errors.Invalid(_NOT_JSON)
    response = await _render(request, told)
    response.headers.update(refused.headers or {})
    return response
