"""Invitations.

Revision ID: 2d6e8b94f1a3
Revises: f4b82d7e19c5
"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "2d6e8b94f1a3"
down_revision: str | Sequence[str] | None = "f4b82d7e19c5"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Move to this revision."""
    op.create_table(
        "invitations",
        sa.Column("id", sa.Uuid(), primary_key=True),
        sa.Column("tenant_id", sa.Uuid(), sa.ForeignKey("tenants.id", ondelete="CASCADE"), nullable=False),
        sa.Column("mail_address", sa.String(254)),
        sa.Column("login", sa.String(254)),
        sa.Column("role", sa.String(50), sa.ForeignKey("roles.name", ondelete="CASCADE"), nullable=False),
        sa.Column("invited_by_id", sa.Uuid(), sa.ForeignKey("users.id", ondelete="SET NULL")),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("expires_at", TIME, nullable=False),
        sa.Column("sent_at", TIME),
        sa.CheckConstraint("(mail_address IS NULL) <> (login IS NULL)", name="one_invited"),
        sa.UniqueConstraint("tenant_id", "mail_address", "role"),
        sa.UniqueConstraint("tenant_id", "login", "role"),
    )
    for column in ("mail_address", "login", "invited_by_id", "expires_at"):
        op.create_index(f"ix_invitations_{column}", "invitations", [column])


def downgrade() -> None:
    """Move back to the one before."""
    op.drop_table("invitations")
