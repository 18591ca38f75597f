"""Browsers in which nothing but an identity provider has vouched for a person.

Revision ID: b8f1d64c27e0
Revises: e5a07c3b91d8
"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "b8f1d64c27e0"
down_revision: str | Sequence[str] | None = "e5a07c3b91d8"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    """Move to this revision. Versions of the program before it work on, and do not heed the column."""
    with op.batch_alter_table("known_devices") as devices:
        devices.add_column(sa.Column("by_provider", sa.Boolean(), nullable=False, server_default=sa.false()))
    # Of whom a provider vouches for, nobody knows in which browsers they have signed in themselves.
    op.execute(
        "UPDATE known_devices SET by_provider = true"
        " WHERE EXISTS (SELECT 1 FROM federated_identities f WHERE f.user_id = known_devices.user_id)"
    )


def downgrade() -> None:
    """Move back to the one before, to which all devices are known ones."""
    op.execute("DELETE FROM known_devices WHERE by_provider")
    with op.batch_alter_table("known_devices") as devices:
        devices.drop_column("by_provider")
