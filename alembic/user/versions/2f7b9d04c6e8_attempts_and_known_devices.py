"""How often something was guessed, and the browsers in which people have signed in.

Revision ID: 2f7b9d04c6e8
Revises: 6c1f92e0b7d3
"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "2f7b9d04c6e8"
down_revision: str | Sequence[str] | None = "6c1f92e0b7d3"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Move to this revision. Versions of the program before it work on: they neither count nor look."""
    op.create_table(
        "attempt_counts",
        sa.Column("key", sa.String(100), nullable=False),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.Column("expires_at", TIME, nullable=False),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_attempt_counts")),
        # Not in PostgreSQL's write-ahead log: an attempt need not wait for the disk, and a crash may forget the counts.
        prefixes=["UNLOGGED"] if op.get_bind().dialect.name == "postgresql" else [],
    )
    op.create_index(op.f("ix_attempt_counts_expires_at"), "attempt_counts", ["expires_at"])
    op.create_table(
        "known_devices",
        sa.Column("token_hash", sa.LargeBinary(32), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("last_used_at", TIME, nullable=False),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name=op.f("fk_known_devices_user_id_users"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("token_hash", "user_id", name=op.f("pk_known_devices")),
    )
    op.create_index(op.f("ix_known_devices_last_used_at"), "known_devices", ["last_used_at"])
    op.create_index(op.f("ix_known_devices_user_id"), "known_devices", ["user_id"])


def downgrade() -> None:
    """Move back to the one before."""
    op.drop_table("known_devices")
    op.drop_table("attempt_counts")
