"""Copies of a tenant's database, made much faster than tenants are, and each its own tenant's all the same."""

import shutil
import sqlite3
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, Final

from sqlalchemy import create_engine
from tenantapp.databases.connections import postgres as provisioning
from tenantapp.sql.commit_counts import forget_count
from tenantapp.tenancy.access import TenantPlace
from tenantapp.tenancy.servers import PostgresServer, Server, SqliteServer

from benchmarks.nodes import PAGE
from benchmarks.postgres import Postgres

WORKERS: Final = 2


class Copies(ABC):
    """Makes the databases of tenants out of the template's."""

    @abstractmethod
    def make(self, template: TenantPlace, places: Sequence[TenantPlace]) -> None:
        """Make them all. Nobody may be connected to the template."""


class SqliteCopies(Copies):
    """Copies of the file."""

    def __init__(self, server: SqliteServer) -> None:
        self._server = server

    def make(self, template: TenantPlace, places: Sequence[TenantPlace]) -> None:
        original = self._server.path(template.database)
        # What is still in the write-ahead log would not be copied.
        with _sqlite(str(original)) as connection:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        for place in places:
            path = self._server.path(place.database)
            shutil.copyfile(original, path)
            forget_count(path)
            with _sqlite(str(path)) as connection:
                # SQLAlchemy stores a UUID as 32 hexadecimal digits there.
                _mark(connection.cursor(), place.id.hex, place.slug, "?")


class PostgresCopies(Copies):
    """Databases with the template's for template, each owned by a role of its own as ``create_tenant`` leaves it."""

    def __init__(self, server: PostgresServer, postgres: Postgres) -> None:
        self._server = server
        self._postgres = postgres

    def make(self, template: TenantPlace, places: Sequence[TenantPlace]) -> None:
        role = template.database
        # REASSIGN OWNED would also hand on the template itself, were it owned by the role it is named like.
        self._postgres.execute(f'ALTER DATABASE "{role}" OWNER TO CURRENT_USER')
        with self._careless(), ThreadPoolExecutor(WORKERS) as workers:
            list(workers.map(lambda some: self._copy_all(role, some), [places[n::WORKERS] for n in range(WORKERS)]))

    def _copy_all(self, template: str, places: Sequence[TenantPlace]) -> None:
        engine = create_engine(self._postgres.url.set(database="postgres"), isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            for place in places:
                self._copy(connection, template, place)
        engine.dispose()

    def _copy(self, connection: Any, template: str, place: TenantPlace) -> None:
        name = place.database
        provisioning.create_role(connection, name, self._server.tenant_password(name))
        connection.exec_driver_sql(f'CREATE DATABASE "{name}" OWNER "{name}" TEMPLATE "{template}"')
        provisioning.open_to_owner(connection, name)
        inside = self._postgres.connect(name)
        with inside.cursor() as cursor:
            cursor.execute(f'REASSIGN OWNED BY "{template}" TO "{name}"')
            _mark(cursor, str(place.id), place.slug, "%s")
        inside.close()

    @contextmanager
    def _careless(self) -> Iterator[None]:
        """While the data is made nothing has to survive a power cut; while it is measured everything has to."""
        self._postgres.execute("ALTER SYSTEM SET fsync = off", "SELECT pg_reload_conf()")
        try:
            yield
        finally:
            self._postgres.execute("ALTER SYSTEM RESET fsync", "SELECT pg_reload_conf()", "CHECKPOINT")


def copies_on(server: Server, postgres: Postgres) -> Copies:
    """What copies the databases of this server."""
    if isinstance(server, SqliteServer):
        return SqliteCopies(server)
    assert isinstance(server, PostgresServer)
    return PostgresCopies(server, postgres)


@contextmanager
def _sqlite(path: str) -> Iterator[sqlite3.Connection]:
    connection = sqlite3.connect(path)
    with connection:
        yield connection
    connection.close()


def _mark(cursor: Any, tenant_id: str, slug: str, parameter: str) -> None:
    """Make it the tenant's: its identity, and titles on the first page that say whose they are."""
    cursor.execute(f"UPDATE tenant_identity SET tenant_id = {parameter}", (tenant_id,))
    first_page = f"id IN (SELECT id FROM nodes ORDER BY id LIMIT {PAGE})"
    cursor.execute(f"UPDATE nodes SET title = replace(title, 'template', {parameter}) WHERE {first_page}", (slug,))
