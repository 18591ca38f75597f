"""How processes and replications were when they were last reported on.

Revision ID: 6e0a93c5b7d2
Revises: 2d94f0b7c6e1
"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "6e0a93c5b7d2"
down_revision: str | Sequence[str] | None = "2d94f0b7c6e1"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    """Move to this revision."""
    op.create_table(
        "reports",
        sa.Column("subject", sa.String(length=20), nullable=False),
        sa.Column("name", sa.String(length=100), nullable=False),
        sa.Column("seen_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("content", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("subject", "name", name=op.f("pk_reports")),
    )


def downgrade() -> None:
    """Move back to the one before. The reports are gone."""
    op.drop_table("reports")
