"""The shared answers with this process's own in front: without Redis it goes on with those, and never fails for it."""

import time
from collections.abc import Callable, Collection

import structlog

from gateway.cache.memory_store import MemoryStore
from gateway.cache.redis_store import RedisStore
from gateway.cache.store import CacheUnavailable, Kept
from retrieval.residue import Residue

_AGAIN_SECONDS = 1.0
_log = structlog.get_logger()


class FrontedStore:
    """Once Redis fails it is asked once a second, so that hardly a request waits for what does not come.

    What has to be let go of is: a purge that does not reach Redis raises.
    """

    def __init__(self, front: MemoryStore, shared: RedisStore, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._front = front
        self._shared = shared
        self._clock = clock
        self._again = 0.0
        self.degraded = False

    async def get(self, tenant: str, name: str) -> Kept | None:
        kept = await self._front.get(tenant, name)
        if kept is not None or not self._may_ask():
            return kept
        try:
            kept = await self._shared.get(tenant, name)
        except CacheUnavailable as error:
            self._lost(error)
            return None
        self._found()
        if kept is not None:
            await self._front.put(kept)
        return kept

    async def put(self, kept: Kept) -> None:
        await self._front.put(kept)
        if self._may_ask():
            try:
                await self._shared.put(kept)
            except CacheUnavailable as error:
                self._lost(error)
            else:
                self._found()

    async def drop(self, tenant: str, name: str) -> None:
        await self._front.drop(tenant, name)
        if self._may_ask():
            try:
                await self._shared.drop(tenant, name)
            except CacheUnavailable as error:
                self._lost(error)
            else:
                self._found()

    async def purge(self, tenant: str, documents: Collection[str]) -> int:
        mine = await self._front.purge(tenant, documents)
        return max(mine, await self._shared.purge(tenant, documents))

    async def residue(self, tenant: str, needles: Collection[bytes]) -> Residue:
        """Nobody can look through what is in Redis, whatever is left here."""
        return Residue(None, (await self._front.residue(tenant, needles)).found)

    async def close(self) -> None:
        await self._shared.close()

    def _may_ask(self) -> bool:
        """Whether to ask Redis; while it is gone one a second may, and learns whether it is back."""
        if not self.degraded:
            return True
        if self._clock() < self._again:
            return False
        self._again = self._clock() + _AGAIN_SECONDS
        return True

    def _lost(self, error: CacheUnavailable) -> None:
        self._again = self._clock() + _AGAIN_SECONDS
        if not self.degraded:
            self.degraded = True
            _log.error("cache_degraded", reason=str(error))

    def _found(self) -> None:
        if self.degraded:
            self.degraded = False
            _log.info("cache_shared_again")
