"""Which names access lists have: who differ only in names that none has may see the same."""

import hashlib
from collections.abc import Collection, Iterable, Mapping
from functools import cache, lru_cache
from typing import Any, Literal, TypeAlias, get_args

import msgspec
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from retrieval.acl import Access, AccessFilter, PermissionScope
from retrieval.sql.database import insert
from retrieval.sql.tables import listed_names

Side: TypeAlias = Literal["allow", "deny"]


async def list_names(connection: AsyncConnection, accesses: Iterable[Access]) -> None:
    """Add the names of access lists that are about to be in force.

    None is ever taken away: one too many keeps callers apart who might share, one too few would join some who differ.
    """
    listed = {
        (access.tenant, digest(access.tenant, name), side)
        for access in accesses
        for side in get_args(Side)
        for name in getattr(access, side)
    }
    if listed:
        rows = [{"tenant": tenant, "digest": name, "side": side} for tenant, name, side in sorted(listed)]
        await connection.execute(insert(connection, listed_names).on_conflict_do_nothing(), rows)


@cache
def listed(dialect: str) -> sa.Select[Any]:
    """Those of the `digests` that lists of the tenant have, and on which side."""
    asked = sa.bindparam("digests", type_=sa.Text)
    if dialect == "postgresql":
        each = sa.func.json_array_elements_text(sa.cast(asked, sa.JSON))
        among = listed_names.c.digest == sa.any_(sa.func.array(sa.select(each).scalar_subquery()))
    else:
        among = listed_names.c.digest.in_(sa.select(sa.func.json_each(asked).table_valued("value").c.value))
    columns = listed_names.c.side, listed_names.c.digest
    return sa.select(*columns).where(listed_names.c.tenant == sa.bindparam("tenant", type_=sa.Text), among)


def looked_up(access: AccessFilter) -> dict[str, Any]:
    """The statement's parameters; a caller may be denied by every name that lets them in."""
    digests = sorted(digest(access.tenant, name) for name in access.denied_as)
    return {"tenant": access.tenant, "digests": msgspec.json.encode(digests).decode()}


def scope_of(access: AccessFilter, rows: Collection[Any]) -> PermissionScope:
    """What of a caller's names the rows have."""
    found: Mapping[Side, set[str]] = {"allow": set(), "deny": set()}
    for side, name in rows:
        found[side].add(name)
    sides = (
        {name for name in access.denied_as if digest(access.tenant, name) in found[side]} for side in get_args(Side)
    )
    return access.scope(*sides)


@lru_cache(maxsize=16_384)
def digest(tenant: str, name: str) -> str:
    """A name as it is kept: of one length, whatever it is, and not the same in another tenant."""
    return hashlib.sha256(f"{len(tenant)}:{tenant}{name}".encode()).hexdigest()
