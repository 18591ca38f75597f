"""Second factors, passkeys, recovery codes, and sign-ins that wait for their next step.

Revision ID: f4b82d7e19c5
Revises: 2f7b9d04c6e8
"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "f4b82d7e19c5"
down_revision: str | Sequence[str] | None = "2f7b9d04c6e8"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

TIME = sa.DateTime(timezone=True)
TABLES = ("sign_in_challenges", "authenticator_apps", "passkeys", "recovery_codes")


def upgrade() -> None:
    """Move to this revision."""
    op.create_table(
        "sign_in_challenges",
        sa.Column("token_hash", sa.LargeBinary(32), nullable=False),
        sa.Column("purpose", sa.String(20), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=True),
        sa.Column("factors", sa.String(100), nullable=False),
        sa.Column("detail", sa.JSON(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("expires_at", TIME, nullable=False),
        of_person("sign_in_challenges"),
        sa.PrimaryKeyConstraint("token_hash", name="pk_sign_in_challenges"),
    )
    op.create_index("ix_sign_in_challenges_user_id", "sign_in_challenges", ["user_id"])
    op.create_index("ix_sign_in_challenges_expires_at", "sign_in_challenges", ["expires_at"])
    op.create_table(
        "authenticator_apps",
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("secret", sa.Text(), nullable=False),
        sa.Column("last_step", sa.BigInteger(), nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("confirmed_at", TIME, nullable=True),
        sa.Column("last_used_at", TIME, nullable=True),
        of_person("authenticator_apps"),
        sa.PrimaryKeyConstraint("user_id", name="pk_authenticator_apps"),
    )
    op.create_table(
        "passkeys",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("rp_id", sa.String(253), nullable=False),
        sa.Column("credential_id", sa.LargeBinary(1023), nullable=False),
        sa.Column("public_key", sa.LargeBinary(), nullable=False),
        sa.Column("sign_count", sa.BigInteger(), nullable=False),
        sa.Column("aaguid", sa.Uuid(), nullable=False),
        sa.Column("backed_up", sa.Boolean(), nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("last_used_at", TIME, nullable=True),
        of_person("passkeys"),
        sa.PrimaryKeyConstraint("id", name="pk_passkeys"),
        sa.UniqueConstraint("credential_id", name="uq_passkeys_credential_id"),
    )
    op.create_index("ix_passkeys_user_id", "passkeys", ["user_id"])
    op.create_table(
        "recovery_codes",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("code_hash", sa.LargeBinary(32), nullable=False),
        of_person("recovery_codes"),
        sa.PrimaryKeyConstraint("id", name="pk_recovery_codes"),
        sa.UniqueConstraint("user_id", "code_hash", name="uq_recovery_codes_user_id_code_hash"),
    )


def downgrade() -> None:
    """Move back to the one before."""
    for table in reversed(TABLES):
        op.drop_table(table)


def of_person(table: str) -> sa.ForeignKeyConstraint:
    """Return the reference of a table to the people, which goes with the person."""
    name = f"fk_{table}_user_id_users"
    return sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=name, ondelete="CASCADE")
