"""Logins that look alike.

Revision ID: c3f0a6b81d29
Revises: 8e2d5c7f10a4
"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "c3f0a6b81d29"
down_revision: str | Sequence[str] | None = "8e2d5c7f10a4"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    """Move to this revision. ``tenantapp init`` fills the column, as the rules of what looks alike change with time."""
    with op.batch_alter_table("users") as users:
        users.add_column(sa.Column("login_skeleton", sa.LargeBinary(32)))
        users.create_unique_constraint("uq_users_login_skeleton", ["login_skeleton"])


def downgrade() -> None:
    """Move back to the one before."""
    with op.batch_alter_table("users") as users:
        users.drop_constraint("uq_users_login_skeleton", type_="unique")
        users.drop_column("login_skeleton")
