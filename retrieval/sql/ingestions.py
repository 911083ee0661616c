"""Accepted documents, which wait in the catalog's database until their turn comes, and what became of them."""

import secrets
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

import sqlalchemy as sa

from retrieval.catalog import Catalog
from retrieval.sql.tables import ingestion_items, ingestions, sequences

WAITING = "waiting"
_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"  # Crockford's: what looks alike is left out, and it sorts by value
_NOT_PUT = {"status": WAITING, "reason": None, "version": None, "sequence": 0, "chunks": 0}


@dataclass(frozen=True, slots=True)
class Item:
    """A document that waits; `accepted` is the tenant's sequence when it came, `payload` what it came as."""

    ingestion: str
    n: int
    tenant: str
    document: str
    payload: bytes
    accepted: int


@dataclass(frozen=True, slots=True)
class Settled:
    """What became of the `n`-th document of an ingestion."""

    ingestion: str
    n: int
    status: str
    reason: str | None = None
    version: str | None = None
    sequence: int = 0
    chunks: int = 0


@dataclass(frozen=True, slots=True)
class ItemState:
    """How a document of an ingestion stands."""

    document: str
    status: str
    reason: str | None = None
    version: str | None = None
    chunks: int = 0


@dataclass(frozen=True, slots=True)
class Progress:
    """How an ingestion stands: done when nothing of it waits. `counts` are by status."""

    id: str
    created: datetime
    state: Literal["running", "done"]
    counts: Mapping[str, int]
    items: tuple[ItemState, ...]


class Ingestions:
    """Errors: CatalogError whenever SQL cannot answer."""

    def __init__(self, catalog: Catalog) -> None:
        self._database = catalog.database

    async def accept(self, tenant: str, by: str, items: Sequence[tuple[str, bytes]]) -> str:
        """Keep (document, payload) pairs for later; durable when the ingestion's id is returned."""
        now = datetime.now(UTC)
        ingestion = new_id(time.time_ns() // 1_000_000)
        async with self._database.begin() as connection:
            last = sa.select(sequences.c.value).where(sequences.c.tenant == tenant)
            accepted = (await connection.execute(last)).scalar_one_or_none() or 0
            of = {"ingestion": ingestion, "tenant": tenant, "accepted": accepted, **_NOT_PUT}
            rows = [{**of, "n": n, "document": name, "payload": payload} for n, (name, payload) in enumerate(items)]
            kept = {"id": ingestion, "tenant": tenant, "by": by, "created": now}
            await connection.execute(sa.insert(ingestions).values(kept))
            if rows:
                await connection.execute(sa.insert(ingestion_items), rows)
        return ingestion

    async def waiting(self, limit: int) -> list[Item]:
        """The documents whose turn it is: the oldest of each tenant, then the next of each; they stay until settled."""
        items, oldest = ingestion_items.c, (ingestion_items.c.ingestion, ingestion_items.c.n)
        turn = sa.func.row_number().over(partition_by=items.tenant, order_by=oldest).label("turn")
        keys = sa.select(*oldest, turn).where(items.status == WAITING).order_by(turn, *oldest).limit(limit).subquery()
        here = sa.and_(items.ingestion == keys.c.ingestion, items.n == keys.c.n)
        first = sa.select(ingestion_items).join(keys, here).order_by(keys.c.turn, *oldest)
        async with self._database.connect() as connection:
            rows = (await connection.execute(first)).all()
        return [Item(row.ingestion, row.n, row.tenant, row.document, row.payload, row.accepted) for row in rows]

    async def settle(self, outcomes: Sequence[Settled]) -> None:
        """Record what became of documents, in one transaction; their payloads are let go."""
        async with self._database.begin() as connection:
            for one in sorted(outcomes, key=lambda one: (one.ingestion, one.n)):
                told = {name: getattr(one, name) for name in _NOT_PUT}
                here = sa.and_(ingestion_items.c.ingestion == one.ingestion, ingestion_items.c.n == one.n)
                await connection.execute(sa.update(ingestion_items).where(here).values({**told, "payload": None}))

    async def progress(self, tenant: str, ingestion: str) -> Progress | None:
        """How an ingestion of this tenant stands."""
        mine = sa.select(ingestions).where(ingestions.c.id == ingestion, ingestions.c.tenant == tenant)
        names = ("document", "status", "reason", "version", "chunks")
        items = sa.select(*(ingestion_items.c[name] for name in names)).order_by(ingestion_items.c.n)
        async with self._database.connect() as connection:
            row = (await connection.execute(mine)).one_or_none()
            if row is None:
                return None
            rows = (await connection.execute(items.where(ingestion_items.c.ingestion == ingestion))).all()
        return _progress(row, tuple(ItemState(*one) for one in rows))

    async def forget(self, tenant: str, document: str) -> None:
        """Let go of what came in for a document and still waits: it was erased."""
        mine = (ingestion_items.c.tenant == tenant, ingestion_items.c.document == document)
        waiting = (*mine, ingestion_items.c.payload.is_not(None))
        told = {"status": "gone", "reason": "the document was erased while this waited", "payload": None}
        async with self._database.begin() as connection:
            await connection.execute(sa.update(ingestion_items).where(*waiting).values(told))


def new_id(milliseconds: int) -> str:
    """`ing_` and 26 characters, which sort by the time."""
    value = (milliseconds << 80) | secrets.randbits(80)
    return "ing_" + "".join(_ALPHABET[(value >> shift) & 31] for shift in range(125, -1, -5))


def _progress(row: sa.Row[Any], items: tuple[ItemState, ...]) -> Progress:
    counts = Counter(item.status for item in items)
    return Progress(row.id, row.created, "running" if counts[WAITING] else "done", dict(counts), items)
