"""Tenants that are deleted, and can be brought back for a while.

Revision ID: e07b6a52c9d3
Revises: c5d81f4b3e29
"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "e07b6a52c9d3"
down_revision: str | Sequence[str] | None = "c5d81f4b3e29"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

BEFORE = "state IN ('creating', 'active', 'suspended')"
AFTER = "state IN ('creating', 'active', 'suspended', 'deleted')"


def upgrade() -> None:
    """Move to this revision."""
    with op.batch_alter_table("tenants") as batch:
        batch.add_column(sa.Column("purge_after", sa.DateTime(timezone=True), nullable=True))
        batch.drop_constraint(op.f("ck_tenants_state"), type_="check")
        batch.create_check_constraint(op.f("ck_tenants_state"), AFTER)


def downgrade() -> None:
    """Move back to the one before."""
    op.execute("UPDATE tenants SET state = 'suspended', state_reason = 'deleted' WHERE state = 'deleted'")
    with op.batch_alter_table("tenants") as batch:
        batch.drop_constraint(op.f("ck_tenants_state"), type_="check")
        batch.create_check_constraint(op.f("ck_tenants_state"), BEFORE)
        batch.drop_column("purge_after")
