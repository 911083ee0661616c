"""Indexes of records by age that leave out what is gone already."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Make both."""
    for part in ("facts", "words"):
        there = sa.text(f"{part} IS NOT NULL")
        op.create_index(
            f"records_with_{part}", "records", ["kind", "created"], sqlite_where=there, postgresql_where=there
        )
