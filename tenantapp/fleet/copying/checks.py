"""Whether a copy is what it was to be: its structure, and how many rows it has."""

from typing import Any, Final

from sqlalchemy.engine import Connection

from tenantapp.fleet.bundles.tables import OURS, quoted
from tenantapp.fleet.connections import reading_connection
from tenantapp.fleet.copying.errors import CopyFailed
from tenantapp.fleet.fleet import Fleet
from tenantapp.fleet.schemas.expected import ExpectedStructures
from tenantapp.fleet.schemas.structure import Structure, difference, read_structure
from tenantapp.fleet.targets import Target
from tenantapp.tenancy.access import TenantPlace

NAMED: Final = 3  # findings that a sentence has room for
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


def expected_in(fleet: Fleet, place: TenantPlace, target: Target, revision: str) -> Structure:
    """The structure that a revision should have where the copy is. Raises what ``ExpectedStructures.of`` does."""
    with reading_connection(target.url, target.name) as connection:
        version = tuple(connection.dialect.server_version_info or ())
    return ExpectedStructures(fleet.settings, fleet.servers).of(fleet.servers[place.server], version, revision)


def check_structure(target: Target, expected: Structure, like: str) -> None:
    """Raise ``CopyFailed`` if the copy is made otherwise; the sentence names the first differences."""
    with reading_connection(target.url, target.name) as connection, connection.begin():
        findings = difference(expected, read_structure(connection))
    if findings:
        raise CopyFailed(target.name, f"its structure is not that of {like}: {found_in(findings)}")


def row_counts(connection: Connection) -> dict[str, int]:
    """How many rows each table has; not counted are those that each database has of its own."""
    if connection.dialect.name == "sqlite":
        names = connection.exec_driver_sql(SQLITE_TABLES).scalars()
        tables: dict[Any, str] = {name: quoted(connection, name) for name in names}
    else:
        tables = {name: words.replace("%", "%%") for name, words in connection.exec_driver_sql(POSTGRES_TABLES)}
    return {
        name: connection.exec_driver_sql(f"SELECT count(*) FROM {words}").scalar_one()  # noqa: S608 - quoted
        for name, words in tables.items()
        if name not in OURS
    }


def check_rows(name: str, original: dict[str, int], copy: dict[str, int]) -> None:
    """Raise ``CopyFailed`` if a table has not as many rows as its original."""
    wrong = [table for table in sorted(original.keys() | copy.keys()) if original.get(table) != copy.get(table)]
    if wrong:
        counts = [f"{table} has {copy.get(table, 'no')} rows and not {original.get(table, 'any')}" for table in wrong]
        raise CopyFailed(name, f"the table {found_in(counts)}")
