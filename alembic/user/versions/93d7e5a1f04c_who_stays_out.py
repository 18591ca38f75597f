"""Whether somebody has decided who comes in by a provider, and which linked people its directory has shut out.

Revision ID: 93d7e5a1f04c
Revises: c47f1d9e6a20
"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "93d7e5a1f04c"
down_revision: str | Sequence[str] | None = "c47f1d9e6a20"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

ADDED = (("identity_providers", "admission_decided"), ("federated_identities", "shut_out"))


def upgrade() -> None:
    """Move to this revision. Versions of the program before it work on, and heed neither column."""
    for table, column in ADDED:
        with op.batch_alter_table(table) as altered:
            altered.add_column(sa.Column(column, sa.Boolean(), nullable=False, server_default=sa.false()))
    # Each person whom a directory added closed the tenant: if it is open, an administrator has opened it.
    op.execute(
        "UPDATE identity_providers SET admission_decided = true WHERE only_provisioned"
        " OR EXISTS (SELECT 1 FROM provisioned_people p WHERE p.provider_id = identity_providers.id)"
    )
    op.execute(
        "UPDATE federated_identities SET shut_out = true WHERE EXISTS (SELECT 1 FROM provisioned_people p"
        " WHERE p.provider_id = federated_identities.provider_id AND p.user_id = federated_identities.user_id"
        " AND NOT p.active)"
    )


def downgrade() -> None:
    """Move back to the one before."""
    for table, column in reversed(ADDED):
        with op.batch_alter_table(table) as altered:
            altered.drop_column(column)
