"""Indexes for what workers and metrics look for every few seconds, however many tenants and operations there are.

Revision ID: c4e19a7b52d8
Revises: c3f60b9d27e4
"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "c4e19a7b52d8"
down_revision: str | Sequence[str] | None = "c3f60b9d27e4"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

UNFINISHED = sa.text("state IN ('queued', 'running', 'undoing')")


def upgrade() -> None:
    """Move to this revision."""
    op.create_index(op.f("ix_operations_kind_id"), "operations", ["kind", "id"])
    op.create_index(op.f("ix_operations_tenant_id_kind_id"), "operations", ["tenant_id", "kind", "id"])
    op.create_index(
        op.f("ix_operations_unfinished"), "operations", ["id"], postgresql_where=UNFINISHED, sqlite_where=UNFINISHED
    )
    for column in ("purge_after", "expires_at"):
        op.create_index(op.f(f"ix_tenants_{column}"), "tenants", [column])
    # At the end: from here to the commit, PostgreSQL lets nobody read the table.
    op.drop_index(op.f("ix_operations_tenant_id"), table_name="operations")


def downgrade() -> None:
    """Move back to the one before."""
    op.create_index(op.f("ix_operations_tenant_id"), "operations", ["tenant_id"])
    for column in ("expires_at", "purge_after"):
        op.drop_index(op.f(f"ix_tenants_{column}"), table_name="tenants")
    op.drop_index(op.f("ix_operations_unfinished"), table_name="operations")
    op.drop_index(op.f("ix_operations_tenant_id_kind_id"), table_name="operations")
    op.drop_index(op.f("ix_operations_kind_id"), table_name="operations")
