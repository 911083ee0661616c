"""All of the records, opened together: the spool that takes them, the book that keeps them, and what moves them."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import NoReturn

import structlog

from retrieval.catalog import Catalog
from retrieval.errors import CatalogError, ReceiptInvalid, SpoolError
from retrieval.layout import Layout
from retrieval.receipt import Signer
from retrieval.records.book import Book, Standing
from retrieval.records.chain import Head
from retrieval.records.forgetting import Forgetting
from retrieval.records.heads import HeadFile
from retrieval.records.record import Kept, Record
from retrieval.records.spool import Spool

_log = structlog.get_logger()
_AT_ONCE = 500
# A move costs about what a hundred records of it do, so that they are moved together, once a second.
_PACE_SECONDS, _IDLE_SECONDS = 1.0, 5.0
_FIRST_PAUSE, _LONGEST_PAUSE = 0.5, 30.0


@dataclass(slots=True)
class RecordStore:
    """Belongs to one event loop. `moved` is told after each batch how many records SQL has taken.

    Errors: CatalogError when SQL does not answer, SpoolError when the disk does not.
    """

    book: Book
    spool: Spool
    forgetting: Forgetting
    heads: HeadFile
    moved: Callable[[int], None] = field(default=lambda count: None)
    _wake: asyncio.Event = field(default_factory=asyncio.Event)
    _moving: asyncio.Lock = field(default_factory=asyncio.Lock)

    @classmethod
    @asynccontextmanager
    async def open(cls, catalog: Catalog, layout: Layout, spool_bytes: int) -> AsyncIterator["RecordStore"]:
        """What is in the spool when this ends stays there, and is moved by whoever opens it next."""
        with Spool.open(layout.record_spool, spool_bytes) as spool:
            heads = HeadFile(layout.record_head, Signer(layout.signing_key))
            store = cls(Book(catalog.database), spool, Forgetting(catalog.database), heads)
            spool.on_durable = store._wake.set
            try:
                yield store
            finally:
                await spool.settled()

    async def add_unless(self, record: Record, stands: Standing) -> Kept | None:
        """Straight into SQL, for what somebody waits for and can send again; or what stands of its kind already."""
        standing, batch = await self.book.append_unless(record, stands)
        if batch:
            await self._note(batch.head)
        return standing

    async def find(self, record: str) -> Kept | None:
        """One record, even if it was acknowledged only now."""
        found = await self.book.get(record)
        if found is None and self.spool.used:
            await self.settle()
            found = await self.book.get(record)
        return found

    async def settle(self) -> None:
        """Move all that is in the spool now; what comes meanwhile is not waited for."""
        end = await self.spool.end()
        while self.spool.passed < end and await self.move():
            continue

    async def move(self) -> int:
        """Move the oldest records of the spool; how many that were. What SQL has already is not added again."""
        async with self._moving:
            taken = await self.spool.take(_AT_ONCE)
            if taken is None:
                return 0
            batch = await self.book.append(taken.records)
            await self._note(batch.head if batch else await self.book.head())
            await self.spool.release(taken)
            self.moved(batch.size if batch else 0)
            return len(taken.records)

    async def run(self) -> NoReturn:
        """Move for as long as the process lives, a little after there is something; wait while SQL is away."""
        pause = _FIRST_PAUSE
        while True:
            self._wake.clear()
            try:
                await self.spool.mend()
                while await self.move():
                    pause = _FIRST_PAUSE
            except (CatalogError, SpoolError) as error:
                _log.warning("records_wait", reason=str(error), bytes=self.spool.used, seconds=pause)
                await asyncio.sleep(pause)
                pause = min(_LONGEST_PAUSE, pause * 2)
                continue
            await self._idle()

    async def _note(self, head: Head) -> None:
        try:
            await asyncio.to_thread(self.heads.write, head)
        except ReceiptInvalid as error:  # left as it is, for `verify` to say so
            _log.critical("record_head_invalid", reason=str(error))

    async def _idle(self) -> None:
        """Until something is durable, and a moment more; a spool in trouble is looked at each second."""
        try:
            async with asyncio.timeout(1.0 if self.spool.trouble else _IDLE_SECONDS):
                await self._wake.wait()
        except TimeoutError:
            return
        await asyncio.sleep(_PACE_SECONDS)


async def known_heads(store: RecordStore) -> list[Head]:
    """How far this machine knows the chain to have been."""
    head = await asyncio.to_thread(store.heads.read)
    return [] if head is None else [head]
