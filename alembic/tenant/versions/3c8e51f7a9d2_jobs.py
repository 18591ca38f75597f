"""Jobs.

Revision ID: 3c8e51f7a9d2
Revises: 6a1d93e0c47b
"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "3c8e51f7a9d2"
down_revision: str | Sequence[str] | None = "6a1d93e0c47b"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    """Move to this revision."""
    op.create_table(
        "tenant_jobs",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.String(length=100), nullable=False),
        sa.Column("arguments", sa.Text(), nullable=False),
        sa.Column("schedule", sa.String(length=100), nullable=True),
        sa.Column("periodic_name", sa.String(length=100), nullable=True),
        sa.Column("state", sa.String(length=10), nullable=False),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("owner", sa.String(length=300), nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("database", sa.String(length=63), nullable=False),
        sa.Column("epoch", sa.String(length=32), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_tenant_jobs")),
        sa.UniqueConstraint("periodic_name", name=op.f("uq_tenant_jobs_periodic_name")),
    )
    op.create_index(op.f("ix_tenant_jobs_state_due_at_id"), "tenant_jobs", ["state", "due_at", "id"])


def downgrade() -> None:
    """Move back to the one before."""
    op.drop_table("tenant_jobs")
