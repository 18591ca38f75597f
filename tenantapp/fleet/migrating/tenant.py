"""Moving the database of one tenant."""

from tenantapp.fleet.environment import run_revisions
from tenantapp.fleet.errors import MigrationRefused
from tenantapp.fleet.histories import history_config, metadata_of
from tenantapp.fleet.migrating.orders import Order
from tenantapp.fleet.migrating.rehearsal import Rehearsals, perform
from tenantapp.fleet.migrating.revisions import TenantHistory
from tenantapp.fleet.migrating.snapshots import snapshot_of
from tenantapp.fleet.migration_connections import Limits, migration_engine
from tenantapp.fleet.targets import Target
from tenantapp.settings import Settings
from tenantapp.tenancy.access import TenantPlace
from tenantapp.tenancy.servers import Servers


class TenantMigrator:
    """Moves databases of tenants, one after the other. Raises ``HistoryError``."""

    def __init__(self, settings: Settings, servers: Servers, history: TenantHistory) -> None:
        self._servers, self._history = servers, history
        self._config = history_config(settings, "tenant")
        self._metadata = metadata_of(settings, "tenant")
        self._limits = Limits(
            settings.migrations_lock_timeout, settings.migrations_statement_timeout, settings.migrations_lock_timeout
        )
        self._rehearsals = Rehearsals(history.script)

    def migrate(self, order: Order, place: TenantPlace, found: str | None, *, was_fenced: bool = False) -> str | None:
        """Move a database from the revision it is said to be at to the one that is wanted; returns where it is then.

        ``was_fenced``: nobody was served since an earlier attempt. Raises ``MigrationRefused``, ``SnapshotFailed``,
        ``DatabaseUnreachable``, ``DatabaseBusy``, ``MigrationFailed``, ``ServerError``, and what a migration raises.
        """
        down = self._history.direction(found, order.wanted) == "down"
        if down and not order.down:
            raise MigrationRefused(f"It is at {found}, which is newer than {order.wanted}.")
        if not order.snapshot:
            return self._move(place, (found, order.wanted), down)
        snapshot = snapshot_of(self._servers[place.server], place.database, f"the database of {place.slug}")
        if was_fenced and snapshot.exists():
            snapshot.put_back()
        snapshot.take()
        try:
            reached = self._move(place, (found, order.wanted), down)
        except BaseException:
            snapshot.put_back()
            raise
        snapshot.drop()
        return reached

    def _move(self, place: TenantPlace, way: tuple[str | None, str], down: bool) -> str | None:
        url = self._servers[place.server].tenant_url(place.database)
        name = f"the database of {place.slug}"
        script = self._rehearsals.script(way)
        if script is not None and perform(script, way, url, name, self._limits):
            return way[1]
        reached: list[str | None] = []
        target = Target(name, url, self._metadata, reached.append, self._limits)
        with self._rehearsals.listening(migration_engine(url), way):
            run_revisions(self._config, self._history.script, target, way[1], down=down)
        return reached[-1] if reached else way[1]
