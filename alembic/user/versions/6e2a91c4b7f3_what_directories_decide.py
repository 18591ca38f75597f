"""What the directories of tenants decide: whom they have shut out, and that nobody else comes in.

Revision ID: 6e2a91c4b7f3
Revises: 4a8f0c6d9e27
"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "6e2a91c4b7f3"
down_revision: str | Sequence[str] | None = "4a8f0c6d9e27"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    """Move to this revision. Versions of the program before it work on, and heed neither column."""
    _add("users", "disabled_by_provider")
    _add("identity_providers", "only_provisioned")
    # Of these the directory has said that they are not to come in. Who else disabled them, nobody knows any more.
    op.execute(
        "UPDATE users SET disabled_by_provider = true WHERE NOT enabled AND EXISTS (SELECT 1 FROM provisioned_people p"
        " WHERE p.user_id = users.id AND p.provider_id = users.identity_provider_id AND NOT p.active)"
        " AND NOT EXISTS (SELECT 1 FROM forgettings f WHERE f.user_id = users.id)"
    )
    op.execute(
        "UPDATE identity_providers SET only_provisioned = true"
        " WHERE EXISTS (SELECT 1 FROM provisioned_people p WHERE p.provider_id = identity_providers.id)"
    )


def downgrade() -> None:
    """Move back to the one before."""
    for table, column in (("identity_providers", "only_provisioned"), ("users", "disabled_by_provider")):
        with op.batch_alter_table(table) as altered:
            altered.drop_column(column)


def _add(table: str, column: str) -> None:
    with op.batch_alter_table(table) as altered:
        altered.add_column(sa.Column(column, sa.Boolean(), nullable=False, server_default=sa.false()))
