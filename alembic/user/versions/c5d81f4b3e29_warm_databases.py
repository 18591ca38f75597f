"""The mark of the installation, and databases that wait for a tenant.

Revision ID: c5d81f4b3e29
Revises: a94c02d7e6b1
"""

from collections.abc import Sequence
from uuid import uuid4

import sqlalchemy as sa
from alembic import op

revision: str = "c5d81f4b3e29"
down_revision: str | Sequence[str] | None = "a94c02d7e6b1"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    """Move to this revision."""
    installation = op.create_table(
        "installation",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_installation")),
    )
    op.bulk_insert(installation, [{"id": uuid4()}])
    op.create_table(
        "warm_databases",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("server", sa.String(length=31), nullable=False),
        sa.Column("database", sa.String(length=63), nullable=False),
        sa.Column("template", sa.String(length=63), nullable=False),
        sa.Column("revision", sa.String(length=32), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", name=op.f("pk_warm_databases")),
        sa.UniqueConstraint("server", "database", name=op.f("uq_warm_databases_server_database")),
    )


def downgrade() -> None:
    """Move back to the one before."""
    op.drop_table("warm_databases")
    op.drop_table("installation")
