"""The databases that a history is run on."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from uuid import UUID

from sqlalchemy import MetaData, update
from sqlalchemy.engine import URL

from tenantapp.databases.connections.migration_connections import Limits
from tenantapp.databases.histories.histories import metadata_of
from tenantapp.identity.models import Tenant
from tenantapp.operations.fleet import Fleet
from tenantapp.settings import Settings
from tenantapp.tenancy.access import TenantPlace
from tenantapp.tenancy.servers import database_url


@dataclass(frozen=True, slots=True)
class Target:
    """A database to be migrated, what it is called in messages, and the tables it is to have.

    ``record`` is told the database's revision once the transaction is over. ``limits`` are for others than the usual
    ones. ``migrated``: it is known to have been migrated before.
    """

    name: str
    url: URL
    metadata: MetaData
    record: Callable[[str | None], None] | None = None
    limits: Limits | None = None
    migrated: bool = False


def user_target(settings: Settings) -> Target:
    """The user database."""
    url = database_url(settings.user_db_url, create=True)
    return Target("the user database", url, metadata_of(settings, "user"))


def tenant_target(fleet: Fleet, place: TenantPlace) -> Target:
    """The database of a tenant, to be migrated as the tenant's own role.

    Raises ``HistoryError``, and ``ServerError`` for a server that is not in the settings.
    """
    return Target(
        f"the database of {place.slug}",
        fleet.servers[place.server].tenant_url(place.database),
        metadata_of(fleet.settings, "tenant"),
        partial(_record_revision, fleet, place.id),
    )


def _record_revision(fleet: Fleet, tenant_id: UUID, revision: str | None) -> None:
    stale = update(Tenant).where(Tenant.id == tenant_id, Tenant.revision.is_distinct_from(revision))
    with fleet.user_db.begin() as session:
        session.execute(stale.values(revision=revision))
