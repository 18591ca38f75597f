"""Which programs may work with the user database.

Revision ID: c3f60b9d27e4
Revises: e94a1c7d30b6
"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "c3f60b9d27e4"
down_revision: str | Sequence[str] | None = "e94a1c7d30b6"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    """Move to this revision. Every program may, until a revision says otherwise."""
    op.add_column("installation", sa.Column("oldest_program", sa.String(length=32), nullable=True))


def downgrade() -> None:
    """Move back to the one before, which asks no program."""
    with op.batch_alter_table("installation") as batch:
        batch.drop_column("oldest_program")
