"""Check that tenant databases have the right identity, revision and structure."""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final, NamedTuple
from uuid import UUID

from alembic.runtime.migration import MigrationContext
from sqlalchemy import func, select
from sqlalchemy.engine import Connection
from sqlalchemy.exc import DBAPIError

from tenantapp.databases.connections.extensions import extensions_elsewhere, misplaced
from tenantapp.databases.connections.maintenance_engines import ADVISORY_LOCK
from tenantapp.databases.errors import UnknownRevision
from tenantapp.databases.schemas.structure import Structure, read_structure
from tenantapp.fleet.backups.restored_forms import side_at, side_of_revision, structure_differences
from tenantapp.fleet.migrating.orders import MigrationResult, MigrationState
from tenantapp.fleet.querying.parallel import databases_of_our_own, in_parallel, local_access_to
from tenantapp.identity.models import Tenant, TenantState
from tenantapp.identity.tenants import place_of, suspend_tenant
from tenantapp.operations.fleet import Fleet
from tenantapp.operations.outcomes import cause
from tenantapp.sql.engines import server_version
from tenantapp.sql.errors import ConnectionsSpent
from tenantapp.tenancy.access import TenantPlace
from tenantapp.tenancy.databases import TenantDatabases
from tenantapp.tenancy.errors import TenantDatabaseUnavailable, WrongTenantDatabase

SUSPENSION_REASON: Final = "Closed for maintenance: its database has to be looked at."
SECOND_LOOK: Final = 1.0  # seconds; a migration records its revision in the user database right after its commit


class State(StrEnum):
    """What the verification of a database found."""

    RIGHT = "right"
    DRIFTED = "drifted"  # the structure does not match its revision, or the revision is not the recorded one
    FOREIGN = "foreign"  # it holds another tenant's data, or nobody's
    UNREACHABLE = "unreachable"
    BUSY = "busy"  # it is being migrated right now


@dataclass(frozen=True, slots=True)
class Verdict:
    """The result for one tenant. ``revision`` is the one that the database itself records."""

    place: TenantPlace
    state: State
    revision: str | None = None
    findings: tuple[str, ...] = ()
    suspended: bool = False  # by this run


class _Reading(NamedTuple):
    """What a database says about itself."""

    heads: tuple[str, ...]
    structure: Structure
    version: tuple[int, ...]
    misplaced: tuple[str, ...]  # extensions that no copy can have in their schema


class Verification:
    """Verifies databases.

    ``looks`` is how often to look at a database that is drifted, because a migration may just be ending. Between two
    looks it waits ``second_look`` seconds.
    """

    def __init__(
        self, fleet: Fleet, databases: TenantDatabases, *, looks: int = 2, second_look: float = SECOND_LOOK
    ) -> None:
        self._fleet, self._databases, self._looks, self._second_look = fleet, databases, looks, second_look

    def verify_all(
        self,
        places: Iterable[TenantPlace],
        *,
        jobs: int,
        suspend: bool = False,
        progress: Callable[[Verdict], None] = lambda verdict: None,
    ) -> Iterator[Verdict]:
        """Verify these tenants, ``jobs`` at once, and yield the verdicts, which also go to ``progress``.

        With ``suspend``, the method of that name is called for each verdict. A fault of one tenant does not keep the
        others from being verified. Raises ``UserDatabaseUnavailable``, ``HistoryError`` and what making a scratch
        database raises.
        """
        for verdict in in_parallel(self.verify, places, jobs):
            final = self.suspend(verdict) if suspend else verdict
            progress(final)
            yield final

    def verify(self, place: TenantPlace) -> Verdict:
        """Compare a database's identity, revision and structure with what they should be."""
        verdict = self._look(place)
        for _ in range(self._looks - 1):
            if verdict.state == State.DRIFTED:
                time.sleep(self._second_look)
                verdict = self._look(place)
        return verdict

    def _look(self, place: TenantPlace) -> Verdict:
        try:
            reading = self._read(place)
        except WrongTenantDatabase:
            return Verdict(place, State.FOREIGN, findings=("it does not hold this tenant's data",))
        except (TenantDatabaseUnavailable, ConnectionsSpent, DBAPIError) as error:
            return Verdict(place, State.UNREACHABLE, findings=(cause(error),))
        if reading is None:
            return Verdict(place, State.BUSY, findings=("it is being migrated",))
        revision = ", ".join(reading.heads) or None
        findings = (*self._revision_findings(place, revision), *self._structure_findings(place, reading))
        return Verdict(place, State.DRIFTED if findings else State.RIGHT, revision, findings)

    def suspend(self, verdict: Verdict) -> Verdict:
        """Suspend a tenant whose database is drifted or foreign, unless it is suspended already.

        A tenant whose database does not answer is left alone: it is not served anyway, and its data may be right.
        """
        if verdict.state not in (State.DRIFTED, State.FOREIGN):
            return verdict
        with self._fleet.user_db.begin() as session:
            tenant = session.get(Tenant, verdict.place.id)
            if tenant is None or tenant.state != TenantState.ACTIVE:
                return verdict
            suspend_tenant(session, tenant.slug, SUSPENSION_REASON)
        return replace(verdict, suspended=True)

    def _read(self, place: TenantPlace) -> _Reading | None:
        with self._databases.begin(local_access_to(place), read_only=True) as session:
            connection = session.connection()
            if not _keep_migrations_out(connection):
                return None
            heads = MigrationContext.configure(connection).get_current_heads()
            version = server_version(connection)
            elsewhere = misplaced(connection, extensions_elsewhere(connection), self._fleet.servers[place.server])
            return _Reading(tuple(heads), read_structure(connection), version, tuple(elsewhere))

    def _revision_findings(self, place: TenantPlace, revision: str | None) -> Iterator[str]:
        recorded = self._recorded_revision(place)
        if recorded != revision:
            yield f"it says revision {revision}, and the user database says {recorded}"

    def _recorded_revision(self, place: TenantPlace) -> str | None:
        with self._fleet.user_db.begin(read_only=True) as session:
            return session.scalar(select(Tenant.revision).where(Tenant.id == place.id))

    def _structure_findings(self, place: TenantPlace, reading: _Reading) -> list[str]:
        if len(reading.heads) != 1:
            return ["it was never migrated" if not reading.heads else "it is at several revisions at once"]
        if reading.misplaced:  # what names their schema cannot be restored to be compared
            return [f"its extension {each} is not in public, so it cannot be copied" for each in reading.misplaced]
        try:
            server = self._fleet.servers[place.server]
            expected = side_of_revision(self._fleet, server, reading.version, reading.heads[0])
        except UnknownRevision as error:
            return [str(error).rstrip(".")]
        found = side_at(
            f"the database of {place.slug}",
            server,
            reading.version,
            reading.structure,
            server.tenant_url(place.database),
        )
        return structure_differences(self._fleet, expected, found)


def verify_migrated(
    fleet: Fleet,
    results: Sequence[MigrationResult],
    *,
    jobs: int,
    progress: Callable[[Verdict], None] = lambda verdict: None,
) -> list[Verdict]:
    """Compare the databases that were migrated, according to these results, with their revision.

    A migration can succeed although somebody had altered the database by hand before. Raises
    ``UserDatabaseUnavailable``, ``HistoryError`` and what making a scratch database raises.
    """
    migrated = [result.order.tenant_id for result in results if result.state == MigrationState.MIGRATED]
    places = _places(fleet, migrated)
    if not places:
        return []
    with databases_of_our_own(fleet.servers, jobs) as databases:
        # Their revisions are recorded already, so a second look is not needed.
        verification = Verification(fleet, databases, looks=1)
        return list(verification.verify_all(places, jobs=jobs, progress=progress))


def _places(fleet: Fleet, tenant_ids: Sequence[UUID]) -> list[TenantPlace]:
    """Return the places of those tenants that still exist."""
    there = select(Tenant).where(Tenant.id.in_(tenant_ids), Tenant.is_served).order_by(Tenant.slug)
    with fleet.user_db.begin(read_only=True) as session:
        return [place_of(tenant) for tenant in session.scalars(there)]


def _keep_migrations_out(connection: Connection) -> bool:
    """Return whether no migration is under way, and keep new ones out during the transaction.

    On SQLite the transaction sees one moment. On PostgreSQL the functions that read the catalogue see its latest state.
    """
    if connection.dialect.name == "sqlite":
        return True
    return bool(connection.scalar(select(func.pg_try_advisory_xact_lock_shared(ADVISORY_LOCK))))
