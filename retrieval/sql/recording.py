"""The steps of one change of a document, inside its transaction."""

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from retrieval.acl import Access
from retrieval.entries import Change, ChangeKind, Content, Document, Entry
from retrieval.errors import DocumentMissing
from retrieval.sql.authority import access_columns
from retrieval.sql.database import insert, upsert
from retrieval.sql.ledger import follow, record_holding
from retrieval.sql.listed import list_names
from retrieval.sql.pieces import cut
from retrieval.sql.tables import (
    changes,
    contents,
    documents,
    ingestion_items,
    originals,
    pieces,
    sequences,
    tombstones,
    versions,
)

KEPT = 20  # versions of a document, the current one included
_TOLD = ("title", "source", "category", "updated", "expires", "supersedes", "given")
DESCRIPTION = ("version", "origin", "name", *_TOLD)


def of(table: sa.Table, tenant: str, document: str) -> tuple[sa.ColumnElement[bool], sa.ColumnElement[bool]]:
    """The rows of one document."""
    return table.c.tenant == tenant, (table.c.id if table is documents else table.c.document) == document


async def advance(connection: AsyncConnection, tenants: Sequence[str]) -> list[int]:
    """A sequence for each step. The rows are locked until the end, always in one order: no gap, nothing twice."""
    last = {tenant: await _raise(connection, tenant, steps) for tenant, steps in sorted(Counter(tenants).items())}
    numbers = []
    for tenant in tenants:
        last[tenant] += 1
        numbers.append(last[tenant])
    return numbers


async def put(connection: AsyncConnection, entry: Entry, sequence: int, ingestion: str) -> None:
    """Make a version current and keep all that belongs to it."""
    document, tenant, now = entry.document, entry.document.access.tenant, _now()
    described = {name: getattr(document, name) for name in DESCRIPTION}
    current = {**described, **access_columns(document.access), "sequence": sequence}
    current["epoch"] = await _epoch(connection, document, sequence)
    await upsert(connection, documents, {"tenant": tenant, "id": document.id}, current)
    row = {"tenant": tenant, "document": document.id, "sequence": sequence, "ingestion": ingestion, "at": now}
    await connection.execute(sa.insert(versions).values(**row, **described))
    keys = {"tenant": tenant, "document": document.id, "version": document.version}
    await upsert(connection, originals, keys, {"raw": entry.raw})
    await store(connection, keys, entry.content)
    await _prune(connection, tenant, document.id)
    await connection.execute(sa.delete(tombstones).where(*of(tombstones, tenant, document.id)))
    await _record(connection, Change(tenant, sequence, document.id, "put", now, ingestion, document.version))
    for index, held in entry.held.items():
        await record_holding(connection, index, tenant, document.id, held)
        await follow(connection, index, tenant, sequence)


async def describe(connection: AsyncConnection, document: Document) -> int:
    """Change what is told of a document, in the newest row of its history too."""
    tenant, told = document.access.tenant, {name: getattr(document, name) for name in _TOLD}
    sequence = await _alter(connection, tenant, document.id, "describe", told)
    newest = sa.select(sa.func.max(versions.c.sequence)).where(*of(versions, tenant, document.id)).scalar_subquery()
    here = (*of(versions, tenant, document.id), versions.c.sequence == newest)
    await connection.execute(sa.update(versions).where(*here).values(told))
    return sequence


async def grant(connection: AsyncConnection, document: str, access: Access) -> int:
    """Replace an access list."""
    sequence = await _alter(connection, access.tenant, document, "access", access_columns(access))
    await list_names(connection, [access])
    return sequence


async def delete(connection: AsyncConnection, tenant: str, document: str, *, erased: bool) -> int:
    """Take a document away, or find that it is done already."""
    await connection.execute(sa.select(sequences).where(sequences.c.tenant == tenant).with_for_update())
    stone = (await connection.execute(sa.select(tombstones).where(*of(tombstones, tenant, document)))).one_or_none()
    if stone is not None and (stone.erased or not erased):
        return int(stone.sequence)
    gone = await connection.execute(sa.delete(documents).where(*of(documents, tenant, document)))
    if stone is None and not gone.rowcount:
        raise _missing(document)
    (sequence,) = await advance(connection, [tenant])
    await _bury(connection, Change(tenant, sequence, document, "erase" if erased else "delete", _now(), "", None))
    return sequence


async def store(connection: AsyncConnection, keys: Mapping[str, str], content: Content) -> None:
    """Keep what a parser made of a version, in place of what it made before."""
    whole = {**keys, "parser": content.parser}
    cuts = cut(content.text, content.blocks)
    rows = [{**whole, "n": one.n, "text": one.text, "places": one.places} for one in cuts]
    await upsert(connection, contents, whole, {"blocks": content.blocks})
    await connection.execute(sa.delete(pieces).filter_by(**whole))
    await connection.execute(sa.insert(pieces), rows)


async def _raise(connection: AsyncConnection, tenant: str, steps: int) -> int:
    """Where a tenant's sequence was, after raising it."""
    first = insert(connection, sequences).values(tenant=tenant, value=steps, required=0)
    raised = first.on_conflict_do_update(index_elements=["tenant"], set_={"value": sequences.c.value + steps})
    return int((await connection.execute(raised.returning(sequences.c.value))).scalar_one()) - steps


async def _epoch(connection: AsyncConnection, document: Document, sequence: int) -> int:
    """That of the document as it is, if its access stays what it is."""
    access = document.access
    same = (documents.c[name] == value for name, value in access_columns(access).items())
    found = sa.select(documents.c.epoch).where(*of(documents, access.tenant, document.id), *same)
    epoch = (await connection.execute(found)).scalar_one_or_none()
    return sequence if epoch is None else int(epoch)


async def _alter(
    connection: AsyncConnection, tenant: str, document: str, kind: ChangeKind, values: Mapping[str, Any]
) -> int:
    (sequence,) = await advance(connection, [tenant])
    numbers = {"sequence": sequence, "epoch": sequence} if kind == "access" else {"sequence": sequence}
    altered = sa.update(documents).where(*of(documents, tenant, document)).values({**values, **numbers})
    version = (await connection.execute(altered.returning(documents.c.version))).scalar_one_or_none()
    if version is None:
        raise _missing(document)
    await _record(connection, Change(tenant, sequence, document, kind, _now(), "", version))
    return sequence


async def _bury(connection: AsyncConnection, change: Change) -> None:
    tenant, document, erased = change.tenant, change.document, change.kind == "erase"
    for table in (versions, originals, contents, pieces):
        await connection.execute(sa.delete(table).where(*of(table, tenant, document)))
    stone = {"sequence": change.sequence, "at": change.at, "erased": erased}
    await upsert(connection, tombstones, {"tenant": tenant, "document": document}, stone)
    await _forget_payloads(connection, change)
    await _record(connection, change)
    if erased:  # whoever has a content can tell by its digest that this was it
        await connection.execute(sa.update(changes).where(*of(changes, tenant, document)).values(version=None))
        await connection.execute(
            sa.update(ingestion_items).where(*of(ingestion_items, tenant, document)).values(version=None)
        )


async def _forget_payloads(connection: AsyncConnection, change: Change) -> None:
    """What waits to be ingested was accepted before this deletion, which wins."""
    waiting = (*of(ingestion_items, change.tenant, change.document), ingestion_items.c.payload.is_not(None))
    told = {"status": "gone", "reason": "the document was deleted while this waited", "sequence": change.sequence}
    await connection.execute(sa.update(ingestion_items).where(*waiting).values({**told, "payload": None}))


async def _prune(connection: AsyncConnection, tenant: str, document: str) -> None:
    """Let go of the oldest versions, and of what no row of the history needs any more."""
    mine = sa.select(versions.c.sequence).where(*of(versions, tenant, document)).order_by(versions.c.sequence.desc())
    oldest = mine.offset(KEPT).limit(1).scalar_subquery()
    pruned = sa.delete(versions).where(*of(versions, tenant, document), versions.c.sequence <= oldest)
    if (await connection.execute(pruned)).rowcount:
        kept = sa.select(versions.c.version).where(*of(versions, tenant, document))
        for table in (originals, contents, pieces):
            await connection.execute(sa.delete(table).where(*of(table, tenant, document), table.c.version.not_in(kept)))


async def _record(connection: AsyncConnection, change: Change) -> None:
    names = ("tenant", "sequence", "document", "kind", "at", "ingestion", "version")
    await connection.execute(sa.insert(changes).values({name: getattr(change, name) for name in names}))


def _missing(document: str) -> DocumentMissing:
    return DocumentMissing(f"there is no document {document!r}")


def _now() -> datetime:
    return datetime.now(UTC)
