"""Which index version holds what, how far it follows the catalog, and what it may not answer without."""

from collections.abc import Mapping
from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from retrieval.calibration import Calibration
from retrieval.entries import Holding, Sealed, Standing
from retrieval.errors import IndexNotSealed
from retrieval.index import IndexManifest
from retrieval.sql.database import Database, insert, upsert
from retrieval.sql.tables import holdings, marks, seals, sequences

_BEHIND = sa.select(
    sa.exists(
        sa.select(sequences.c.tenant)
        .outerjoin(marks, sa.and_(marks.c.tenant == sequences.c.tenant, marks.c.index == sa.bindparam("index")))
        .where(sequences.c.value > sa.func.coalesce(marks.c.applied, 0))
    )
)
_TENANT, _INDEX = sa.bindparam("tenant", type_=sa.Text), sa.bindparam("index", type_=sa.Text)
_VALUE = sa.select(sequences.c.value).where(sequences.c.tenant == _TENANT)
_APPLIED = sa.select(marks.c.applied).where(marks.c.index == _INDEX, marks.c.tenant == _TENANT)
_STANDING = sa.select(sa.func.coalesce(_VALUE.scalar_subquery(), 0), sa.func.coalesce(_APPLIED.scalar_subquery(), 0))


class Ledger:
    """The part of the catalog that is about index versions, by their names."""

    def __init__(self, database: Database) -> None:
        self.database = database

    async def held(self, index: str) -> Mapping[tuple[str, str], Holding]:
        """All that an index version holds, by (tenant, document)."""
        async with self.database.connect() as connection:
            rows = (await connection.execute(sa.select(holdings).where(holdings.c.index == index))).all()
        return {(row.tenant, row.document): _holding(row) for row in rows}

    async def holding(self, index: str, tenant: str, document: str) -> Holding | None:
        """What an index version holds of one document."""
        async with self.database.connect() as connection:
            row = (await connection.execute(sa.select(holdings).where(*_of(index, tenant, document)))).one_or_none()
        return None if row is None else _holding(row)

    async def holders(self, tenant: str, document: str) -> list[str]:
        """The index versions, finished or not, open or not, that hold a document."""
        theirs = sa.select(holdings.c.index).where(holdings.c.tenant == tenant, holdings.c.document == document)
        async with self.database.connect() as connection:
            rows = (await connection.execute(theirs.order_by(holdings.c.index))).all()
        return [str(row.index) for row in rows]

    async def unsettled(self, index: str) -> list[tuple[str, str]]:
        """The documents, (tenant, document), that an index version was being given when somebody last wrote it."""
        begun = sa.select(holdings.c.tenant, holdings.c.document).where(
            holdings.c.index == index, holdings.c.described == ""
        )
        async with self.database.connect() as connection:
            rows = (await connection.execute(begun.order_by(holdings.c.tenant, holdings.c.document))).all()
        return [(row.tenant, row.document) for row in rows]

    async def hold(self, index: str, changed: Mapping[tuple[str, str], Holding | None]) -> None:
        """Record what an index version durably holds now, in one transaction; None: nothing of that document."""
        async with self.database.begin() as connection:
            for (tenant, document), held in sorted(changed.items(), key=lambda one: one[0]):
                if held is None:
                    await connection.execute(sa.delete(holdings).where(*_of(index, tenant, document)))
                else:
                    await record_holding(connection, index, tenant, document, held)

    async def marks(self, index: str) -> dict[str, int]:
        """How far an index version has applied each tenant's changes; none of a tenant's where it is missing."""
        async with self.database.connect() as connection:
            rows = (await connection.execute(sa.select(marks).where(marks.c.index == index))).all()
        return {row.tenant: row.applied for row in rows}

    async def behind(self, index: str) -> bool:
        """Whether some tenant has changes that an index version has not applied."""
        return bool((await self.database.consult(_BEHIND, {"index": index}))[0][0])

    async def mark(self, index: str, tenant: str, applied: int) -> None:
        """Raise how far an index version is; it never goes back."""
        async with self.database.begin() as connection:
            first = insert(connection, marks).values(index=index, tenant=tenant, applied=applied)
            raised = first.on_conflict_do_update(
                index_elements=["index", "tenant"], set_={"applied": applied}, where=marks.c.applied < applied
            )
            await connection.execute(raised)

    async def require(self, tenant: str, sequence: int) -> None:
        """Let no index version answer for the tenant that has not applied `sequence`; it never goes back."""
        behind = sa.and_(sequences.c.tenant == tenant, sequences.c.required < sequence)
        async with self.database.begin() as connection:
            await connection.execute(sa.update(sequences).where(behind).values(required=sequence))

    async def standing(self, index: str, tenant: str) -> Standing:
        """How far the tenant's changes are, and an index version with them."""
        ((value, applied),) = await self.database.consult(_STANDING, {"index": index, "tenant": tenant})
        return Standing(value, applied)

    async def seal(self, manifest: IndexManifest, place: str) -> None:
        """Record that a build is finished, and where it is."""
        values = {"place": place, "manifest": msgspec.json.encode(manifest).decode()}
        async with self.database.begin() as connection:
            await upsert(connection, seals, {"index": manifest.name}, values)

    async def calibrate(self, calibration: Calibration) -> IndexManifest:
        """Keep a calibration with the seal of its version, in place of one that is there; IndexNotSealed without seal.

        A gateway that has the version open goes on with what it opened it with.
        """
        of_it = seals.c.index == calibration.index
        async with self.database.begin() as connection:
            row = (await connection.execute(sa.select(seals).where(of_it).with_for_update())).one_or_none()
            if row is None:
                raise IndexNotSealed(f"index {calibration.index!r} is not built: there is nothing to calibrate")
            manifest = msgspec.structs.replace(_manifest(row), calibration=calibration)
            told = msgspec.json.encode(manifest).decode()
            await connection.execute(sa.update(seals).where(of_it).values(manifest=told))
        return manifest

    async def seals(self) -> list[Sealed]:
        """Every finished build, by name; IndexNotSealed when a seal cannot be read."""
        async with self.database.connect() as connection:
            rows = (await connection.execute(sa.select(seals).order_by(seals.c.index))).all()
        return [Sealed(_manifest(row), row.place) for row in rows]

    async def manifest(self, index: str) -> IndexManifest | None:
        """The seal of one index version, none when it never was finished; IndexNotSealed when it cannot be read."""
        async with self.database.connect() as connection:
            row = (await connection.execute(sa.select(seals).where(seals.c.index == index))).one_or_none()
        return None if row is None else _manifest(row)

    async def forget_index(self, index: str) -> None:
        """Drop all that is recorded of an index version whose store is gone."""
        async with self.database.begin() as connection:
            for table in (holdings, marks, seals):
                await connection.execute(sa.delete(table).where(table.c.index == index))


async def record_holding(connection: AsyncConnection, index: str, tenant: str, document: str, held: Holding) -> None:
    """What an index version durably holds of one document."""
    keys = {"index": index, "tenant": tenant, "document": document}
    values = {name: getattr(held, name) for name in ("digest", "described", "chunks", "tokens")}
    await upsert(connection, holdings, keys, values)


async def follow(connection: AsyncConnection, index: str, tenant: str, sequence: int) -> None:
    """Move an index version to `sequence` when it has applied the one before, and only then."""
    if sequence == 1:
        first = insert(connection, marks).values(index=index, tenant=tenant, applied=0)
        await connection.execute(first.on_conflict_do_nothing())
    before = sa.and_(marks.c.index == index, marks.c.tenant == tenant, marks.c.applied == sequence - 1)
    await connection.execute(sa.update(marks).where(before).values(applied=sequence))


def _of(index: str, tenant: str, document: str) -> tuple[sa.ColumnElement[bool], ...]:
    return holdings.c.index == index, holdings.c.tenant == tenant, holdings.c.document == document


def _holding(row: sa.Row[Any]) -> Holding:
    return Holding(row.digest, row.described, row.chunks, row.tokens)


def _manifest(row: sa.Row[Any]) -> IndexManifest:
    try:
        return msgspec.json.decode(row.manifest, type=IndexManifest)
    except msgspec.DecodeError as error:
        raise IndexNotSealed(
            f"the seal of index {row.index!r} is damaged or of another release: build the index again"
        ) from error
