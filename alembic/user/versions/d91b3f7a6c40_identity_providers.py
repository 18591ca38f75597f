"""Identity providers of tenants.

Revision ID: d91b3f7a6c40
Revises: 9e3d51c7a08b
"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "d91b3f7a6c40"
down_revision: str | Sequence[str] | None = "9e3d51c7a08b"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Move to this revision. Versions of the program before it work on, and let nobody sign in by a provider."""
    with op.batch_alter_table("users") as users:
        users.add_column(sa.Column("identity_provider_id", sa.Uuid()))
        users.create_index("ix_users_identity_provider_id", ["identity_provider_id"])
    with op.batch_alter_table("tenants") as tenants:
        tenants.add_column(sa.Column("identity_provider_id", sa.Uuid()))
    op.create_table(
        "identity_providers",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("issuer", sa.String(1000), nullable=False),
        sa.Column("client_id", sa.String(500), nullable=False),
        sa.Column("client_secret", sa.Text()),
        sa.Column("groups_claim", sa.String(100), nullable=False),
        sa.Column("default_role", sa.String(50)),
        sa.Column("factor_values", sa.Text(), nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.ForeignKeyConstraint(
            ["tenant_id"], ["tenants.id"], "fk_identity_providers_tenant_id_tenants", ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["default_role"], ["roles.name"], "fk_identity_providers_default_role_roles", ondelete="SET NULL"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_identity_providers"),
        sa.UniqueConstraint("tenant_id", name="uq_identity_providers_tenant_id"),
    )
    op.create_table(
        "identity_provider_roles",
        sa.Column("provider_id", sa.Uuid(), nullable=False),
        sa.Column("group_name", sa.String(255), nullable=False),
        sa.Column("role", sa.String(50), nullable=False),
        sa.ForeignKeyConstraint(
            ["provider_id"],
            ["identity_providers.id"],
            "fk_identity_provider_roles_provider_id_identity_providers",
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(["role"], ["roles.name"], "fk_identity_provider_roles_role_roles", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("provider_id", "group_name", "role", name="pk_identity_provider_roles"),
    )
    op.create_table(
        "federated_identities",
        sa.Column("provider_id", sa.Uuid(), nullable=False),
        sa.Column("subject", sa.String(255), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("roles", sa.Text(), nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("signed_in_at", TIME),
        sa.ForeignKeyConstraint(
            ["provider_id"],
            ["identity_providers.id"],
            "fk_federated_identities_provider_id_identity_providers",
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], "fk_federated_identities_user_id_users", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("provider_id", "subject", name="pk_federated_identities"),
    )
    op.create_index("ix_federated_identities_user_id", "federated_identities", ["user_id"])


def downgrade() -> None:
    """Move back to the one before."""
    for name in ("federated_identities", "identity_provider_roles", "identity_providers"):
        op.drop_table(name)
    with op.batch_alter_table("tenants") as tenants:
        tenants.drop_column("identity_provider_id")
    with op.batch_alter_table("users") as users:
        users.drop_index("ix_users_identity_provider_id")
        users.drop_column("identity_provider_id")
