"""The index versions that are open here: those the pins name, and those that answers under way may still be using."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from typing import TypeAlias

import structlog

from deploy.pins import Pin
from retrieval.catalog import Catalog
from retrieval.errors import RerankerUnavailable
from retrieval.index import IndexRecipe
from retrieval.ingest.prepared import Parser
from retrieval.live import LiveIndex
from retrieval.opening import Place, open_live, sealed_place

_WARM_UP = "warm up"
_log = structlog.get_logger()
OpenIndex: TypeAlias = Callable[[IndexRecipe, Catalog, Parser], Awaitable[LiveIndex]]


class IndexVersions:
    """What `retrieval.documents` writes to.

    A version that the pins name no more stays open for `linger` seconds, the longest that an answer may go on finding,
    and follows every change until then; it may be named again meanwhile.
    """

    def __init__(self, linger: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._linger = linger
        self._clock = clock
        self._open: dict[str, LiveIndex] = {}
        self._stable: str | None = None
        self._leaving: dict[str, float] = {}
        self.changing = asyncio.Lock()
        """Held by whoever opens or closes versions."""

    def serving(self) -> Sequence[LiveIndex]:
        """The stable version: new content is in it before it is acknowledged."""
        return [] if self._stable is None else [self._open[self._stable]]

    def retained(self) -> Sequence[LiveIndex]:
        """All that are open: deletions and changes of access are in them before they are acknowledged."""
        return list(self._open.values())

    def get(self, name: str) -> LiveIndex | None:
        """An open version, if it is one."""
        return self._open.get(name)

    def keep(self, named: Mapping[str, LiveIndex], pin: Pin) -> None:
        """From now on these are the versions that the pin names."""
        gone = self._open.keys() - named.keys()
        self._leaving = {name: self._leaving.get(name, self._clock() + self._linger) for name in gone}
        self._open |= named
        self._stable = pin.stable

    def leaving(self) -> list[str]:
        """Versions that nothing can be using any more."""
        return [name for name, until in self._leaving.items() if until <= self._clock()]

    async def close_leaving(self) -> None:
        """Close them, which frees their folders; nobody may be writing."""
        for name in self.leaving():
            del self._leaving[name]
            await self._open.pop(name).close()
            _log.info("index_closed", index=name)

    async def close(self) -> None:
        """Close everything."""
        async with AsyncExitStack() as stack:
            for index in self._open.values():
                stack.push_async_callback(index.close)
        self._open.clear()


async def open_built(recipe: IndexRecipe, place: Place, catalog: Catalog, parser: Parser) -> LiveIndex:
    """Open a version whose build is finished and fits its recipe; while there are no documents, none is needed.

    Raises IndexNotSealed, RecipeError, StoreError.
    """
    empty = not await catalog.sequences() and await sealed_place(recipe, catalog) is None
    index = await open_live(recipe, place, catalog, create=empty, parser=parser)
    async with AsyncExitStack() as stack:
        stack.push_async_callback(index.close)
        await index.store.verify(recipe.embedder.dimensions)
        if empty:
            await index.seal(place.where(recipe.name, None))
        await asyncio.to_thread(index.finder)  # loads the models, which takes seconds
        await _warm_up(index)
        stack.pop_all()
    return index


async def _warm_up(index: LiveIndex) -> None:
    """What a model compiles when it is first used is not to be waited for by somebody's question."""
    await index.embedder.embed_query(_WARM_UP)
    if index.recipe.abstain_weakest:
        await index.embedder.compare(_WARM_UP, [_WARM_UP])
    if index.reranker is not None:
        try:
            await index.reranker.rerank(_WARM_UP, [_WARM_UP])
        except RerankerUnavailable as error:
            _log.warning("reranker_not_warm", index=index.name, reason=str(error))
