"""Move a tenant by logical replication: check whether that works, and copy the data."""

from typing import Any, Final

from sqlalchemy.engine import Connection

from tenantapp.databases.connections.migration_connections import migration_connection
from tenantapp.databases.histories.targets import Target
from tenantapp.databases.histories.upgrading import upgrade_to
from tenantapp.databases.privileges.giving import everything_allowed
from tenantapp.fleet.backups.restored_forms import Side, structure_differences
from tenantapp.fleet.copying.checks import expected_on, tables_to_replicate
from tenantapp.fleet.copying.originals import Original, identities_of
from tenantapp.fleet.copying.replication import Replication
from tenantapp.fleet.errors import CopyFailed
from tenantapp.operations.checkpoints import checkpoint
from tenantapp.operations.fleet import Fleet
from tenantapp.operations.kinds import Context
from tenantapp.tenancy.servers import PostgresServer, Server

# What replication cannot handle: tables without a key, or with one that is checked later; objects that are not
# replicated; triggers that would change on the new server what has been changed already.
# https://www.postgresql.org/docs/current/logical-replication-restrictions.html
CAPABLE: Final = """
SELECT current_setting('wal_level') AS wal_level,
    (SELECT rolsuper OR rolreplication FROM pg_roles WHERE rolname = current_user) AS may_replicate,
    EXISTS (SELECT FROM pg_largeobject_metadata) AS large_objects,
    (SELECT string_agg(relname, ', ' ORDER BY relname) FROM pg_class WHERE relrowsecurity) AS secured,
    (SELECT string_agg(relname, ', ' ORDER BY relname) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
     WHERE nspname !~ '^pg_' AND nspname <> 'information_schema' AND NOT EXISTS (
         SELECT FROM pg_depend WHERE classid = 'pg_class'::regclass AND objid = c.oid AND deptype = 'e')
         AND (relkind IN ('m', 'f')
         OR relkind IN ('r', 'p') AND (relpersistence <> 'p' OR NOT (relreplident IN ('f', 'i') OR relreplident = 'd'
             AND EXISTS (SELECT FROM pg_index WHERE indrelid = c.oid AND indisprimary AND indimmediate))))) AS unfit,
    (SELECT string_agg(format('%%s of %%s', tgname, relname), ', ' ORDER BY relname, tgname)
     FROM pg_trigger JOIN pg_class c ON c.oid = tgrelid
     WHERE NOT tgisinternal AND tgenabled IN ('A', 'R') AND tgparentid = 0) AS fires
"""
SEQUENCES: Final = """
SELECT format('%%I.%%I', nspname, relname) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE relkind = 'S' AND nspname !~ '^pg_' AND nspname <> 'information_schema'
    AND NOT EXISTS (SELECT FROM pg_depend WHERE classid = 'pg_class'::regclass AND objid = c.oid AND deptype = 'e')
"""
# The new server must be this close behind before the tenant is fenced, or is fenced anyway after ``TRIES``.
CLOSE_BEHIND: Final = 0.5  # seconds
TRIES: Final = 60
PATIENCE: Final = 60.0  # seconds
LAST_PATIENCE: Final = 15.0  # seconds, during which the tenant's people wait


def why_not_replicated(fleet: Fleet, original: Connection, side: Side, target: Server, revision: str) -> str | None:
    """Return why a database cannot be replicated, or None if nothing known beforehand prevents it.

    ``side`` is its structure.

    Raises what ``expected_on`` raises.
    """
    source = side.server
    if not isinstance(source, PostgresServer) or not isinstance(target, PostgresServer):
        return "only PostgreSQL replicates to PostgreSQL"
    found = original.exec_driver_sql(CAPABLE).one()
    if found.wal_level != "logical":
        return f"the server {source.name} has wal_level {found.wal_level}"
    if not found.may_replicate:
        return f"the role of the server {source.name} is not a superuser and lacks REPLICATION"
    if found.large_objects:
        return "large objects are not replicated"
    if found.secured:
        return f"tables with row level security cannot be replicated: {found.secured}"
    if found.unfit:
        return f"no primary key, a deferrable one, or not replicated: {found.unfit}"
    if found.fires:
        return f"triggers that fire also for replicated rows: {found.fires}"
    if structure_differences(fleet, expected_on(fleet, source, revision), side):
        return "its structure is not that of its revision"
    return None


def replication_between(
    source: Server, database: str, target: Server, new: str, *, mark: str, stalled: float
) -> Replication:
    """Return the replication of a database, begun or not. Raises ``CopyFailed`` unless both servers are PostgreSQL."""
    if not isinstance(source, PostgresServer) or not isinstance(target, PostgresServer):
        raise CopyFailed(database, "only PostgreSQL replicates to PostgreSQL")
    return Replication(source, database, target, new, mark=mark, stalled=stalled)


def fill_by_replication(context: Context, replication: Replication, original: Original, target: Target) -> None:
    """Make the tables, and copy rows until the new server is close behind. Raises what ``Replication`` raises."""
    upgrade_to(target, context.result["revision"])
    with migration_connection(target.url, target.name, failure=CopyFailed) as connection, connection.begin():
        tables = tables_to_replicate(connection)
        if tables:
            # The original has the rows that migrations insert, in their present state.
            with everything_allowed(connection, target.name):
                connection.exec_driver_sql(f"TRUNCATE {', '.join(tables)}")
    replication.add(tables)
    replication.wait_until_copied(context.progress)
    for _ in range(TRIES):
        context.progress(1.0, "catching up")
        if replication.catch_up(PATIENCE) < CLOSE_BEHIND:
            return


def follow_to_the_end(replication: Replication, original: Original, target: Target) -> None:
    """Copy the last changes, now that nobody writes, and end the replication. Raises ``CopyFailed``."""
    replication.catch_up(LAST_PATIENCE)
    with original.reading() as connection:
        values = _sequence_values(connection)
    with migration_connection(target.url, target.name, failure=CopyFailed) as connection, connection.begin():
        # With an identity, another attempt has finished this, and the tenant may be served from it.
        if not identities_of(connection):
            for sequence, (last, called) in values.items():
                connection.exec_driver_sql("SELECT setval(%s, %s, %s)", (sequence, last, called))
    replication.remove()


@checkpoint("replication.read_sequences")
def _sequence_values(connection: Connection) -> dict[str, Any]:
    """Return for each sequence its last number and whether it was issued. Replication does not copy sequences."""
    sequences = connection.exec_driver_sql(SEQUENCES).scalars().all()
    return {
        name: connection.exec_driver_sql(f"SELECT last_value, is_called FROM {name.replace('%', '%%')}").one()  # noqa: S608
        for name in sequences
    }
