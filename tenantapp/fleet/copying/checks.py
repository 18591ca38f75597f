"""Whether a copy is what it was to be: its structure, and how many rows it has."""

import sqlite3
from typing import Any, Final

from psycopg2.errors import QueryCanceled
from sqlalchemy.engine import Connection
from sqlalchemy.exc import OperationalError

from tenantapp.databases.connections.maintenance_engines import maintenance_connection
from tenantapp.databases.schemas.expected import ExpectedStructures
from tenantapp.databases.schemas.structure import Structure, difference, read_structure
from tenantapp.fleet.bundles.tables import OURS, quoted
from tenantapp.fleet.errors import CopyFailed
from tenantapp.operations.fleet import Fleet
from tenantapp.tenancy.servers import Server, SqliteServer

NAMED: Final = 3  # findings that a sentence has room for
COUNT_PATIENCE: Final = 0.25  # seconds
POSTGRES_TABLES: Final = """
SELECT CASE nspname WHEN 'public' THEN '' ELSE nspname || '.' END || relname, format('%%I.%%I', nspname, relname)
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE relkind IN ('r', 'p') AND NOT relispartition AND nspname !~ '^pg_' AND nspname <> 'information_schema'
"""
SQLITE_TABLES: Final = r"SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite\_%' ESCAPE '\'"


def found_in(findings: list[str]) -> str:
    """What differs, as a part of a sentence."""
    more = len(findings) - NAMED
    return "; ".join(findings[:NAMED]) + (f"; and {more} more" if more > 0 else "")


def server_version(server: Server) -> tuple[int | str, ...]:
    """The version of a server. Raises what ``maintenance_connection`` does."""
    if isinstance(server, SqliteServer):
        return sqlite3.sqlite_version_info
    with maintenance_connection(server.url, f"server {server.name}") as connection:
        return tuple(connection.dialect.server_version_info or ())


def expected_on(fleet: Fleet, server: Server, revision: str) -> Structure:
    """The structure that a revision should have on a server. Raises what ``ExpectedStructures.of`` does."""
    return ExpectedStructures(fleet).of(server, server_version(server), revision)


def expected_of_copy(fleet: Fleet, original: Connection, server: Server, revision: str) -> Structure:
    """The structure that a copy on this server should have: its original's, or, where that is said otherwise, that of
    its revision.
    """
    same_engine = original.dialect.name == server.url.get_backend_name()
    if same_engine and original.dialect.server_version_info == server_version(server):
        return read_structure(original)
    return expected_on(fleet, server, revision)


def check_structure(found: Structure, expected: Structure, name: str) -> None:
    """Raise ``CopyFailed`` if a copy is made otherwise; the sentence names the first differences."""
    findings = difference(expected, found)
    if findings:
        raise CopyFailed(name, f"the structure is another than it should be: {found_in(findings)}")


def row_counts(connection: Connection) -> dict[str, int]:
    """How many rows each table has; not counted are those that each database has of its own."""
    return {
        name: connection.exec_driver_sql(f"SELECT count(*) FROM {words}").scalar_one()  # noqa: S608 - quoted
        for name, words in data_tables(connection).items()
    }


def counts_in_haste(connection: Connection) -> dict[str, int] | None:
    """The same on PostgreSQL, or None where it would take long. What the transaction did before stays done."""
    connection.exec_driver_sql(f"SET LOCAL statement_timeout = '{COUNT_PATIENCE}s'")
    try:
        with connection.begin_nested():
            return row_counts(connection)
    except OperationalError as error:
        if not isinstance(error.orig, QueryCanceled):
            raise
        return None
    finally:
        connection.exec_driver_sql("SET LOCAL statement_timeout = DEFAULT")


def data_tables(connection: Connection) -> dict[str, str]:
    """The tables that hold a tenant's data, each as it is written in a statement."""
    if connection.dialect.name == "sqlite":
        names = connection.exec_driver_sql(SQLITE_TABLES).scalars()
        found: dict[Any, str] = {name: quoted(connection, name) for name in names}
    else:
        found = {name: words.replace("%", "%%") for name, words in connection.exec_driver_sql(POSTGRES_TABLES)}
    return {name: words for name, words in found.items() if name not in OURS}


def check_rows(name: str, original: dict[str, int], copy: dict[str, int]) -> None:
    """Raise ``CopyFailed`` if a table has not as many rows as its original."""
    wrong = [table for table in sorted(original.keys() | copy.keys()) if original.get(table) != copy.get(table)]
    if wrong:
        counts = [f"{table} has {copy.get(table, 'no')} rows and not {original.get(table, 'any')}" for table in wrong]
        raise CopyFailed(name, f"the table {found_in(counts)}")
