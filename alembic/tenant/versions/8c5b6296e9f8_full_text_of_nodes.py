"""Full text of nodes

Revision ID: 8c5b6296e9f8
Revises: c7a1f0e5d942
Create Date: 2026-11-29 06:44:11.948396
"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "8c5b6296e9f8"
down_revision: str | Sequence[str] | None = "c7a1f0e5d942"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    """Move to this revision."""
    op.create_table(
        "nodes_words",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("row_id", sa.Uuid(), nullable=False),
        sa.Column("words", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["row_id"], ["nodes.id"], name=op.f("fk_nodes_words_row_id_nodes"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_nodes_words")),
        sa.UniqueConstraint("row_id", name=op.f("uq_nodes_words_row_id")),
        sqlite_autoincrement=True,
    )
    op.create_full_text("nodes", ["title", "body"])


def downgrade() -> None:
    """Move back to the one before."""
    op.drop_full_text("nodes")
    op.drop_table("nodes_words")
