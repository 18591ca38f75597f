"""Whether the copy behind a tenant's fence belongs to it.

Revision ID: b6e4d1072f9a
Revises: f3a9c1d85e60
"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "b6e4d1072f9a"
down_revision: str | Sequence[str] | None = "f3a9c1d85e60"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    """Move to this revision."""
    op.add_column("tenants", sa.Column("migrating_copied", sa.Boolean(), server_default=sa.false(), nullable=False))


def downgrade() -> None:
    """Move back to the one before."""
    op.drop_column("tenants", "migrating_copied")
