"""Whether words still stand in anything that the catalog keeps: what a byte scan may look for after an erasure."""

from collections.abc import Iterator
from typing import Any

import msgspec
import sqlalchemy as sa

from retrieval.sql.tables import changes, documents, ingestion_items, originals, pieces, records, tombstones, versions


def mentioned(dialect: str) -> sa.Select[Any]:
    """Whether the bound `words` stand in any text, original, description or id that is kept.

    Ids outlive their documents: those in tombstones and ingestions count too, but for the one that is `besides`. So do
    words that other tenants than `tenant` said; its own records are erased with the document.
    """
    return sa.select(sa.or_(*(sa.exists().where(found) for found in _places(dialect))).label("found"))


def json_quoted(words: str) -> str:
    """How words stand inside a string of JSON."""
    return msgspec.json.encode(words).decode()[1:-1]


def _places(dialect: str) -> Iterator[sa.ColumnElement[bool]]:
    words = sa.bindparam("words", type_=sa.Text)
    told = (one.c[name] for one in (documents, versions) for name in ("title", "source", "category", "origin", "name"))
    listed = (documents.c.id, documents.c.tenant, documents.c.allow, documents.c.deny)
    yield from (_holds(dialect, column, words) for column in (pieces.c.text, *told, *listed))
    outliving = (tombstones.c.document, changes.c.document, ingestion_items.c.document)
    besides = sa.bindparam("besides", type_=sa.Text)
    yield from (sa.and_(column != besides, _holds(dialect, column, words)) for column in outliving)
    encoded = sa.bindparam("encoded", type_=sa.LargeBinary)
    yield from (_holds(dialect, column, encoded) for column in (originals.c.raw, ingestion_items.c.payload))
    others = records.c.tenant != sa.bindparam("tenant", type_=sa.Text)
    yield sa.and_(others, _holds(dialect, records.c.words, sa.bindparam("quoted", type_=sa.Text)))


def _holds(dialect: str, column: sa.Column[Any], words: sa.BindParameter[Any]) -> sa.ColumnElement[bool]:
    found: sa.ColumnElement[int] = (
        sa.func.instr(column, words) if dialect == "sqlite" else sa.func.pg_catalog.position(column, words)
    )
    return found > 0
