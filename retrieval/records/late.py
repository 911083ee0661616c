"""Records that were on their way while something of theirs was erased: they come without what they would have lost."""

import hashlib
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from retrieval.records.erased import OF_DOCUMENT, OF_PERSON, OF_REMARK, Why
from retrieval.records.record import ABSENT, PARTS, Record, fields_of
from retrieval.sql.tables import erased_people, records, tombstones


@dataclass(frozen=True, slots=True)
class Late:
    """Records, and the columns that they come without."""

    records: frozenset[str]
    columns: tuple[str, ...]
    why: Why


async def too_late(connection: AsyncConnection, new: Sequence[Record]) -> list[Late]:
    """By what was erased after they were made."""
    late = [Late(await _of_documents(connection, new), OF_DOCUMENT, "document")]
    stones = await _people_since(connection, new)
    if stones:
        theirs = frozenset(one.id for one in new if any(_is_of(one, stone) for stone in stones))
        remarks = [one for one in new if one.about and any(_passed(one, stone) for stone in stones)]
        about = theirs | await _without_person(connection, [one.about for one in remarks if one.about])
        late += [
            Late(theirs, OF_PERSON, "person"),
            Late(frozenset(one.id for one in remarks if one.about in about) - theirs, OF_REMARK, "person"),
        ]
    return late


async def mark_erased(connection: AsyncConnection, tenant: str, name: str, at: datetime) -> None:
    """Remember that a person was erased, and not who: what comes can be held against it, and nobody is named."""
    salt = secrets.token_hex(16)
    stone = {"tenant": tenant, "digest": _digest(salt, tenant, name), "salt": salt, "at": at}
    await connection.execute(sa.insert(erased_people).values(stone))


async def _of_documents(connection: AsyncConnection, new: Sequence[Record]) -> frozenset[str]:
    read = {(one.tenant, document) for one in new for document in one.documents}
    if not read:
        return frozenset()
    named = sa.and_(tombstones.c.erased, tombstones.c.document.in_({document for _, document in read}))
    gone = {(row.tenant, row.document): row.at for row in await connection.execute(sa.select(tombstones).where(named))}
    return frozenset(
        one.id
        for one in new
        if any((at := gone.get((one.tenant, name))) is not None and one.created <= at for name in one.documents)
    )


async def _people_since(connection: AsyncConnection, new: Sequence[Record]) -> Sequence[sa.Row[Any]]:
    """Almost always none: most records are made after all that was erased."""
    oldest, tenants = min(one.created for one in new), {one.tenant for one in new}
    since = sa.and_(erased_people.c.tenant.in_(tenants), erased_people.c.at >= oldest)
    return (await connection.execute(sa.select(erased_people).where(since))).all()


def _passed(record: Record, stone: sa.Row[Any]) -> bool:
    return bool(record.tenant == stone.tenant and record.created <= stone.at)


def _is_of(record: Record, stone: sa.Row[Any]) -> bool:
    """By their own credential or as an app's user."""
    names = (record.subject, fields_of(record.person).get("user"))
    return _passed(record, stone) and stone.digest in [_digest(stone.salt, stone.tenant, one) for one in names if one]


async def _without_person(connection: AsyncConnection, wanted: Sequence[str]) -> frozenset[str]:
    """Those that said who it was, and do not any more."""
    which = sa.and_(records.c.id.in_(wanted), records.c.person.is_(None))
    rows = await connection.execute(sa.select(records.c.id, records.c.digests).where(which))
    place = PARTS.index("person")
    return frozenset(row.id for row in rows if row.digests.split(" ")[place] != ABSENT)


def _digest(salt: str, tenant: str, name: str) -> str:
    return hashlib.sha256(msgspec.json.encode([salt, tenant, name])).hexdigest()
