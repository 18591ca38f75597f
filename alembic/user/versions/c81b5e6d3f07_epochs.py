"""The incarnation of each tenant's content.

Revision ID: c81b5e6d3f07
Revises: 1e5c8fa03b7d
"""

import secrets
from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "c81b5e6d3f07"
down_revision: str | Sequence[str] | None = "1e5c8fa03b7d"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    """Move to this revision."""
    # Nullable: a version of the program that does not know the column goes on making tenants.
    op.add_column("tenants", sa.Column("epoch", sa.String(length=11), nullable=True))
    tenants = sa.table("tenants", sa.column("id", sa.Uuid()), sa.column("epoch", sa.String()))
    connection = op.get_bind()
    ids = connection.execute(sa.select(tenants.c.id)).scalars().all()
    epochs = [{"this": tenant_id, "new": secrets.token_urlsafe(8)} for tenant_id in ids]
    if epochs:
        renewed = sa.update(tenants).where(tenants.c.id == sa.bindparam("this")).values(epoch=sa.bindparam("new"))
        connection.execute(renewed, epochs)


def downgrade() -> None:
    """Move back to the one before."""
    op.drop_column("tenants", "epoch")
