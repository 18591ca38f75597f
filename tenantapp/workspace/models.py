"""The bundled domain: nodes in a tree, their tags, comments and attachments, and the people who wrote them."""

from datetime import datetime
from typing import Final, Literal, get_args
from uuid import UUID

from sqlalchemy import CheckConstraint, Column, ForeignKey, Index, String, Table, Text, select
from sqlalchemy.orm import Mapped, Session, mapped_column, object_session, relationship

from tenantapp.sql.ids import uuid7
from tenantapp.sql.times import UtcDateTime, utcnow
from tenantapp.tenancy.models import TenantBase, TenantFile, Tracked, Versioned
from tenantapp.tenancy.searching import Searched

Status = Literal["draft", "published", "archived"]
TITLE_LENGTH: Final = 200
TAG_LENGTH: Final = 50


class Author(TenantBase):
    """A copy of a person's name in this tenant, so that names are shown without the user database.

    ``id`` is the person's id in the user database. The name is updated when the person writes something.
    """

    __tablename__ = "people"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(200))


node_tags = Table(
    "node_tags",
    TenantBase.metadata,
    Column("node_id", ForeignKey("nodes.id", ondelete="CASCADE"), primary_key=True),
    Column("tag_id", ForeignKey("tags.id", ondelete="CASCADE"), primary_key=True),
    Index(None, "tag_id", "node_id"),
)


class Tag(Tracked, TenantBase):
    """A label of nodes."""

    __tablename__ = "tags"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid7)
    name: Mapped[str] = mapped_column(String(TAG_LENGTH), unique=True)


class Node(Tracked, Searched, TenantBase):
    """A text in the tree. ``version`` counts its changes. SQLAlchemy checks it in every UPDATE and DELETE."""

    __tablename__ = "nodes"
    __table_args__ = (
        CheckConstraint(f"status IN ({', '.join(repr(word) for word in get_args(Status))})", name="status"),
        # Lists are sorted by these.
        Index(None, "title", "id"),
        Index(None, "updated_at", "id"),
        # Lists are filtered by these. With the id, a page is read in its order and nothing is sorted.
        Index(None, "status", "id"),
        Index(None, "owner_id", "id"),
        Index(None, "parent_id", "id"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid7)
    parent_id: Mapped[UUID | None] = mapped_column(ForeignKey("nodes.id"))
    owner_id: Mapped[UUID] = mapped_column(ForeignKey(Author.id))
    title: Mapped[str] = mapped_column(String(TITLE_LENGTH))
    body: Mapped[str] = mapped_column(Text)
    status: Mapped[str] = mapped_column(String(20))
    version: Mapped[int] = mapped_column()
    created_at: Mapped[datetime] = mapped_column(UtcDateTime, default=utcnow)
    updated_at: Mapped[datetime] = mapped_column(UtcDateTime, default=utcnow, onupdate=utcnow)
    owner: Mapped[Author] = relationship()
    tags: Mapped[list[Tag]] = relationship(secondary=node_tags, order_by=Tag.name)

    __mapper_args__ = {"version_id_col": version}
    __search__ = ("title", "body")

    def ancestors(self) -> list["Node"]:
        """Return the nodes above this one, the nearest first. They are read in this node's own session."""
        above: list[Node] = []
        node: Node | None = self
        while node is not None and node.parent_id is not None:
            node = _session_of(self).get_one(Node, node.parent_id)
            above.append(node)
        return above

    def all_tags(self) -> list[Tag]:
        """Return the tags of this node and of the nodes above it, by name. They are read in this node's own session."""
        nodes = [self.id, *(node.id for node in self.ancestors())]
        carried = select(node_tags.c.tag_id).where(node_tags.c.node_id.in_(nodes))
        return list(_session_of(self).scalars(select(Tag).where(Tag.id.in_(carried)).order_by(Tag.name)))


class Comment(Tracked, Versioned, TenantBase):
    """What somebody says about a node."""

    __tablename__ = "comments"
    __table_args__ = (Index(None, "node_id", "id"), Index(None, "owner_id", "id"))

    node_id: Mapped[UUID] = mapped_column(ForeignKey(Node.id, ondelete="CASCADE"))
    owner_id: Mapped[UUID] = mapped_column(ForeignKey(Author.id))
    text: Mapped[str] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime, default=utcnow)
    updated_at: Mapped[datetime] = mapped_column(UtcDateTime, default=utcnow, onupdate=utcnow)


class Attachment(Tracked, TenantBase):
    """A file at a node. It stays as it is."""

    __tablename__ = "attachments"
    __table_args__ = (Index(None, "node_id", "id"), Index(None, "owner_id", "id"), Index(None, "file_id", "id"))

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid7)
    node_id: Mapped[UUID] = mapped_column(ForeignKey(Node.id, ondelete="CASCADE"))
    file_id: Mapped[UUID] = mapped_column(ForeignKey(TenantFile.id))
    owner_id: Mapped[UUID] = mapped_column(ForeignKey(Author.id))
    created_at: Mapped[datetime] = mapped_column(UtcDateTime, default=utcnow)


def _session_of(node: Node) -> Session:
    session = object_session(node)
    if session is None:
        raise RuntimeError("the node belongs to no session, so it cannot read other nodes")
    return session
