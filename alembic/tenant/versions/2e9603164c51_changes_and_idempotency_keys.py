"""Changes and idempotency keys

Revision ID: 2e9603164c51
Revises: 8b2e64d1c05f
Create Date: 2026-11-29 05:56:25.214433
"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "2e9603164c51"
down_revision: str | Sequence[str] | None = "8b2e64d1c05f"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    """Move to this revision."""
    op.create_table(
        "tenant_change_counter",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.Column("removed", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_tenant_change_counter")),
    )
    op.create_table(
        "tenant_changes",
        sa.Column("position", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("table_name", sa.String(length=63), nullable=False),
        sa.Column("row_id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.String(length=7), nullable=False),
        sa.Column("version", sa.Integer(), nullable=True),
        sa.Column("person_id", sa.Uuid(), nullable=True),
        sa.Column("login", sa.String(length=200), nullable=True),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("position", name=op.f("pk_tenant_changes")),
    )
    op.create_table(
        "tenant_idempotency_keys",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("person_id", sa.Uuid(), nullable=False),
        sa.Column("key", sa.String(length=255), nullable=False),
        sa.Column("fingerprint", sa.String(length=64), nullable=False),
        sa.Column("status", sa.Integer(), nullable=False),
        sa.Column("headers", sa.Text(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "person_id", "key", name=op.f("pk_tenant_idempotency_keys")),
    )
    with op.batch_alter_table("tenant_idempotency_keys", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_tenant_idempotency_keys_created_at"), ["created_at"], unique=False)


def downgrade() -> None:
    """Move back to the one before."""
    with op.batch_alter_table("tenant_idempotency_keys", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_tenant_idempotency_keys_created_at"))

    op.drop_table("tenant_idempotency_keys")
    op.drop_table("tenant_changes")
    op.drop_table("tenant_change_counter")
