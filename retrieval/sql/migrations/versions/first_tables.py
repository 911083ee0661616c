"""The catalog's first tables."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

NAME = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    """Make them all."""
    for make in (_documents, _texts, _history, _indexes, _ingestions):
        make()


def _documents() -> None:
    op.create_table(
        "documents",
        sa.Column("tenant", NAME, nullable=False),
        sa.Column("id", NAME, nullable=False),
        sa.Column("version", NAME, nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("category", sa.Text()),
        sa.Column("updated", sa.Date()),
        sa.Column("expires", sa.Date()),
        sa.Column("supersedes", NAME),
        sa.Column("origin", NAME, nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("given", sa.Text(), nullable=False),
        sa.Column("allow", sa.Text(), nullable=False),
        sa.Column("deny", sa.Text(), nullable=False),
        sa.Column("sequence", sa.BigInteger(), nullable=False),
        sa.Column("epoch", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "id"),
    )
    op.create_index("documents_origin", "documents", ["origin"])
    op.create_index("documents_supersedes", "documents", ["tenant", "supersedes"])
    op.create_table(
        "tombstones",
        sa.Column("tenant", NAME, nullable=False),
        sa.Column("document", NAME, nullable=False),
        sa.Column("sequence", sa.BigInteger(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("erased", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "document"),
    )


def _texts() -> None:
    op.create_table(
        "originals",
        sa.Column("tenant", NAME, nullable=False),
        sa.Column("document", NAME, nullable=False),
        sa.Column("version", NAME, nullable=False),
        sa.Column("raw", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "document", "version"),
    )
    op.create_table(
        "contents",
        sa.Column("tenant", NAME, nullable=False),
        sa.Column("document", NAME, nullable=False),
        sa.Column("version", NAME, nullable=False),
        sa.Column("parser", NAME, nullable=False),
        sa.Column("blocks", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "document", "version", "parser"),
    )
    op.create_table(
        "pieces",
        sa.Column("tenant", NAME, nullable=False),
        sa.Column("document", NAME, nullable=False),
        sa.Column("version", NAME, nullable=False),
        sa.Column("parser", NAME, nullable=False),
        sa.Column("n", sa.Integer(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("places", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "document", "version", "parser", "n"),
    )


def _history() -> None:
    op.create_table(
        "versions",
        sa.Column("tenant", NAME, nullable=False),
        sa.Column("document", NAME, nullable=False),
        sa.Column("sequence", sa.BigInteger(), nullable=False),
        sa.Column("version", NAME, nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("category", sa.Text()),
        sa.Column("updated", sa.Date()),
        sa.Column("expires", sa.Date()),
        sa.Column("supersedes", NAME),
        sa.Column("origin", NAME, nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("given", sa.Text(), nullable=False),
        sa.Column("ingestion", NAME, nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "document", "sequence"),
    )
    op.create_table(
        "changes",
        sa.Column("tenant", NAME, nullable=False),
        sa.Column("sequence", sa.BigInteger(), nullable=False),
        sa.Column("document", NAME, nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ingestion", NAME, nullable=False),
        sa.Column("version", NAME),
        sa.PrimaryKeyConstraint("tenant", "sequence"),
    )
    op.create_index("changes_document", "changes", ["tenant", "document"])
    op.create_index("changes_ingestion", "changes", ["tenant", "ingestion"])
    op.create_table(
        "sequences",
        sa.Column("tenant", NAME, nullable=False),
        sa.Column("value", sa.BigInteger(), nullable=False),
        sa.Column("required", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("tenant"),
    )


def _indexes() -> None:
    op.create_table(
        "holdings",
        sa.Column("index", NAME, nullable=False),
        sa.Column("tenant", NAME, nullable=False),
        sa.Column("document", NAME, nullable=False),
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("described", sa.Text(), nullable=False),
        sa.Column("chunks", sa.Integer(), nullable=False),
        sa.Column("tokens", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("index", "tenant", "document"),
    )
    op.create_table(
        "marks",
        sa.Column("index", NAME, nullable=False),
        sa.Column("tenant", NAME, nullable=False),
        sa.Column("applied", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("index", "tenant"),
    )
    op.create_table(
        "seals",
        sa.Column("index", NAME, nullable=False),
        sa.Column("place", sa.Text(), nullable=False),
        sa.Column("manifest", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("index"),
    )


def _ingestions() -> None:
    op.create_table(
        "ingestions",
        sa.Column("id", NAME, nullable=False),
        sa.Column("tenant", NAME, nullable=False),
        sa.Column("by", sa.Text(), nullable=False),
        sa.Column("created", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "ingestion_items",
        sa.Column("ingestion", NAME, nullable=False),
        sa.Column("n", sa.Integer(), nullable=False),
        sa.Column("tenant", NAME, nullable=False),
        sa.Column("document", NAME, nullable=False),
        sa.Column("payload", sa.LargeBinary()),
        sa.Column("accepted", sa.BigInteger(), nullable=False),
        sa.Column("status", NAME, nullable=False),
        sa.Column("reason", sa.Text()),
        sa.Column("version", NAME),
        sa.Column("sequence", sa.BigInteger(), nullable=False),
        sa.Column("chunks", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("ingestion", "n"),
    )
    op.create_index("ingestion_items_document", "ingestion_items", ["tenant", "document"])
    op.create_index("ingestion_items_status", "ingestion_items", ["status", "ingestion", "n"])
