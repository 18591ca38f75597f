"""INSERT ... ON CONFLICT, which both engines have and SQLAlchemy spells per engine."""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import DeclarativeBase, Session


def insert_for(session: Session, model: type[DeclarativeBase]) -> postgresql.Insert | sqlite.Insert:
    """An ``INSERT`` into the model's table with ``on_conflict_do_update`` and ``on_conflict_do_nothing``."""
    dialect = session.get_bind().dialect.name
    return postgresql.insert(model) if dialect == "postgresql" else sqlite.insert(model)


def insert_ignoring_conflicts(
    session: Session, model: type[DeclarativeBase], rows: Sequence[Mapping[str, Any]]
) -> None:
    """Insert the rows; those that are there already stay as they are."""
    session.execute(insert_for(session, model).on_conflict_do_nothing(), rows)
