"""What has left a piece of work to be done later, for traces.

Revision ID: d80f3c6a41b9
Revises: c4e19a7b52d8
"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "d80f3c6a41b9"
down_revision: str | Sequence[str] | None = "c4e19a7b52d8"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

TABLES = ("operations", "outgoing_mails", "tenant_visits")


def upgrade() -> None:
    """Move to this revision."""
    for table in TABLES:
        op.add_column(table, sa.Column("traceparent", sa.String(55), nullable=True))


def downgrade() -> None:
    """Move back to the one before."""
    for table in reversed(TABLES):
        op.drop_column(table, "traceparent")
