"""Ask a server and its standbys where they are in the write-ahead log.

They are asked on the connections of tenants, and the answers count for all tenants. So the names of functions are
qualified: in its own database, a tenant decides which functions plain names mean.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final, NamedTuple

import psycopg2
from sqlalchemy import literal_column, select

from tenantapp.sql.prepared import LoneSelect, Row
from tenantapp.sql.waits import present
from tenantapp.tenancy.dbfactory import DBFactory
from tenantapp.tenancy.positions import Log, LogPosition, parse_lsn

NO_STANDBY: Final = "it is no standby"
FOREIGN: Final = "it belongs to another cluster"
OTHER_TIMELINE: Final = "it does not follow the server's timeline, or has not noted it yet"
STANDBY: Final = "its server is a standby itself"


class Unasked(Exception):
    """The server or the replica does not say where it is. The message says why."""


class ServerRow(NamedTuple):
    """What a server says of itself."""

    cluster: Any
    file: str | None  # of the log: its name begins with the timeline
    inserted: str | None
    flushed: str | None


class ReplicaRow(NamedTuple):
    """What a replica says of itself."""

    is_standby: bool
    cluster: Any
    # A standby follows the timeline of a new server at once, and notes that later, never earlier.
    noted: int
    noted_in_recovery: int
    replayed: str | None


def _select(row: type[Any], *columns: str) -> LoneSelect[Any]:
    named = zip(row._fields, columns, strict=True)
    return LoneSelect(select(*(literal_column(text).label(name) for name, text in named)), row)


def _unless_standby(text: str) -> str:
    """Return an expression that is null on a standby, where the functions of it raise an error."""
    return f"CASE WHEN pg_catalog.pg_is_in_recovery() THEN NULL ELSE {text} END"


# https://www.postgresql.org/docs/current/functions-admin.html#FUNCTIONS-ADMIN-BACKUP
# https://www.postgresql.org/docs/current/functions-info.html#FUNCTIONS-INFO-CONTROLDATA
ASK_SERVER: Final[LoneSelect[ServerRow]] = _select(
    ServerRow,
    "(pg_catalog.pg_control_system()).system_identifier",
    _unless_standby("pg_catalog.pg_walfile_name(pg_catalog.pg_current_wal_insert_lsn())"),
    # Not the flushed one: with synchronous_commit = off, what is committed may not be flushed yet.
    _unless_standby("pg_catalog.pg_current_wal_insert_lsn()"),
    _unless_standby("pg_catalog.pg_current_wal_flush_lsn()"),
)
ASK_REPLICA: Final[LoneSelect[ReplicaRow]] = _select(
    ReplicaRow,
    "pg_catalog.pg_is_in_recovery()",
    "(pg_catalog.pg_control_system()).system_identifier",
    "(pg_catalog.pg_control_checkpoint()).timeline_id",
    "(pg_catalog.pg_control_recovery()).min_recovery_end_timeline",
    "pg_catalog.pg_last_wal_replay_lsn()",
)
REPLAYED: Final = "SELECT pg_catalog.pg_last_wal_replay_lsn()"


class ServerPosition(NamedTuple):
    """Where a server is. All that is committed is before ``inserted``. What is before ``flushed`` can be replayed."""

    log: Log
    inserted: int
    flushed: int


def ask_server(server: DBFactory) -> ServerPosition:
    """Return where a server is now. Raises ``Unasked``, and what reading raises."""
    return position_in(_ask(ASK_SERVER, server))


def position_in(row: Any) -> ServerPosition:
    """Return the position in a row of ``ASK_SERVER``. Raises ``Unasked`` if that is a standby."""
    if row.file is None or row.inserted is None or row.flushed is None:
        raise Unasked(STANDBY)
    where = Log(int(row.cluster), int(row.file[:8], 16))
    return ServerPosition(where, parse_lsn(row.inserted), parse_lsn(row.flushed))


def ask_replica(replica: DBFactory) -> ReplicaRow:
    """Return where a replica is now. Raises ``Unasked``, and what reading raises."""
    return _ask(ASK_REPLICA, replica)


def _ask(statement: LoneSelect[Row], database: DBFactory) -> Row:
    try:
        return statement.fetch(database.engine, {})[0]
    except psycopg2.Error as error:  # it answers, and does not permit it
        reason = str(error).partition("\n")[0]
        raise Unasked(f"it does not say where it is ({reason})") from error


def present_position(server: DBFactory) -> LogPosition:
    """Return the position behind all that is committed by now. Raises what ``ask_server`` raises."""
    with hurried():
        there = ask_server(server)
    return LogPosition(there.log, there.inserted)


def refusal(server: Log, here: ReplicaRow) -> str | None:
    """Return why a replica must not be read, or None. ``server`` is the log that its server writes."""
    if not here.is_standby:
        return NO_STANDBY
    if int(here.cluster) != server.cluster:
        return FOREIGN
    return None if max(here.noted, here.noted_in_recovery) == server.timeline else OTHER_TIMELINE


@contextmanager
def hurried() -> Iterator[None]:
    """Wait for no answer longer than what makes a request slow: these take no time where all is well."""
    waits = present()
    if waits is None:
        yield
        return
    deadline, waits.deadline = waits.deadline, min(waits.deadline, waits.bulkhead.slow)
    try:
        yield
    finally:
        waits.deadline = deadline
