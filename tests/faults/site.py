"""A whole gateway with a link that can be spoiled to each of Redis, PostgreSQL, Qdrant, the engine, an issuer's keys.

The Qdrant server is its gRPC face over qdrant-client's local mode; the engine is scripted; the others are real.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from aiohttp import web

from gateway.answers.engines import engine_of
from gateway.app import Outside, create_app, open_parts
from gateway.http.draining import Draining
from gateway.http.server import Server
from gateway.parts import Parts
from gateway.release import ModelVersion
from gateway.settings import Settings
from gateway.telemetry.metrics import Metrics
from retrieval.catalog import Catalog
from retrieval.index import IndexRecipe
from retrieval.ingest.prepared import Parser
from retrieval.live import LiveIndex
from retrieval.stores.qdrant_store import QdrantStore
from serving.scripted_server import LOAD, Behaviour, Load, scripted_app
from tests.conftest import free_port
from tests.contracts import qdrant_double
from tests.faults.asking import Asking, Outcome
from tests.faults.proxy import Proxy, over_tcp, over_unix, proxying
from tests.gateway.house import CORPUS, DIMENSIONS, House, make_house, pinned_manifest, seed
from tests.gateway.issuer import Issuer, entry, write_identity
from tests.redis_server import RedisServer

SECONDS = 4.0  # that an answer may take
LEASE_SECONDS = SECONDS + 5.0
LINKS = ("Redis", "PostgreSQL", "Qdrant", "engine", "JWKS")
_STARTED_WITHIN = 60.0


@dataclass
class Site:
    """The gateway, and the proxies by the names of links."""

    asking: Asking
    links: dict[str, Proxy]
    parts: Parts
    engine: Load
    redis: RedisServer

    async def ask(self) -> Outcome:
        """A stream, to its end."""
        return await self.asking.ask()

    def forget_keys(self) -> None:
        """As a gateway that has just started."""
        for issuer in self._issuers():
            issuer.cache.keys, issuer.cache._asked = {}, float("-inf")

    async def read_keys(self) -> None:
        """As it is done now and then."""
        for issuer in self._issuers():
            await issuer.cache.refresh()

    async def restored(self) -> bool:
        """Whether it answers as before, shares budgets and answers in Redis again, and nothing is under way."""
        answer = await self.ask()
        metrics = self.parts.metrics.registry
        degraded = [metrics.get_sample_value(f"twinpin_{one}_degraded") for one in ("budgets", "cache")]
        return answer.done and degraded == [0, 0] and not self.parts.limits.in_flight and not self.engine.running

    def open(self) -> dict[str, int]:
        """What may be left behind: tasks, connections, and places that are taken in Redis."""
        connections = {f"connections to {name}": link.connections for name, link in self.links.items()}
        leases = len(self.redis.run("KEYS", "twinpin:*:leases").split())
        return {"tasks": len(asyncio.all_tasks()), "places in Redis": leases, **connections}

    def _issuers(self) -> Any:
        people = self.parts.authenticator.people
        assert people is not None
        return people._issuers.values()


@asynccontextmanager
async def site(folder: Path, redis: RedisServer, postgres: tuple[str, str], issuer: Issuer) -> AsyncIterator[Site]:
    """`postgres` is the path of its socket and the name of a database there, a new catalog's."""
    async with AsyncExitStack() as stack:
        engine, load = await stack.enter_async_context(_engine())
        qdrant = await stack.enter_async_context(qdrant_double.running())
        upstream = {
            "Redis": over_unix(redis.url.removeprefix("unix://")),
            "PostgreSQL": over_unix(postgres[0]),
            "Qdrant": over_tcp(_port(qdrant.url)),
            "engine": over_tcp(engine),
            "JWKS": over_tcp(_port(issuer.url)),
        }
        links = {name: await stack.enter_async_context(proxying(connect)) for name, connect in upstream.items()}
        keys = f"http://127.0.0.1:{links['JWKS'].port}/keys"
        identity = entry(issuer, jwks_url=keys, scopes={"default": ["ask", "search"]})
        house = make_house(
            folder,
            redis_url=f"redis://127.0.0.1:{links['Redis'].port}",
            catalog_url=f"postgresql://postgres@127.0.0.1:{links['PostgreSQL'].port}/{postgres[1]}",
            engine_url=f"http://127.0.0.1:{links['engine'].port}",
            cache="redis",
            cache_secret="s" * 32,
            identity=write_identity(folder / "identity.yaml", identity),
            answer_seconds=SECONDS,
        )

        def reach(settings: Settings, metrics: Metrics) -> Outside:
            return _outside(house, f"http://127.0.0.1:{links['Qdrant'].port}", settings, metrics)

        app = create_app(house.settings, lambda settings, metrics: open_parts(settings, metrics, reach))
        port = await stack.enter_async_context(_served(app, free_port()))
        yield Site(Asking(port, issuer, patience=4 * SECONDS), links, app.state.parts, load, redis)
        for link in links.values():
            link.heal()
            link.cut()


def _port(url: str) -> int:
    return int(url.rpartition(":")[2])


def _outside(house: House, qdrant: str, settings: Settings, metrics: Metrics) -> Outside:
    """The house's, but for what is behind a link here."""
    engine = engine_of(settings, metrics)

    async def open_index(recipe: IndexRecipe, catalog: Catalog, parser: Parser) -> LiveIndex:
        store = await QdrantStore.open(qdrant, recipe.name, DIMENSIONS)
        if not await catalog.sequences():
            await seed(CORPUS, recipe, catalog, store)
        return LiveIndex(recipe, store, catalog, parser)

    return replace(
        house.reach(CORPUS),
        open_index=open_index,
        open_model=lambda manifest: ModelVersion(manifest, engine, lambda text: len(text.split())),
        generator=engine,
    )


@asynccontextmanager
async def _engine() -> AsyncIterator[tuple[int, Load]]:
    app = scripted_app(Behaviour(pinned_manifest().served_name, tokens=12, delay=0.04))
    runner, port = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=0.1), free_port()
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    try:
        yield port, app[LOAD]
    finally:
        await runner.cleanup()


@asynccontextmanager
async def _served(app: Any, port: int) -> AsyncIterator[int]:
    server = Server(app, Draining(), drain_seconds=0, answer_seconds=SECONDS)
    server.config.host, server.config.port = "127.0.0.1", port
    task = asyncio.create_task(server.serve())
    try:
        async with asyncio.timeout(_STARTED_WITHIN):
            while not (server.started or task.done()):  # noqa: ASYNC110 - nothing tells of it
                await asyncio.sleep(0.05)
        yield port
    finally:
        server.should_exit = True
        await task
