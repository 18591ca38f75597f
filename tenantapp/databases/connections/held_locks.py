"""Which locks a migration holds that keep others from reading or writing, and for how long."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Event, Thread
from typing import Any, Final

from sqlalchemy import event
from sqlalchemy.engine import URL, Connection

from tenantapp.databases.connections.maintenance_engines import ADVISORY_LOCK, maintenance_connection
from tenantapp.databases.connections.migration_connections import migration_engine
from tenantapp.operations.errors import FleetError

LOOK_EVERY: Final = 0.01  # seconds
READING: Final = "reading and writing"
WRITING: Final = "writing"
WRITE_LOCK: Final = "write lock"
# https://www.postgresql.org/docs/current/explicit-locking.html#LOCKING-TABLES
KEEPS_FROM: Final = {
    "ShareLock": WRITING,
    "ShareRowExclusiveLock": WRITING,
    "ExclusiveLock": WRITING,
    "AccessExclusiveLock": READING,
}
STRENGTH: Final = tuple(KEEPS_FROM)  # the weakest first
# Tables that the migration makes are not visible to others, so they are left out.
HELD: Final = """
SELECT CASE n.nspname WHEN 'public' THEN '' ELSE n.nspname || '.' END || c.relname AS name, l.mode
FROM pg_locks l JOIN pg_database d ON d.oid = l.database AND d.datname = current_database()
    JOIN pg_class c ON c.oid = l.relation AND c.relkind IN ('r', 'p', 'm')
    JOIN pg_namespace n ON n.oid = c.relnamespace AND n.nspname !~ '^pg_'
WHERE l.granted AND l.mode = ANY (%(modes)s) AND l.pid IN (
    SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND mode = 'ExclusiveLock' AND granted AND database = d.oid
        AND classid = %(high)s AND objid = %(low)s)
"""
MIGRATES: Final = {"modes": list(STRENGTH), "high": ADVISORY_LOCK >> 32, "low": ADVISORY_LOCK & 0xFFFFFFFF}


@dataclass(frozen=True, slots=True)
class HeldLock:
    """A lock that kept others from reading or writing: for how many seconds, and on PostgreSQL on which table."""

    table: str | None
    mode: str
    keeps_from: str
    seconds: float


@contextmanager
def locks_watched(url: URL, own_url: URL, name: str) -> Iterator[list[HeldLock]]:
    """Watch the migration of a database in this block. The list has the locks when the block has ended, longest first.

    On PostgreSQL ``own_url`` leads to the database as the server's own role, which looks a hundred times a second:
    locks that are held for less may be missed. On SQLite it is the time from the beginning of each transaction, which
    has the write lock, to its end. Raises what ``maintenance_connection`` raises.
    """
    found: list[HeldLock] = []
    seconds: dict[tuple[str | None, str], float] = {}
    watched = _write_lock(seconds) if url.get_backend_name() == "sqlite" else _table_locks(own_url, name, seconds)
    try:
        with watched:
            yield found
    finally:
        locks = [HeldLock(*key, KEEPS_FROM.get(key[1], WRITING), round(held, 3)) for key, held in seconds.items()]
        found.extend(sorted(locks, key=lambda lock: -lock.seconds))


@contextmanager
def _write_lock(seconds: dict[tuple[str | None, str], float]) -> Iterator[None]:
    engine, since = migration_engine(URL.create("sqlite")), [0.0]
    key = (None, WRITE_LOCK)

    def begins(connection: Connection) -> None:
        ends()
        since[0] = time.monotonic()

    def ends(*_: Any) -> None:
        if since[0]:
            seconds[key] = seconds.get(key, 0.0) + time.monotonic() - since[0]
        since[0] = 0.0

    event.listen(engine, "begin", begins)
    event.listen(engine, "reset", ends)
    try:
        yield
    finally:
        event.remove(engine, "begin", begins)
        event.remove(engine, "reset", ends)


@contextmanager
def _table_locks(url: URL, name: str, seconds: dict[tuple[str | None, str], float]) -> Iterator[None]:
    over, ready, failures = Event(), Event(), list[FleetError]()

    def watch() -> None:
        try:
            with maintenance_connection(url, name) as connection:
                last = _look(connection, seconds, time.monotonic())
                ready.set()
                while not over.wait(LOOK_EVERY):
                    last = _look(connection, seconds, last)
        except FleetError as error:
            failures.append(error)
        finally:
            ready.set()

    thread = Thread(target=watch, name=f"locks in {name}", daemon=True)
    thread.start()
    ready.wait()
    try:
        yield
    finally:
        over.set()
        thread.join()
    for failure in failures:
        raise failure


def _look(connection: Connection, seconds: dict[tuple[str | None, str], float], last: float) -> float:
    """Add the time since the last look to each lock that is held now. Return the time of this look."""
    rows = connection.exec_driver_sql(HELD, MIGRATES).all()
    now = time.monotonic()
    # Of several locks on a table, the strongest tells what others wait for.
    strongest = dict(sorted(((row.name, row.mode) for row in rows), key=lambda held: STRENGTH.index(held[1])))
    for held in strongest.items():
        seconds[held] = seconds.get(held, 0.0) + now - last
    return now
