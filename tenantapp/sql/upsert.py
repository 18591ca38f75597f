"""INSERT ... ON CONFLICT. Both engines have it, but SQLAlchemy has one construct per engine."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from sqlalchemy import Table
from sqlalchemy.orm import DeclarativeBase, Session

if TYPE_CHECKING:
    from sqlalchemy.dialects import postgresql, sqlite


def insert_for(session: Session | str, model: type[DeclarativeBase] | Table) -> "postgresql.Insert | sqlite.Insert":
    """Return an ``INSERT`` into a table that has ``on_conflict_do_update`` and ``on_conflict_do_nothing``.

    It is for the engine of a session, or the one whose name is given.
    """
    dialect = session if isinstance(session, str) else session.get_bind().dialect.name
    # Imported here, because importing a dialect that is not used takes longer than most commands.
    if dialect == "postgresql":
        from sqlalchemy.dialects import postgresql

        return postgresql.insert(model)
    from sqlalchemy.dialects import sqlite

    return sqlite.insert(model)


def insert_ignoring_conflicts(
    session: Session, model: type[DeclarativeBase], rows: Sequence[Mapping[str, Any]]
) -> None:
    """Insert the rows. Rows that conflict with existing rows are ignored."""
    session.execute(insert_for(session, model).on_conflict_do_nothing(), rows)
