"""Books of an owner in the order of a list

Revision ID: 7f1d5c0e92ab
Revises: c52d26f6b66c
"""

from collections.abc import Sequence

from alembic import op

revision: str = "7f1d5c0e92ab"
down_revision: str | Sequence[str] | None = "c52d26f6b66c"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    """Move to this revision."""
    op.create_index(op.f("ix_books_owner_id_id"), "books", ["owner_id", "id"])
    op.drop_index(op.f("ix_books_owner_id"), "books")


def downgrade() -> None:
    """Move back to the one before."""
    op.create_index(op.f("ix_books_owner_id"), "books", ["owner_id"])
    op.drop_index(op.f("ix_books_owner_id_id"), "books")
