"""API tokens, and service accounts: people of one tenant who have no password.

Revision ID: 1e5c8fa03b7d
Revises: 0d4b7e92a1c6
"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "1e5c8fa03b7d"
down_revision: str | Sequence[str] | None = "0d4b7e92a1c6"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

INDEXED = ("expires_at", "tenant_id", "user_id")
NO_SIGN_IN = "service_tenant_id IS NULL OR (password_hash IS NULL AND NOT operator)"


def upgrade() -> None:
    """Move to this revision."""
    with op.batch_alter_table("users") as batch:
        batch.add_column(sa.Column("service_tenant_id", sa.Uuid(), nullable=True))
        batch.create_foreign_key(
            op.f("fk_users_service_tenant_id_tenants"), "tenants", ["service_tenant_id"], ["id"], ondelete="CASCADE"
        )
        batch.create_check_constraint(op.f("ck_users_service_accounts_do_not_sign_in"), NO_SIGN_IN)
        batch.create_index(op.f("ix_users_service_tenant_id"), ["service_tenant_id"])
    op.create_table(
        "api_tokens",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("token_hash", sa.LargeBinary(length=32), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("permissions", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("last_used_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["tenant_id"], ["tenants.id"], name=op.f("fk_api_tokens_tenant_id_tenants"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name=op.f("fk_api_tokens_user_id_users"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_api_tokens")),
        sa.UniqueConstraint("token_hash", name=op.f("uq_api_tokens_token_hash")),
    )
    for column in INDEXED:
        op.create_index(op.f(f"ix_api_tokens_{column}"), "api_tokens", [column])


def downgrade() -> None:
    """Move back to the one before. Tokens and service accounts are deleted: without the column they would be people."""
    for column in INDEXED:
        op.drop_index(op.f(f"ix_api_tokens_{column}"), "api_tokens")
    op.drop_table("api_tokens")
    # SQLite does not enforce foreign keys during a migration.
    op.execute("DELETE FROM grants WHERE user_id IN (SELECT id FROM users WHERE service_tenant_id IS NOT NULL)")
    op.execute("DELETE FROM users WHERE service_tenant_id IS NOT NULL")
    with op.batch_alter_table("users") as batch:
        batch.drop_index(op.f("ix_users_service_tenant_id"))
        batch.drop_constraint(op.f("ck_users_service_accounts_do_not_sign_in"), type_="check")
        batch.drop_constraint(op.f("fk_users_service_tenant_id_tenants"), type_="foreignkey")
        batch.drop_column("service_tenant_id")
