"""Which person who is being forgotten a worker is at.

Revision ID: c47f1d9e6a20
Revises: b8f1d64c27e0
"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "c47f1d9e6a20"
down_revision: str | Sequence[str] | None = "b8f1d64c27e0"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    """Move to this revision. Versions of the program before it work on, and claim nobody."""
    op.add_column("forgettings", sa.Column("claimed_until", sa.DateTime(timezone=True), nullable=True))


def downgrade() -> None:
    """Move back to the one before."""
    op.drop_column("forgettings", "claimed_until")
