"""Takes accepted documents in, one small batch after another, for as long as the gateway runs."""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import NoReturn

import msgspec
import structlog

from retrieval.catalog import Catalog
from retrieval.documents import Documents, Outcome
from retrieval.erasure import Eraser
from retrieval.errors import CatalogError, RetrievalError, StoreError
from retrieval.newdocument import NewDocument
from retrieval.sql.ingestions import Ingestions, Item, Settled

_log = structlog.get_logger()
_AT_ONCE, _ATTEMPTS = 32, 5
_IDLE_SECONDS, _FIRST_PAUSE, _LONGEST_PAUSE = 30.0, 0.5, 30.0
_UNREADABLE = "what was accepted cannot be read by this release: send the document again"
_BROKEN = "something failed on our side while taking this document in; the log says what"


@dataclass(slots=True)
class Intake:
    """The worker: what it has settled is durable, and what it has not is still waiting after any crash.

    One document that fails is that document's outcome. When a part is gone, nothing is settled, and it tries again.
    `heard` is told the status of each document.
    """

    ingestions: Ingestions
    documents: Documents
    heard: Callable[[str], None] = field(default=lambda status: None)
    _wake: asyncio.Event = field(default_factory=asyncio.Event)
    _attempts: dict[tuple[str, int], int] = field(default_factory=dict)

    def wake(self) -> None:
        """There is something to do."""
        self._wake.set()

    async def run(self) -> NoReturn:
        """Work for as long as the process lives; a batch that its end cuts off is taken in at the next start."""
        pause = _FIRST_PAUSE
        while True:
            self._wake.clear()
            try:
                waited = await self.work()
            except RetrievalError as error:
                _log.warning("intake_waits", reason=str(error), seconds=pause)
                await asyncio.sleep(pause)
                pause = min(_LONGEST_PAUSE, pause * 2)
                continue
            pause = _FIRST_PAUSE
            if not waited:
                await self._idle()

    async def work(self) -> int:
        """Take in what waits now, a batch of it; how many documents that was."""
        items = await self.ingestions.waiting(_AT_ONCE)
        for batch in _batches(items):
            await self._take(batch)
        return len(items)

    async def _take(self, batch: Sequence[Item]) -> None:
        """All of one ingestion together; each by itself, if together they fail."""
        try:
            outcomes = await self._put(batch)
        except Exception as error:
            _log.error("intake_failed", ingestion=batch[0].ingestion, n=batch[0].n, of=len(batch), exc_info=error)
            await self._require_working_parts()
            if len(batch) > 1:
                for item in batch:
                    await self._take([item])
                return
            if self._may_pass(batch[0], error):
                raise
            outcomes = [_failed(batch[0], _BROKEN)]
        await self.ingestions.settle([_settled(*pair) for pair in zip(batch, outcomes, strict=True)])
        for item, outcome in zip(batch, outcomes, strict=True):
            self._attempts.pop((item.ingestion, item.n), None)
            self.heard(outcome.status)

    async def _require_working_parts(self) -> None:
        """CatalogError or StoreError when it is not the document that is to blame."""
        await self.documents.catalog.check()
        for index in self.documents.indexes.serving():
            await index.store.count()

    def _may_pass(self, item: Item, error: Exception) -> bool:
        """A part may have failed for a moment: it is the document's own fault when that happens again and again."""
        key = item.ingestion, item.n
        self._attempts[key] = self._attempts.get(key, 0) + 1
        return isinstance(error, CatalogError | StoreError) and self._attempts[key] < _ATTEMPTS

    async def _put(self, batch: Sequence[Item]) -> list[Outcome]:
        readable = {item.n: new for item in batch if (new := _read(item)) is not None}
        accepted = {batch[0].tenant: batch[0].accepted}
        put = await self.documents.put(list(readable.values()), ingestion=batch[0].ingestion, accepted=accepted)
        outcomes = dict(zip(readable, put, strict=True))
        return [outcomes.get(item.n) or _failed(item, _UNREADABLE) for item in batch]

    async def _idle(self) -> None:
        """Until woken; and now and then by itself, as another gateway may have accepted something and died."""
        try:
            async with asyncio.timeout(_IDLE_SECONDS):
                await self._wake.wait()
        except TimeoutError:
            self._wake.clear()


@dataclass(frozen=True, slots=True)
class Library:
    """What the routes about documents work with."""

    catalog: Catalog
    documents: Documents
    eraser: Eraser
    ingestions: Ingestions
    intake: Intake


def _batches(items: Sequence[Item]) -> Iterator[list[Item]]:
    """Those of one ingestion together, the oldest of a tenant first."""
    items = sorted(items, key=lambda item: (item.ingestion, item.n))
    return (list(batch) for _, batch in groupby(items, key=lambda item: item.ingestion))


def _read(item: Item) -> NewDocument | None:
    try:
        return msgspec.msgpack.decode(item.payload, type=NewDocument)
    except msgspec.DecodeError as error:
        _log.error("accepted_document_unreadable", ingestion=item.ingestion, n=item.n, reason=str(error))
        return None


def _failed(item: Item, reason: str) -> Outcome:
    return Outcome(item.tenant, item.document, "failed", reason=reason)


def _settled(item: Item, outcome: Outcome) -> Settled:
    return Settled(
        ingestion=item.ingestion,
        n=item.n,
        status=outcome.status,
        reason=outcome.reason,
        version=outcome.version,
        sequence=outcome.sequence,
        chunks=outcome.chunks,
    )
