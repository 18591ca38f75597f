"""Have a running server archive what it has written up to now: otherwise a moment just past is in no archive yet."""

import logging
import time
from typing import Final

from sqlalchemy.engine import Connection
from sqlalchemy.exc import ProgrammingError

from tenantapp.databases.connections.maintenance_engines import MAINTENANCE_DATABASE, maintenance_connection
from tenantapp.databases.errors import DatabaseBusy, DatabaseUnreachable, ProvisioningFailed
from tenantapp.fleet.archives.archive import Still
from tenantapp.tenancy.servers import Server

log = logging.getLogger(__name__)
PATIENCE: Final = 60.0  # seconds
LOOK_EVERY: Final = 0.1  # seconds
# Recovery stops at the first commit after the moment, so there has to be one.
COMMIT: Final = "SELECT clock_timestamp() FROM pg_current_xact_id()"
PLACE: Final = "SELECT pg_walfile_name(pg_current_wal_insert_lsn())"
SWITCH: Final = "SELECT pg_switch_wal()"
ARCHIVED: Final = "SELECT last_archived_wal >= %s OR last_failed_time > %s FROM pg_stat_archiver"


def have_archived(server: Server, still: Still) -> None:
    """Have a server archive its log up to now, as far as it can, and wait for that.

    Whether it did is seen when the log is replayed: a server that is gone, or whose archiver has stopped, is no reason
    to refuse an earlier moment. Raises what ``still`` raises.
    """
    try:
        with maintenance_connection(server.own_url(MAINTENANCE_DATABASE), f"server {server.name}") as connection:
            _have_archived(connection, still)
    except (DatabaseUnreachable, DatabaseBusy, ProvisioningFailed) as error:
        log.info("The server %s was not asked to archive its log: %s", server.name, error)


def _have_archived(connection: Connection, still: Still) -> None:
    now = connection.exec_driver_sql(COMMIT).scalar()
    place = connection.exec_driver_sql(PLACE).scalar()
    try:
        connection.exec_driver_sql(SWITCH)
    except ProgrammingError:
        return  # the role may not, see the manual: archive_timeout does it some time
    until = time.monotonic() + PATIENCE
    while not connection.exec_driver_sql(ARCHIVED, (place, now)).scalar() and time.monotonic() < until:
        still()
        time.sleep(LOOK_EVERY)
