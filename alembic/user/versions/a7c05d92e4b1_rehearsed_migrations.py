"""What the rehearsals of a run of ``tenantapp migrate`` have shown.

Revision ID: a7c05d92e4b1
Revises: b81e6d2f70a4
"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "a7c05d92e4b1"
down_revision: str | Sequence[str] | None = "b81e6d2f70a4"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    """Move to this revision."""
    with op.batch_alter_table("migration_runs") as batch:
        batch.add_column(sa.Column("rehearsals", sa.JSON(), nullable=True))


def downgrade() -> None:
    """Move back to the one before."""
    with op.batch_alter_table("migration_runs") as batch:
        batch.drop_column("rehearsals")
