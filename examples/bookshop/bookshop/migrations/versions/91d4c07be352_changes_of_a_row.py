"""The index of the changes of a row.

Revision ID: 91d4c07be352
Revises: 7f1d5c0e92ab
"""

from collections.abc import Sequence

from alembic import op

revision: str = "91d4c07be352"
down_revision: str | Sequence[str] | None = "7f1d5c0e92ab"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    """Move to this revision."""
    op.create_index(op.f("ix_tenant_changes_row_id_position"), "tenant_changes", ["row_id", "position"])


def downgrade() -> None:
    """Move back to the one before."""
    op.drop_index(op.f("ix_tenant_changes_row_id_position"), "tenant_changes")
