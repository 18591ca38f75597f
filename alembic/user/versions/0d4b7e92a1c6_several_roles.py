"""A person or a group may have several roles in a tenant.

Revision ID: 0d4b7e92a1c6
Revises: b6e4d1072f9a
"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op
from alembic.util import CommandError

revision: str = "0d4b7e92a1c6"
down_revision: str | Sequence[str] | None = "b6e4d1072f9a"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

GRANTEES = ("group_id", "user_id")
WITH_SEVERAL = """
SELECT count(*) FROM
  (SELECT 1 FROM grants GROUP BY tenant_id, user_id, group_id HAVING count(*) > 1) AS several
"""


def upgrade() -> None:
    """Move to this revision."""
    with op.batch_alter_table("grants") as batch:
        for grantee in GRANTEES:
            batch.drop_constraint(op.f(f"uq_grants_tenant_id_{grantee}"), type_="unique")
            batch.create_unique_constraint(op.f(f"uq_grants_tenant_id_{grantee}_role"), ["tenant_id", grantee, "role"])


def downgrade() -> None:
    """Move back to the one before.

    Raises ``CommandError`` if a member has several roles: no role holds all that the others permit.
    """
    if several := op.get_bind().scalar(sa.text(WITH_SEVERAL)):
        raise CommandError(f"{several} members have several roles in a tenant; remove all but one of each member first")
    with op.batch_alter_table("grants") as batch:
        for grantee in GRANTEES:
            batch.drop_constraint(op.f(f"uq_grants_tenant_id_{grantee}_role"), type_="unique")
            batch.create_unique_constraint(op.f(f"uq_grants_tenant_id_{grantee}"), ["tenant_id", grantee])
