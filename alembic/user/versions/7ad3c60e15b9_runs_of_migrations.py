"""The runs of ``tenantapp migrate``.

Revision ID: 7ad3c60e15b9
Revises: c81b5e6d3f07
"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "7ad3c60e15b9"
down_revision: str | Sequence[str] | None = "c81b5e6d3f07"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    """Move to this revision."""
    op.create_table(
        "migration_runs",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("wanted", sa.String(length=100), nullable=False),
        sa.Column("requested_by", sa.String(length=300), nullable=False),
        sa.Column("owner", sa.String(length=300), nullable=False),
        sa.Column("jobs", sa.Integer(), nullable=False),
        sa.Column("stages", sa.JSON(), nullable=False),
        sa.Column("points", sa.JSON(), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("seen_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("stopped_by", sa.String(length=20), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_migration_runs")),
    )


def downgrade() -> None:
    """Move back to the one before."""
    op.drop_table("migration_runs")
