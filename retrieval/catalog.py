"""The document authority: what exists, its stored text, and who may see it. It stands outside every index version.

SQL alone decides access. A passage reaches a prompt only through `Catalog.read`, which checks in one indexed statement
that its document exists, is at that version, is not superseded and not expired, and then applies the access list kept
here. Every change of a tenant's documents is one step of the tenant's sequence, which index versions follow.
"""

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import date
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from retrieval.acl import Access, AccessFilter, PermissionScope
from retrieval.entries import (
    BEGUN,
    Change,
    ChangeKind,
    Content,
    Document,
    Entry,
    Holding,
    Passage,
    Sealed,
    Standing,
    TenantMark,
    Tombstone,
    Version,
)
from retrieval.errors import DocumentMissing
from retrieval.sql.authority import access_of, authority, passages, wanted
from retrieval.sql.database import Database
from retrieval.sql.ledger import Ledger
from retrieval.sql.listed import list_names, listed, looked_up, scope_of
from retrieval.sql.mentions import json_quoted, mentioned
from retrieval.sql.recording import DESCRIPTION, advance, delete, describe, grant, of, put, store
from retrieval.sql.tables import (
    changes,
    contents,
    documents,
    listed_names,
    marks,
    originals,
    pieces,
    sequences,
    tombstones,
    versions,
)
from retrieval.store import ChunkRef

__all__ = [
    "BEGUN",
    "Catalog",
    "Change",
    "ChangeKind",
    "Content",
    "Document",
    "Entry",
    "Holding",
    "Passage",
    "Sealed",
    "Standing",
    "TenantMark",
    "Tombstone",
    "Version",
]

_NAMES_AT_ONCE = 1_000  # of a statement with a parameter for each
_THERE: sa.Select[*tuple[Any, ...]] = sa.select(
    *(sa.exists(sa.select(table.c.tenant)) for table in (documents, contents, pieces, sequences, marks, listed_names))
)
_SEQUENCE: sa.Select[*tuple[Any, ...]] = sa.select(sequences.c.value).where(
    sequences.c.tenant == sa.bindparam("tenant")
)


class Catalog(Ledger):
    """Errors: CatalogError whenever SQL cannot answer."""

    @classmethod
    @asynccontextmanager
    async def open(cls, where: Path | str) -> AsyncIterator["Catalog"]:
        """Open the catalog in a SQLite file or at a URL (sqlite:///… or postgresql://…), making it when it is new."""
        async with Database.open(where) as database:
            yield cls(database)

    @property
    def place(self) -> Path | None:
        """The SQLite file; beside it, with the same name and more, are its log and the log's index."""
        return self.database.place

    async def read(
        self, refs: Sequence[ChunkRef], access: AccessFilter, parser: str, *, index: str, today: date
    ) -> list[Passage]:
        """The passages among `refs` that exist, are current and are permitted, in the order asked for.

        Errors: IndexBehind when the index that found them has not applied what the tenant requires.
        """
        values = wanted(refs, access.tenant, parser, index, today)
        rows = await self.database.consult(authority(self.database.dialect), values)
        return list(passages(refs, rows, access, index))

    async def scope(self, access: AccessFilter) -> PermissionScope:
        """Callers who share it are permitted the same documents; some who are permitted the same do not share it."""
        return scope_of(access, await self.database.consult(listed(self.database.dialect), looked_up(access)))

    async def check(self) -> None:
        """Raise unless the tables that decide and speak for documents can be read."""
        await self.database.consult(_THERE, {})

    async def get(self, tenant: str, document: str) -> Document | None:
        """One document, whoever may see it: for ingestion and operators, never for a caller."""
        row = await self._one(sa.select(documents).where(*of(documents, tenant, document)))
        return None if row is None else _document(row)

    async def accesses(self, tenant: str, named: Iterable[str]) -> dict[str, Access]:
        """The access lists of those documents that there are."""
        columns, wanted_ids = (documents.c.id, documents.c.allow, documents.c.deny), sorted(set(named))
        found: dict[str, Access] = {}
        for start in range(0, len(wanted_ids), _NAMES_AT_ONCE):
            some = documents.c.id.in_(wanted_ids[start : start + _NAMES_AT_ONCE])
            here = sa.select(*columns).where(documents.c.tenant == tenant, some)
            found |= {row.id: access_of(tenant, row) for row in await self._all(here)}
        return found

    async def listing(
        self,
        tenant: str | None,
        *,
        origin: str | None = None,
        after: tuple[str, str] | None = None,
        limit: int = 1000,
    ) -> list[Document]:
        """A page of documents by (tenant, id), of one tenant or all; the next begins `after` the last of this one."""
        page = sa.select(documents).order_by(documents.c.tenant, documents.c.id).limit(limit)
        if tenant is not None:
            page = page.where(documents.c.tenant == tenant)
        if origin is not None:
            page = page.where(documents.c.origin == origin)
        if after is not None:
            page = page.where(sa.tuple_(documents.c.tenant, documents.c.id) > sa.tuple_(*map(sa.literal, after)))
        return [_document(row) for row in await self._all(page)]

    async def each(
        self,
        tenant: str | None,
        *,
        origin: str | None = None,
        after: tuple[str, str] | None = None,
        at_once: int = 1000,
    ) -> AsyncIterator[Document]:
        """Documents one after the other, read in pages, from the one `after` on."""
        while page := await self.listing(tenant, origin=origin, after=after, limit=at_once):
            for document in page:
                yield document
            after = page[-1].access.tenant, page[-1].id

    async def history(self, tenant: str, document: str) -> list[Version]:
        """The versions that are kept, newest first; the current one is among them."""
        kept = sa.select(versions).where(*of(versions, tenant, document)).order_by(versions.c.sequence.desc())
        rows = await self._all(kept)
        return [_version(row, current=n == 0) for n, row in enumerate(rows)]

    async def content(self, tenant: str, document: str, version: str, parser: str) -> Content | None:
        """What one parser made of one version."""
        keys = _made(tenant, document, version, parser)
        async with self.database.connect() as connection:
            blocks = (await connection.execute(sa.select(contents.c.blocks).filter_by(**keys))).scalar_one_or_none()
            text = await _text(connection, keys)
        return None if blocks is None or text is None else Content(parser, text, blocks)

    async def text(self, tenant: str, document: str, version: str, parser: str) -> str | None:
        """The stored text of one version: for evaluation and operators."""
        async with self.database.connect() as connection:
            return await _text(connection, _made(tenant, document, version, parser))

    async def original(self, tenant: str, document: str, version: str) -> bytes | None:
        """The bytes of one version as they came."""
        keys = {"tenant": tenant, "document": document, "version": version}
        row = await self._one(sa.select(originals.c.raw).filter_by(**keys))
        return None if row is None else bytes(row.raw)

    async def store_content(self, tenant: str, document: str, version: str, content: Content) -> None:
        """Add what another parser made of a version that exists; DocumentMissing when it does not any more."""
        keys = {"tenant": tenant, "document": document, "version": version}
        async with self.database.begin() as connection:
            there = sa.select(originals.c.version).filter_by(**keys).with_for_update()
            if (await connection.execute(there)).one_or_none() is None:
                raise DocumentMissing(f"there is no version {version!r} of document {document!r}")
            await store(connection, keys, content)

    async def tombstone(self, tenant: str, document: str) -> Tombstone | None:
        """When a document was deleted, if it was and has not come back."""
        row = await self._one(sa.select(tombstones).where(*of(tombstones, tenant, document)))
        return None if row is None else Tombstone(row.sequence, row.at, row.erased)

    async def superseded_by(self, tenant: str, document: str) -> str | None:
        """The document that hides this one, the last to say so if there are several."""
        hiding = sa.and_(documents.c.tenant == tenant, documents.c.supersedes == document, documents.c.id != document)
        row = await self._one(sa.select(documents.c.id).where(hiding).order_by(documents.c.sequence.desc()).limit(1))
        return None if row is None else str(row.id)

    async def supersedes(self, tenant: str, document: str) -> list[str]:
        """The documents that this one hides now."""
        older, newer = documents.alias("older"), documents
        hidden = sa.and_(older.c.tenant == newer.c.tenant, older.c.id == newer.c.supersedes, older.c.id != newer.c.id)
        ids = sa.select(older.c.id).join_from(newer, older, hidden).where(*of(newer, tenant, document))
        return [str(row.id) for row in await self._all(ids)]

    async def put(self, entries: Sequence[Entry], *, ingestion: str = "") -> list[int]:
        """Make versions current, with their texts and originals, in one transaction; returns a sequence for each.

        What other index versions hold of the documents stays as it was, and its digest tells that they lag. An index
        version that holds an entry, and has applied all before it, has applied it too.
        """
        async with self.database.begin() as connection:
            numbers = await advance(connection, [entry.document.access.tenant for entry in entries])
            await list_names(connection, [entry.document.access for entry in entries])
            for entry, sequence in zip(entries, numbers, strict=True):
                await put(connection, entry, sequence, ingestion)
        return numbers

    async def describe(self, document: Document) -> int:
        """Change what is told of a document, not its content, version or access; returns the sequence.

        Errors: DocumentMissing.
        """
        async with self.database.begin() as connection:
            return await describe(connection, document)

    async def grant(self, tenant: str, document: str, access: Access) -> int:
        """Replace a document's access list; returns the sequence. Errors: DocumentMissing."""
        if access.tenant != tenant:
            raise ValueError(f"document {document!r} is of tenant {tenant!r}, and stays there")
        async with self.database.begin() as connection:
            return await grant(connection, document, access)

    async def delete(self, tenant: str, document: str, *, erased: bool = False) -> int:
        """Remove all that is kept of a document and leave a tombstone; returns the sequence.

        A document that is deleted already can still be erased; asking again for what is done returns its sequence.
        Errors: DocumentMissing.
        """
        async with self.database.begin() as connection:
            return await delete(connection, tenant, document, erased=erased)

    async def sequences(self) -> dict[str, TenantMark]:
        """Every tenant's last sequence, and the one required of index versions."""
        return {row.tenant: TenantMark(row.value, row.required) for row in await self._all(sa.select(sequences))}

    async def sequence(self, tenant: str) -> int:
        """A tenant's last sequence, 0 when it never had a document."""
        rows = await self.database.consult(_SEQUENCE, {"tenant": tenant})
        return int(rows[0][0]) if rows else 0

    async def changes(self, tenant: str, after: int, limit: int = 1000) -> list[Change]:
        """A tenant's changes in order, from the one `after` on."""
        later = sa.select(changes).where(changes.c.tenant == tenant, changes.c.sequence > after)
        return [_change(row) for row in await self._all(later.order_by(changes.c.sequence).limit(limit))]

    async def latest_changes(self, tenant: str, after: int) -> list[tuple[str, int]]:
        """Each document that changed `after` a sequence, with its last change, in the order of those."""
        last = sa.func.max(changes.c.sequence).label("last")
        later = sa.select(changes.c.document, last).where(changes.c.tenant == tenant, changes.c.sequence > after)
        rows = await self._all(later.group_by(changes.c.document).order_by(last))
        return [(row.document, row.last) for row in rows]

    async def of_ingestion(self, tenant: str, ingestion: str) -> list[str]:
        """The documents that an ingestion changed."""
        theirs = sa.select(changes.c.document).where(changes.c.tenant == tenant, changes.c.ingestion == ingestion)
        return [str(row.document) for row in await self._all(theirs.distinct().order_by(changes.c.document))]

    async def unmentioned(self, texts: Sequence[str], *, besides: str = "", tenant: str = "") -> list[str]:
        """Those of `texts` that stand in nothing that is kept of any document: reads all there is, for erasure.

        That there was a document `besides` stays on record, and does not count; nor does what callers of `tenant` said.
        """
        statement, left = mentioned(self.database.dialect), []
        async with self.database.connect() as connection:
            for text in texts:
                values = {"words": text, "encoded": text.encode(), "besides": besides}
                values |= {"tenant": tenant, "quoted": json_quoted(text)}
                if not (await connection.execute(statement, values)).scalar_one():
                    left.append(text)
        return left

    def writing(self, tenants: Iterable[str]) -> AbstractAsyncContextManager[None]:
        """Be the only one who writes documents of these tenants, in this process and in any other."""
        return self.database.locked(tenants)

    async def scrub(self) -> str:
        """Take the bytes of what was deleted out of the database's files; says what was done, and what is not reached.

        Errors: CatalogError when it could not be finished; it can be repeated.
        """
        return await self.database.scrub()

    async def _all(self, statement: sa.Select[Any]) -> Sequence[sa.Row[Any]]:
        async with self.database.connect() as connection:
            rows: Sequence[sa.Row[Any]] = (await connection.execute(statement)).all()
        return rows

    async def _one(self, statement: sa.Select[Any]) -> sa.Row[Any] | None:
        async with self.database.connect() as connection:
            row: sa.Row[Any] | None = (await connection.execute(statement)).one_or_none()
        return row


def _document(row: sa.Row[Any]) -> Document:
    fields = {name: getattr(row, name) for name in ("id", *DESCRIPTION, "sequence", "epoch")}
    return Document(**fields, access=access_of(row.tenant, row))


def _version(row: sa.Row[Any], *, current: bool) -> Version:
    fields = {name: getattr(row, name) for name in DESCRIPTION}
    document = Document(row.document, **fields, access=Access(row.tenant, frozenset()), sequence=row.sequence)
    return Version(document, row.ingestion, row.at, current)


def _change(row: sa.Row[Any]) -> Change:
    return Change(row.tenant, row.sequence, row.document, row.kind, row.at, row.ingestion, row.version)


async def _text(connection: AsyncConnection, keys: Mapping[str, str]) -> str | None:
    texts = (await connection.execute(sa.select(pieces.c.text).filter_by(**keys).order_by(pieces.c.n))).scalars().all()
    return "".join(texts) if texts else None


def _made(tenant: str, document: str, version: str, parser: str) -> dict[str, str]:
    return {"tenant": tenant, "document": document, "version": version, "parser": parser}
