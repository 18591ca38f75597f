"""The tenants' databases, each with its ``DBFactory``."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from functools import partial
from threading import Lock
from time import monotonic
from typing import Any, Final, NamedTuple
from uuid import UUID

from sqlalchemy.engine import Engine
from sqlalchemy.orm import Session

from tenantapp.settings import Settings
from tenantapp.sql.budget import BudgetNumbers
from tenantapp.sql.failures import Cause, Failure
from tenantapp.tenancy.access import ACTOR, Access, Actor, TenantPlace
from tenantapp.tenancy.connection_quotas import ConnectionQuotas
from tenantapp.tenancy.dbfactory import DBFactory
from tenantapp.tenancy.errors import (
    ReplicaUnavailable,
    TenantDatabaseUnavailable,
    WrongTenantDatabase,
    tenant_database_failed,
)
from tenantapp.tenancy.replicas import NO_REPLICAS, Replica, ServerReplicas
from tenantapp.tenancy.replication import Unasked
from tenantapp.tenancy.server_engines import ServerEngines, engines_of
from tenantapp.tenancy.servers import Servers

UNUSED_ENGINE: Final = 300.0  # seconds without use after which an engine is forgotten
SWEEP_EVERY: Final = 64  # engines that are made between two searches for unused ones
CHANGES_KEPT: Final = timedelta(days=30)
UNKNOWN_SERVER: Final = Failure(Cause.UNREACHABLE, "its server is not in the settings")


class _Entry(NamedTuple):
    server: str
    database: str
    factory: DBFactory


class TenantDatabases:
    """A ``DBFactory`` for every tenant. It is made by ``add``, or at the first access to the tenant.

    Only an access leads to a tenant database. An engine that was not used for ``unused_engine`` seconds is forgotten.
    ``on_watched`` is called with the tenant's id after the commit of changes, if the tenant has somebody told of them,
    and ``on_file_removed`` with the ids of tenant and file after the commit that removed the row of a file.
    ``enqueue`` takes a session, an access, and a job's name, arguments and delay. All may be set later.
    With ``quotas``, a tenant has no more connections than its part of them.
    """

    def __init__(
        self,
        servers: Servers,
        engines: Mapping[str, ServerEngines],
        *,
        unused_engine: float = UNUSED_ENGINE,
        changes_kept: timedelta | None = CHANGES_KEPT,
        replicas: Mapping[str, ServerReplicas] = NO_REPLICAS,
        quotas: ConnectionQuotas | None = None,
    ) -> None:
        self._servers, self._quotas = servers, quotas
        self.replicas = replicas
        """The replicas of servers, by the name of the server. Only requests read them."""
        self._changes_kept = changes_kept
        self.on_watched: Callable[[UUID], None] | None = None
        self.on_file_removed: Callable[[UUID, UUID], None] | None = None
        self.enqueue: Callable[..., UUID] | None = None
        self.unused_engine = unused_engine
        self.engines = engines
        self._entries: dict[UUID, _Entry] = {}
        self._on_replicas: dict[tuple[UUID, str], _Entry] = {}
        self._lock = Lock()
        self._made = 0

    def add(self, places: Iterable[TenantPlace]) -> None:
        """Make the factories of these tenants. Nothing connects."""
        for place in places:
            self._factory(place)

    def for_access(self, access: Access) -> DBFactory:
        """Return the database of the access's tenant. Raises the access's ``refusal`` if it has no tenant.

        The quota of connections is that of the access. Raises ``TenantDatabaseUnavailable`` if the settings do not have
        the tenant's server.
        """
        place = access.require_tenant()
        return self._within_quota(self._factory(place), place)

    def on_replica(self, place: TenantPlace, replica: Replica) -> DBFactory:
        """Return the database of a tenant on a replica, which is only for reading."""
        return self._within_quota(self._factory_on(place, replica), place)

    def _factory_on(self, place: TenantPlace, replica: Replica) -> DBFactory:
        key = place.id, replica.address
        entry = self._on_replicas.get(key)
        if entry is not None and (entry.server, entry.database) == (place.server, place.database):
            return entry.factory
        make = partial(self._make_replica_engine, place, replica)
        made = _Entry(place.server, place.database, DBFactory(make, changes_kept=self._changes_kept))
        with self._lock:
            old = self._on_replicas.get(key)
            if old is not None and (old.server, old.database) == (place.server, place.database):
                return old.factory  # another thread was faster
            self._on_replicas[key] = made
        if old is not None:
            old.factory.dispose()
        return made.factory

    @contextmanager
    def begin(self, access: Access, *, read_only: bool = False) -> Iterator[Session]:
        """Yield a tenant session outside a request. Commit at the end of the block; roll back on an exception."""
        with self.for_access(access).begin(read_only=read_only) as session:
            session.info[ACTOR] = Actor(access.person.login, access.person.id, shown=access.person.name)
            yield session

    def numbers(self) -> dict[str, BudgetNumbers]:
        """Return the figures of each server's connection budget, by the server's name."""
        return {name: engines.budget.numbers() for name, engines in self.all_engines().items()}

    def all_engines(self) -> dict[str, ServerEngines]:
        """Return the engines of each server by its name, and those of its replicas by ``NAME ADDRESS``."""
        of_replicas = {
            f"{name} {replica.address}": replica.engines
            for name, replicas in self.replicas.items()
            for replica in replicas.replicas
        }
        return {**self.engines, **of_replicas}

    def checkedout(self) -> int:
        """Return how many connections to tenant databases are in use now."""
        return sum(entry.factory.checkedout() for entry in self._all_entries())

    def dispose(self) -> None:
        """Close every connection that is not in use."""
        for entry in self._all_entries():
            entry.factory.dispose()

    def __len__(self) -> int:
        return len(self._entries)

    def _within_quota(self, factory: DBFactory, place: TenantPlace) -> DBFactory:
        """Let the database have as many connections as the tenant may have now, and return it."""
        if self._quotas is not None:
            most = self._quotas.part_of(place)
            if factory.most_connections != most:
                factory.set_most_connections(most)
        return factory

    def _factory(self, place: TenantPlace) -> DBFactory:
        entry = self._entries.get(place.id)
        if entry is None or (entry.server, entry.database) != (place.server, place.database):
            entry = self._replace(place)
        return entry.factory

    def _replace(self, place: TenantPlace) -> _Entry:
        """Replace the factory of a tenant that has moved: the user database names another place than the known one."""
        if place.server not in self._servers:
            raise TenantDatabaseUnavailable(place.slug, place.server, UNKNOWN_SERVER)
        with self._lock:
            old = self._entries.get(place.id)
            if old is not None and (old.server, old.database) == (place.server, place.database):
                return old
            entry = _Entry(place.server, place.database, self._make(place))
            self._entries[place.id] = entry
        if old is not None:
            old.factory.dispose()
        return entry

    def _make(self, place: TenantPlace) -> DBFactory:
        return DBFactory(
            partial(self._make_engine, place),
            changes_kept=self._changes_kept,
            on_watched=partial(self._watched, place.id),
            on_file_removed=partial(self._file_removed, place.id),
            enqueue=self._enqueue,
        )

    def _watched(self, tenant_id: UUID) -> None:
        if self.on_watched is not None:
            self.on_watched(tenant_id)

    def _file_removed(self, tenant_id: UUID, file_id: UUID) -> None:
        if self.on_file_removed is not None:
            self.on_file_removed(tenant_id, file_id)

    def _enqueue(self, *job: Any, **options: Any) -> UUID:
        if self.enqueue is None:
            raise RuntimeError("jobs cannot be queued here: no application declares them")
        return self.enqueue(*job, **options)

    def _make_engine(self, place: TenantPlace) -> Engine:
        self._made += 1
        if self._made % SWEEP_EVERY == 0:
            self._let_go_unused()
        return self.engines[place.server].make(
            self._servers[place.server].traffic_url(place.database),
            unavailable=partial(tenant_database_failed, place.slug, place.server),
            verify=_identity_check(place),
        )

    def _make_replica_engine(self, place: TenantPlace, replica: Replica) -> Engine:
        self._made += 1
        if self._made % SWEEP_EVERY == 0:
            self._let_go_unused()
        return replica.engines.make(
            replica.server.tenant_url(place.database),
            unavailable=partial(_replica_failed, place, replica),
            verify=_replica_check(place, replica),
        )

    def _all_entries(self) -> list[_Entry]:
        return [*self._entries.values(), *self._on_replicas.values()]

    def _let_go_unused(self) -> None:
        """Forget engines that were not used for a while and have no connection in use."""
        before = monotonic() - self.unused_engine
        for entry in self._all_entries():
            factory = entry.factory
            if factory.is_made and factory.last_used < before and factory.checkedout() == 0:
                factory.dispose()


@contextmanager
def one_database(servers: Servers, settings: Settings) -> Iterator[TenantDatabases]:
    """Yield tenant databases for work outside of requests, whose connections are closed when the block ends.

    It goes to the servers themselves: a PgBouncer would keep connections to a database that is to be removed.
    """
    direct = servers.direct()
    databases = TenantDatabases(
        direct, engines_of(direct, settings), changes_kept=timedelta(days=settings.changes_keep)
    )
    try:
        yield databases
    finally:
        databases.dispose()


def _replica_failed(place: TenantPlace, replica: Replica, failure: Failure) -> TenantDatabaseUnavailable:
    """Return the error for a failure on a replica."""
    # By statement_timeout: on the server it would take as long again. A quota is not there to be passed on.
    if failure.cause in (Cause.CANCELLED, Cause.QUOTA):
        return tenant_database_failed(place.slug, place.server, failure)
    replica.avoid(place.id)
    return ReplicaUnavailable(place.slug, place.server, replica.address, failure)


def _replica_check(place: TenantPlace, replica: Replica) -> Callable[[Any], None]:
    """Return the check that a connection leads to this tenant's data, and that the replica has not gone back."""
    is_the_tenants = _identity_check(place)

    def verify(connection: Any) -> None:
        try:
            is_the_tenants(connection)
            replica.connected(connection)
        except WrongTenantDatabase as error:
            raise _replica_failed(place, replica, error.failure) from error
        except Unasked as error:
            raise _replica_failed(place, replica, Failure(Cause.FAILED, str(error))) from error

    return verify


def _identity_check(place: TenantPlace) -> Callable[[Any], None]:
    """Return the check that a connection leads to this tenant's data. It neither begins nor ends a transaction."""

    def verify(connection: Any) -> None:
        cursor = connection.cursor()
        try:
            cursor.execute("SELECT tenant_id FROM tenant_identity")
            found = [str(row[0]).replace("-", "") for row in cursor.fetchall()]
        finally:
            cursor.close()
        if found != [place.id.hex]:
            raise WrongTenantDatabase(place.slug, place.server)

    return verify
