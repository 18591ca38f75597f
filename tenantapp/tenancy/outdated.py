"""Does a tenant database lack a table or a column that the program expects?

Either the database is older than the program, or somebody has dropped something. The statement fails in the same way as
one with a misspelt name, so the database is asked. That is done only after such an error.
"""

import re
import sqlite3
from typing import Any, Final

import psycopg2
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from tenantapp.sql.errors import SqlError
from tenantapp.tenancy.errors import TenantOutdated
from tenantapp.tenancy.models import TenantBase
from tenantapp.tenancy.request import TenantRequest

UNDEFINED: Final = frozenset({"42P01", "42703"})  # SQLSTATE: undefined table, undefined column
SQLITE_SAYS: Final = re.compile(r"no such (table|column): |table \S+ has no column named ")
COLUMNS: Final = {
    "postgresql": text(
        "SELECT relname, attname FROM pg_class JOIN pg_attribute ON attrelid = pg_class.oid "
        "WHERE relkind IN ('r', 'p', 'v') AND attnum > 0 AND NOT attisdropped AND pg_table_is_visible(pg_class.oid)"
    ),
    "sqlite": text(
        "SELECT tables.name, columns.name FROM sqlite_master AS tables, pragma_table_xinfo(tables.name) AS columns "
        "WHERE tables.type IN ('table', 'view')"
    ),
}


def explained(error: BaseException, request: TenantRequest) -> BaseException:
    """Return ``TenantOutdated`` if a statement of this request failed because its tenant's database lacks something.

    Otherwise return the error itself: a name that no model declares is a mistake in the statement. If the database
    cannot be asked, return what it raises. The transaction of the request is rolled back.
    """
    said = _undefined(error)
    if said is None or "tenant_session" not in request.__dict__:
        return error
    request.tenant_session.rollback()  # its connection is free again
    try:
        with request.registry.tenant_dbs.begin(request.access, read_only=True) as session:
            missing = [name for name in missing_names(session) if _mentions(said, name)]
    except SqlError as failure:
        return failure
    if not missing:
        return error
    outdated = TenantOutdated(request.access.require_tenant().slug, missing[0])
    outdated.__cause__ = error
    return outdated


def missing_names(session: Session) -> list[str]:
    """Return the tables and columns of the models that a tenant database lacks: ``["tags", "nodes.body"]``, sorted."""
    found = {(str(table), str(column)) for table, column in session.execute(COLUMNS[session.get_bind().dialect.name])}
    tables = {table for table, _ in found}
    names = []
    for table in TenantBase.metadata.tables.values():
        if table.name not in tables:
            names.append(table.name)
        else:
            names += [f"{table.name}.{each.name}" for each in table.columns if (table.name, each.name) not in found]
    return sorted(names)


def _undefined(error: BaseException) -> str | None:
    """Return the first line of the driver's message if a statement named a table or column that is not there."""
    driver: Any = error.orig if isinstance(error, DBAPIError) else error
    said = str(driver).partition("\n")[0]
    if isinstance(driver, psycopg2.Error):
        return said if driver.pgcode in UNDEFINED else None
    return said if isinstance(driver, sqlite3.OperationalError) and SQLITE_SAYS.match(said) else None


def _mentions(said: str, name: str) -> bool:
    """Return whether a message is about this table or column. PostgreSQL may speak any language around the name."""
    return re.search(rf"\b{re.escape(name.rpartition('.')[2])}\b", said) is not None
