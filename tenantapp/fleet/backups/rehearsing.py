"""Test whether a backup can be restored, by restoring it into a scratch database."""

import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy.engine import URL

from tenantapp.databases.connections.maintenance_engines import reading_connection
from tenantapp.databases.contents.contents import read_contents
from tenantapp.databases.errors import RowsHidden
from tenantapp.databases.histories.targets import Target
from tenantapp.databases.histories.upgrading import upgrade
from tenantapp.databases.schemas.expected import check_revision
from tenantapp.databases.servers.scratch import remove_scratch, scratch_mark, scratch_name
from tenantapp.fleet.backups.chunks import Progress, nobody
from tenantapp.fleet.backups.recorded_privileges import recorded_privileges
from tenantapp.fleet.backups.records import BackupRecord
from tenantapp.fleet.backups.restoring import drift_of, restore_database
from tenantapp.fleet.backups.store import Store
from tenantapp.operations.fleet import Fleet
from tenantapp.tenancy.servers import Server

NAME = "a scratch database"


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """The result of a test.

    ``rows`` is the number of rows of each table in the backup, or None if row level security hides some even from the
    tenant's own role, which reads it. ``revision`` is the revision after the migration. ``drift`` says what privileges
    and settings of the backup its revision does not give, and how the structure differs from that of ``revision``: a
    restore leaves out those, and takes this as it is, only if drift is accepted.
    """

    record: BackupRecord
    server: str
    rows: Mapping[str, int] | None
    revision: str
    drift: tuple[str, ...]
    seconds: float


def rehearse_restore(
    fleet: Fleet,
    server: Server,
    record: BackupRecord,
    store: Store,
    progress: Progress = nobody,
    *,
    key: UUID | None = None,
) -> Rehearsal:
    """Restore a backup into a scratch database, migrate it as a restore does, and remove it.

    If the process is killed, the next call with this ``key`` removes what it left. Raises what ``recorded_privileges``,
    ``restore_database`` and ``upgrade`` raise.
    """
    settings = fleet.settings
    check_revision(settings, record.revision)
    privileges, left_out = recorded_privileges(fleet, server, record, accept_drift=True)
    begun = time.monotonic()
    if key is not None:
        remove_scratch(server, key)
    with scratch_name(server, key) as database:
        url = server.tenant_url(database)
        mark = scratch_mark(fleet)
        restore_database(fleet, server, database, record, store, mark, NAME, progress, privileges=privileges)
        rows = _rows(url)
        revision = upgrade(Target(settings, "tenant", NAME, url))
        drift = (*left_out, *drift_of(fleet, server, url, NAME, revision))
    return Rehearsal(record, server.name, rows, revision, drift, time.monotonic() - begun)


def _rows(url: URL) -> dict[str, int] | None:
    """Count the rows with the rights of a tenant: whoever can write to the store chooses what was restored."""
    with suppress(RowsHidden), reading_connection(url, NAME) as connection, connection.begin():
        return {name: rows.count for name, rows in read_contents(connection, NAME).tables.items()}
    return None
