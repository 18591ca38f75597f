"""When a worker looks into a tenant for jobs.

Revision ID: e61d0f38b5a7
Revises: b27c9e4f1a08
"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "e61d0f38b5a7"
down_revision: str | Sequence[str] | None = "b27c9e4f1a08"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    """Move to this revision."""
    op.create_table(
        "tenant_visits",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("owner", sa.String(length=300), nullable=True),
        sa.Column("lease_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("seen", sa.String(length=100), nullable=True),
        sa.Column("job_id", sa.Uuid(), nullable=True),
        sa.Column("progress", sa.Float(), nullable=False),
        sa.Column("progress_text", sa.String(length=200), nullable=True),
        sa.Column("cancel_id", sa.Uuid(), nullable=True),
        sa.ForeignKeyConstraint(
            ["tenant_id"], ["tenants.id"], name=op.f("fk_tenant_visits_tenant_id_tenants"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("tenant_id", name=op.f("pk_tenant_visits")),
    )
    op.create_index(op.f("ix_tenant_visits_due_at"), "tenant_visits", ["due_at"])


def downgrade() -> None:
    """Move back to the one before."""
    op.drop_table("tenant_visits")
