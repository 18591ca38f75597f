"""The audit trail, and what administrators of a tenant may do about its data as a whole.

Revision ID: f3a9c1d85e60
Revises: d27f50a9c8e4
"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "f3a9c1d85e60"
down_revision: str | Sequence[str] | None = "d27f50a9c8e4"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

INDEXED = ("action", "actor", "slug", "tenant_id")
# Somebody may have given it to the role already.
ALLOW = """
INSERT INTO role_permissions (role, permission)
SELECT name, 'tenant.export' FROM roles WHERE name = 'admin' AND NOT EXISTS
  (SELECT 1 FROM role_permissions WHERE role = 'admin' AND permission = 'tenant.export')
"""
DENY = "DELETE FROM role_permissions WHERE role = 'admin' AND permission = 'tenant.export'"


def upgrade() -> None:
    """Move to this revision."""
    op.create_table(
        "audit_entries",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("actor_id", sa.Uuid(), nullable=True),
        sa.Column("actor", sa.String(length=300), nullable=False),
        sa.Column("action", sa.String(length=100), nullable=False),
        sa.Column("tenant_id", sa.Uuid(), nullable=True),
        sa.Column("slug", sa.String(length=63), nullable=True),
        sa.Column("detail", sa.JSON(), nullable=False),
        sa.Column("request_id", sa.String(length=64), nullable=True),
        sa.Column("address", sa.String(length=100), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audit_entries")),
    )
    for column in INDEXED:
        op.create_index(op.f(f"ix_audit_entries_{column}"), "audit_entries", [column])
    op.execute(ALLOW)


def downgrade() -> None:
    """Move back to the one before."""
    op.execute(DENY)
    for column in INDEXED:
        op.drop_index(op.f(f"ix_audit_entries_{column}"), "audit_entries")
    op.drop_table("audit_entries")
