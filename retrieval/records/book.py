"""The record book in SQL: batches are added, chained and read; nothing in it is ever changed but by erasing parts."""

from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypeAlias

import msgspec
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from retrieval.records.chain import EMPTY, Batch, Checker, Fault, Head, next_batch
from retrieval.records.erased import erasures
from retrieval.records.late import Late, too_late
from retrieval.records.record import Kept, Record, digest_of, part_digests
from retrieval.sql.database import Database
from retrieval.sql.tables import record_batches, records

_CHAINING = 0x7265636F726473  # the advisory lock of whoever adds to the chain or erases from it
_BATCHES_AT_ONCE = 50
DECISION = "decision"
Place = tuple[datetime, str]
Standing: TypeAlias = Callable[[Sequence[Kept]], Kept | None]
_TOLD = (records.c.created, records.c.batch, records.c.n)


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which records to list: created in [`since`, `until`), of one tenant or of all, after a place in that order."""

    tenant: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    kind: str | None = None
    after: Place | None = None
    limit: int = 100


class Book:
    """Errors: CatalogError whenever SQL cannot answer."""

    def __init__(self, database: Database) -> None:
        self.database = database

    async def append(self, new: Sequence[Record]) -> Batch | None:
        """Add a batch of those that are not here yet, in one transaction; None when all are."""
        async with self.database.begin() as connection:
            await chaining(connection)
            return await add_to(connection, new)

    async def append_unless(self, new: Record, stands: Standing) -> tuple[Kept | None, Batch | None]:
        """Add it unless one of its kind about the same stands already: that one, or the batch."""
        of_it = sa.select(records).where(records.c.about == new.about, records.c.kind == new.kind)
        async with self.database.begin() as connection:
            await chaining(connection)
            found = stands([kept(row) for row in await connection.execute(of_it.order_by(*_TOLD))])
            return (None, await add_to(connection, [new])) if found is None else (found, None)

    async def get(self, record: str) -> Kept | None:
        """One record."""
        found = await self._all(sa.select(records).where(records.c.id == record))
        return found[0] if found else None

    async def about(self, record: str) -> list[Kept]:
        """All that was said about one, oldest first."""
        return (await self.about_each([record]))[record]

    async def about_each(self, wanted: Sequence[str]) -> dict[str, list[Kept]]:
        """The same of several."""
        said: dict[str, list[Kept]] = {record: [] for record in wanted}
        for one in await self._all(sa.select(records).where(records.c.about.in_(wanted)).order_by(*_TOLD)):
            said[one.record.about or ""].append(one)
        return said

    async def awaiting(self, tenant: str, after: Place | None, limit: int) -> list[Kept]:
        """A tenant's records that want a review and have no decision yet, oldest first."""
        decided = records.alias()
        none = ~sa.exists().where(decided.c.about == records.c.id, decided.c.kind == DECISION)
        mine = sa.select(records).where(
            records.c.tenant == tenant, records.c.review, records.c.facts.is_not(None), none
        )
        return await self._all(_from(mine, after).limit(limit))

    async def listing(self, wanted: Wanted) -> list[Kept]:
        """Records in order of their time."""
        of_it = sa.select(records)
        for column, value in ((records.c.tenant, wanted.tenant), (records.c.kind, wanted.kind)):
            of_it = of_it if value is None else of_it.where(column == value)
        if wanted.since is not None:
            of_it = of_it.where(records.c.created >= wanted.since)
        if wanted.until is not None:
            of_it = of_it.where(records.c.created < wanted.until)
        return await self._all(_from(of_it, wanted.after).limit(wanted.limit))

    async def head(self) -> Head:
        """How far the chain is."""
        async with self.database.connect() as connection:
            return await _head(connection)

    async def verify(self, heads: Sequence[Head] = ()) -> tuple[Checker, Fault | None]:
        """Compute all digests anew; `heads` are how far the chain is known to have been."""
        checker = Checker(heads)
        async for batch, held in self._chain():
            if fault := checker.check(batch, held):
                return checker, fault
        return checker, checker.finish()

    async def _chain(self) -> AsyncIterator[tuple[Batch, list[Kept]]]:
        after = 0
        while True:
            later = sa.select(record_batches).where(record_batches.c.sequence > after)
            async with self.database.connect() as connection:
                rows = (
                    await connection.execute(later.order_by(record_batches.c.sequence).limit(_BATCHES_AT_ONCE))
                ).all()
                if not rows:
                    break
                last = rows[-1].sequence
                stretch = sa.select(records).where(records.c.batch > after, records.c.batch <= last)
                held: dict[int, list[Kept]] = {}
                for row in await connection.execute(stretch.order_by(records.c.batch, records.c.n)):
                    held.setdefault(row.batch, []).append(kept(row))
            for row in rows:
                yield _batch(row), held.pop(row.sequence, [])
            after = last

    async def _all(self, statement: sa.Select[Any]) -> list[Kept]:
        async with self.database.connect() as connection:
            return [kept(row) for row in await connection.execute(statement)]


def first(said: Sequence[Kept]) -> Kept | None:
    """The oldest stands."""
    return said[0] if said else None


async def chaining(connection: AsyncConnection) -> None:
    """Be the only one who adds or erases until the transaction ends; on SQLite who writes is that already."""
    if connection.dialect.name == "postgresql":
        await connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_CHAINING)))


def kept(row: sa.Row[Any]) -> Kept:
    """A row as it was put, less what was erased."""
    record = Record(
        id=row.id,
        kind=row.kind,
        created=row.created,
        tenant=row.tenant,
        subject=row.subject,
        facts=row.facts,
        person=row.person,
        sources=row.sources,
        words=row.words,
        documents=tuple(msgspec.json.decode(row.documents)) if row.documents else (),
        about=row.about,
        review=row.review,
    )
    return Kept(record, row.batch, row.n, tuple(row.digests.split(" ")), row.digest)


async def add_to(connection: AsyncConnection, given: Sequence[Record]) -> Batch | None:
    """Add a batch of those that are not here yet, by whoever is `chaining`."""
    unique = {one.id: one for one in given}
    here = sa.select(records.c.id).where(records.c.id.in_(list(unique)))
    known = {row.id for row in await connection.execute(here)}
    new = [one for one in unique.values() if one.id not in known]
    if not new:
        return None
    at = datetime.now(UTC)
    late = await too_late(connection, new)
    for some in late:
        new += erasures([(one.tenant, one.id) for one in new if one.id in some.records], some.columns, some.why, at)
    digests = [part_digests(one) for one in new]
    whole = [digest_of(*pair) for pair in zip(new, digests, strict=True)]
    ids = [one.id for one in new]
    batch = next_batch(await _head(connection), list(zip(ids, whole, strict=True)), at)
    rows = [
        {**_columns(one, late), "batch": batch.sequence, "n": n, "digests": " ".join(parts), "digest": digest}
        for n, (one, parts, digest) in enumerate(zip(new, digests, whole, strict=True))
    ]
    await connection.execute(sa.insert(record_batches).values(_batch_columns(batch)))
    await connection.execute(sa.insert(records), rows)
    return batch


def _columns(record: Record, late: Sequence[Late]) -> dict[str, Any]:
    columns = {name: getattr(record, name) for name in Record.__struct_fields__}
    columns["documents"] = msgspec.json.encode(record.documents).decode() if record.documents else None
    return columns | {name: None for some in late if record.id in some.records for name in some.columns}


async def _head(connection: AsyncConnection) -> Head:
    last = sa.select(record_batches).order_by(record_batches.c.sequence.desc()).limit(1)
    row = (await connection.execute(last)).one_or_none()
    return EMPTY if row is None else Head(row.sequence, row.digest)


def _from(statement: sa.Select[Any], after: Place | None) -> sa.Select[Any]:
    if after is not None:
        created, record = after
        place = sa.tuple_(sa.literal(created, records.c.created.type), sa.literal(record))
        statement = statement.where(sa.tuple_(records.c.created, records.c.id) > place)
    return statement.order_by(records.c.created, records.c.id)


def _batch(row: sa.Row[Any]) -> Batch:
    return Batch(row.sequence, row.previous, row.digest, row.size, row.first, row.last, row.at)


def _batch_columns(batch: Batch) -> dict[str, Any]:
    return {name: getattr(batch, name) for name in Batch.__slots__}
