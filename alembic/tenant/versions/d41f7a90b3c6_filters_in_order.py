"""Indexes of filters that have the order of a list too.

Revision ID: d41f7a90b3c6
Revises: 8c5b6296e9f8
"""

from collections.abc import Sequence
from typing import Final

from alembic import op

revision: str = "d41f7a90b3c6"
down_revision: str | Sequence[str] | None = "8c5b6296e9f8"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

# Each index had the first column alone, and now has the key of the node too.
INDEXES: Final = (("nodes", "status", "id"), ("nodes", "owner_id", "id"), ("nodes", "parent_id", "id"))
TAGS: Final = ("node_tags", "tag_id", "node_id")


def upgrade() -> None:
    """Move to this revision."""
    for table, column, key in (*INDEXES, TAGS):
        op.create_index(op.f(f"ix_{table}_{column}_{key}"), table, [column, key])
        op.drop_index(op.f(f"ix_{table}_{column}"), table)


def downgrade() -> None:
    """Move back to the one before."""
    for table, column, key in (TAGS, *INDEXES):
        op.create_index(op.f(f"ix_{table}_{column}"), table, [column])
        op.drop_index(op.f(f"ix_{table}_{column}_{key}"), table)
