"""How many connections a tenant may have.

Revision ID: 7be2c50f91d4
Revises: d80f3c6a41b9
"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "7be2c50f91d4"
down_revision: str | Sequence[str] | None = "d80f3c6a41b9"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    """Move to this revision."""
    with op.batch_alter_table("tenants") as batch:
        batch.add_column(sa.Column("connection_quota", sa.Integer(), nullable=True))


def downgrade() -> None:
    """Move back to the one before. Quotas of connections are gone."""
    with op.batch_alter_table("tenants") as batch:
        batch.drop_column("connection_quota")
