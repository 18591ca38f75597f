"""Administrators manage jobs.

Revision ID: 1c84e6b0d95a
Revises: 5b90e3d7c2f6
"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "1c84e6b0d95a"
down_revision: str | Sequence[str] | None = "5b90e3d7c2f6"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

PERMISSION = "jobs.manage"


def upgrade() -> None:
    """Move to this revision: whoever manages members manages jobs too."""
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
