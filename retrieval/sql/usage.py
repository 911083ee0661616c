"""What tenants have used, by day and version: sums that only ever grow, whoever adds to them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import date
from typing import NamedTuple

import sqlalchemy as sa

from retrieval.catalog import Catalog
from retrieval.sql.database import insert
from retrieval.sql.tables import usage


@dataclass(frozen=True, slots=True)
class Used:
    """Requests, tokens, and billionths of a US dollar."""

    requests: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_tokens: int = 0
    cost: int = 0

    def __add__(self, other: "Used") -> "Used":
        return Used(
            self.requests + other.requests,
            self.prompt_tokens + other.prompt_tokens,
            self.completion_tokens + other.completion_tokens,
            self.cached_tokens + other.cached_tokens,
            self.cost + other.cost,
        )


class UsedBy(NamedTuple):
    """Whose, when, and of which version; "" where a request needed none."""

    tenant: str
    day: date
    model: str


_SUMS = tuple(field.name for field in fields(Used))


class UsageLedger:
    """Errors: CatalogError whenever SQL cannot answer."""

    def __init__(self, catalog: Catalog) -> None:
        self._database = catalog.database

    async def add(self, counted: Mapping[UsedBy, Used]) -> None:
        """Add to the sums, all or none."""
        rows = [by._asdict() | {name: getattr(used, name) for name in _SUMS} for by, used in sorted(counted.items())]
        async with self._database.begin() as connection:
            statement = insert(connection, usage)
            sums = {name: usage.c[name] + statement.excluded[name] for name in _SUMS}
            await connection.execute(
                statement.on_conflict_do_update(index_elements=list(UsedBy._fields), set_=sums), rows
            )

    async def since(self, tenant: str, day: date) -> Sequence[tuple[UsedBy, Used]]:
        """A tenant's sums from a day on, newest first."""
        mine = sa.select(usage).where(usage.c.tenant == tenant, usage.c.day >= day)
        async with self._database.connect() as connection:
            rows = (await connection.execute(mine.order_by(usage.c.day.desc(), usage.c.model))).all()
        return [(UsedBy(tenant, row.day, row.model), Used(*(getattr(row, name) for name in _SUMS))) for row in rows]
