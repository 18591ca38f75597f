"""Copies of tenant databases, which are put back if a migration fails.

A process may die at any point: a copy is there or not, and a database is the old one or the new one.
"""

import sqlite3
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from typing import Final

from psycopg2.errors import ObjectInUse
from sqlalchemy.engine import Connection
from sqlalchemy.exc import DBAPIError

from tenantapp.databases.connections import postgres
from tenantapp.databases.connections.maintenance_engines import maintenance_connection
from tenantapp.databases.errors import DatabaseBusy, PuttingBackFailed, SnapshotFailed
from tenantapp.databases.privileges.catalogue import DATABASE, read_privileges
from tenantapp.databases.privileges.giving import give
from tenantapp.databases.servers.durable_files import sync
from tenantapp.databases.servers.sqlite_pages import copy_pages
from tenantapp.operations.checkpoints import checkpoint
from tenantapp.operations.errors import FleetError
from tenantapp.sql.commit_counts import lift_count, note_count, what_is_lost
from tenantapp.tenancy.servers import PostgresServer, Server, SqliteServer

PREFIX: Final = "snapshot_"
FAILED_PREFIX: Final = "failed_"
SUFFIX: Final = ".snapshot"
ATTEMPTS: Final = 5  # attempts, as clients may reconnect at once
WAIT: Final = 10.0  # seconds to wait for a writer of a SQLite file


class Snapshot(ABC):
    """The copy of one database."""

    @abstractmethod
    def exists(self) -> bool:
        """Return whether an earlier attempt has left a copy. Raises ``SnapshotFailed``."""

    @abstractmethod
    def take(self) -> None:
        """Copy the database as it is now, and replace an older copy. On PostgreSQL its connections are ended.

        Raises ``SnapshotFailed``.
        """

    @abstractmethod
    def put_back(self) -> None:
        """Replace the database by the copy, which is gone then. Raises ``PuttingBackFailed``."""

    @abstractmethod
    def drop(self) -> None:
        """Remove the copy. Raises ``SnapshotFailed``."""


class PostgresSnapshot(Snapshot):
    """A copy that is a database of the same owner."""

    def __init__(self, server: PostgresServer, database: str, name: str) -> None:
        self._server, self._database, self._name = server, database, name
        self._copy, self._failed = PREFIX + database, FAILED_PREFIX + database

    def exists(self) -> bool:
        with self._connection(SnapshotFailed) as connection:
            return postgres.database_exists(connection, self._copy)

    @checkpoint("snapshot.take")
    def take(self) -> None:
        with self._connection(SnapshotFailed) as connection:
            self._drop(connection)
            new, original = postgres.quoted(connection, self._failed), postgres.quoted(connection, self._database)
            made = f"CREATE DATABASE {new} OWNER {original} TEMPLATE {original}{postgres.strategy(connection)}"
            # Nobody needs to connect to a copy.
            self._alone(connection, f"{made} ALLOW_CONNECTIONS false")
            self._complete(connection)

    def put_back(self) -> None:
        with self._connection(PuttingBackFailed) as connection:
            postgres.drop_database(connection, self._failed)
            copy, original = postgres.quoted(connection, self._copy), postgres.quoted(connection, self._database)
            failed = postgres.quoted(connection, self._failed)
            # Sent together, the statements are one transaction.
            renamed = f"ALTER DATABASE {original} RENAME TO {failed}; ALTER DATABASE {copy} RENAME TO {original}"
            admitted = f"ALTER DATABASE {original} ALLOW_CONNECTIONS true"
            self._alone(connection, f"{renamed}; {postgres.closing(connection, self._database)}; {admitted}")
            postgres.drop_database(connection, self._failed)

    @checkpoint("snapshot.drop")
    def drop(self) -> None:
        with self._connection(SnapshotFailed) as connection:
            self._drop(connection)

    def _complete(self, connection: Connection) -> None:
        """Give a copy its name, and before that the database's own privileges and settings, which no copy has."""
        new = postgres.quoted(connection, self._failed)
        usual = (postgres.closing(connection, self._failed), *postgres.limiting(connection, self._failed))
        connection.exec_driver_sql("; ".join(("BEGIN", *usual)))
        found = read_privileges(connection, role=self._database, database=self._database)
        own = {DATABASE: found[DATABASE]} if DATABASE in found else {}
        give(connection, own, self._database, self._name, of=self._failed)
        connection.exec_driver_sql(f"ALTER DATABASE {new} RENAME TO {postgres.quoted(connection, self._copy)}; COMMIT")

    def _drop(self, connection: Connection) -> None:
        postgres.drop_database(connection, self._copy)
        postgres.drop_database(connection, self._failed)

    @checkpoint("snapshot.execute")
    def _alone(self, connection: Connection, statement: str) -> None:
        """Execute a statement that PostgreSQL refuses while others are connected to the database."""
        for attempt in range(ATTEMPTS):
            postgres.end_connections(connection, self._database)
            try:
                connection.exec_driver_sql(statement)
                return
            except DBAPIError as error:
                if not isinstance(error.orig, ObjectInUse) or attempt == ATTEMPTS - 1:
                    raise

    @contextmanager
    def _connection(self, failure: Callable[[str, str], SnapshotFailed]) -> Iterator[Connection]:
        try:
            with maintenance_connection(self._server.url, f"server {self._server.name}") as connection:
                yield connection
        except FleetError as error:
            raise failure(self._name, str(error).rstrip(".")) from error


class SqliteSnapshot(Snapshot):
    """A copy that is a file beside the database's file."""

    def __init__(self, server: SqliteServer, database: str, name: str) -> None:
        self._path, self._name = server.path(database), name
        self._copy = self._path.with_name(self._path.name + SUFFIX)
        self._unfinished = self._copy.with_name(self._copy.name + ".new")

    def exists(self) -> bool:
        return self._copy.exists()

    @checkpoint("file.take_snapshot")
    def take(self) -> None:
        # A copy that is put back counts as whole.
        if lost := what_is_lost(self._path, alone=True):
            raise SnapshotFailed(self._name, lost)
        with self._translated(SnapshotFailed):
            self._unfinished.unlink(missing_ok=True)
            copy_pages(self._path, self._unfinished, self._name, WAIT)
            with closing(sqlite3.connect(self._unfinished)) as connection:
                connection.execute("PRAGMA journal_mode = DELETE")  # no second file
            sync(self._unfinished)
            self._unfinished.replace(self._copy)
            sync(self._copy.parent)

    def put_back(self) -> None:
        with self._translated(PuttingBackFailed):
            # Replacing the file would leave the write-ahead log of the old one, which SQLite would apply to the new
            # one. So all pages are written in one transaction, which other connections see as any other transaction.
            number = lift_count(self._path, self._copy)
            copy_pages(self._copy, self._path, self._name, WAIT)
            if number is not None:
                note_count(self._path, number)
            self._copy.unlink(missing_ok=True)

    @checkpoint("file.drop_snapshot")
    def drop(self) -> None:
        with self._translated(SnapshotFailed):
            self._unfinished.unlink(missing_ok=True)
            self._copy.unlink(missing_ok=True)

    @contextmanager
    def _translated(self, failure: Callable[[str, str], SnapshotFailed]) -> Iterator[None]:
        try:
            yield
        except (OSError, sqlite3.Error, DatabaseBusy) as error:
            raise failure(self._name, str(error).rstrip(".")) from error


def snapshot_of(server: Server, database: str, name: str) -> Snapshot:
    """Return the snapshot of a tenant's database, whether the copy exists or not. ``name`` is for the messages."""
    if isinstance(server, PostgresServer):
        return PostgresSnapshot(server, database, name)
    if isinstance(server, SqliteServer):
        return SqliteSnapshot(server, database, name)
    raise TypeError(f"no copies can be made on a {type(server).__name__}")


def databases_with_copies(server: Server) -> set[str]:
    """Return the databases of a server of which there is a copy, complete or not.

    Raises what ``maintenance_connection`` raises.
    """
    if isinstance(server, SqliteServer):
        return {file.name.partition(".")[0] for file in server.directory.glob(f"*.sqlite{SUFFIX}*")}
    with maintenance_connection(server.url, f"server {server.name}") as connection:
        names = postgres.database_names(connection, PREFIX, FAILED_PREFIX)
    return {name.removeprefix(PREFIX).removeprefix(FAILED_PREFIX) for name in names}
