"""The one statement that decides what may be shown, and the passages that come of it."""

from collections.abc import Iterator, Sequence
from datetime import date
from functools import cache, lru_cache
from typing import Any

import msgspec
import sqlalchemy as sa

from retrieval.acl import Access, AccessFilter
from retrieval.entries import Passage
from retrieval.errors import IndexBehind
from retrieval.sql.pieces import Piece, places_of, span, words
from retrieval.sql.tables import documents, marks, pieces, sequences
from retrieval.store import ChunkRef

_grants = msgspec.json.Decoder(frozenset[str])


@cache
def authority(dialect: str) -> sa.Select[Any]:
    """For every ref the pieces of its words, if its document is at that version, not superseded and not expired.

    A ref of which nothing may be shown has a row without a piece, and every row tells how far the index is and has to
    be. The refs are one JSON parameter, so that it is one statement to compile and plan however many there are. Both
    databases search the same indexes for each ref, whatever their planners think of tables that they know nothing of.
    """
    mark, refs = _mark().subquery("mark"), _refs(dialect)
    document, piece = _per_ref(refs) if dialect == "postgresql" else (documents, pieces)
    on = (sa.true(), sa.true()) if dialect == "postgresql" else (_current(refs), _words(refs, documents))
    joined = mark.outerjoin(refs, sa.true()).outerjoin(document, on[0]).outerjoin(piece, on[1])
    told = [document.c[name] for name in ("title", "source", "category", "updated", "allow", "deny")]
    return sa.select(mark, refs.c.n, piece.c.n.label("piece"), piece.c.text, piece.c.places, *told).select_from(joined)


def _per_ref(refs: sa.FromClause) -> tuple[sa.FromClause, sa.FromClause]:
    """PostgreSQL's planner turns joins round and hashes whole tables, but runs a lateral query with an offset as is."""
    here = sa.literal_column("0", sa.Integer)
    document = sa.select(documents).where(_current(refs)).offset(here).lateral("document")
    return document, sa.select(pieces).where(_words(refs, document)).offset(here).lateral("piece")


def wanted(refs: Sequence[ChunkRef], tenant: str, parser: str, index: str, today: date) -> dict[str, Any]:
    """The statement's parameters."""
    listed = [(n, ref.document, ref.version, *span(ref.start, ref.end)) for n, ref in enumerate(refs)]
    names = ("n", "document", "version", "first", "last")
    asked = msgspec.json.encode([dict(zip(names, one, strict=True)) for one in listed]).decode()
    return {"refs": asked, "tenant": tenant, "parser": parser, "index": index, "today": today}


def passages(refs: Sequence[ChunkRef], rows: Sequence[Any], access: AccessFilter, index: str) -> Iterator[Passage]:
    """What the rows permit, in the order asked for; IndexBehind when the index may not answer at all."""
    required, applied = rows[0][:2]
    if applied < required:
        raise IndexBehind(
            f"index version {index!r} has applied the tenant's changes up to {applied} and must have applied "
            f"{required}: it answers when it has caught up"
        )
    held: dict[int, list[Piece]] = {}
    described: dict[int, list[Any]] = {}
    for _, _, n, piece, text, places, *told, allow, deny in rows:
        if piece is not None and access.permits(_access(access.tenant, allow, deny)):
            held.setdefault(n, []).append(Piece(piece, text, places))
            described[n] = told
    for n in sorted(held):
        ref, found = refs[n], sorted(held[n])
        title, source, category, updated = described[n]
        read = words(found, ref.start, ref.end), places_of(found, ref.start, ref.end)
        yield Passage(ref, title, source, category, _day(updated), *read)


def access_of(tenant: str, row: sa.Row[Any]) -> Access:
    """A row's own access list."""
    return _access(tenant, row.allow, row.deny)


def access_columns(access: Access) -> dict[str, str]:
    """An access list as a row holds it."""
    return {"allow": _listed(access.allow), "deny": _listed(access.deny)}


@lru_cache(maxsize=4096)
def _access(tenant: str, allow: str, deny: str) -> Access:
    """Many documents have the same few lists."""
    return Access(tenant, _grants.decode(allow), _grants.decode(deny))


def _day(stored: date | str | None) -> date | None:
    return date.fromisoformat(stored) if isinstance(stored, str) else stored


def _listed(grants: frozenset[str]) -> str:
    return msgspec.json.encode(sorted(grants)).decode()


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


def _current(refs: sa.FromClause) -> sa.ColumnElement[bool]:
    """Whether a document is at the version of a ref, not hidden by another of its tenant, and not past its day."""
    newer = documents.alias("newer")
    superseded = sa.exists().where(
        newer.c.tenant == documents.c.tenant, newer.c.supersedes == documents.c.id, newer.c.id != documents.c.id
    )
    return sa.and_(
        documents.c.tenant == sa.bindparam("tenant"),
        documents.c.id == refs.c.document,
        documents.c.version == refs.c.version,
        documents.c.expires.is_(None) | (documents.c.expires > sa.bindparam("today", type_=sa.Date)),
        ~superseded,
    )


def _words(refs: sa.FromClause, document: sa.FromClause) -> sa.ColumnElement[bool]:
    return sa.and_(
        pieces.c.tenant == document.c.tenant,
        pieces.c.document == document.c.id,
        pieces.c.version == document.c.version,
        pieces.c.parser == sa.bindparam("parser"),
        pieces.c.n.between(refs.c.first, refs.c.last),
    )
