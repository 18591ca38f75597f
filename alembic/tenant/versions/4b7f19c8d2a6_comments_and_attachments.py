"""Comments and attachments.

Revision ID: 4b7f19c8d2a6
Revises: 9d27b6e40f51
"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "4b7f19c8d2a6"
down_revision: str | Sequence[str] | None = "9d27b6e40f51"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    """Move to this revision."""
    op.create_table(
        "comments",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("node_id", sa.Uuid(), nullable=False),
        sa.Column("owner_id", sa.Uuid(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["node_id"], ["nodes.id"], name=op.f("fk_comments_node_id_nodes"), ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["owner_id"], ["people.id"], name=op.f("fk_comments_owner_id_people")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_comments")),
    )
    op.create_index(op.f("ix_comments_node_id_id"), "comments", ["node_id", "id"])
    op.create_index(op.f("ix_comments_owner_id_id"), "comments", ["owner_id", "id"])
    op.create_table(
        "attachments",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("node_id", sa.Uuid(), nullable=False),
        sa.Column("file_id", sa.Uuid(), nullable=False),
        sa.Column("owner_id", sa.Uuid(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["file_id"], ["tenant_files.id"], name=op.f("fk_attachments_file_id_tenant_files")),
        sa.ForeignKeyConstraint(
            ["node_id"], ["nodes.id"], name=op.f("fk_attachments_node_id_nodes"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(["owner_id"], ["people.id"], name=op.f("fk_attachments_owner_id_people")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_attachments")),
    )
    op.create_index(op.f("ix_attachments_file_id_id"), "attachments", ["file_id", "id"])
    op.create_index(op.f("ix_attachments_node_id_id"), "attachments", ["node_id", "id"])
    op.create_index(op.f("ix_attachments_owner_id_id"), "attachments", ["owner_id", "id"])


def downgrade() -> None:
    """Move back to the one before."""
    op.drop_table("attachments")
    op.drop_table("comments")
