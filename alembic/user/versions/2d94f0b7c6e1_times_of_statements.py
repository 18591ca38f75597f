"""How long the statements of requests took in each hour.

Revision ID: 2d94f0b7c6e1
Revises: a7c05d92e4b1
"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "2d94f0b7c6e1"
down_revision: str | Sequence[str] | None = "a7c05d92e4b1"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    """Move to this revision."""
    op.create_table(
        "statement_usage",
        sa.Column("hour", sa.DateTime(timezone=True), nullable=False),
        sa.Column("database", sa.String(length=20), nullable=False),
        sa.Column("digest", sa.String(length=32), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("calls", sa.BigInteger(), nullable=False),
        sa.Column("microseconds", sa.BigInteger(), nullable=False),
        sa.Column("worst_microseconds", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("hour", "database", "digest", name=op.f("pk_statement_usage")),
    )


def downgrade() -> None:
    """Move back to the one before. What was measured is gone."""
    op.drop_table("statement_usage")
