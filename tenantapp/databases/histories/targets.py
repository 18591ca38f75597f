"""The databases that a history is run on."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from uuid import UUID

from sqlalchemy import MetaData, update
from sqlalchemy.engine import URL

from tenantapp.databases.connections.migration_connections import USUAL_LIMITS, Limits
from tenantapp.databases.histories.histories import History, metadata_of
from tenantapp.identity.models import Tenant
from tenantapp.operations.fleet import Fleet
from tenantapp.settings import Settings
from tenantapp.tenancy.access import TenantPlace
from tenantapp.tenancy.servers import database_url


@dataclass(frozen=True, slots=True)
class Target:
    """A database to be migrated along a history, and what it is called in messages.

    ``record`` is told the database's revision once the transaction is over.
    """

    settings: Settings
    history: History
    name: str
    url: URL
    record: Callable[[str | None], None] | None = None
    limits: Limits = USUAL_LIMITS

    @property
    def metadata(self) -> MetaData:
        """The tables it is to have. Raises ``HistoryError``."""
        return metadata_of(self.settings, self.history)


def user_target(settings: Settings) -> Target:
    """The user database."""
    url = database_url(settings.user_db_url, create=True)
    return Target(settings, "user", "the user database", url, limits=_limits(settings))


def tenant_target(fleet: Fleet, place: TenantPlace, *, record: bool = False) -> Target:
    """The database of a tenant, to be migrated as the tenant's own role.

    With ``record`` its revision is noted in the tenant's row; not before the tenant is served from it. Raises
    ``ServerError`` for a server that is not in the settings.
    """
    url = fleet.servers[place.server].tenant_url(place.database)
    noted = partial(_record_revision, fleet, place.id) if record else None
    return Target(fleet.settings, "tenant", f"the database of {place.slug}", url, noted, _limits(fleet.settings))


def _limits(settings: Settings) -> Limits:
    wait = settings.migrations_wait
    return Limits(lock=min(USUAL_LIMITS.lock, wait), wait=wait)


def _record_revision(fleet: Fleet, tenant_id: UUID, revision: str | None) -> None:
    stale = update(Tenant).where(Tenant.id == tenant_id, Tenant.revision.is_distinct_from(revision))
    with fleet.user_db.begin() as session:
        session.execute(stale.values(revision=revision))
