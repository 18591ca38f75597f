"""Compare a copy with its original: the structure and all content."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from psycopg2.errors import QueryCanceled
from sqlalchemy import MetaData
from sqlalchemy.engine import Connection
from sqlalchemy.exc import OperationalError

from tenantapp.databases.contents.contents import Contents, differences, read_contents
from tenantapp.databases.schemas.expected import version_of
from tenantapp.databases.schemas.structure import found_in, read_structure
from tenantapp.fleet.backups.restored_forms import Side, side_at, side_of_revision, structure_differences
from tenantapp.fleet.bundles.comparing import portable_differences
from tenantapp.fleet.bundles.tables import OURS
from tenantapp.fleet.errors import CopyFailed
from tenantapp.operations.fleet import Fleet
from tenantapp.sql.engines import server_version
from tenantapp.tenancy.models import TenantIdentity
from tenantapp.tenancy.servers import Server

ACCEPT: Final = "; --accept-drift copies it nevertheless"
# The identity is that of the original, or missing.
NOT_COPIED: Final = frozenset({TenantIdentity.__tablename__})
POSTGRES_TABLES: Final = """
SELECT format('%%I.%%I', nspname, relname) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE relkind IN ('r', 'p') AND NOT relispartition AND nspname !~ '^pg_' AND nspname <> 'information_schema'
    AND NOT (nspname = 'public' AND relname = ANY (%s))
    AND NOT EXISTS (SELECT FROM pg_depend WHERE classid = 'pg_class'::regclass AND objid = c.oid AND deptype = 'e')
"""


def expected_on(fleet: Fleet, server: Server, revision: str) -> Side:
    """Return the structure that a revision should have on a server. Raises what ``side_of_revision`` raises."""
    return side_of_revision(fleet, server, version_of(server), revision)


def found_on(server: Server, connection: Connection, name: str) -> Side:
    """Return the structure of the database of this name that the connection leads to, on this server."""
    return side_at(name, server, server_version(connection), read_structure(connection), connection.engine.url)


def expected_of_copy(fleet: Fleet, original: Side, server: Server, revision: str) -> Side:
    """Return the structure that a copy on this server should have.

    It is that of the original. Another engine or version may express that differently, so there it is that of the
    revision.
    """
    same_engine = original.server.url.get_backend_name() == server.url.get_backend_name()
    if same_engine and original.version == version_of(server):
        return original
    return expected_on(fleet, server, revision)


def check_structure(fleet: Fleet, found: Side, expected: Side, name: str, advice: str = "") -> None:
    """Raise ``CopyFailed`` if the structures differ. The message names the first differences, and ends with advice."""
    findings = structure_differences(fleet, expected, found)
    if findings:
        raise CopyFailed(name, f"the structure differs from the expected one: {found_in(findings)}{advice}")


def check_same_drift(fleet: Fleet, original: Side, found: Side, revision: str, name: str) -> list[str]:
    """Return how a copy differs from its revision. Raise ``CopyFailed`` unless its original differs likewise.

    On the same engine and version, both are equal. Another one may express the same difference in other words, so there
    the same parts are to differ. Raises what ``expected_on`` raises.
    """
    if expected_of_copy(fleet, original, found.server, revision) is original:
        check_structure(fleet, found, original, name)
    drift = structure_differences(fleet, expected_on(fleet, found.server, revision), found)
    before = structure_differences(fleet, expected_on(fleet, original.server, revision), original)
    if unlike := {_part(line) for line in drift} ^ {_part(line) for line in before}:
        raise CopyFailed(name, f"the copy differs from the original: {found_in(sorted(unlike))}")
    return drift


def _part(finding: str) -> str:
    """Return what a finding is about, without the definitions."""
    return finding.split(" differs: ", 1)[0]


def check_contents(name: str, original: Connection, copy: Connection, patience: float | None = None) -> bool:
    """Compare all content of a copy with its original on the same engine. Raise ``CopyFailed`` if it differs.

    Returns whether the comparison was completed: with ``patience``, on PostgreSQL, it is given up after that many
    seconds. Both connections must see every row. Raises what ``read_contents`` raises.
    """
    until = None if patience is None else time.monotonic() + patience
    here, there = _at_once(lambda connection: _contents(connection, name, patience, until), original, copy)
    if here is None or there is None:
        return False
    if wrong := differences(here, there):
        raise CopyFailed(name, f"the copy differs from the original: {found_in(wrong)}")
    return True


def check_portable_contents(name: str, original: Connection, copy: Connection, metadata: MetaData) -> None:
    """Compare what a bundle has carried. Raises ``CopyFailed`` if it differs, and ``NotPortable``."""
    if wrong := portable_differences(original, copy, metadata):
        raise CopyFailed(name, f"the copy differs from the original: {found_in(wrong)}")


def tables_to_replicate(connection: Connection) -> list[str]:
    """Return the names of the tables with a tenant's data on PostgreSQL, quoted for a statement."""
    found = connection.exec_driver_sql(POSTGRES_TABLES, (list(OURS),)).scalars()
    return [words.replace("%", "%%") for words in found]


class _TooLong(Exception):
    """The comparison takes too long."""


def _contents(connection: Connection, name: str, patience: float | None, until: float | None) -> Contents | None:
    def look_at_the_clock(rows: int) -> None:
        if until is not None and time.monotonic() > until:
            raise _TooLong

    if patience is not None and connection.dialect.name == "postgresql":
        connection.exec_driver_sql(f"SET LOCAL statement_timeout = '{patience * 1000:.0f}ms'")
    try:
        return read_contents(connection, name, look_at_the_clock).without(NOT_COPIED)
    except _TooLong:
        return None
    except OperationalError as error:
        if patience is None or not isinstance(error.orig, QueryCanceled):
            raise
        return None


def _at_once(read: Callable[[Connection], Contents | None], *connections: Connection) -> list[Contents | None]:
    """Read both databases, on PostgreSQL at the same time, because people may be waiting."""
    if connections[0].dialect.name == "sqlite":
        return [read(connection) for connection in connections]
    with ThreadPoolExecutor(len(connections)) as threads:
        return list(threads.map(read, connections))
