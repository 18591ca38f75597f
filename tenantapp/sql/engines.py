"""Make engines, all with the same options and listeners."""

import sqlite3
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final, NoReturn

from sqlalchemy import create_engine, event
from sqlalchemy.engine import URL, Connection, Dialect, Engine, ExceptionContext
from sqlalchemy.pool import Pool

from tenantapp.sql import postgres_connections, sqlite_files
from tenantapp.sql.breaker import Breaker, Health, Unavailable
from tenantapp.sql.budget import ConnectionBudget
from tenantapp.sql.connecting import connect_to_postgres, connect_to_sqlite
from tenantapp.sql.database_clock import follow_clock_of
from tenantapp.sql.errors import TransactionConflict
from tenantapp.sql.failures import Cause, Failure, failure_of
from tenantapp.sql.pool import BudgetedPool, use_monotonic_clock
from tenantapp.sql.role_passwords import connect_as_role
from tenantapp.sql.waits import USER_DATABASE, take_ended

UNAVAILABLE: Final = "tenantapp_unavailable"  # execution option: makes the exception for a database that has failed
UNPREPARED: Final = "tenantapp_unprepared"  # execution option: whether statements are not prepared on connections
POOL_SIZE: Final = 12  # connections to the user database
PROBE_PAUSE: Final = 2.0  # seconds between two attempts to reach a server that does not answer


def make_engine(
    url: URL,
    *,
    unavailable: Unavailable,
    autocommit: bool = False,
    behind_pgbouncer: bool = False,
    pool_timeout: float,
    probe_pause: float = PROBE_PAUSE,
) -> Engine:
    """Make an engine with a pool of its own, for the user database. It does not connect yet.

    ``unavailable`` makes the exception that replaces the driver's if the database fails. With ``autocommit``, each
    statement is a transaction of its own. With ``behind_pgbouncer``, connections are not kept, and statements are not
    prepared. ``pool_timeout`` is the longest wait for a free connection. ``probe_pause`` is the time between two
    attempts to reach a server that does not answer. Both are in seconds.
    """
    options = engine_options(url, behind_pgbouncer=behind_pgbouncer)
    if autocommit:
        options |= {"isolation_level": "AUTOCOMMIT", "skip_autocommit_rollback": True}
    budget = ConnectionBudget(POOL_SIZE, pool_timeout)
    health = Health(unavailable, Breaker(probe_pause), probe_pause, USER_DATABASE)
    options |= {"poolclass": BudgetedPool, "budget": budget, "health": health, "keep": not behind_pgbouncer}
    engine = create_engine(url, **options)
    event.listen(engine, "do_connect", partial(_do_connect, health, budget))
    listen_on_pool(engine, url)
    follow_clock_of(engine)
    if not autocommit:
        listen_on_engine(engine)
    event.listen(engine, "handle_error", translate)
    return engine.execution_options(**{UNAVAILABLE: unavailable, UNPREPARED: behind_pgbouncer})


def _do_connect(
    health: Health, budget: ConnectionBudget, dialect: Dialect, record: Any, arguments: Any, keywords: Any
) -> Any:
    """Make a connection (listener on ``do_connect``)."""
    return open_connection(dialect, arguments, keywords, health, budget)


def open_connection(
    dialect: Dialect, arguments: Any, keywords: Mapping[str, Any], health: Health, budget: ConnectionBudget
) -> Any:
    """Make a DBAPI connection for requests. Raises the driver's errors."""
    if dialect.name == "sqlite":
        return connect_to_sqlite(partial(dialect.connect, *arguments, **keywords), health)
    return connect_to_postgres(partial(connect_as_role, dialect.connect, keywords), health, budget)


def engine_options(url: URL, *, behind_pgbouncer: bool = False) -> dict[str, Any]:
    """Return the options of ``create_engine`` for a database. They keep parameters out of logs and errors."""
    if _is_sqlite(url):
        return {"hide_parameters": True, "connect_args": sqlite_files.CONNECT_ARGUMENTS}
    return {
        "hide_parameters": True,
        "use_native_hstore": False,  # saves a query for each new connection
        "skip_autocommit_rollback": True,  # in autocommit mode there is nothing to roll back
        "connect_args": postgres_connections.traffic_arguments(url, behind_pgbouncer=behind_pgbouncer),
    }


def listen_on_pool(pool: Pool | Engine, url: URL) -> None:
    """Add the listeners for connections that are made, checked out and returned."""
    event.listen(pool, "connect", use_monotonic_clock)
    if _is_sqlite(url):
        sqlite_files.listen_on_pool(pool)
    else:
        postgres_connections.listen_on_pool(pool)


def listen_on_engine(engine: Engine, verify: Callable[[Any], None] | None = None) -> None:
    """Add the listeners for transactions that begin.

    On SQLite, ``verify`` is called with the DBAPI connection of each transaction that may write, after it has got the
    lock. If it raises, the transaction is rolled back: since the connection was checked out, the tenant may have been
    locked out of the file.
    """
    if not _is_sqlite(engine.url):
        return
    sqlite_files.listen_on_engine(engine)
    if verify is not None:
        event.listen(engine, "begin", partial(_verify_writer, verify))


def _verify_writer(verify: Callable[[Any], None], connection: Connection) -> None:
    if _only_reads(connection):
        return
    try:
        verify(connection.connection.dbapi_connection)
    except BaseException as error:
        if (failure := failure_of(error)) is not None and failure.spoiled:
            connection.invalidate(error)
        # Closing returns the connection, which rolls back. Otherwise SQLAlchemy would treat the transaction as begun,
        # and execute the next statement in it.
        connection.close()
        raise_translated(connection.engine, error)


def server_version(connection: Connection) -> tuple[int, ...]:
    """Return the version of the server that a connection leads to, or of the SQLite library: (18, 1), (3, 40, 1).

    The version comes from the connection, not from the dialect. The dialect is shared and learns the version at its
    first connection, so a thread that connects at the same moment may find it unset.
    """
    driver: Any = connection.connection.dbapi_connection
    if connection.dialect.name == "sqlite":
        return sqlite3.sqlite_version_info
    # https://www.postgresql.org/docs/current/libpq-status.html#LIBPQ-PQSERVERVERSION
    major, minor = divmod(int(driver.server_version), 10_000)
    return major, minor


def translate(context: ExceptionContext) -> Exception | None:
    """Return the exception that replaces the driver's error if the database failed (listener on ``handle_error``).

    A connection that the error has spoiled is closed, and with it the idle connections of its pool: they have ended as
    well, or lead to the same server, which is read-only now.
    """
    connection, error = context.connection, context.original_exception
    if context.engine is None:
        return None
    read_only = connection is not None and _only_reads(connection)
    if (ended := take_ended()) is not None:
        # The other connections of the pool are still sound.
        context.invalidate_pool_on_disconnect = False
        failure: Failure | None = ended
    else:
        failure = failure_of(error, connecting=connection is None, read_only=read_only)
    if failure is None and context.is_disconnect:
        failure = failure_of(error, connecting=True)  # SQLAlchemy recognizes a few more errors of lost connections
    if failure is None:
        return None
    if failure.spoiled and connection is not None:
        context.is_disconnect = True
        sqlite_files.let_go(getattr(context.execution_context, "cursor", None))
    return _ours(context.engine, failure, reading=read_only)


def raise_translated(
    engine: Engine, error: BaseException, *, connecting: bool = False, reading: bool = False
) -> NoReturn:
    """Raise the exception that ``translate`` would return, for code that uses the driver without SQLAlchemy."""
    failure = take_ended() or failure_of(error, connecting=connecting)
    if failure is None:
        raise error
    raise _ours(engine, failure, reading=reading) from error


def _ours(engine: Engine, failure: Failure, *, reading: bool = False) -> Exception:
    # A transaction that only reads conflicts with no other: a standby has cancelled it to keep up with its primary.
    if failure.cause == Cause.CONFLICT and not reading:
        return TransactionConflict()
    unavailable: Unavailable = engine.get_execution_options()[UNAVAILABLE]
    return unavailable(failure)


def _only_reads(connection: Connection) -> bool:
    """Return whether the connection begins its transactions as read-only."""
    return bool(connection.get_execution_options().get(sqlite_files.READ_ONLY, False))


def _is_sqlite(url: URL) -> bool:
    return url.get_backend_name() == "sqlite"
