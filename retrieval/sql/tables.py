"""The catalog's tables, the same on SQLite and PostgreSQL; `migrations` makes them."""

from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa


class Moment(sa.types.TypeDecorator[datetime]):
    """A time with its zone, which SQLite cannot keep: it is stored there, and read anywhere, as UTC."""

    impl = sa.DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Any) -> datetime | None:
        return None if value is None else value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Any) -> datetime | None:
        return None if value is None else value.replace(tzinfo=value.tzinfo or UTC).astimezone(UTC)


# Names are compared and ordered by code point on both databases, whatever language a server speaks.
Name = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
tables = sa.MetaData()


def _key(*names: str) -> list[sa.Column[Any]]:
    return [sa.Column(name, Name, primary_key=True) for name in names]


def _description() -> list[sa.Column[Any]]:
    return [
        sa.Column("version", Name, nullable=False),
        sa.Column("title", sa.Text, nullable=False),
        sa.Column("source", sa.Text, nullable=False),
        sa.Column("category", sa.Text),
        sa.Column("updated", sa.Date),
        sa.Column("expires", sa.Date),
        sa.Column("supersedes", Name),
        sa.Column("origin", Name, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("given", sa.Text, nullable=False),
    ]


def _index_of_kept(part: str) -> sa.Index:
    """For what is too old: whatever lost the part already is not in it, and is not looked at again each hour."""
    there = sa.text(f"{part} IS NOT NULL")
    return sa.Index(f"records_with_{part}", "kind", "created", sqlite_where=there, postgresql_where=there)


documents = sa.Table(
    "documents",
    tables,
    *_key("tenant", "id"),
    *_description(),
    sa.Column("allow", sa.Text, nullable=False),  # JSON arrays: no statement looks inside
    sa.Column("deny", sa.Text, nullable=False),
    sa.Column("sequence", sa.BigInteger, nullable=False),
    sa.Column("epoch", sa.BigInteger, nullable=False),
    sa.Index("documents_supersedes", "tenant", "supersedes"),
    sa.Index("documents_origin", "origin"),
)
versions = sa.Table(
    "versions",
    tables,
    *_key("tenant", "document"),
    sa.Column("sequence", sa.BigInteger, primary_key=True, autoincrement=False),
    *_description(),
    sa.Column("ingestion", Name, nullable=False),
    sa.Column("at", Moment, nullable=False),
)
originals = sa.Table(
    "originals",
    tables,
    *_key("tenant", "document", "version"),
    sa.Column("raw", sa.LargeBinary, nullable=False),
)
contents = sa.Table(
    "contents",
    tables,
    *_key("tenant", "document", "version", "parser"),
    sa.Column("blocks", sa.LargeBinary, nullable=False),
)
pieces = sa.Table(
    "pieces",
    tables,
    *_key("tenant", "document", "version", "parser"),
    sa.Column("n", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("text", sa.Text, nullable=False),
    sa.Column("places", sa.LargeBinary, nullable=False),  # where the words of this piece stand
)
changes = sa.Table(
    "changes",
    tables,
    *_key("tenant"),
    sa.Column("sequence", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("document", Name, nullable=False),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("at", Moment, nullable=False),
    sa.Column("ingestion", Name, nullable=False),
    sa.Column("version", Name),
    sa.Index("changes_document", "tenant", "document"),
    sa.Index("changes_ingestion", "tenant", "ingestion"),
)
listed_names = sa.Table(
    "listed_names",
    tables,
    *_key("tenant", "digest", "side"),  # of a name that an allow or a deny list of the tenant has, or had
)
sequences = sa.Table(
    "sequences",
    tables,
    *_key("tenant"),
    sa.Column("value", sa.BigInteger, nullable=False),
    sa.Column("required", sa.BigInteger, nullable=False),
)
tombstones = sa.Table(
    "tombstones",
    tables,
    *_key("tenant", "document"),
    sa.Column("sequence", sa.BigInteger, nullable=False),
    sa.Column("at", Moment, nullable=False),
    sa.Column("erased", sa.Boolean, nullable=False),
)
holdings = sa.Table(
    "holdings",
    tables,
    *_key("index", "tenant", "document"),
    sa.Column("digest", sa.Text, nullable=False),
    sa.Column("described", sa.Text, nullable=False),
    sa.Column("chunks", sa.Integer, nullable=False),
    sa.Column("tokens", sa.Double, nullable=False),
)
marks = sa.Table("marks", tables, *_key("index", "tenant"), sa.Column("applied", sa.BigInteger, nullable=False))
seals = sa.Table(
    "seals",
    tables,
    *_key("index"),
    sa.Column("place", sa.Text, nullable=False),
    sa.Column("manifest", sa.Text, nullable=False),
)
ingestions = sa.Table(
    "ingestions",
    tables,
    *_key("id"),
    sa.Column("tenant", Name, nullable=False),
    sa.Column("by", sa.Text, nullable=False),
    sa.Column("created", Moment, nullable=False),
)
ingestion_items = sa.Table(
    "ingestion_items",
    tables,
    *_key("ingestion"),
    sa.Column("n", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("tenant", Name, nullable=False),
    sa.Column("document", Name, nullable=False),
    sa.Column("payload", sa.LargeBinary),
    sa.Column("accepted", sa.BigInteger, nullable=False),
    sa.Column("status", Name, nullable=False),
    sa.Column("reason", sa.Text),
    sa.Column("version", Name),
    sa.Column("sequence", sa.BigInteger, nullable=False),
    sa.Column("chunks", sa.Integer, nullable=False),
    sa.Index("ingestion_items_status", "status", "ingestion", "n"),
    sa.Index("ingestion_items_document", "tenant", "document"),
)
record_batches = sa.Table(
    "record_batches",
    tables,
    sa.Column("sequence", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("previous", Name, nullable=False),
    sa.Column("digest", Name, nullable=False),
    sa.Column("size", sa.Integer, nullable=False),
    sa.Column("first", Name, nullable=False),
    sa.Column("last", Name, nullable=False),
    sa.Column("at", Moment, nullable=False),
)
records = sa.Table(
    "records",
    tables,
    *_key("id"),
    sa.Column("batch", sa.BigInteger, nullable=False),
    sa.Column("n", sa.Integer, nullable=False),
    sa.Column("kind", Name, nullable=False),
    sa.Column("created", Moment, nullable=False),
    sa.Column("tenant", Name, nullable=False),
    sa.Column("about", Name),
    sa.Column("review", sa.Boolean, nullable=False),
    sa.Column("digests", Name, nullable=False),
    sa.Column("digest", Name, nullable=False),
    # From here on erasable: what is gone stays in the chain by its digest.
    sa.Column("subject", Name),
    sa.Column("documents", Name),  # ids in a JSON array
    sa.Column("facts", sa.Text),
    sa.Column("person", sa.Text),
    sa.Column("sources", sa.Text),
    sa.Column("words", sa.Text),
    sa.Index("records_batch", "batch", "n"),
    sa.Index("records_created", "tenant", "created", "id"),
    sa.Index("records_about", "about", "kind"),
    sa.Index("records_kind", "kind", "created"),
    sa.Index("records_time", "created", "id"),
    sa.Index(
        "records_for_review",
        "tenant",
        "created",
        "id",
        sqlite_where=sa.text("review = 1 AND facts IS NOT NULL"),
        postgresql_where=sa.text("review AND facts IS NOT NULL"),
    ),
    *(_index_of_kept(part) for part in ("facts", "words")),
)
erased_people = sa.Table(
    "erased_people",
    tables,
    *_key("tenant"),
    sa.Column("at", Moment, primary_key=True),
    sa.Column("digest", Name, primary_key=True),  # of the salt, the tenant and the person's name
    sa.Column("salt", Name, nullable=False),
)
usage = sa.Table(
    "usage",
    tables,
    *_key("tenant"),
    sa.Column("day", sa.Date, primary_key=True),
    sa.Column("model", Name, primary_key=True),
    sa.Column("requests", sa.BigInteger, nullable=False),
    sa.Column("prompt_tokens", sa.BigInteger, nullable=False),
    sa.Column("completion_tokens", sa.BigInteger, nullable=False),
    sa.Column("cached_tokens", sa.BigInteger, nullable=False),
    sa.Column("cost", sa.BigInteger, nullable=False),  # billionths of a US dollar
)
