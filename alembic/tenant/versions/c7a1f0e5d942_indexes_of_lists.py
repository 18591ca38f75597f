"""Indexes for the lists of nodes.

Revision ID: c7a1f0e5d942
Revises: 2e9603164c51
"""

from collections.abc import Sequence

from alembic import op

revision: str = "c7a1f0e5d942"
down_revision: str | Sequence[str] | None = "2e9603164c51"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    """Move to this revision."""
    op.create_index(op.f("ix_nodes_status"), "nodes", ["status"])
    op.create_index(op.f("ix_nodes_title_id"), "nodes", ["title", "id"])
    op.create_index(op.f("ix_nodes_updated_at_id"), "nodes", ["updated_at", "id"])


def downgrade() -> None:
    """Move back to the one before."""
    op.drop_index(op.f("ix_nodes_updated_at_id"), "nodes")
    op.drop_index(op.f("ix_nodes_title_id"), "nodes")
    op.drop_index(op.f("ix_nodes_status"), "nodes")
