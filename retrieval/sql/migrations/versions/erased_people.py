"""That people were erased, for what of theirs was on its way then."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"

NAME = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "erased_people",
        sa.Column("tenant", NAME, nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("digest", NAME, nullable=False),
        sa.Column("salt", NAME, nullable=False),
        sa.PrimaryKeyConstraint("tenant", "at", "digest"),
    )
