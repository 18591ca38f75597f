"""Which of the newer core tables does a tenant database have?

A new version of the program serves databases that are not migrated yet. What depends on a table that they lack is left
out, or refused with ``TenantMigrating``. Each process asks a database once per table, in the transaction that needs to
know, and keeps the answer if the table is there. So a migrated database is not asked again, and a migration is noticed
by the next transaction.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Final

from sqlalchemy import Boolean, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from tenantapp.sql.errors import TransactionConflict
from tenantapp.sql.prepared import DATABASE
from tenantapp.tenancy.errors import TenantMigrating

UNDEFINED_TABLE: Final = "42P01"  # SQLSTATE
POSTGRES: Final = text("SELECT to_regclass(:name) IS NOT NULL AS there").columns(there=Boolean)
SQLITE: Final = text(
    "SELECT EXISTS (SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = :name) AS there"
).columns(there=Boolean)


def has_table(session: Session, name: str) -> bool:
    """Return whether the database of a session has this table. A session of no ``DBFactory`` asks each time."""
    known = _known(session)
    if name in known:
        return True
    statement = POSTGRES if session.get_bind().dialect.name == "postgresql" else SQLITE
    there: bool = session.execute(statement, {"name": name}).scalar_one()
    if there:
        known.add(name)
    return there


@contextmanager
def needs_table(session: Session, name: str) -> Iterator[None]:
    """Raise ``TenantMigrating`` if the database has no such table yet, or none any more because it was downgraded."""
    if not has_table(session, name):
        raise TenantMigrating
    with _noticed(session, name, TenantMigrating):
        yield


def writes_table(session: Session, name: str) -> AbstractContextManager[None]:
    """Raise ``TransactionConflict`` if a table that was there is gone: tried again, the transaction leaves it out."""
    return _noticed(session, name, TransactionConflict)


@contextmanager
def _noticed(session: Session, name: str, refusal: type[Exception]) -> Iterator[None]:
    try:
        yield
    except DBAPIError as error:
        if not is_missing_table(error):
            raise
        # The statement may name several, and a downgrade takes several away: the database is asked again for each.
        _known(session).clear()
        raise refusal from error


def is_missing_table(error: DBAPIError) -> bool:
    """Return whether a statement has failed because a table is not there."""
    if getattr(error.orig, "pgcode", None) == UNDEFINED_TABLE:
        return True
    return isinstance(error.orig, sqlite3.OperationalError) and str(error.orig).startswith("no such table")


def _known(session: Session) -> set[str]:
    database = session.info.get(DATABASE)
    return set() if database is None else database.known_tables
