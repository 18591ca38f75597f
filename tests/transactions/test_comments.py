"""Comments that are added while their node is deleted."""

import threading
from typing import Any

from sqlalchemy import select

from tenantapp.resources import create_row, delete_row
from tenantapp.tenancy.models import Change
from tenantapp.workspace.comments import comments
from tenantapp.workspace.models import Comment
from tenantapp.workspace.nodes import nodes
from tests.installation import Installation
from tests.shop import access_of


def test_their_end_is_recorded(real_installation: Installation) -> None:
    databases, access = real_installation.registry.tenant_dbs, access_of(real_installation, login="bob")
    with databases.begin(access) as session:
        node_id = create_row(nodes, session, access, nodes.body(title="Discussed")).id
    deleting = threading.Thread(target=lambda: _delete(databases, access, node_id))
    with databases.begin(access) as session:
        comment = create_row(comments, session, access, comments.body(node_id=node_id, text="Late"))
        deleting.start()
        deleting.join(0.3)  # it waits for us
        comment_id = comment.id
    deleting.join()
    with databases.begin(access, read_only=True) as session:
        assert session.scalars(select(Comment)).all() == []
        kinds = session.scalars(select(Change.kind).where(Change.row_id == comment_id).order_by(Change.position)).all()
    assert list(kinds) == ["created", "deleted"]


def _delete(databases: Any, access: Any, node_id: Any) -> None:
    with databases.begin(access) as session:
        delete_row(nodes, session, access, node_id)
