"""Lets go of answers whose documents changed, whichever process changed them."""

import asyncio
from collections.abc import Callable
from typing import NoReturn

import structlog

from gateway.cache.store import CacheUnavailable, Store
from retrieval.catalog import Catalog
from retrieval.errors import CatalogError

_LOOK_SECONDS = 1.0
_log = structlog.get_logger()


class Following:
    """Looks each second. Nothing depends on it: an answer is checked whenever it is given; this keeps few of them."""

    def __init__(
        self, catalog: Catalog, store: Store, purged: Callable[[int], None], sweep: Callable[[], None]
    ) -> None:
        """`purged` is told how many answers went; `sweep` lets go of those whose time is over."""
        self._catalog = catalog
        self._sweep = sweep
        self._store = store
        self._purged = purged
        self._seen: dict[str, int] | None = None
        self._trouble: str | None = None

    async def run(self) -> NoReturn:
        """Follow for as long as the process lives."""
        while True:
            try:
                await self.look()
            except (CatalogError, CacheUnavailable) as error:
                self._note(str(error))
            else:
                self._note(None)
            await asyncio.sleep(_LOOK_SECONDS)

    async def look(self) -> None:
        """Let go of what changed since the last time; the first time there is nothing from before."""
        self._sweep()
        heads = {tenant: head.value for tenant, head in (await self._catalog.sequences()).items()}
        if self._seen is None:
            self._seen = heads
        for tenant, head in heads.items():
            since = self._seen.get(tenant, 0)
            if head > since:
                changed = [document for document, _ in await self._catalog.latest_changes(tenant, since)]
                self._purged(await self._store.purge(tenant, changed))
                self._seen[tenant] = head

    def _note(self, trouble: str | None) -> None:
        """Each reason is said once, however often it is met again."""
        if trouble is not None and trouble != self._trouble:
            _log.error("cache_cannot_follow", reason=trouble)
        self._trouble = trouble
