"""Administrators manage webhooks.

Revision ID: 5b90e3d7c2f6
Revises: e61d0f38b5a7
"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "5b90e3d7c2f6"
down_revision: str | Sequence[str] | None = "e61d0f38b5a7"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

PERMISSION = "webhooks.manage"


def upgrade() -> None:
    """Move to this revision: whoever manages members manages webhooks too."""
    op.execute(
        sa.text(
            "INSERT INTO role_permissions (role, permission) SELECT role, :permission FROM role_permissions AS held"
            " WHERE held.role = 'admin' AND held.permission = 'members.manage'"
            " AND NOT EXISTS (SELECT 1 FROM role_permissions AS there"
            " WHERE there.role = 'admin' AND there.permission = :permission)"
        ).bindparams(permission=PERMISSION)
    )


def downgrade() -> None:
    """Move back to the one before."""
    op.execute(sa.text("DELETE FROM role_permissions WHERE permission = :permission").bindparams(permission=PERMISSION))
