"""The hooks that are done.

Revision ID: e3b571f8c04d
Revises: b04f9d26c7e1
"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "e3b571f8c04d"
down_revision: str | Sequence[str] | None = "b04f9d26c7e1"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    """Move to this revision."""
    op.create_table(
        "tenant_hooks",
        sa.Column("event", sa.String(length=20), nullable=False),
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("occasion", sa.Uuid(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("event", "name", "occasion", name=op.f("pk_tenant_hooks")),
    )


def downgrade() -> None:
    """Move back to the one before."""
    op.drop_table("tenant_hooks")
