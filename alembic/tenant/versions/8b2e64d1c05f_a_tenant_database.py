"""Everything a tenant database starts with.

Revision ID: 8b2e64d1c05f
Revises:
"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "8b2e64d1c05f"
down_revision: str | Sequence[str] | None = None
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    """Move to this revision."""
    op.create_table(
        "people",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_people")),
    )
    op.create_table(
        "tags",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.String(length=50), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_tags")),
        sa.UniqueConstraint("name", name=op.f("uq_tags_name")),
    )
    op.create_table(
        "tenant_identity",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", name=op.f("pk_tenant_identity")),
    )
    op.create_table(
        "nodes",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("parent_id", sa.Uuid(), nullable=True),
        sa.Column("owner_id", sa.Uuid(), nullable=False),
        sa.Column("title", sa.String(length=200), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("status", sa.String(length=20), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("status IN ('draft', 'published', 'archived')", name=op.f("ck_nodes_status")),
        sa.ForeignKeyConstraint(["owner_id"], ["people.id"], name=op.f("fk_nodes_owner_id_people")),
        sa.ForeignKeyConstraint(["parent_id"], ["nodes.id"], name=op.f("fk_nodes_parent_id_nodes")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_nodes")),
    )
    op.create_index(op.f("ix_nodes_owner_id"), "nodes", ["owner_id"])
    op.create_index(op.f("ix_nodes_parent_id"), "nodes", ["parent_id"])
    op.create_table(
        "node_tags",
        sa.Column("node_id", sa.Uuid(), nullable=False),
        sa.Column("tag_id", sa.Uuid(), nullable=False),
        sa.ForeignKeyConstraint(["node_id"], ["nodes.id"], name=op.f("fk_node_tags_node_id_nodes"), ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["tag_id"], ["tags.id"], name=op.f("fk_node_tags_tag_id_tags"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("node_id", "tag_id", name=op.f("pk_node_tags")),
    )
    op.create_index(op.f("ix_node_tags_tag_id"), "node_tags", ["tag_id"])


def downgrade() -> None:
    """Move back to the one before."""
    op.drop_index(op.f("ix_node_tags_tag_id"), "node_tags")
    op.drop_table("node_tags")
    op.drop_index(op.f("ix_nodes_parent_id"), "nodes")
    op.drop_index(op.f("ix_nodes_owner_id"), "nodes")
    op.drop_table("nodes")
    op.drop_table("tenant_identity")
    op.drop_table("tags")
    op.drop_table("people")
