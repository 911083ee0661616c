"""Erasure: a document's bytes leave every store that ever held them, and a signed receipt says how that is known.

Deleting takes a document from its readers; an engine and a database keep the bytes until they are made to let go. What
may hold any joins in as an `Erasable`. Words that the document alone had are the needles of the byte scan.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Protocol
from uuid import uuid4

from retrieval.catalog import Catalog
from retrieval.documents import Documents
from retrieval.errors import CatalogError, ErasureIncomplete, StoreError, StoreLocked
from retrieval.ingest.blocks import PARSER
from retrieval.live import Key, LiveIndex
from retrieval.opening import Place, dormant, open_store
from retrieval.receipt import Erased, Receipt, SignedReceipt, Signer
from retrieval.residue import scan_apart
from retrieval.sql.ingestions import Ingestions
from retrieval.store import ChunkStore

_SHORTEST, _LONGEST = 8, 24
_REPEAT = "nobody can read the document any more; repeat the erasure"
_SAMPLES, _FEWEST = 96, 6  # of all versions together, and of each: every one is looked for in all that is kept


@dataclass(frozen=True, slots=True)
class Subject:
    """What is erased: by now deleted for every reader. `words` stood in it and stand in nothing that is kept.

    `marks` are the same with its id, if no other document is called so: only the catalog's tombstone keeps that.
    """

    tenant: str
    document: str
    words: tuple[str, ...]
    marks: tuple[str, ...]


class Erasable(Protocol):
    """A store that may hold bytes of a document."""

    async def erase(self, subject: Subject) -> Erased:
        """Make it let go of them and look whether it did; StoreError or CatalogError when it cannot."""
        ...


@dataclass(frozen=True, slots=True)
class CatalogErasure:
    """The catalog's own file, its log, and documents that still wait to be taken in."""

    catalog: Catalog
    until: Callable[[], datetime]

    async def erase(self, subject: Subject) -> Erased:
        """Rewrite the database."""
        await Ingestions(self.catalog).forget(subject.tenant, subject.document)
        done = await self.catalog.scrub()
        file = self.catalog.place
        if file is None:
            return Erased("catalog", done, None, 0, self.until())
        names = (file.name, f"{file.name}-wal", f"{file.name}-shm")
        files = [path for name in names if (path := file.with_name(name)).exists()]
        needles = [word.encode() for word in subject.words]
        try:
            residue = await asyncio.to_thread(scan_apart, files, needles)
        except OSError as error:
            raise CatalogError(f"the catalog's files cannot be scanned: {error.strerror}") from error
        return Erased("catalog", done, residue.scanned, residue.found, self.until(), len(needles))


@dataclass(frozen=True, slots=True)
class IndexErasure:
    """An index version that is open here."""

    index: LiveIndex
    until: Callable[[], datetime]

    async def erase(self, subject: Subject) -> Erased:
        """Drop its chunks if any are left, and rewrite its files."""
        await self.index.take(subject.tenant, subject.document)
        done = await self.index.rewrite()
        return await _looked_through(self.index.name, self.index.store, done, subject, self.until())


@dataclass(frozen=True, slots=True)
class DormantErasure:
    """An index version that exists and is not open here: opened for the erasure alone."""

    name: str
    where: str
    dimensions: int
    place: Place
    catalog: Catalog
    until: Callable[[], datetime]

    async def erase(self, subject: Subject) -> Erased:
        """The same, refused while another process builds it."""
        store = await open_store(self.name, self.dimensions, self.place, self.where)
        try:
            await self._drop_deleted(store, (subject.tenant, subject.document))
            done = await store.rewrite()
            return await _looked_through(self.name, store, done, subject, self.until())
        finally:
            await store.close()

    async def _drop_deleted(self, store: ChunkStore, erased: Key) -> None:
        """Whatever was deleted while it slept: a document of the same id may be among it."""
        gone = {key for key in await self.catalog.held(self.name) if await self.catalog.get(*key) is None} | {erased}
        for key in sorted(gone):
            async with self.catalog.writing([key[0]]):
                if await self.catalog.get(*key) is None:
                    await store.delete(*key)
                    await store.flush()
                    await self.catalog.hold(self.name, {key: None})


async def _nothing_on_its_way() -> None:
    return


@dataclass(frozen=True, slots=True)
class Eraser:
    """`others` are stores beside these that may hold something too, caches for instance; `arrived` returns when all
    that was on its way into the catalog's database is there.

    `retention` is after how long backups and logs that nobody here can scan have let go.
    """

    documents: Documents
    place: Place
    signer: Signer
    now: Callable[[], datetime]
    retention: timedelta = timedelta(days=30)
    others: Sequence[Erasable] = field(default=())
    arrived: Callable[[], Awaitable[None]] = field(default=_nothing_on_its_way)
    _sought: dict[Key, frozenset[str]] = field(default_factory=dict)
    """Words of documents whose erasure is not complete: only the first attempt can read them."""

    async def erase(self, tenant: str, document: str) -> SignedReceipt:
        """Take it from its readers, then from every store; may be repeated until nothing is left.

        Errors: DocumentMissing for what never was, ErasureIncomplete when a store holds on to something.
        """
        requested, words = self.now(), await self._words(tenant, document)
        deleted = await self.documents.delete(tenant, document, erased=True)
        try:
            await self.arrived()
        except CatalogError as error:
            raise ErasureIncomplete(f"records do not reach the catalog to be erased there; {_REPEAT}") from error
        named = [document] if _tells(document) else []
        left = await self.documents.catalog.unmentioned([*named, *words], besides=document, tenant=tenant)
        subject = Subject(tenant, document, tuple(word for word in left if word in words), tuple(left))
        stores = [await _erased(one, subject) for one in await self._erasables()]
        if holding := await self.documents.catalog.holders(tenant, document):
            raise ErasureIncomplete(
                f"nobody can read the document any more, but index version {holding[0]!r} was given it and is not here "
                f"or not finished: open it here, or `twinpin index drop {holding[0]}`, and repeat the erasure"
            )
        receipt = Receipt(
            f"era_{uuid4().hex}", tenant, document, deleted.sequence, requested, self.now(), tuple(stores)
        )
        self._sought.pop((tenant, document), None)
        return self.signer.sign(receipt)

    async def _erasables(self) -> list[Erasable]:
        catalog, indexes = self.documents.catalog, self.documents.indexes.retained()
        asleep = await dormant(self.place, catalog, [index.name for index in indexes])
        return [
            *(IndexErasure(index, self._until) for index in indexes),
            *(DormantErasure(*one, self.place, catalog, self._until) for one in asleep),
            *self.others,
            CatalogErasure(catalog, self._until),
        ]

    async def _words(self, tenant: str, document: str) -> list[str]:
        """Samples of all that is kept of it: of every version's title and text."""
        catalog, found = self.documents.catalog, []
        versions = await catalog.history(tenant, document)
        for version in versions:
            text = await catalog.text(tenant, document, version.document.version, PARSER) or ""
            found += [version.document.title, *_samples(text, max(_FEWEST, _SAMPLES // len(versions)))]
        before = self._sought.get((tenant, document), frozenset())
        if words := before.union(word for word in found if _tells(word) and word not in document):
            self._sought[tenant, document] = words
        return sorted(words)

    def _until(self) -> datetime:
        return self.now() + self.retention


async def _erased(erasable: Erasable, subject: Subject) -> Erased:
    """One store after another: what is said of a later one is true however long the earlier ones took."""
    try:
        done = await erasable.erase(subject)
    except StoreLocked as error:
        raise ErasureIncomplete(f"{error}; {_REPEAT} when that is done") from error
    except StoreError as error:
        raise ErasureIncomplete(f"a store of an index version did not let go of it; {_REPEAT} when it does") from error
    except CatalogError as error:
        raise ErasureIncomplete(f"the catalog did not let go of it; {_REPEAT} when it does") from error
    if done.found:
        raise ErasureIncomplete(f"{done.store!r} still holds {done.found} of its words after {done.done}; {_REPEAT}")
    return done


async def _looked_through(name: str, store: ChunkStore, done: str, subject: Subject, until: datetime) -> Erased:
    residue = await store.residue([mark.encode() for mark in subject.marks])
    left = None if residue.scanned is not None else until
    return Erased(
        name, done, residue.scanned, residue.found, left, 0 if residue.scanned is None else len(subject.marks)
    )


def _tells(words: str) -> bool:
    """Files of a store hold names of their own, of columns and fields for instance, and short words by chance."""
    return len(words.encode()) >= _SHORTEST and not words.isidentifier()


def _samples(text: str, most: int) -> list[str]:
    """Beginnings of lines from all over a text, short enough to stand in a file in one piece."""
    lines = [line for raw in text.splitlines() if (line := raw.strip())]
    step = max(1, -(-len(lines) // most))
    return [line[:_LONGEST] for line in lines[::step]]
