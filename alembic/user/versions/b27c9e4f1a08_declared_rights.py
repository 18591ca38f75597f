"""What was added of the roles and permissions that a domain declares.

Revision ID: b27c9e4f1a08
Revises: 7ad3c60e15b9
"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "b27c9e4f1a08"
down_revision: str | Sequence[str] | None = "7ad3c60e15b9"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    """Move to this revision."""
    op.create_table(
        "declared_rights",
        sa.Column("role", sa.String(length=50), nullable=False),
        sa.Column("permission", sa.String(length=100), nullable=False),
        sa.PrimaryKeyConstraint("role", "permission", name=op.f("pk_declared_rights")),
    )


def downgrade() -> None:
    """Move back to the one before."""
    op.drop_table("declared_rights")
