"""Whether words still stand in anything that the catalog keeps: what a byte scan may look for after an erasure."""

from collections.abc import Iterator
from typing import Any

import sqlalchemy as sa

from retrieval.sql.tables import changes, documents, ingestion_items, originals, pieces, tombstones, versions


def mentioned(dialect: str) -> sa.Select[Any]:
    """Whether the bound `words` stand in any text, original, description or id that is kept.

    Ids outlive their documents: those in tombstones and ingestions count too, but for the one that is `besides`.
    """
    return sa.select(sa.or_(*(sa.exists().where(found) for found in _places(dialect))).label("found"))


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


def _holds(dialect: str, column: sa.Column[Any], words: sa.BindParameter[Any]) -> sa.ColumnElement[bool]:
    found: sa.ColumnElement[int] = (
        sa.func.instr(column, words) if dialect == "sqlite" else sa.func.pg_catalog.position(column, words)
    )
    return found > 0
