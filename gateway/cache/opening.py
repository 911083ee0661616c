"""Opens the cache of a deployment, or none: where answers are kept, and what lets go of them."""

import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from gateway.answers.exchange import Exchange
from gateway.cache.answers import Answers
from gateway.cache.erasing import CacheErasure
from gateway.cache.following import Following
from gateway.cache.memory_store import MemoryStore
from gateway.cache.names import Names
from gateway.cache.reusing import Reusing
from gateway.cache.store import Store
from gateway.metering import EngineMeter, Tab
from gateway.settings import Settings
from gateway.telemetry.metrics import Metrics
from retrieval.catalog import Catalog

_PATIENCE_SECONDS = 0.25  # for Redis: less than an answer takes, more than a busy server does
_SECRET_CHARACTERS = 32


class CacheRefused(Exception):
    """The settings ask for a cache that cannot be; the text says what is missing."""


@dataclass(frozen=True, slots=True)
class Cache:
    """`following` goes on beside requests; `erasure` is its part whenever something is erased."""

    reusing: Reusing
    following: Following
    erasure: CacheErasure


@asynccontextmanager
async def open_cache(
    settings: Settings, catalog: Catalog, metrics: Metrics, meter: EngineMeter
) -> AsyncIterator[Cache | None]:
    """As the settings say. Raises CacheRefused."""
    if settings.cache == "off":
        yield None
        return
    names, front = Names(_secret(settings)), MemoryStore(settings.cache_bytes)
    store = _store(settings, names, front, metrics)
    metrics.cache_held(lambda: len(front), lambda: front.bytes)
    following = Following(catalog, store, metrics.cache_purged, front.sweep)
    await following.look()
    kept_for = timedelta(seconds=settings.cache_seconds)
    answers = Answers(
        store, names, catalog, metrics, seconds=settings.cache_seconds, freshness=settings.cache_freshness
    )

    def tab(exchange: Exchange) -> Tab:
        return meter.tab(exchange.principal.tenant, exchange.pins.model_version, exchange.tab.seat.another())

    reusing = Reusing(answers, metrics, tab, settings.answer_seconds)
    yield Cache(reusing, following, CacheErasure(store, lambda: datetime.now(UTC) + kept_for))
    await reusing.close()
    await store.close()


def _store(settings: Settings, names: Names, front: MemoryStore, metrics: Metrics) -> Store:
    if settings.cache == "process":
        return front
    if settings.redis_url is None:
        raise CacheRefused("TWINPIN_CACHE is 'redis' and TWINPIN_REDIS_URL is not set: say where Redis is")
    from gateway.cache.fronted_store import FrontedStore
    from gateway.cache.redis_store import RedisStore
    from gateway.redis_link import RedisLink

    link = RedisLink(settings.redis_url.get_secret_value(), _PATIENCE_SECONDS)
    fronted = FrontedStore(front, RedisStore(link, names))
    metrics.cache_degraded.set_function(lambda: fronted.degraded)
    return fronted


def shared_secret(settings: Settings) -> bytes | None:
    """What all gateways of the deployment have in common, and nobody else, if there is such. Raises CacheRefused."""
    if settings.cache_secret is None:
        return None
    given = settings.cache_secret.get_secret_value()
    if len(given) < _SECRET_CHARACTERS:
        raise CacheRefused(
            f"TWINPIN_CACHE_SECRET has less than {_SECRET_CHARACTERS} characters: "
            "set the same random one for all gateways"
        )
    return given.encode()


def _secret(settings: Settings) -> bytes:
    """Of this process alone, unless answers leave it."""
    if settings.cache == "process":
        return secrets.token_bytes()
    shared = shared_secret(settings)
    if shared is None:
        raise CacheRefused(
            f"TWINPIN_CACHE is 'redis' and TWINPIN_CACHE_SECRET is not set: set the same random one, of "
            f"{_SECRET_CHARACTERS} characters or more, for all gateways"
        )
    return shared
