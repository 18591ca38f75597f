"""INSERT ... ON CONFLICT, which both engines have and SQLAlchemy spells per engine."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from sqlalchemy.orm import DeclarativeBase, Session

if TYPE_CHECKING:
    from sqlalchemy.dialects import postgresql, sqlite


def insert_for(session: Session, model: type[DeclarativeBase]) -> "postgresql.Insert | sqlite.Insert":
    """An ``INSERT`` into the model's table with ``on_conflict_do_update`` and ``on_conflict_do_nothing``."""
    # To import a dialect that is not used takes a command longer than its work.
    if session.get_bind().dialect.name == "postgresql":
        from sqlalchemy.dialects import postgresql

        return postgresql.insert(model)
    from sqlalchemy.dialects import sqlite

    return sqlite.insert(model)


def insert_ignoring_conflicts(
    session: Session, model: type[DeclarativeBase], rows: Sequence[Mapping[str, Any]]
) -> None:
    """Insert the rows; those that are there already stay as they are."""
    session.execute(insert_for(session, model).on_conflict_do_nothing(), rows)
