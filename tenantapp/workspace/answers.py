"""Nodes and tags as the API shows them. The database writes them; the tests compare its JSON with these models."""

from datetime import datetime
from uuid import UUID

from tenantapp.answers import Answer
from tenantapp.workspace.models import Status


class NodeOwner(Answer):
    """The person who owns a node."""

    id: UUID
    name: str


class Node(Answer):
    """A text in the tree. ``body`` is Markdown. ``version`` counts the changes."""

    id: UUID
    title: str
    body: str
    status: Status
    parent_id: UUID | None
    owner: NodeOwner
    tags: list[str]
    version: int
    created_at: datetime
    updated_at: datetime


class Tag(Answer):
    """A label. ``nodes`` is the number of nodes that have it."""

    id: UUID
    name: str
    nodes: int
