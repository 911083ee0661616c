"""Which names the access lists have, those of documents that are there included."""

import hashlib
import json

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"

NAME = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    """Make the table and fill it."""
    table = op.create_table(
        "listed_names",
        sa.Column("tenant", NAME, nullable=False),
        sa.Column("digest", NAME, nullable=False),
        sa.Column("side", NAME, nullable=False),
        sa.PrimaryKeyConstraint("tenant", "digest", "side"),
    )
    if op.get_bind().dialect.name == "postgresql":  # on SQLite nobody else writes meanwhile
        op.execute("LOCK TABLE documents IN SHARE MODE")
    found = op.get_bind().execute(sa.text("SELECT DISTINCT tenant, allow, deny FROM documents")).all()
    listed = {
        (tenant, hashlib.sha256(f"{len(tenant)}:{tenant}{name}".encode()).hexdigest(), side)
        for tenant, allow, deny in found
        for side, names in (("allow", allow), ("deny", deny))
        for name in json.loads(names)
    }
    op.bulk_insert(table, [{"tenant": tenant, "digest": digest, "side": side} for tenant, digest, side in listed])
