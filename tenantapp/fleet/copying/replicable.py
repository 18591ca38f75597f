"""Moving a tenant by logical replication: whether it can be done, and the parts of it that are about the data."""

from typing import Any, Final

from sqlalchemy.engine import Connection

from tenantapp.databases.connections.migration_connections import migration_connection
from tenantapp.databases.histories.targets import Target
from tenantapp.databases.histories.upgrading import upgrade_to
from tenantapp.databases.schemas.structure import read_structure
from tenantapp.fleet.copying.checks import expected_on, tables_to_replicate
from tenantapp.fleet.copying.originals import Original, identities_of
from tenantapp.fleet.copying.replication import Replication
from tenantapp.fleet.errors import CopyFailed
from tenantapp.operations.fleet import Fleet
from tenantapp.operations.kinds import Context
from tenantapp.tenancy.servers import PostgresServer, Server

# What a subscriber cannot follow: rows that nothing tells apart, and what is not replicated at all.
# https://www.postgresql.org/docs/current/logical-replication-restrictions.html
CAPABLE: Final = """
SELECT current_setting('wal_level') AS wal_level,
    (SELECT rolsuper OR rolreplication FROM pg_roles WHERE rolname = current_user) AS may_replicate,
    EXISTS (SELECT FROM pg_largeobject_metadata) AS large_objects,
    (SELECT string_agg(relname, ', ' ORDER BY relname) FROM pg_class WHERE relrowsecurity) AS secured,
    (SELECT string_agg(relname, ', ' ORDER BY relname) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
     WHERE nspname !~ '^pg_' AND nspname <> 'information_schema' AND (relkind IN ('m', 'f')
         OR relkind IN ('r', 'p') AND (relpersistence <> 'p' OR NOT (relreplident IN ('f', 'i') OR relreplident = 'd'
             AND EXISTS (SELECT FROM pg_index WHERE indrelid = c.oid AND indisprimary))))) AS unfit
"""
SEQUENCES: Final = """
SELECT format('%%I.%%I', nspname, relname) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE relkind = 'S' AND nspname !~ '^pg_' AND nspname <> 'information_schema'
"""
# Before anybody is kept out the new server has to be so close behind, if it ever is.
CLOSE_BEHIND: Final = 0.5  # seconds
TRIES: Final = 60
PATIENCE: Final = 60.0  # seconds
LAST_PATIENCE: Final = 15.0  # seconds; a tenant's people wait meanwhile


def why_not_replicated(fleet: Fleet, original: Connection, source: Server, target: Server, revision: str) -> str | None:
    """Why a database cannot be replicated, as far as it can be known before it is tried; None if it can.

    Raises what ``expected_on`` does.
    """
    if not isinstance(source, PostgresServer) or not isinstance(target, PostgresServer):
        return "only PostgreSQL replicates to PostgreSQL"
    found = original.exec_driver_sql(CAPABLE).one()
    if found.wal_level != "logical":
        return f"wal_level of server {source.name} is {found.wal_level}"
    if not found.may_replicate:
        return f"the role of server {source.name} is no superuser and lacks REPLICATION"
    if found.large_objects:
        return "large objects are not replicated"
    if found.secured:
        return f"rows are not applied to a table with row level security: {found.secured}"
    if found.unfit:
        return f"without a primary key, or not replicated: {found.unfit}"
    if read_structure(original) != expected_on(fleet, source, revision):
        return "its structure is not that of its revision"
    return None


def replication_between(source: Server, database: str, target: Server, new: str, stalled: float) -> Replication:
    """The replication of a database, made or not. Raises ``CopyFailed`` unless both servers are PostgreSQL."""
    if not isinstance(source, PostgresServer) or not isinstance(target, PostgresServer):
        raise CopyFailed(database, "only PostgreSQL replicates to PostgreSQL")
    return Replication(source, database, target, new, stalled=stalled)


def fill_by_replication(context: Context, replication: Replication, original: Original, target: Target) -> None:
    """Make the tables, and copy their rows until the new server is close behind. Raises what ``Replication`` does."""
    upgrade_to(target, context.result["revision"])
    with migration_connection(target.url, target.name, failure=CopyFailed) as connection, connection.begin():
        tables = tables_to_replicate(connection)
        if tables:
            # What migrations have put in is in the original as well, as it is now.
            connection.exec_driver_sql(f"TRUNCATE {', '.join(tables)}")
    replication.add(tables)
    replication.wait_until_copied(context.progress)
    for _ in range(TRIES):
        context.progress(1.0, "catching up")
        if replication.catch_up(PATIENCE) < CLOSE_BEHIND:
            return


def follow_to_the_end(replication: Replication, original: Original, target: Target) -> None:
    """Bring over the last that was written, now that nobody writes, and end the replication. Raises ``CopyFailed``."""
    replication.catch_up(LAST_PATIENCE)
    with original.reading() as connection:
        values = _sequence_values(connection)
    with migration_connection(target.url, target.name, failure=CopyFailed) as connection, connection.begin():
        # Not when another attempt has finished it, and the tenant is served from it.
        if not identities_of(connection):
            for sequence, (last, called) in values.items():
                connection.exec_driver_sql("SELECT setval(%s, %s, %s)", (sequence, last, called))
    replication.remove()


def _sequence_values(connection: Connection) -> dict[str, Any]:
    """Replication leaves them out. By name: the last number, and whether it was given out."""
    sequences = connection.exec_driver_sql(SEQUENCES).scalars().all()
    return {
        name: connection.exec_driver_sql(f"SELECT last_value, is_called FROM {name.replace('%', '%%')}").one()  # noqa: S608
        for name in sequences
    }
