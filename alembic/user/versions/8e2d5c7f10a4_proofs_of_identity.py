"""How people prove who they are, and what tenants ask of them.

Revision ID: 8e2d5c7f10a4
Revises: 1c84e6b0d95a
"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "8e2d5c7f10a4"
down_revision: str | Sequence[str] | None = "1c84e6b0d95a"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

TIME = sa.DateTime(timezone=True)
FORBIDDEN = ("second_factor_required", "single_sign_on_required", "impersonation_forbidden")


def upgrade() -> None:
    """Move to this revision. Versions of the program before it work on: they write none of the new columns."""
    with op.batch_alter_table("users") as users:
        users.add_column(sa.Column("mail_address", sa.String(254)))
        users.add_column(sa.Column("password_set_at", TIME))
        users.add_column(flag("password_initial"))
        users.create_unique_constraint("uq_users_mail_address", ["mail_address"])
    with op.batch_alter_table("tenants") as tenants:
        for name in FORBIDDEN:
            tenants.add_column(flag(name))
    with op.batch_alter_table("web_sessions") as web_sessions:
        web_sessions.add_column(sa.Column("authenticated_at", TIME))
        web_sessions.add_column(sa.Column("factors", sa.String(100), nullable=False, server_default=""))
        web_sessions.add_column(sa.Column("identity_provider_id", sa.Uuid()))
        web_sessions.add_column(sa.Column("impersonator_id", sa.Uuid()))
        web_sessions.add_column(sa.Column("impersonator", sa.String(254)))
        web_sessions.add_column(sa.Column("impersonation_reason", sa.String(500)))
        web_sessions.add_column(flag("read_only"))
        web_sessions.create_foreign_key(
            "fk_web_sessions_impersonator_id_users", "users", ["impersonator_id"], ["id"], ondelete="CASCADE"
        )
        web_sessions.create_index("ix_web_sessions_impersonator_id", ["impersonator_id"])
    with op.batch_alter_table("api_tokens") as api_tokens:
        api_tokens.add_column(sa.Column("factors", sa.String(100), nullable=False, server_default=""))
        api_tokens.add_column(sa.Column("identity_provider_id", sa.Uuid()))


def downgrade() -> None:
    """Move back to the one before."""
    with op.batch_alter_table("api_tokens") as api_tokens:
        api_tokens.drop_column("identity_provider_id")
        api_tokens.drop_column("factors")
    with op.batch_alter_table("web_sessions") as web_sessions:
        web_sessions.drop_index("ix_web_sessions_impersonator_id")
        web_sessions.drop_constraint("fk_web_sessions_impersonator_id_users", type_="foreignkey")
        for name in ("read_only", "impersonation_reason", "impersonator", "impersonator_id"):
            web_sessions.drop_column(name)
        for name in ("identity_provider_id", "factors", "authenticated_at"):
            web_sessions.drop_column(name)
    with op.batch_alter_table("tenants") as tenants:
        for name in reversed(FORBIDDEN):
            tenants.drop_column(name)
    with op.batch_alter_table("users") as users:
        users.drop_constraint("uq_users_mail_address", type_="unique")
        for name in ("password_initial", "password_set_at", "mail_address"):
            users.drop_column(name)


def flag(name: str) -> sa.Column[bool]:
    """Return a column that is false where nothing says otherwise."""
    return sa.Column(name, sa.Boolean(), nullable=False, server_default=sa.false())
