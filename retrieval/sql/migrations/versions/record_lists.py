"""Indexes of records in order of their time: of all tenants, and of those that want a review."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Make both."""
    op.create_index("records_time", "records", ["created", "id"])
    op.create_index(
        "records_for_review",
        "records",
        ["tenant", "created", "id"],
        sqlite_where=sa.text("review = 1 AND facts IS NOT NULL"),
        postgresql_where=sa.text("review AND facts IS NOT NULL"),
    )
