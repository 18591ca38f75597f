"""The databases that a history is run on."""

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Protocol
from uuid import UUID

from sqlalchemy import MetaData, update
from sqlalchemy.engine import URL, Connection

from tenantapp.databases.connections.migration_connections import USUAL_LIMITS, Limits
from tenantapp.databases.histories.histories import History, metadata_of
from tenantapp.identity.epochs import new_epoch
from tenantapp.identity.models import Tenant
from tenantapp.operations.fleet import Fleet
from tenantapp.settings import Settings
from tenantapp.tenancy.access import TenantPlace
from tenantapp.tenancy.servers import database_url


class Watch(Protocol):
    """Watches each revision that is run, as ``schemas.effects.Effects`` does."""

    def begin(self, revision: str, loses: Collection[str]) -> None:
        """Begin with a revision, and with what it says that it loses."""

    def note_batch(self, table: str, dropped: Iterable[str]) -> None:
        """Note what operations of Alembic's batch mode take from a table, such as ``column title``."""

    def end(self) -> None:
        """End with the revision, which has run."""


@dataclass(frozen=True, slots=True)
class Target:
    """A database to migrate along a history, and its name in messages.

    ``record`` is called with the database's revision once the transaction is over, and ``watch`` with the connection
    before. ``enums`` takes the values of the enumerations, by their names, as far as the revisions that are run make
    them.
    """

    settings: Settings
    history: History
    name: str
    url: URL
    record: Callable[[str | None], None] | None = None
    limits: Limits = USUAL_LIMITS
    watch: Callable[[Connection], Watch] | None = None
    enums: dict[str, list[str]] | None = None

    @property
    def metadata(self) -> MetaData:
        """Return the tables that the database should have. Raises ``HistoryError``."""
        return metadata_of(self.settings, self.history)


def user_target(settings: Settings) -> Target:
    """Return the user database as a target."""
    url = database_url(settings.user_db_url, create=True)
    return Target(settings, "user", "the user database", url, limits=_limits(settings))


def tenant_target(fleet: Fleet, place: TenantPlace, *, record: bool = False) -> Target:
    """Return the database of a tenant as a target, to be migrated under the tenant's own role.

    With ``record`` its revision is written to the tenant's row after the migration. Do not use that before the tenant
    is served from this database. Raises ``ServerError`` if the settings do not name the server.
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
        session.execute(stale.values(revision=revision, epoch=new_epoch()))
