"""Read what was recorded: the changes of a tenant's rows, in the order in which they were committed."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from sqlalchemy import Select, select, true
from sqlalchemy.orm import Session

from tenantapp.tenancy.errors import ChangesGone
from tenantapp.tenancy.known_tables import needs_table
from tenantapp.tenancy.models import Change, ChangeCounter
from tenantapp.tenancy.recording import Kind

MOST_LOOKED_AT: Final = 5_000  # changes, when most are of tables that the reader may not see


@dataclass(frozen=True, slots=True)
class SeenChange:
    """The newest change of a row in a part of the log. ``person_id`` and ``person_name`` say who made it."""

    position: int
    table_name: str
    row_id: UUID
    kind: Kind
    version: int | None
    person_id: UUID | None
    person_name: str | None
    at: datetime


@dataclass(frozen=True, slots=True)
class Changes:
    """A part of the log. ``position`` is where the next part begins. ``more`` says that it has changes by now."""

    changes: tuple[SeenChange, ...]
    position: int
    more: bool


def present_position(session: Session) -> int:
    """Return the position of the last change. Raises ``TenantMigrating`` if the database has no log yet."""
    with needs_table(session, Change.__tablename__):
        return session.scalar(select(ChangeCounter.position)) or 0


def read_changes(session: Session, after: int, limit: int, tables: Collection[str]) -> Changes:
    """Return the changes of rows in these tables after a position, at most ``limit``, the oldest first.

    Of several changes of one row only the newest is returned, and a row that was created and changed counts as changed:
    a reader treats both alike. Raises ``ChangesGone`` if changes after this position are no longer kept, or if the
    position was never given; ``TenantMigrating`` if the database has no log yet.
    """
    # One statement, so the counter and the changes are those of one moment. Positions have no gaps.
    until = after + MOST_LOOKED_AT
    some = (
        select(Change.__table__)
        .where(Change.position > after, Change.position <= until, Change.table_name.in_(sorted(tables)))
        .order_by(Change.position)
        .limit(limit + 1)
        .subquery()
    )
    statement = (
        select(ChangeCounter.position.label("last"), ChangeCounter.removed, *some.c)
        .select_from(ChangeCounter)
        .outerjoin(some, true())
        .order_by(some.c.position)
    )
    with needs_table(session, Change.__tablename__):
        rows = session.execute(statement).all()
    last, removed = (rows[0].last, rows[0].removed) if rows else (0, 0)
    if not removed <= after <= last:
        raise ChangesGone
    found = [SeenChange(*row[2:]) for row in rows if row.position is not None]
    position = found[limit - 1].position if len(found) > limit else min(last, until)
    newest = {(change.table_name, change.row_id): change for change in found[:limit]}
    shown = tuple(sorted(newest.values(), key=lambda change: change.position))
    return Changes(shown, position, position < last)


def read_history(session: Session, table: str, row_id: UUID, limit: int, before: int | None = None) -> list[SeenChange]:
    """Return the changes of one row, at most ``limit``, the newest first, of those before a position if there is one.

    Raises ``TenantMigrating`` if the database has no log yet.
    """
    with needs_table(session, Change.__tablename__):
        return [SeenChange(*row) for row in session.execute(history_of(table, row_id, limit, before))]


def history_of(table: str, row_id: UUID, limit: int, before: int | None = None) -> Select[*tuple[Any, ...]]:
    """Return the statement of ``read_history``. The index of the row has the changes in their order."""
    of_row = (Change.row_id == row_id, Change.table_name == table)
    where = of_row if before is None else (*of_row, Change.position < before)
    return select(*Change.__table__.c).where(*where).order_by(Change.position.desc()).limit(limit)
