"""Pictures of products

Revision ID: 40e273eb9625
Revises: dbb5892450f7
Create Date: 2026-11-29 20:40:54.378782
"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "40e273eb9625"
down_revision: str | Sequence[str] | None = "dbb5892450f7"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    """Move to this revision."""
    with op.batch_alter_table("products", schema=None) as batch_op:
        batch_op.add_column(sa.Column("picture_id", sa.Uuid(), nullable=True))
        batch_op.create_index(batch_op.f("ix_products_picture_id"), ["picture_id"], unique=False)
        batch_op.create_foreign_key(
            batch_op.f("fk_products_picture_id_tenant_files"), "tenant_files", ["picture_id"], ["id"]
        )


def downgrade() -> None:
    """Move back to the one before."""
    with op.batch_alter_table("products", schema=None) as batch_op:
        batch_op.drop_constraint(batch_op.f("fk_products_picture_id_tenant_files"), type_="foreignkey")
        batch_op.drop_index(batch_op.f("ix_products_picture_id"))
        batch_op.drop_column("picture_id")
