"""Engines for making and removing databases of PostgreSQL servers: one for all databases of a server."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import lru_cache
from typing import Any, Final

from sqlalchemy import create_engine, event
from sqlalchemy.engine import URL, Dialect, Engine
from sqlalchemy.pool import NullPool, QueuePool

from tenantapp.tenancy.postgres_connections import CONNECT_ARGUMENTS

LOCK_TIMEOUT: Final = 10  # seconds a statement waits for a lock; whoever comes after it waits as well
STATEMENT_TIMEOUT: Final = 1800  # seconds a statement of a migration may take
MAINTENANCE_DATABASE: Final = "postgres"
ENGINES: Final = 32
# The database that is to be connected to, and the engines that keep a connection.
_wanted: ContextVar[str] = ContextVar("wanted")
_kept: ContextVar[Callable[[URL], Engine] | None] = ContextVar("kept", default=None)


def maintenance_engine(url: URL) -> Engine:
    """An engine in autocommit whose next connection leads to the database of the URL, or else to ``postgres``."""
    database, address = url.database or MAINTENANCE_DATABASE, url.set(database="")
    kept = _kept.get()
    _wanted.set(database)
    # Nobody could copy or remove another database that a connection is kept to.
    return kept(address) if kept and database == MAINTENANCE_DATABASE else _engine(address)


@contextmanager
def maintenance_kept() -> Iterator[None]:
    """In this thread, keep a connection to each server for the maintenance that follows, until the block ends."""
    engines: dict[URL, Engine] = {}

    def kept(address: URL) -> Engine:
        if address not in engines:
            engines[address] = _make(address, poolclass=QueuePool, pool_size=1, pool_pre_ping=True)
        return engines[address]

    token = _kept.set(kept)
    try:
        yield
    finally:
        _kept.reset(token)
        for engine in engines.values():
            engine.dispose()


def _make(address: URL, **pool: Any) -> Engine:
    engine = create_engine(
        address,
        hide_parameters=True,
        use_native_hstore=False,
        connect_args=CONNECT_ARGUMENTS,
        isolation_level="AUTOCOMMIT",
        skip_autocommit_rollback=True,
        **pool,
    )
    event.listen(engine, "do_connect", _connect_to_wanted)
    return engine


@lru_cache(ENGINES)
def _engine(address: URL) -> Engine:
    # For all databases of a server: a dialect asks for four things before its first connection.
    return _make(address, poolclass=NullPool)


def _connect_to_wanted(dialect: Dialect, record: object, arguments: object, keywords: dict[str, Any]) -> None:
    """Listener on ``do_connect``."""
    keywords["dbname"] = _wanted.get()
    # They take the place of the shorter ones that a tenant database sets for the application; here, they need no
    # round trip of their own.
    keywords["options"] = with_timeouts(keywords.get("options", ""), LOCK_TIMEOUT, STATEMENT_TIMEOUT)


def with_timeouts(options: str, lock: float, statement: float) -> str:
    """What a connection to PostgreSQL is begun with, and how long it may wait for a lock and work, in seconds."""
    timeouts = {
        "lock_timeout": lock,
        "statement_timeout": statement,
        "idle_in_transaction_session_timeout": statement,
    }
    return " ".join([options, *(f"-c {name}={seconds * 1000:.0f}" for name, seconds in timeouts.items())])
