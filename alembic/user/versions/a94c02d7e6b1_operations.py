"""Long pieces of work as rows.

Revision ID: a94c02d7e6b1
Revises: 3f1c7a90b2d4
"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "a94c02d7e6b1"
down_revision: str | Sequence[str] | None = "3f1c7a90b2d4"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

STATES = "state IN ('queued', 'running', 'undoing', 'succeeded', 'failed', 'cancelled')"
IS_ACTIVE = sa.text("state IN ('running', 'undoing')")


def upgrade() -> None:
    """Move to this revision."""
    op.create_table(
        "operations",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.String(length=50), nullable=False),
        sa.Column("tenant_id", sa.Uuid(), nullable=True),
        sa.Column("slug", sa.String(length=63), nullable=True),
        sa.Column("arguments", sa.JSON(), nullable=False),
        sa.Column("state", sa.String(length=20), nullable=False),
        sa.Column("step", sa.String(length=50), nullable=True),
        sa.Column("progress", sa.Float(), nullable=False),
        sa.Column("progress_text", sa.String(length=200), nullable=True),
        sa.Column("result", sa.JSON(), nullable=False),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("requested_by", sa.String(length=300), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("cancel_requested", sa.Boolean(), nullable=False),
        sa.Column("lease_owner", sa.String(length=300), nullable=True),
        sa.Column("lease_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(STATES, name=op.f("ck_operations_state")),
        sa.ForeignKeyConstraint(
            ["tenant_id"], ["tenants.id"], name=op.f("fk_operations_tenant_id_tenants"), ondelete="SET NULL"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_operations")),
    )
    op.create_index(op.f("ix_operations_slug"), "operations", ["slug"])
    op.create_index(op.f("ix_operations_state"), "operations", ["state"])
    op.create_index(op.f("ix_operations_tenant_id"), "operations", ["tenant_id"])
    op.create_index(
        "uq_operations_tenant_id_active",
        "operations",
        ["tenant_id"],
        unique=True,
        postgresql_where=IS_ACTIVE,
        sqlite_where=IS_ACTIVE,
    )


def downgrade() -> None:
    """Move back to the one before."""
    op.drop_index("uq_operations_tenant_id_active", "operations")
    op.drop_index(op.f("ix_operations_tenant_id"), "operations")
    op.drop_index(op.f("ix_operations_state"), "operations")
    op.drop_index(op.f("ix_operations_slug"), "operations")
    op.drop_table("operations")
