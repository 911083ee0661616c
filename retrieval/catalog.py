"""The document authority: what exists, its stored text, and who may see it. It stands outside every index version.

SQL alone decides access. A passage reaches a prompt only through `Catalog.read`, which checks in one indexed statement
that its document exists, is at that version and is not superseded, and then applies the access list kept here.
"""

from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import date
from functools import cache
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import sqlite
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from retrieval.acl import Access, AccessFilter
from retrieval.errors import CatalogError
from retrieval.outline import Blocks, Place, outline, split_blocks
from retrieval.store import ChunkRef

_DESCRIBING = ("version", "title", "source", "category", "updated", "supersedes", "origin")
_SCHEMA = 2
_tables = sa.MetaData()
_documents = sa.Table(
    "documents",
    _tables,
    sa.Column("tenant", sa.Text, primary_key=True),
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("version", sa.Text, nullable=False),
    sa.Column("title", sa.Text, nullable=False),
    sa.Column("source", sa.Text, nullable=False),
    sa.Column("category", sa.Text),
    sa.Column("updated", sa.Date),
    sa.Column("supersedes", sa.Text),
    sa.Column("origin", sa.Text, nullable=False),
    sa.Column("allow", sa.JSON, nullable=False),
    sa.Column("deny", sa.JSON, nullable=False),
    sa.Column("sequence", sa.Integer, nullable=False),
    sa.Index("documents_supersedes", "tenant", "supersedes"),
)
_contents = sa.Table(
    "contents",
    _tables,
    sa.Column("tenant", sa.Text, primary_key=True),
    sa.Column("document", sa.Text, primary_key=True),
    sa.Column("version", sa.Text, primary_key=True),
    sa.Column("parser", sa.Text, primary_key=True),
    sa.Column("text", sa.Text, nullable=False),
    sa.Column("blocks", sa.LargeBinary, nullable=False),
)
_sequences = sa.Table(
    "sequences",
    _tables,
    sa.Column("tenant", sa.Text, primary_key=True),
    sa.Column("value", sa.Integer, nullable=False),
)
_indexed = sa.Table(
    "holdings",
    _tables,
    sa.Column("index", sa.Text, primary_key=True),
    sa.Column("tenant", sa.Text, primary_key=True),
    sa.Column("document", sa.Text, primary_key=True),
    sa.Column("digest", sa.Text, nullable=False),
    sa.Column("chunks", sa.Integer, nullable=False),
    sa.Column("tokens", sa.Float, nullable=False),
    sa.Column("access", sa.Text, nullable=False),
)


@dataclass(frozen=True, slots=True)
class Document:
    """What the catalog knows: `version` is `sha256:<hex>` of the content, `source` is where a reader opens it.

    `origin` names the folder that it came from, and that alone may replace it or take it away.
    """

    id: str
    version: str
    title: str
    source: str
    category: str | None
    updated: date | None
    supersedes: str | None
    access: Access
    origin: str = ""


@dataclass(frozen=True, slots=True)
class Content:
    """The stored text of one version under one parser, with its blocks as that parser encoded them."""

    parser: str
    text: str
    blocks: bytes


@dataclass(frozen=True, slots=True)
class Passage:
    """A permitted chunk with its words: `text` is code points `ref.start` to `ref.end` of the stored text.

    `places` are the headings and pages its words stand under, in order, from `ref.start` on.
    """

    ref: ChunkRef
    title: str
    source: str
    category: str | None
    updated: date | None
    text: str
    places: tuple[Place, ...] = ()


@dataclass(frozen=True, slots=True)
class Indexed:
    """What an index version holds of a document: digests of what went into its chunks and of the access they carry.

    Without a `digest` it is being written, and what there is of it may be half of it.
    """

    digest: str
    chunks: int
    tokens: float
    access: str = ""


BEGUN = Indexed("", 0, 0.0)


class Catalog:
    """Errors: CatalogError whenever SQL cannot answer."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    @classmethod
    @asynccontextmanager
    async def open(cls, path: Path) -> AsyncIterator["Catalog"]:
        """Open the SQLite catalog at `path`, creating it when it is not there."""
        path.parent.mkdir(parents=True, exist_ok=True)
        engine = create_async_engine(f"sqlite+aiosqlite:///{path}")
        sa.event.listen(engine.sync_engine, "connect", _configure)
        try:
            with _mapped(path.name):
                async with engine.begin() as connection:
                    await connection.run_sync(_create, path.name)
            yield cls(engine)
        finally:
            await engine.dispose()

    async def read(self, refs: Sequence[ChunkRef], access: AccessFilter, parser: str) -> list[Passage]:
        """The passages among `refs` that exist, are current and are permitted, in the order asked for."""
        if not refs:
            return []
        async with self._connect() as connection:
            rows = (await connection.execute(_current(len(refs)), _wanted(refs, access.tenant, parser))).all()
        permitted = [row for row in rows if access.permits(_access(access.tenant, row))]
        permitted.sort(key=lambda row: int(row.n))
        return list(_passages(refs, permitted))

    async def check(self) -> None:
        """Raise unless the tables that decide and speak for documents can be read."""
        async with self._connect() as connection:
            for table in (_documents, _contents):
                await connection.execute(sa.select(sa.literal(1)).select_from(table).limit(1))

    async def get(self, tenant: str, document: str) -> Document | None:
        """One document, whoever may see it: for ingestion and operators, never for a caller."""
        one = sa.select(_documents).where(_documents.c.tenant == tenant, _documents.c.id == document)
        async with self._connect() as connection:
            row = (await connection.execute(one)).one_or_none()
        return None if row is None else _document(row)

    async def documents(self) -> list[Document]:
        """All documents of all tenants, by tenant and id: for operators."""
        everything = sa.select(_documents).order_by(_documents.c.tenant, _documents.c.id)
        async with self._connect() as connection:
            return [_document(row) for row in await connection.execute(everything)]

    async def text(self, tenant: str, document: str, version: str, parser: str) -> str | None:
        """The stored text of one version: for evaluation and operators."""
        keys = {"tenant": tenant, "document": document, "version": version, "parser": parser}
        one = sa.select(_contents.c.text).where(*(_contents.c[name] == value for name, value in keys.items()))
        async with self._connect() as connection:
            return (await connection.execute(one)).scalar_one_or_none()

    async def origins(self) -> Mapping[tuple[str, str], str]:
        """Which folder every document came from, by (tenant, document): for ingestion."""
        every = sa.select(_documents.c.tenant, _documents.c.id, _documents.c.origin)
        async with self._connect() as connection:
            return {(row.tenant, row.id): row.origin for row in await connection.execute(every)}

    async def put(self, document: Document, content: Content) -> None:
        """Store a version and make it the current one, in one transaction.

        Index versions that hold it as it was before are noted as not holding it.
        """
        tenant = document.access.tenant
        stored = {"tenant": tenant, "document": document.id, "version": document.version, "parser": content.parser}
        async with self._begin() as connection:
            await connection.execute(_upsert(_contents, stored, {"text": content.text, "blocks": content.blocks}))
            await connection.execute(_outdate(document))
            sequence = await _next(connection, tenant)
            keys = {"tenant": tenant, "id": document.id}
            await connection.execute(_upsert(_documents, keys, {**_columns(document), "sequence": sequence}))

    async def describe(self, document: Document) -> None:
        """Change what is known of a document (access, dates, category) without touching its content."""
        async with self._begin() as connection:
            sequence = await _next(connection, document.access.tenant)
            keys = {"tenant": document.access.tenant, "id": document.id}
            await connection.execute(_upsert(_documents, keys, {**_columns(document), "sequence": sequence}))

    async def watermark(self) -> dict[str, int]:
        """The last sequence of every tenant."""
        async with self._connect() as connection:
            rows = (await connection.execute(sa.select(_sequences))).all()
        return {row.tenant: row.value for row in rows}

    async def indexed(self, index: str) -> Mapping[tuple[str, str], Indexed]:
        """What an index version holds, by (tenant, document)."""
        held = sa.select(_indexed).where(_indexed.c.index == index)
        async with self._connect() as connection:
            rows = (await connection.execute(held)).all()
        return {(row.tenant, row.document): _held(row) for row in rows}

    async def mark_indexed(self, index: str, tenant: str, document: str, held: Indexed) -> None:
        """Record that an index version durably holds a document."""
        keys = {"index": index, "tenant": tenant, "document": document}
        values = {"digest": held.digest, "chunks": held.chunks, "tokens": held.tokens, "access": held.access}
        async with self._begin() as connection:
            await connection.execute(_upsert(_indexed, keys, values))

    async def forget_index(self, index: str) -> None:
        """Drop the record of an index version whose directory is gone."""
        async with self._begin() as connection:
            await connection.execute(sa.delete(_indexed).where(_indexed.c.index == index))

    @asynccontextmanager
    async def _connect(self) -> AsyncIterator[AsyncConnection]:
        with _mapped():
            async with self._engine.connect() as connection:
                yield connection

    @asynccontextmanager
    async def _begin(self) -> AsyncIterator[AsyncConnection]:
        with _mapped():
            async with self._engine.begin() as connection:
                yield connection


@contextmanager
def _mapped(name: str = "") -> Iterator[None]:
    try:
        yield
    except SQLAlchemyError as error:
        named = f" {name!r}" if name else ""
        raise CatalogError(f"the catalog database{named} does not answer: {type(error).__name__}") from error


def _create(connection: sa.Connection, name: str) -> None:
    """Make all tables or none, or refuse a catalog whose tables are those of another release.

    The driver begins no transaction for tables by itself. This one waits for whoever else is making them.
    """
    if _schema(connection) == _SCHEMA:
        return
    connection.exec_driver_sql("BEGIN IMMEDIATE")
    found = _schema(connection)
    if found == _SCHEMA:
        return
    if sa.inspect(connection).get_table_names():
        raise CatalogError(
            f"the catalog {name!r} has schema {found}, this release needs {_SCHEMA}: move it and the indexes away, "
            "and ingest every folder again"
        )
    _tables.create_all(connection)
    connection.exec_driver_sql(f"PRAGMA user_version = {_SCHEMA}")


def _schema(connection: sa.Connection) -> int:
    return int(connection.exec_driver_sql("PRAGMA user_version").scalar_one())


def _configure(connection: Any, _record: object) -> None:
    """WAL lets readers go on while ingestion writes; a writer waits for another instead of failing."""
    for pragma in ("busy_timeout = 10000", "journal_mode = WAL", "synchronous = FULL"):
        connection.execute(f"PRAGMA {pragma}").close()


@cache
def _current(count: int) -> sa.CompoundSelect[Any]:
    """One statement for `count` refs: the text of each whose document exists, is at that version and not superseded.

    Made once per count, because SQLAlchemy keeps the compiled form of a statement it has seen, but not of VALUES rows.
    """
    return sa.union_all(*(_one(n) for n in range(count)))


def _one(n: int) -> sa.Select[Any]:
    newer = _documents.alias("newer")
    text = sa.func.substr(_contents.c.text, sa.bindparam(f"start{n}"), sa.bindparam(f"length{n}")).label("text")
    shown = [_documents.c[name] for name in ("title", "source", "category", "updated", "allow", "deny")]
    same_version = sa.and_(
        _contents.c.tenant == _documents.c.tenant,
        _contents.c.document == _documents.c.id,
        _contents.c.version == _documents.c.version,
        _contents.c.parser == sa.bindparam("parser"),
    )
    blocks = sa.case((sa.bindparam(f"first{n}"), _contents.c.blocks)).label("blocks")
    return (
        sa.select(sa.literal_column(str(n), sa.Integer).label("n"), text, blocks, *shown)
        .join(_contents, same_version)
        .where(_documents.c.tenant == sa.bindparam("tenant"), _documents.c.id == sa.bindparam(f"document{n}"))
        .where(_documents.c.version == sa.bindparam(f"version{n}"))
        .where(~sa.exists().where(newer.c.tenant == _documents.c.tenant, newer.c.supersedes == _documents.c.id))
    )


def _wanted(refs: Sequence[ChunkRef], tenant: str, parser: str) -> dict[str, Any]:
    """The statement's parameters; a document's blocks are asked for once, with the first of its refs."""
    values: dict[str, Any] = {"tenant": tenant, "parser": parser}
    seen: set[tuple[str, str]] = set()
    for n, ref in enumerate(refs):
        values[f"first{n}"] = (ref.document, ref.version) not in seen
        seen.add((ref.document, ref.version))
        values |= {f"document{n}": ref.document, f"version{n}": ref.version}
        values |= {f"start{n}": ref.start + 1, f"length{n}": ref.end - ref.start}
    return values


def _passages(refs: Sequence[ChunkRef], rows: Sequence[Any]) -> Iterator[Passage]:
    """Rows of one document are permitted together or not at all, so that the first of them has its blocks."""
    blocks: dict[str, Blocks] = {}
    for row in rows:
        ref = refs[row.n]
        if row.blocks is not None:
            blocks[ref.document] = split_blocks(row.blocks)
        places = outline(blocks[ref.document], ref.start, ref.end)
        yield Passage(ref, row.title, row.source, row.category, row.updated, row.text, places)


def _upsert(table: sa.Table, keys: Mapping[str, Any], values: Mapping[str, Any]) -> sqlite.Insert:
    insert = sqlite.insert(table).values(**keys, **values)
    return insert.on_conflict_do_update(index_elements=list(keys), set_=dict(values))


async def _next(connection: AsyncConnection, tenant: str) -> int:
    raised = sqlite.insert(_sequences).values(tenant=tenant, value=1)
    raised = raised.on_conflict_do_update(index_elements=["tenant"], set_={"value": _sequences.c.value + 1})
    return int((await connection.execute(raised.returning(_sequences.c.value))).scalar_one())


def _outdate(document: Document) -> sa.Delete:
    """Drop the notes of finished holdings, if the current version or description is another than `document`."""
    tenant, columns = document.access.tenant, _columns(document)
    alike = (_documents.c[name].is_not_distinct_from(columns[name]) for name in _DESCRIBING)
    same = sa.exists().where(_documents.c.tenant == tenant, _documents.c.id == document.id, *alike)
    mine = sa.and_(_indexed.c.tenant == tenant, _indexed.c.document == document.id)
    return sa.delete(_indexed).where(mine, _indexed.c.digest != BEGUN.digest, ~same)


def _held(row: Any) -> Indexed:
    return Indexed(row.digest, row.chunks, row.tokens, row.access)


def _columns(document: Document) -> dict[str, Any]:
    access = document.access
    columns = {name: getattr(document, name) for name in _DESCRIBING}
    return {**columns, "allow": sorted(access.allow), "deny": sorted(access.deny)}


def _access(tenant: str, row: Any) -> Access:
    return Access(tenant, frozenset(row.allow), frozenset(row.deny))


def _document(row: Any) -> Document:
    fields = {name: getattr(row, name) for name in ("id", *_DESCRIBING)}
    return Document(**fields, access=_access(row.tenant, row))
