"""What each tenant has used in each hour.

Revision ID: b81e6d2f70a4
Revises: 5f2c81e7d0a9
"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "b81e6d2f70a4"
down_revision: str | Sequence[str] | None = "5f2c81e7d0a9"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    """Move to this revision."""
    op.create_table(
        "tenant_usage",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("hour", sa.DateTime(timezone=True), nullable=False),
        sa.Column("slug", sa.String(length=63), nullable=False),
        sa.Column("requests", sa.BigInteger(), nullable=False),
        sa.Column("microseconds", sa.BigInteger(), nullable=False),
        sa.Column("database_microseconds", sa.BigInteger(), nullable=False),
        sa.Column("bytes_sent", sa.BigInteger(), nullable=False),
        sa.Column("rows_written", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "hour", name=op.f("pk_tenant_usage")),
    )
    op.create_index(op.f("ix_tenant_usage_hour"), "tenant_usage", ["hour"])


def downgrade() -> None:
    """Move back to the one before. What was counted is gone."""
    op.drop_table("tenant_usage")
