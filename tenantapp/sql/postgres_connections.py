"""How connections to PostgreSQL behave."""

import os
import select
import socket
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

import psycopg2
import psycopg2.extensions
from sqlalchemy import event
from sqlalchemy.engine import URL, Engine
from sqlalchemy.exc import InvalidatePoolError
from sqlalchemy.pool import Pool

from tenantapp.sql.failures import Cause, PostgresCommitInDoubt, failure_of
from tenantapp.sql.waits import watched

if TYPE_CHECKING:
    from tenantapp.sql.breaker import Health

# In a connection's info: once it has been given to somebody; while its statements stand alone, though those of its
# engine do not.
USED: Final = "tenantapp_used"
ALONE: Final = "tenantapp_alone"


class _Cursor(psycopg2.extensions.cursor):
    """Reports the wait for the answer to each statement."""

    def execute(self, query: Any, vars: Any = None) -> None:
        watched(self.connection, super().execute, query, vars)

    def executemany(self, query: Any, vars_list: Any) -> None:
        watched(self.connection, super().executemany, query, vars_list)


class _NamedCursor(_Cursor):
    """One that the server keeps: to fetch from it is to wait."""

    def fetchone(self) -> Any:
        return watched(self.connection, super().fetchone)

    def fetchmany(self, size: int | None = None) -> Any:
        return watched(self.connection, super().fetchmany, *([] if size is None else [size]))

    def fetchall(self) -> Any:
        return watched(self.connection, super().fetchall)


class PostgresConnection(psycopg2.extensions.connection):
    """The driver's connection, which reports what requests wait for, and says of a lost COMMIT whether it was sent."""

    health: "Health | None" = None
    cut_off = False
    """Whether a wait for it was ended from outside: it is of no more use."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.cursor_factory = _Cursor

    def cursor(self, name: Any = None, *arguments: Any, **named: Any) -> Any:
        """A cursor; with a name, one that the server keeps."""
        factory = {} if name is None else {"cursor_factory": _NamedCursor}
        return super().cursor(name, *arguments, **(factory | named))

    def commit(self) -> None:
        """Commit. Raises ``PostgresCommitInDoubt`` if the connection is lost after COMMIT was sent."""
        if self.status == psycopg2.extensions.STATUS_BEGIN and has_ended(self):
            raise psycopg2.OperationalError("the server had ended the connection before COMMIT was sent")
        try:
            watched(self, super().commit, committing=True)
        except psycopg2.Error as error:
            failure = failure_of(error)
            if failure is not None and failure.cause == Cause.LOST:
                raise PostgresCommitInDoubt(str(error)) from error
            raise

    def rollback(self) -> None:
        """Roll back."""
        watched(self, super().rollback)

    def cut(self) -> None:
        """Let the waiting thread read the end of the connection.

        Neither a request to cancel, for which psycopg2 holds up all threads until the server has taken it, nor anything
        else is sent: this returns at once also if the server is frozen.
        """
        self.cut_off = True
        with suppress(OSError, psycopg2.Error), socket.socket(fileno=os.dup(self.fileno())) as copied:
            copied.shutdown(socket.SHUT_RDWR)

    @property
    def readonly(self) -> bool | None:
        """Whether transactions begin as READ ONLY; None leaves it to the server."""
        return super().readonly  # type: ignore[no-any-return]

    @readonly.setter
    def readonly(self, value: bool | None) -> None:
        # SQLAlchemy sets it back to False, by which the driver would begin with READ WRITE from then on. That goes
        # over default_transaction_read_only, and a standby refuses it in words that say nothing of reading only.
        psycopg2.extensions.connection.readonly.__set__(self, value or None)


CONNECT_TIMEOUT: Final = 3  # seconds
# Seconds until a server that does not answer counts as down; then, keep-alive probes find a peer that is gone.
CONNECT_ARGUMENTS: Final = {
    "connection_factory": PostgresConnection,
    "connect_timeout": CONNECT_TIMEOUT,
    "keepalives_idle": 30,
    "keepalives_interval": 10,
    "keepalives_count": 3,
    "tcp_user_timeout": 30_000,  # milliseconds
}

# Requests have less patience.
TRAFFIC_ARGUMENTS: Final = {"keepalives_idle": 10, "keepalives_interval": 3, "tcp_user_timeout": 10_000}
# A server process whose client has gone notices within a second, also while it waits for a lock: so a statement ends
# there that was ended here. PostgreSQL 14 and newer.
CLIENT_CHECK: Final = "-c client_connection_check_interval=1000"

# What a server says that has no connection left, and one that has only those left that superusers may have.
FULL: Final = ("sorry, too many clients already", "remaining connection slots are reserved")


def traffic_arguments(url: URL, *, behind_pgbouncer: bool) -> dict[str, Any]:
    """How requests connect to this URL, besides what it says itself. A PgBouncer refuses options."""
    ours = CONNECT_ARGUMENTS | TRAFFIC_ARGUMENTS
    arguments = {name: value for name, value in ours.items() if name not in url.query}
    if behind_pgbouncer:
        return arguments
    # Given here, they would replace those of the URL and of the environment.
    given = url.query.get("options") or os.environ.get("PGOPTIONS", "")
    return arguments | {"options": f"{given} {CLIENT_CHECK}".strip()}


def is_full(error: psycopg2.OperationalError) -> bool:
    """Whether the server refused a connection because it allows no more of them to anybody.

    The driver does not hand on the SQLSTATE of a refused connection (53300), and it would be the same for a role or a
    database that has a limit of its own. Only the words tell, in English; in another language there is no second try.
    """
    return any(words in str(error) for words in FULL)


def usable_connections(connection: Any) -> int:
    """How many connections the server has for all of us: four fifths of what it allows those who are no superusers.

    The rest is for backups, for people with psql, and for backends that take a moment to exit.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int"
        )
        allowed: int = cursor.fetchone()[0]
    connection.rollback()
    return allowed * 4 // 5


def listen_on_pool(pool: Pool | Engine) -> None:
    """Let nobody meet a connection that died while it was idle."""
    event.listen(pool, "checkout", _on_checkout)


class _Unchecked(threading.local):
    """Whether this thread is taking a connection of which it does not matter if it died."""

    now = False


_unchecked: Final = _Unchecked()


def take_unchecked(engine: Engine) -> Any:
    """A connection that may have died while it was idle, for whoever will notice and try again."""
    _unchecked.now = True
    try:
        return engine.raw_connection()
    finally:
        _unchecked.now = False


def stand_alone(connection: Any) -> None:
    """Let the statements on this connection stand alone, until it is taken for a transaction.

    It is not set back at once: each change of the mode lets other threads of the interpreter go first.
    """
    driver = connection.dbapi_connection
    if not driver.autocommit:
        if driver.readonly is not None:
            # Left by an earlier transaction. In autocommit the driver would say it to the server, with a SET.
            driver.readonly = None
        driver.autocommit = True
        connection.info[ALONE] = True


def _on_checkout(connection: Any, record: Any, proxy: Any) -> None:
    if _unchecked.now:
        record.info[USED] = True
        return
    _check(connection, record)
    if record.info.pop(ALONE, False):
        connection.autocommit = False


def _check(connection: Any, record: Any) -> None:
    if has_ended(connection):
        if record.info.get(USED):
            raise InvalidatePoolError("the server has ended the connection")
        # Not one that has been idle: a further try would fare no better, and SQLAlchemy would not say why.
        raise psycopg2.OperationalError("the server has ended a new connection")
    record.info[USED] = True


def has_ended(connection: Any) -> bool:
    """Whether the server has ended a connection on which nothing is under way.

    A server that ends one says so, and then there is something to read on it. Asking the operating system costs a few
    microseconds, where a ping of each connection would cost a round trip.
    """
    return bool(connection.closed) or (_is_readable(connection) and not _answers(connection))


def _is_readable(connection: Any) -> bool:
    poll = select.poll()
    poll.register(connection.fileno(), select.POLLIN)
    return bool(poll.poll(0))


def _answers(connection: Any) -> bool:
    """Over TLS there may be something to read that is no farewell; so has a server whose settings were changed."""
    began = connection.status == psycopg2.extensions.STATUS_BEGIN
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
        if not began:
            connection.rollback()
    except psycopg2.Error as error:
        failure = failure_of(error)
        return failure is None or failure.cause != Cause.LOST
    return True
