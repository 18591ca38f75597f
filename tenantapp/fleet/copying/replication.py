"""Replicate a database to another server by logical replication. People go on writing meanwhile.

https://www.postgresql.org/docs/current/logical-replication.html
The publication and the slot are on the source, the subscription is on the target. All have the name of the new
database, which is unique to this attempt. They belong to the servers' own roles, because the tenant's role cannot log
in during a move.

The target connects to the source as a role that exists only for this attempt. CREATE SUBSCRIPTION sends a password as
plain text, so the target's log and catalogue may keep it: it must be worth nothing afterwards.
"""

import secrets
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

from psycopg2.extensions import make_dsn
from sqlalchemy.dialects.postgresql.psycopg2 import PGDialect_psycopg2
from sqlalchemy.engine import Connection

from tenantapp.databases.connections import postgres
from tenantapp.databases.connections.maintenance_engines import maintenance_connection
from tenantapp.databases.errors import DatabaseUnreachable
from tenantapp.databases.servers.base import replication_role
from tenantapp.databases.servers.server_databases import databases_on
from tenantapp.fleet.errors import CopyFailed
from tenantapp.operations.checkpoints import checkpoint
from tenantapp.sql.engines import server_version
from tenantapp.tenancy.servers import PostgresServer

CONNECT_TIMEOUT: Final = 5  # seconds for the target to reach the source
# To make a slot, PostgreSQL waits for the open transactions of the whole server.
SLOT_PATIENCE: Final = 60  # seconds
LOOK_EVERY: Final = 0.02  # seconds
STOP_PATIENCE: Final = 30.0  # seconds
# PostgreSQL starts a failed copy of a table again, without end.
MOST_ERRORS: Final = 3
STATES: Final = """
SELECT count(*) FILTER (WHERE srsubstate = 'r') AS ready, count(*) AS tables,
    (SELECT coalesce(sum(tuples_processed), 0) FROM pg_stat_progress_copy WHERE datname = current_database()) AS rows
FROM pg_subscription_rel
"""
ERRORS: Final = "SELECT apply_error_count + sync_error_count FROM pg_stat_subscription_stats WHERE subname = %s"
ERRORS_COUNTED: Final = (15,)
SCHEMAS: Final = """
SELECT format('%%I', nspname) FROM pg_namespace WHERE nspname !~ '^pg_' AND nspname <> 'information_schema'
"""
PARTITIONS: Final = """
SELECT DISTINCT format('%%I.%%I', nspname, relname) FROM unnest(%s::text[]) AS name
CROSS JOIN LATERAL (SELECT name::regclass AS relid UNION SELECT relid FROM pg_partition_tree(name::regclass)) AS part
JOIN pg_class c ON c.oid = part.relid JOIN pg_namespace n ON n.oid = relnamespace
"""
MOST_CONNECTIONS: Final = 100  # one for the changes, and one for each table that is being copied


class Replication:
    """The replication of ``database`` on ``source`` into ``new`` on ``target``.

    It is given up if nothing was copied for ``stalled`` seconds. ``mark`` is the mark for the role that it makes.

    The methods raise ``DatabaseUnreachable``, ``DatabaseBusy``, ``ProvisioningFailed`` and ``CopyFailed``.
    """

    def __init__(
        self, source: PostgresServer, database: str, target: PostgresServer, new: str, *, mark: str, stalled: float
    ) -> None:
        self._source, self._database, self._target, self._new = source, database, target, new
        self._role, self._mark, self._stalled = replication_role(new), mark, stalled

    @checkpoint("replication.begin")
    def begin(self) -> None:
        """Make the role, the publication, the slot and the subscription, without tables. Both databases must exist.

        The target must be able to connect to the source. The slot is made separately: if source and target are on the
        same server, CREATE SUBSCRIPTION would wait for its own transaction.
        """
        password = secrets.token_hex(32)
        with self._on_source() as connection:
            self._make_role(connection, password)
            connection.exec_driver_sql(f"CREATE PUBLICATION {self._quoted(connection)}")
            connection.exec_driver_sql(f"SET statement_timeout = '{SLOT_PATIENCE}s'")
            made = "SELECT pg_create_logical_replication_slot(%s, 'pgoutput')"
            connection.exec_driver_sql(made, (self._new,))
        with self._on_target() as connection:
            name = self._quoted(connection)
            connection.exec_driver_sql(
                f"CREATE SUBSCRIPTION {name} CONNECTION %s PUBLICATION {name}"
                f" WITH (create_slot = false, slot_name = {name}, enabled = false, copy_data = true)",
                (self._address(password),),
            )

    @checkpoint("replication.add")
    def add(self, tables: Sequence[str]) -> None:
        """Begin to copy these tables. Their names are quoted, and they are empty on the target."""
        with self._on_source() as connection:
            if tables:
                listed = ", ".join(tables)
                connection.exec_driver_sql(f"ALTER PUBLICATION {self._quoted(connection)} ADD TABLE {listed}")
                self._grant(connection, tables)
        with self._on_target() as connection:
            name = self._quoted(connection)
            connection.exec_driver_sql(f"ALTER SUBSCRIPTION {name} ENABLE")
            connection.exec_driver_sql(f"ALTER SUBSCRIPTION {name} REFRESH PUBLICATION")

    @checkpoint("replication.wait")
    def wait_until_copied(self, progress: Callable[[float, str], None]) -> None:
        """Wait until each table is copied and follows new changes. An exception from ``progress`` ends the waiting."""
        seen, since = None, time.monotonic()
        with self._on_target() as connection:
            while True:
                ready, tables, rows = connection.exec_driver_sql(STATES).one()
                if ready == tables:
                    return
                if (ready, rows) != seen:
                    seen, since = (ready, rows), time.monotonic()
                if self._errors(connection) >= MOST_ERRORS or time.monotonic() - since > self._stalled:
                    raise CopyFailed(self._database, "it cannot be replicated; see the log of the new server")
                progress(ready / tables, f"{ready} of {tables} tables")
                time.sleep(LOOK_EVERY * 5)

    def catch_up(self, patience: float) -> float:
        """Wait until everything committed so far is on the disk of the target, and return how many seconds it took."""
        began = time.monotonic()
        with self._on_source() as connection:
            # A transaction of its own, so that everything before it is flushed with it.
            emitted = "SELECT pg_logical_emit_message(true, 'tenantapp', '')"
            reached = "SELECT confirmed_flush_lsn >= %s::pg_lsn FROM pg_replication_slots WHERE slot_name = %s"
            last = str(connection.exec_driver_sql(emitted).scalar_one())
            while (found := connection.exec_driver_sql(reached, (last, self._new)).scalars().all()) != [True]:
                if not found:
                    raise CopyFailed(self._database, "its replication slot is gone, and so is what was not copied yet")
                if time.monotonic() - began > patience:
                    raise CopyFailed(self._database, "the new server does not keep up with the changes")
                time.sleep(LOOK_EVERY)
        return time.monotonic() - began

    @checkpoint("replication.remove")
    def remove(self) -> None:
        """Remove what exists of the replication on both servers. The copied data stays.

        The slot is removed even if the target does not answer, because it keeps the write-ahead log of the source, that
        of all its tenants.
        """
        try:
            if self._exists(self._target, self._new):
                with self._on_target() as connection:
                    self._end_subscription(connection)
        except DatabaseUnreachable:
            self._remove_slot()
            self._drop_role()
            raise
        if self._exists(self._source, self._database):
            with self._on_source() as connection:
                self._drop_slots(connection, self._new)
                connection.exec_driver_sql(f"DROP PUBLICATION IF EXISTS {self._quoted(connection)}")
        self._drop_role()

    def _remove_slot(self) -> None:
        if self._exists(self._source, self._database):
            with self._on_source() as connection:
                self._drop_slots(connection, self._new)

    def _end_subscription(self, connection: Connection) -> None:
        """Remove the subscription, its slots first: without the subscription, nobody could find them."""
        found = connection.exec_driver_sql("SELECT oid FROM pg_subscription WHERE subname = %s", (self._new,)).scalar()
        if found is None:
            return
        name = self._quoted(connection)
        connection.exec_driver_sql(f"ALTER SUBSCRIPTION {name} DISABLE")
        here = connection.exec_driver_sql("SELECT system_identifier FROM pg_control_system()").scalar_one()
        if self._exists(self._source, self._database):
            with self._on_source() as source:
                # The slots for copying tables: https://www.postgresql.org/docs/current/logical-replication-subscription.html
                self._drop_slots(source, self._new, f"pg_{found}_sync_[0-9]+_{here}")
        connection.exec_driver_sql(f"ALTER SUBSCRIPTION {name} SET (slot_name = NONE)")
        connection.exec_driver_sql(f"DROP SUBSCRIPTION {name}")

    def _drop_slots(self, connection: Connection, *patterns: str) -> None:
        """Drop the slots whose names match. End the processes that use them first."""
        slots = "SELECT slot_name, active_pid FROM pg_replication_slots WHERE database = %s AND slot_name ~ ANY (%s)"
        until = time.monotonic() + STOP_PATIENCE
        wanted = [f"^{pattern}$" for pattern in patterns]
        while found := connection.exec_driver_sql(slots, (self._database, wanted)).all():
            for slot, process in found:
                if process is None:
                    connection.exec_driver_sql("SELECT pg_drop_replication_slot(%s)", (slot,))
                elif time.monotonic() > until:
                    raise CopyFailed(self._database, f"the replication slot {slot} is in use")
                else:
                    connection.exec_driver_sql("SELECT pg_terminate_backend(%s)", (process,))
            time.sleep(LOOK_EVERY)

    def _errors(self, connection: Connection) -> int:
        if server_version(connection) < ERRORS_COUNTED:
            return 0
        return connection.exec_driver_sql(ERRORS, (self._new,)).scalar() or 0

    @checkpoint("replication.make_role")
    def _make_role(self, connection: Connection, password: str) -> None:
        """Make the role that reads the write-ahead log, and of this database the tables that are published."""
        postgres.create_role(
            connection, self._role, password, comment=self._mark, limit=MOST_CONNECTIONS, replicates=True
        )
        role, database = self._quoted_role(connection), postgres.quoted(connection, self._database)
        connection.exec_driver_sql(f"GRANT CONNECT ON DATABASE {database} TO {role}")
        schemas = ", ".join(connection.exec_driver_sql(SCHEMAS).scalars())
        connection.exec_driver_sql(f"GRANT USAGE ON SCHEMA {schemas} TO {role}".replace("%", "%%"))
        # Tenant databases have a statement timeout, which would end the copying of a large table.
        connection.exec_driver_sql(f"ALTER ROLE {role} IN DATABASE {database} SET statement_timeout = 0")

    def _grant(self, connection: Connection, tables: Sequence[str]) -> None:
        """Let the role read these tables, and the partitions of those that have some, which are copied one by one."""
        parts = connection.exec_driver_sql(PARTITIONS, ([name.replace("%%", "%") for name in tables],)).scalars()
        listed = ", ".join(each.replace("%", "%%") for each in parts)
        connection.exec_driver_sql(f"GRANT SELECT ON TABLE {listed} TO {self._quoted_role(connection)}")

    def _drop_role(self) -> None:
        databases_on(self._source).drop(self._role)

    def _quoted_role(self, connection: Connection) -> str:
        return postgres.quoted(connection, self._role)

    def _quoted(self, connection: Connection) -> str:
        return postgres.quoted(connection, self._new)

    def _address(self, password: str) -> str:
        """Return the connection string of the source for the target. A copy has all rows of a table, or fails.

        https://www.postgresql.org/docs/current/logical-replication-security.html
        """
        dialect: Any = PGDialect_psycopg2
        _, keywords = dialect().create_connect_args(self._source.url.set(database=self._database))
        options = f"{keywords.pop('options', '')} -c row_security=off".strip()
        given: dict[str, Any] = {"connect_timeout": CONNECT_TIMEOUT, **keywords, "options": options}
        given |= {"user": self._role, "password": password}
        return str(make_dsn(**given))

    def _exists(self, server: PostgresServer, database: str) -> bool:
        with maintenance_connection(server.url, f"server {server.name}") as connection:
            return postgres.database_exists(connection, database)

    @contextmanager
    def _on_source(self) -> Iterator[Connection]:
        url = self._source.url.set(database=self._database)
        with maintenance_connection(url, f"server {self._source.name}") as connection:
            yield connection

    @contextmanager
    def _on_target(self) -> Iterator[Connection]:
        url = self._target.url.set(database=self._new)
        with maintenance_connection(url, f"server {self._target.name}") as connection:
            yield connection
