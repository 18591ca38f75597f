"""Migrating the database of one tenant, with a copy to go back to if the order says so."""

import time
from collections.abc import Callable

from tenantapp.databases.connections.extensions import make_missing
from tenantapp.databases.connections.migration_connections import Limits
from tenantapp.databases.errors import PuttingBackFailed
from tenantapp.databases.histories.environment import RepeatedEnvironment
from tenantapp.databases.histories.histories import history_config
from tenantapp.databases.histories.revisions import TenantHistory
from tenantapp.databases.histories.targets import Target
from tenantapp.databases.servers.snapshots import Snapshot, snapshot_of
from tenantapp.fleet.migrating.orders import MigrationOrder
from tenantapp.operations.checkpoints import checkpoint
from tenantapp.operations.fleet import Fleet, time_of_requests
from tenantapp.tenancy.access import TenantPlace


class Migrator:
    """Migrates tenant databases, one after the other. Raises ``HistoryError``."""

    def __init__(self, fleet: Fleet, history: TenantHistory) -> None:
        self._settings = settings = fleet.settings
        self._servers, self._history = fleet.servers, history
        self._environment = RepeatedEnvironment(history_config(settings, "tenant"), history.script)
        self._limits = Limits(
            settings.migrations_lock_timeout, settings.migrations_statement_timeout, settings.migrations_lock_timeout
        )
        self._requests_end = time_of_requests(settings)

    @checkpoint("migration.run")
    def migrate(
        self,
        order: MigrationOrder,
        place: TenantPlace,
        found: str | None,
        may_put_back: Callable[[], bool],
        reached: Callable[[str | None], None],
    ) -> None:
        """Migrate a database from its recorded revision to the wanted one.

        ``reached`` is called with the revision that the database has then, also if the migration fails after it has
        committed a part. With ``order.snapshot`` the database is copied first. If a copy exists, an earlier attempt was
        cut short, and that copy is put back first. If the migration fails, ``may_put_back`` is asked before the new
        copy is put back.
        Raises ``MigrationRefused``, ``SnapshotFailed``, ``DatabaseUnreachable``, ``DatabaseBusy``, ``MigrationFailed``,
        ``ServerError``, and what a migration raises.
        """
        down = self._history.direction(found, order.wanted, down=order.down) == "down"
        if not order.snapshot:
            self._move(place, order.wanted, down, reached)
            return
        snapshot = self._copy_of(place)
        if snapshot.exists():
            snapshot.put_back()
        snapshot.take()
        try:
            self._move(place, order.wanted, down, reached)
        except BaseException as error:
            if not may_put_back():
                raise PuttingBackFailed(
                    _name(place), f"the tenant was served, or taken over, meanwhile ({error})"
                ) from error
            snapshot.put_back()
            reached(found)
            raise
        snapshot.drop()

    def forget_copy(self, place: TenantPlace) -> None:
        """Remove a copy that may be older than what people have written. Raises ``SnapshotFailed``."""
        self._copy_of(place).drop()

    def let_requests_end(self) -> None:
        """Wait for requests that were let in just before the fence went up, so that the copy has what they write."""
        time.sleep(self._requests_end)

    def _copy_of(self, place: TenantPlace) -> Snapshot:
        return snapshot_of(self._servers[place.server], place.database, _name(place))

    def _move(self, place: TenantPlace, wanted: str, down: bool, reached: Callable[[str | None], None]) -> None:
        server = self._servers[place.server]
        if not down:
            make_missing(server, place.database, _name(place))
        url = server.tenant_url(place.database)
        target = Target(self._settings, "tenant", _name(place), url, reached, self._limits)
        self._environment.move(target, wanted, down=down)


def _name(place: TenantPlace) -> str:
    return f"the database of {place.slug}"
