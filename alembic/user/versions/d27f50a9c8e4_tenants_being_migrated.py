"""Tenants say until when they are being migrated.

Revision ID: d27f50a9c8e4
Revises: e07b6a52c9d3
"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "d27f50a9c8e4"
down_revision: str | Sequence[str] | None = "e07b6a52c9d3"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    """Move to this revision."""
    op.add_column("tenants", sa.Column("migrating_until", sa.DateTime(timezone=True), nullable=True))


def downgrade() -> None:
    """Move back to the one before."""
    op.drop_column("tenants", "migrating_until")
