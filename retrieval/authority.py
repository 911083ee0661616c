"""The one statement that decides what may be shown, and the passages that come of it."""

from collections.abc import Iterator, Sequence
from datetime import date
from functools import cache
from itertools import groupby
from typing import Any

import msgspec
import sqlalchemy as sa

from retrieval.acl import Access, AccessFilter
from retrieval.entries import Passage
from retrieval.errors import IndexBehind
from retrieval.outline import outline, split_blocks
from retrieval.pieces import PIECE, span
from retrieval.store import ChunkRef
from retrieval.tables import documents, marks, pieces, sequences

_grants = msgspec.json.Decoder(frozenset[str])


@cache
def authority(dialect: str) -> sa.Select[Any]:
    """The pieces of each ref whose document exists, is at that version, not superseded and not expired.

    Every row also tells how far the index is and has to be; there is one without a ref when nothing may be shown.
    The refs are one JSON parameter, so that it is one statement to compile and plan however many there are.
    """
    mark, shown = _mark().subquery("mark"), _shown(_refs(dialect)).subquery("shown")
    return sa.select(mark, shown).join_from(mark, shown, sa.true(), isouter=True)


def wanted(refs: Sequence[ChunkRef], tenant: str, parser: str, index: str, today: date) -> dict[str, Any]:
    """The statement's parameters."""
    listed = [(n, ref.document, ref.version, *span(ref.start, ref.end)) for n, ref in enumerate(refs)]
    names = ("n", "document", "version", "first", "last")
    asked = msgspec.json.encode([dict(zip(names, one, strict=True)) for one in listed]).decode()
    return {"refs": asked, "tenant": tenant, "parser": parser, "index": index, "today": today}


def passages(
    refs: Sequence[ChunkRef], rows: Sequence[sa.Row[Any]], access: AccessFilter, index: str
) -> Iterator[Passage]:
    """What the rows permit, in the order asked for; IndexBehind when the index may not answer at all."""
    if rows[0].applied < rows[0].required:
        raise IndexBehind(
            f"index version {index!r} has applied the tenant's changes up to {rows[0].applied} and must have applied "
            f"{rows[0].required}: it answers when it has caught up"
        )
    found = sorted((row for row in rows if row.n is not None), key=lambda row: (row.n, row.piece))
    for n, group in groupby(found, key=lambda row: int(row.n)):
        held = list(group)
        if access.permits(access_of(access.tenant, held[0])):
            yield _passage(refs[n], held)


def access_of(tenant: str, row: sa.Row[Any]) -> Access:
    """A row's own access list."""
    return Access(tenant, _grants.decode(row.allow), _grants.decode(row.deny))


def access_columns(access: Access) -> dict[str, str]:
    """An access list as a row holds it."""
    return {"allow": _listed(access.allow), "deny": _listed(access.deny)}


def _listed(grants: frozenset[str]) -> str:
    return msgspec.json.encode(sorted(grants)).decode()


def _passage(ref: ChunkRef, held: Sequence[sa.Row[Any]]) -> Passage:
    """Only the pieces that its words are in were read: positions in them count from the first."""
    offset = held[0].piece * PIECE
    text = "".join(row.text for row in held)[ref.start - offset : ref.end - offset]
    blocks = [block for row in held for block in split_blocks(row.blocks)]
    first = held[0]
    places = outline(blocks, ref.start, ref.end)
    return Passage(ref, first.title, first.source, first.category, first.updated, text, places)


def _refs(dialect: str) -> sa.FromClause:
    asked = sa.bindparam("refs", type_=sa.Text)
    columns: list[sa.ColumnClause[Any]] = [sa.column(name, sa.Integer) for name in ("n", "first", "last")]
    columns += [sa.column(name, sa.Text) for name in ("document", "version")]
    if dialect == "postgresql":
        recordset = sa.func.json_to_recordset(sa.cast(asked, sa.JSON))
        return recordset.table_valued(*columns).render_derived("refs", with_types=True)
    each = sa.func.json_each(asked).table_valued("value", name="each")
    taken = [
        sa.func.json_extract(each.c.value, f"$.{column.name}", type_=column.type).label(column.name)
        for column in columns
    ]
    return sa.select(*taken).subquery("refs")


def _mark() -> sa.Select[Any]:
    """How far the index is with the tenant's changes, and how far it has to be: always one row."""
    tenant, index = sa.bindparam("tenant", type_=sa.Text), sa.bindparam("index", type_=sa.Text)
    required = sa.select(sequences.c.required).where(sequences.c.tenant == tenant).scalar_subquery()
    applied = sa.select(marks.c.applied).where(marks.c.index == index, marks.c.tenant == tenant).scalar_subquery()
    return sa.select(
        sa.func.coalesce(required, 0).label("required"),
        sa.func.coalesce(applied, 0).label("applied"),
    )


def _shown(refs: sa.FromClause) -> sa.Select[Any]:
    newer = documents.alias("newer")
    superseded = sa.exists().where(
        newer.c.tenant == documents.c.tenant, newer.c.supersedes == documents.c.id, newer.c.id != documents.c.id
    )
    current = sa.and_(
        documents.c.tenant == sa.bindparam("tenant"),
        documents.c.id == refs.c.document,
        documents.c.version == refs.c.version,
    )
    words = sa.and_(
        pieces.c.tenant == documents.c.tenant,
        pieces.c.document == documents.c.id,
        pieces.c.version == documents.c.version,
        pieces.c.parser == sa.bindparam("parser"),
        pieces.c.n.between(refs.c.first, refs.c.last),
    )
    described = [documents.c[name] for name in ("title", "source", "category", "updated", "allow", "deny")]
    return (
        sa.select(refs.c.n, pieces.c.n.label("piece"), pieces.c.text, pieces.c.blocks, *described)
        .select_from(refs)
        .join(documents, current)
        .join(pieces, words)
        .where(documents.c.expires.is_(None) | (documents.c.expires > sa.bindparam("today", type_=sa.Date)))
        .where(~superseded)
    )
