"""Ask a PostgreSQL server how far its standbys are behind it."""

from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import text
from sqlalchemy.engine import URL

from tenantapp.databases.connections.maintenance_engines import maintenance_connection

# Streams of logical replication, by which tenants move, and of copies that are being made are no standbys. A slot that
# nobody uses belongs to a standby that has gone: the server keeps all WAL for it. Only PostgreSQL 17 and newer know
# since when. While nothing is written, a standby that has everything has no lag.
ASKED: Final = text("""
WITH here AS (
    SELECT CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_lsn() END AS lsn
), connected AS (
    SELECT coalesce(sender.application_name, '') AS name, host(sender.client_addr) AS address, sender.state,
        sender.sync_state,
        pg_wal_lsn_diff(here.lsn, coalesce(sender.replay_lsn, sender.flush_lsn))::bigint AS bytes,
        extract(epoch FROM sender.replay_lag)::float8 AS seconds
    FROM here, pg_stat_replication AS sender LEFT JOIN pg_replication_slots AS slot ON slot.active_pid = sender.pid
    WHERE slot.slot_type IS DISTINCT FROM 'logical' AND sender.state IS DISTINCT FROM 'backup'
        AND sender.application_name IS DISTINCT FROM 'pg_basebackup'
), gone AS (
    SELECT slot.slot_name::text AS name, NULL AS address, 'disconnected' AS state, NULL AS sync_state,
        pg_wal_lsn_diff(here.lsn, slot.restart_lsn)::bigint AS bytes,
        extract(epoch FROM now() - (to_jsonb(slot) ->> 'inactive_since')::timestamptz)::float8 AS seconds
    FROM here, pg_replication_slots AS slot
    WHERE slot.slot_type = 'physical' AND NOT slot.active AND slot.restart_lsn IS NOT NULL
)
SELECT name, address, state, sync_state, bytes, CASE WHEN bytes <= 0 THEN 0 ELSE seconds END AS seconds FROM connected
UNION ALL SELECT name, address, state, sync_state, bytes, seconds FROM gone
ORDER BY name, address
""")


@dataclass(frozen=True, slots=True)
class Standby:
    """A standby as its primary sees it: a name, how much WAL it has not replayed, in bytes, and for how long.

    Everything but the name is None if our role must not see it: it needs the rights of ``pg_monitor``. ``state`` is
    that of ``pg_stat_replication``, or ``disconnected`` if the standby has gone and its slot was left.
    """

    name: str
    address: str | None
    state: str | None
    sync_state: str | None
    bytes: int | None
    seconds: float | None


def standbys_of(url: URL, name: str) -> list[Standby]:
    """Return the standbys of the server at a URL, which ``name`` is the name of. Raises what connecting raises."""
    with maintenance_connection(url, name) as connection:
        return [_standby(*row) for row in connection.execute(ASKED)]


def _standby(*row: Any) -> Standby:
    name, address, state, sync_state, behind, seconds = row
    # The standby may have confirmed more than there was when the position of the server was read.
    return Standby(name, address, state, sync_state, None if behind is None else max(0, behind), seconds)
