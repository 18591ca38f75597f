<%!
    def quoted(value):
        return f'"{value}"' if isinstance(value, str) else repr(value).replace("'", '"')

    def in_docstring(value):
        return value.replace("\\", "/").replace('"', "'")
%>\
"""${in_docstring(message)}

Revision ID: ${up_revision}
Revises: ${down_revision | comma,n}
Create Date: ${create_date}
"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op
% if imports:
${imports}
% endif

revision: str = ${quoted(up_revision)}
down_revision: str | Sequence[str] | None = ${quoted(down_revision)}
branch_labels: str | Sequence[str] | None = ${quoted(branch_labels)}
depends_on: str | Sequence[str] | None = ${quoted(depends_on)}


def upgrade() -> None:
    """Move to this revision."""
    ${upgrades if upgrades else "pass"}


def downgrade() -> None:
    """Move back to the one before."""
    ${downgrades if downgrades else "pass"}
