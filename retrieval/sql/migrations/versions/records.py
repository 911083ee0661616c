"""Records of answers, feedback and decisions, and the batches that chain them."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

NAME = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    """Make both tables."""
    op.create_table(
        "record_batches",
        sa.Column("sequence", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("previous", NAME, nullable=False),
        sa.Column("digest", NAME, nullable=False),
        sa.Column("size", sa.Integer(), nullable=False),
        sa.Column("first", NAME, nullable=False),
        sa.Column("last", NAME, nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("sequence"),
    )
    op.create_table(
        "records",
        sa.Column("id", NAME, nullable=False),
        sa.Column("batch", sa.BigInteger(), nullable=False),
        sa.Column("n", sa.Integer(), nullable=False),
        sa.Column("kind", NAME, nullable=False),
        sa.Column("created", sa.DateTime(timezone=True), nullable=False),
        sa.Column("tenant", NAME, nullable=False),
        sa.Column("about", NAME),
        sa.Column("review", sa.Boolean(), nullable=False),
        sa.Column("digests", NAME, nullable=False),
        sa.Column("digest", NAME, nullable=False),
        sa.Column("subject", NAME),
        sa.Column("documents", NAME),
        sa.Column("facts", sa.Text()),
        sa.Column("person", sa.Text()),
        sa.Column("sources", sa.Text()),
        sa.Column("words", sa.Text()),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("records_batch", "records", ["batch", "n"])
    op.create_index("records_created", "records", ["tenant", "created", "id"])
    op.create_index("records_about", "records", ["about", "kind"])
    op.create_index("records_kind", "records", ["kind", "created"])
