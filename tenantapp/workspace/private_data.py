"""Remove the data about people from a copy of a workspace."""

from typing import Final

from sqlalchemy import delete, update
from sqlalchemy.orm import Session

from tenantapp.sql.ids import uuid7
from tenantapp.tenancy.known_tables import has_table
from tenantapp.workspace.models import Attachment, Author, Comment, Node

NOBODY: Final = "Nobody"


def remove_private_data(session: Session) -> None:
    """Make one anonymous author the owner of all nodes and comments, and delete the other authors and all attachments.

    Titles and texts do not change. A copy has no files.
    """
    nobody = Author(id=uuid7(), name=NOBODY)
    session.add(nobody)
    session.flush()
    session.execute(update(Node).values(owner_id=nobody.id))
    if has_table(session, Comment.__tablename__):
        session.execute(update(Comment).values(owner_id=nobody.id))
        session.execute(delete(Attachment))
    session.execute(delete(Author).where(Author.id != nobody.id))
