"""The databases of a PostgreSQL server."""

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Final
from uuid import UUID

from psycopg2.errors import InvalidCatalogName
from sqlalchemy.engine import URL, Connection
from sqlalchemy.exc import ProgrammingError

from tenantapp.databases.connections import postgres
from tenantapp.databases.connections.extensions import make_extensions
from tenantapp.databases.connections.maintenance_engines import advisory_lock, maintenance_connection, translated
from tenantapp.databases.errors import DatabaseBusy, DatabaseUnreachable, ProvisioningFailed, TemplateMissing
from tenantapp.databases.servers import postgres_clones, postgres_templates
from tenantapp.databases.servers.base import (
    REPLICATION_PREFIX,
    SCRATCH_PREFIX,
    TENANT_PREFIX,
    FoundDatabase,
    ServerDatabases,
)
from tenantapp.databases.servers.templates import PREFIX as TEMPLATE_PREFIX
from tenantapp.databases.servers.templates import Template
from tenantapp.operations.checkpoints import checkpoint
from tenantapp.tenancy.servers import PostgresServer

log = logging.getLogger(__name__)
PREFIXES: Final = (TENANT_PREFIX, TEMPLATE_PREFIX, SCRATCH_PREFIX, REPLICATION_PREFIX)
TEMPLATE_LOCK: Final = "tenantapp templates"
LOOK_EVERY: Final = 0.02  # seconds
LOOKS: Final = 2
LONGEST_END: Final = 30.0  # seconds
# Templates that this process has seen, by server and name: checking for a template takes a connection.
_seen: Final[set[tuple[str, str]]] = set()
# What ``not_reassigned`` says of templates, by server and name: a template does not change.
_not_reassigned: Final[dict[tuple[str, str], dict[str, str]]] = {}


class PostgresDatabases(ServerDatabases):
    """Each database is owned by a role of the same name. Only this role, and ours, may connect to it."""

    def __init__(self, server: PostgresServer) -> None:
        self._server = server

    def create(self, database: str, mark: str = "") -> None:
        with self._connection() as connection:
            self._create_role(connection, database, mark)
            self._create(connection, database, database)
            postgres.open_to_owner(connection, database)

    def prepare(self, database: str, mark: str) -> None:
        with self._connection() as connection:
            self._ensure_role(connection, database, mark)
            if not postgres.database_exists(connection, database):
                self._create(connection, database, database)
            elif postgres.is_ours(connection, database):
                self._complete(connection, database, database)
            postgres.open_to_owner(connection, database)

    def drop(self, database: str) -> None:
        with self._connection() as connection:
            postgres.drop_database(connection, database)
            self._untie(connection, database)
            postgres.drop_role(connection, database)

    def ensure_template(self, template: Template) -> None:
        if self._key(template.name) in _seen:
            return
        with self._connection() as connection:
            if not postgres.database_exists(connection, template.name):
                with self._template_lock(connection):
                    if not postgres.database_exists(connection, template.name):
                        self._build(connection, template)
                        self._drop_old(connection, template)
        _seen.add(self._key(template.name))

    def drop_template(self, template: str) -> None:
        with self._connection() as connection, self._template_lock(connection):
            self._drop_template(connection, template)

    def copy_template(self, template: str, database: str, tenant_id: UUID, mark: str) -> None:
        with self._connection() as connection:
            present = postgres.present(connection, database)
            if not present.role:
                self._create_role(connection, database, mark)
            if not present.database:
                self._copy(connection, template, database)
            elif self._is_handed_over(connection, database):
                return  # to open it again would take from it the timeouts that the history sets
            postgres.open_to_owner(connection, database)
        with self._connection(database) as connection:
            rest = self._not_reassigned(connection, template)
            postgres_templates.hand_over(connection, template, database, tenant_id, rest)

    def clones_files(self) -> bool:
        """Return whether the server copies databases by cloning their files, which share blocks until they differ."""
        with self._connection() as connection:
            return bool(postgres.strategy(connection))

    def clone(self, original: str, database: str, mark: str, patience: float, holds_fence: Callable[[], bool]) -> bool:
        """Copy a tenant's database whose fence is up, by cloning its files. Nobody can connect to the copy yet.

        Return False, with nothing made, if somebody stays connected to the original or the fence has fallen. See
        ``postgres_clones``. If it fails, ``drop`` removes what it left.
        """
        with self._connection() as connection:
            self._create_role(connection, database, mark)
            copied = postgres_clones.copy_files(connection, original, database, patience, holds_fence)
            if not copied:
                postgres.drop_role(connection, database)
            return copied

    def open_clone(self, original: str, database: str) -> None:
        """Let the role of a clone connect to it, and own what is in it."""
        with self._connection() as connection:
            postgres.open_to_owner(connection, database)
        with self._connection(database) as connection:
            postgres_clones.hand_over(connection, original, database)

    @checkpoint("database.close")
    def close(self, database: str, patience: float) -> None:
        until = time.monotonic() + patience
        with self._connection() as connection:
            if not postgres.role_exists(connection, database):
                return  # the database and its role were removed
            postgres.allow_login(connection, database, allowed=False)
            while time.monotonic() < until and postgres.is_at_work(connection, database):
                time.sleep(LOOK_EVERY)
            self._end_connections(connection, database)

    def reopen(self, database: str) -> None:
        with self._connection() as connection:
            if postgres.role_exists(connection, database):
                postgres.allow_login(connection, database, allowed=True)

    def exists(self, database: str) -> bool:
        with self._connection() as connection:
            return postgres.database_exists(connection, database)

    def size(self, database: str) -> int | None:
        with self._connection() as connection:
            return postgres.database_size(connection, database)

    def sizes(self, databases: Sequence[str]) -> dict[str, int]:
        with self._connection() as connection:
            return postgres.database_sizes(connection, databases)

    def found(self) -> list[FoundDatabase]:
        with self._connection() as connection:
            databases = postgres.database_names(connection, *PREFIXES)
            roles = postgres.role_comments(connection, *PREFIXES)
        return [
            FoundDatabase(name, roles.get(name), whole=name in databases) for name in sorted(databases | roles.keys())
        ]

    def _end_connections(self, connection: Connection, role: str) -> None:
        """End the connections of a role that may not log in any more, and wait until they have ended.

        A connection that is told to end may still commit, hence the wait. It looks more than once, because a connection
        that was let in a moment ago may not be visible yet.
        """
        self._wait_until_gone(connection, role, lambda: postgres.end_connections(connection, role, role=role))

    @staticmethod
    def _wait_until_gone(connection: Connection, role: str, end: Callable[[], None]) -> None:
        """Call ``end`` until no connection of the role is seen any more. Raises ``DatabaseBusy``."""
        until = time.monotonic() + LONGEST_END
        unseen = 0
        while unseen < LOOKS:
            end()
            time.sleep(LOOK_EVERY)
            unseen = 0 if postgres.is_connected(connection, role) else unseen + 1
            if time.monotonic() > until:
                raise DatabaseBusy(f"the database {role}")

    def _untie(self, connection: Connection, role: str) -> None:
        """Remove what a role has made, or been granted, in other databases. PostgreSQL drops no role before that."""
        ties = postgres.ties_of(connection, role)
        if not ties:
            return
        postgres.allow_login(connection, role, allowed=False)
        self._wait_until_gone(connection, role, lambda: postgres.end_connections_of(connection, role))
        for database in ties:
            with self._connection(database) as other:
                postgres.drop_owned(other, role)

    def _template_lock(self, connection: Connection) -> AbstractContextManager[None]:
        return advisory_lock(connection, TEMPLATE_LOCK, f"server {self._server.name}")

    def _create(self, connection: Connection, database: str, owner: str) -> None:
        """Make an empty database, with the extensions of the server's setting."""
        if not self._server.extensions:
            postgres.create_database(connection, database, owner=owner)
            return
        postgres.create_database(connection, database)
        self._complete(connection, database, owner)

    def _complete(self, connection: Connection, database: str, owner: str) -> None:
        """Make the extensions in an empty database of our own, and give it to its owner.

        Until then the owner cannot connect to it, and their scripts find nothing of a tenant's.
        """
        postgres.open_to_owner(connection, database)
        with self._connection(database) as empty:
            make_extensions(empty, self._server.extensions, f"server {self._server.name}")
        postgres.give_database(connection, database, owner)

    def _ensure_role(self, connection: Connection, role: str, mark: str) -> None:
        if not postgres.role_exists(connection, role):
            self._create_role(connection, role, mark)

    def _create_role(self, connection: Connection, role: str, mark: str) -> None:
        password, limit = self._server.tenant_password(role), self._server.connection_limit
        postgres.create_role(connection, role, password, comment=mark, limit=limit)

    def _key(self, template: str) -> tuple[str, str]:
        return self._server.url.render_as_string(), template

    @checkpoint("template.copy")
    def _copy(self, connection: Connection, template: str, database: str) -> None:
        try:
            postgres.create_database(connection, database, owner=database, template=template)
        except ProgrammingError as error:
            if not isinstance(error.orig, InvalidCatalogName):
                raise
            _seen.discard(self._key(template))
            raise TemplateMissing(f"server {self._server.name}", template) from error

    def _is_handed_over(self, connection: Connection, database: str) -> bool:
        if not postgres.admits(connection, database):
            return False
        with self._connection(database) as copy:
            return postgres_templates.is_handed_over(copy)

    def _not_reassigned(self, connection: Connection, template: str) -> dict[str, str]:
        key = self._key(template)
        if key not in _not_reassigned:
            _not_reassigned[key] = postgres_templates.not_reassigned(connection, template)
        return _not_reassigned[key]

    def _build(self, connection: Connection, template: Template) -> None:
        password = self._server.tenant_password(template.name)
        try:
            new = postgres_templates.begin(connection, template, password, self._create)
            template.build(self._url_of(template, new))
            postgres_templates.finish(connection, template, new)
        except BaseException:
            postgres_templates.discard(connection, template)
            raise

    def _url_of(self, template: Template, database: str) -> URL:
        """Return a URL for the template's own role, so that a migration has the same rights as in a tenant database."""
        return self._server.tenant_url(template.name).set(database=database)

    def _drop_old(self, connection: Connection, template: Template) -> None:
        for name in postgres.database_names(connection, TEMPLATE_PREFIX):
            if template.is_old(name):
                try:
                    with translated(f"server {self._server.name}", ProvisioningFailed):
                        self._drop_template(connection, name)
                except (DatabaseBusy, DatabaseUnreachable, ProvisioningFailed):
                    log.info("The old template %s is in use; it is removed later.", name)

    def _drop_template(self, connection: Connection, name: str) -> None:
        postgres_templates.drop(connection, name)
        # Copies that earlier versions have made still have the default privileges of the template's role.
        for database in postgres.ties_of(connection, name):
            with self._connection(database) as other:
                # A copy that is not handed over yet has all its tables from this role.
                if not postgres.owns_objects(other, name):
                    postgres.drop_owned(other, name)
        postgres.drop_role(connection, name)

    @contextmanager
    def _connection(self, database: str | None = None) -> Iterator[Connection]:
        url = self._server.url if database is None else self._server.url.set(database=database)
        with maintenance_connection(url, f"server {self._server.name}") as connection:
            yield connection
