"""Ask the user database's clock, so that all processes agree on the present, see ``times``."""

from contextlib import suppress
from typing import Any, Final

import psycopg2
from sqlalchemy import event
from sqlalchemy.engine import Engine

from tenantapp.sql.times import counting_ns, follow

EVERY: Final = 5_000_000_000  # nanoseconds
SHOWN: Final = "SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint"

_due = 0


def follow_clock_of(engine: Engine) -> None:
    """Ask this engine's server, if it is PostgreSQL, when a connection is checked out, at most every few seconds."""
    if engine.dialect.name == "postgresql":
        event.listen(engine, "checkout", _on_checkout)


def _on_checkout(connection: Any, record: Any, proxy: Any) -> None:
    global _due
    if counting_ns() < _due:
        return
    _due = counting_ns() + EVERY
    # A connection that has ended is noticed by the statement that it was checked out for.
    with suppress(psycopg2.Error):
        try:
            began = counting_ns()
            shown = read_clock(connection)
            follow(shown, counting_ns() - began)
        finally:
            if not connection.autocommit:
                connection.rollback()


def read_clock(connection: Any) -> int:
    """Return what the server's clock shows, in nanoseconds since the epoch."""
    with connection.cursor() as cursor:
        cursor.execute(SHOWN)
        microseconds: int = cursor.fetchone()[0]
    return microseconds * 1000
