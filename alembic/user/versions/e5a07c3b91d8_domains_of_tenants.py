"""Domains of mail addresses that tenants have proved to be their own.

Revision ID: e5a07c3b91d8
Revises: 6e2a91c4b7f3
"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "e5a07c3b91d8"
down_revision: str | Sequence[str] | None = "6e2a91c4b7f3"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Move to this revision. Versions of the program before it work on, and know no domains."""
    op.create_table(
        "tenant_domains",
        sa.Column("id", sa.Uuid(), primary_key=True),
        sa.Column("tenant_id", sa.Uuid(), sa.ForeignKey("tenants.id", ondelete="CASCADE"), nullable=False),
        sa.Column("name", sa.String(253), nullable=False),
        sa.Column("challenge", sa.String(43), nullable=False),
        sa.Column("capture", sa.Boolean(), nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("verified_at", TIME),
        sa.Column("missing_since", TIME),
        sa.Column("check_at", TIME),
        sa.UniqueConstraint("tenant_id", "name"),
    )
    op.create_index("ix_tenant_domains_check_at", "tenant_domains", ["check_at"])
    verified = sa.text("verified_at IS NOT NULL")
    op.create_index(
        "uq_tenant_domains_verified_name",
        "tenant_domains",
        ["name"],
        unique=True,
        postgresql_where=verified,
        sqlite_where=verified,
    )


def downgrade() -> None:
    """Move back to the one before."""
    op.drop_table("tenant_domains")
