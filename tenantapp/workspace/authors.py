"""The people who own what is in a tenant, by the names that they had when they last wrote."""

from uuid import UUID

from pydantic import BaseModel
from sqlalchemy import select
from sqlalchemy.orm import Session

from tenantapp.sql.upsert import insert_for
from tenantapp.tenancy.access import Person
from tenantapp.workspace.models import Author


class Owner(BaseModel):
    """The person who owns a row."""

    id: UUID
    name: str


def remember_author(session: Session, person: Person) -> None:
    """Update this tenant's copy of the person's name."""
    if session.scalar(select(Author.name).where(Author.id == person.id)) == person.name:
        # An upsert locks the row even if it changes nothing, and the person's other writes would wait for the lock.
        return
    insert = insert_for(session, Author).values(id=person.id, name=person.name)
    session.execute(insert.on_conflict_do_update(index_elements=[Author.id], set_={"name": insert.excluded.name}))
