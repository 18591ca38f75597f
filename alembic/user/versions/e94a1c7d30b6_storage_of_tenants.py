"""How much storage a tenant may use, and how much it uses.

Revision ID: e94a1c7d30b6
Revises: 6e0a93c5b7d2
"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "e94a1c7d30b6"
down_revision: str | Sequence[str] | None = "6e0a93c5b7d2"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    """Move to this revision."""
    with op.batch_alter_table("tenants") as batch:
        batch.add_column(sa.Column("storage_quota", sa.BigInteger(), nullable=True))
        batch.add_column(sa.Column("storage_used", sa.BigInteger(), nullable=True))
        batch.add_column(sa.Column("storage_measured_at", sa.DateTime(timezone=True), nullable=True))
        batch.add_column(sa.Column("storage_full", sa.Boolean(), server_default=sa.false(), nullable=False))


def downgrade() -> None:
    """Move back to the one before. Quotas are gone."""
    with op.batch_alter_table("tenants") as batch:
        for name in ("storage_full", "storage_measured_at", "storage_used", "storage_quota"):
            batch.drop_column(name)
