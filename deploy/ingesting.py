"""Opens what changes documents, where no gateway does: the offline composition of `ingest`, `documents`, `erase`."""

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime

from deploy.pinboard import Pinboard
from deploy.settings import Settings
from retrieval.catalog import Catalog
from retrieval.documents import Documents
from retrieval.erasure import Eraser
from retrieval.ingest.sandbox import ParserPool
from retrieval.live import LiveIndex
from retrieval.opening import open_live, place_of
from retrieval.receipt import Signer
from retrieval.records.erasing import RecordErasure
from retrieval.records.store import RecordStore


@dataclass(frozen=True, slots=True)
class OpenIndexes:
    """The versions that `releases.yaml` names: the stable one takes new content, all lose what is taken away."""

    stable: LiveIndex
    others: Sequence[LiveIndex]

    def serving(self) -> Sequence[LiveIndex]:
        """The stable version."""
        return [self.stable]

    def retained(self) -> Sequence[LiveIndex]:
        """All that are open."""
        return [self.stable, *self.others]


@dataclass(frozen=True, slots=True)
class Library:
    """All that changes documents on this machine, open until its context ends."""

    catalog: Catalog
    documents: Documents
    eraser: Eraser
    indexes: OpenIndexes


@asynccontextmanager
async def open_library(settings: Settings, board: Pinboard) -> AsyncIterator[Library]:
    """Open the catalog and every pinned index version; StoreLocked while a gateway has them.

    The stable version is made where there is none; another one that was never built is left to `twinpin index build`.
    """
    async with AsyncExitStack() as stack:
        catalog = await stack.enter_async_context(Catalog.open(settings.catalog))
        parser = stack.enter_context(ParserPool())
        stable = await _open_stable(settings, board, catalog, parser, stack)
        others = await _open_others(settings, board, catalog, parser, stack)
        indexes = OpenIndexes(stable, others)
        documents = Documents(catalog, indexes, parser)
        opened = RecordStore.open(catalog, settings, settings.record_spool_bytes)
        records = RecordErasure(await stack.enter_async_context(opened), lambda: _now() + settings.backup_retention)
        signer = Signer(settings.signing_key)
        place, until = place_of(settings), settings.backup_retention
        eraser = Eraser(documents, place, signer, _now, until, [records], records.arrived)
        yield Library(catalog, documents, eraser, indexes)


async def _open_stable(
    settings: Settings, board: Pinboard, catalog: Catalog, parser: ParserPool, stack: AsyncExitStack
) -> LiveIndex:
    recipe, place = board.recipes[board.pins.index.stable], place_of(settings)
    index = await open_live(recipe, place, catalog, create=True, parser=parser)
    stack.push_async_callback(index.close)
    await index.follow()
    if await catalog.manifest(recipe.name) is None:
        await index.seal(place.where(recipe.name, None))
    return index


async def _open_others(
    settings: Settings, board: Pinboard, catalog: Catalog, parser: ParserPool, stack: AsyncExitStack
) -> list[LiveIndex]:
    opened = []
    for name in board.pins.index.named[1:]:
        if await catalog.manifest(name) is None:
            continue
        index = await open_live(board.recipes[name], place_of(settings), catalog, parser=parser)
        stack.push_async_callback(index.close)
        opened.append(index)
    return opened


def _now() -> datetime:
    return datetime.now(UTC)
