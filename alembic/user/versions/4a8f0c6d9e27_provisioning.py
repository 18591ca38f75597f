"""Provisioning of people and groups by the directories of tenants.

Revision ID: 4a8f0c6d9e27
Revises: d91b3f7a6c40
"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "4a8f0c6d9e27"
down_revision: str | Sequence[str] | None = "d91b3f7a6c40"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Move to this revision. Versions of the program before it work on, and let no directory in."""
    op.create_table(
        "provisioning_tokens",
        sa.Column("id", sa.Uuid(), primary_key=True),
        _of_provider(),
        sa.Column("token_hash", sa.LargeBinary(32), nullable=False, unique=True),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("expires_at", TIME, nullable=False),
        sa.Column("last_used_at", TIME),
    )
    op.create_index("ix_provisioning_tokens_provider_id", "provisioning_tokens", ["provider_id"])
    op.create_table(
        "provisioned_people",
        sa.Column("id", sa.Uuid(), primary_key=True),
        _of_provider(),
        sa.Column("user_id", sa.Uuid(), sa.ForeignKey("users.id", ondelete="CASCADE"), nullable=False),
        sa.Column("user_name", sa.String(254), nullable=False),
        sa.Column("user_name_key", sa.String(800), nullable=False),
        sa.Column("external_id", sa.String(255)),
        sa.Column("document", sa.JSON(), nullable=False),
        sa.Column("active", sa.Boolean(), nullable=False),
        sa.Column("roles", sa.Text(), nullable=False),
        *_changes(),
        sa.UniqueConstraint("provider_id", "user_name_key"),
        sa.UniqueConstraint("provider_id", "external_id"),
        sa.UniqueConstraint("provider_id", "user_id"),
    )
    op.create_index("ix_provisioned_people_user_id", "provisioned_people", ["user_id"])
    op.create_table(
        "provisioned_groups",
        sa.Column("id", sa.Uuid(), primary_key=True),
        _of_provider(),
        sa.Column("display_name", sa.String(255), nullable=False),
        sa.Column("display_name_key", sa.String(800), nullable=False),
        sa.Column("external_id", sa.String(255)),
        *_changes(),
    )
    op.create_index(
        "ix_provisioned_groups_provider_id_display_name_key", "provisioned_groups", ["provider_id", "display_name_key"]
    )
    op.create_table(
        "provisioned_group_members",
        sa.Column("group_id", sa.Uuid(), sa.ForeignKey("provisioned_groups.id", ondelete="CASCADE"), primary_key=True),
        sa.Column("person_id", sa.Uuid(), sa.ForeignKey("provisioned_people.id", ondelete="CASCADE"), primary_key=True),
    )
    op.create_index("ix_provisioned_group_members_person_id", "provisioned_group_members", ["person_id"])


def downgrade() -> None:
    """Move back to the one before."""
    for name in ("provisioned_group_members", "provisioned_groups", "provisioned_people", "provisioning_tokens"):
        op.drop_table(name)


def _of_provider() -> sa.Column[sa.Uuid]:
    return sa.Column(
        "provider_id", sa.Uuid(), sa.ForeignKey("identity_providers.id", ondelete="CASCADE"), nullable=False
    )


def _changes() -> list[sa.Column[object]]:
    return [
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("changed_at", TIME, nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
    ]
