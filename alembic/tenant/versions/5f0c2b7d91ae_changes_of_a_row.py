"""The index of the changes of a row.

Revision ID: 5f0c2b7d91ae
Revises: d41f7a90b3c6
"""

from collections.abc import Sequence

from alembic import op

revision: str = "5f0c2b7d91ae"
down_revision: str | Sequence[str] | None = "d41f7a90b3c6"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    """Move to this revision."""
    op.create_index(op.f("ix_tenant_changes_row_id_position"), "tenant_changes", ["row_id", "position"])


def downgrade() -> None:
    """Move back to the one before."""
    op.drop_index(op.f("ix_tenant_changes_row_id_position"), "tenant_changes")
