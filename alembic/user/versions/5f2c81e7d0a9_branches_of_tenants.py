"""Branches: tenants that are copies of others, and are deleted at a certain time.

Revision ID: 5f2c81e7d0a9
Revises: 93d7e5a1f04c
"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "5f2c81e7d0a9"
down_revision: str | Sequence[str] | None = "93d7e5a1f04c"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    """Move to this revision."""
    with op.batch_alter_table("tenants") as batch:
        batch.add_column(sa.Column("expires_at", sa.DateTime(timezone=True), nullable=True))


def downgrade() -> None:
    """Move back to the one before. Branches stay, as tenants like all others."""
    with op.batch_alter_table("tenants") as batch:
        batch.drop_column("expires_at")
