"""Connect to PostgreSQL, report waits, and notice connections that have ended."""

import os
import select
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeVar

import psycopg2
import psycopg2.extensions
from sqlalchemy import event
from sqlalchemy.engine import URL, Engine
from sqlalchemy.exc import InvalidatePoolError
from sqlalchemy.pool import Pool

from tenantapp.sql.failures import Cause, NoAnswerToCommit, NotReplicated, PostgresCommitInDoubt, failure_of
from tenantapp.sql.silence import Address, address_of, watch
from tenantapp.sql.waits import TENANT_DATABASES, present, report_rows, watched

if TYPE_CHECKING:
    from tenantapp.sql.breaker import Health

Result = TypeVar("Result")
# In a connection's info: it has been checked out before; it is in autocommit mode, although its engine is not.
USED: Final = "tenantapp_used"
ALONE: Final = "tenantapp_alone"
# How the server says what a statement did: ``INSERT 0 1``, ``UPDATE 3``.
WRITES: Final = ("INSERT", "UPDATE", "DELETE", "MERGE")


def answered(
    connection: "PostgresConnection", call: Callable[..., Result], *arguments: Any, committing: bool = False, **of: Any
) -> Result:
    """Call the driver and return its result, on a thread of a request or on any other. No wait is without an end."""
    if present() is None:
        return watch.wait_for(connection, call, *arguments, committing=committing)
    return watched(connection, call, *arguments, committing=committing, **of)


class _Cursor(psycopg2.extensions.cursor):
    """Reports the wait for the answer to each statement, and counts the rows that it wrote."""

    def execute(self, query: Any, vars: Any = None) -> None:
        answered(self.connection, super().execute, query, vars, statement=query)
        self._count()
        self._check_replicated()

    def executemany(self, query: Any, vars_list: Any) -> None:
        answered(self.connection, super().executemany, query, vars_list, statement=query)
        self._count()
        self._check_replicated()

    def callproc(self, *arguments: Any, **named: Any) -> Any:
        """Call a function of the server."""
        return answered(self.connection, partial(super().callproc, *arguments, **named))

    def copy_expert(self, sql: Any, *arguments: Any, **named: Any) -> None:
        """Copy rows from or to a file, by a statement."""
        answered(self.connection, partial(super().copy_expert, sql, *arguments, **named), statement=sql)

    def copy_from(self, *arguments: Any, **named: Any) -> None:
        """Copy rows from a file into a table."""
        answered(self.connection, partial(super().copy_from, *arguments, **named))

    def copy_to(self, *arguments: Any, **named: Any) -> None:
        """Copy the rows of a table to a file."""
        answered(self.connection, partial(super().copy_to, *arguments, **named))

    def _check_replicated(self) -> None:
        if self.connection.notices and self.connection.autocommit:
            check_replicated(self.connection, in_doubt=not (self.statusmessage or "").startswith("SELECT"))

    def _count(self) -> None:
        if (self.statusmessage or "").startswith(WRITES):
            self.connection.rows += self.rowcount


class _NamedCursor(_Cursor):
    """A cursor of the server. Fetching from it also waits for the server."""

    def fetchone(self) -> Any:
        return answered(self.connection, super().fetchone)

    def fetchmany(self, size: int | None = None) -> Any:
        return answered(self.connection, super().fetchmany, *([] if size is None else [size]))

    def fetchall(self) -> Any:
        return answered(self.connection, super().fetchall)

    def close(self) -> None:
        """Close the cursor on the server."""
        answered(self.connection, super().close)


class PostgresConnection(psycopg2.extensions.connection):
    """The driver's connection. It reports waits, and knows whether a COMMIT was sent before the connection was lost."""

    system = "postgresql"
    health: "Health | None" = None
    spends_on: int = TENANT_DATABASES
    cut_off = False  # a wait was ended from outside, so the connection cannot be used any more
    rows = 0
    """The rows that the transaction has written so far."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.cursor_factory = _Cursor

    def cursor(self, name: Any = None, *arguments: Any, **named: Any) -> Any:
        """Return a cursor. With a name, it is a cursor of the server."""
        factory = {} if name is None else {"cursor_factory": _NamedCursor}
        return super().cursor(name, *arguments, **(factory | named))

    def commit(self) -> None:
        """Commit. Raises ``PostgresCommitInDoubt`` if the connection is lost after COMMIT has been sent.

        Raises ``NotReplicated`` if the wait for the synchronous standby was cancelled.
        """
        if self.status == psycopg2.extensions.STATUS_BEGIN and has_ended(self):
            raise psycopg2.OperationalError("the server had ended the connection before COMMIT was sent")
        if self.notices:
            self.notices.clear()  # of statements
        try:
            answered(self, super().commit, committing=True)
        except psycopg2.Error as error:
            failure = failure_of(error)
            if failure is None or failure.cause not in (Cause.LOST, Cause.SILENT):
                raise
            if self.cut_off:
                raise NoAnswerToCommit(str(error) if failure.cause == Cause.SILENT else "") from error
            raise PostgresCommitInDoubt(str(error)) from error
        if self.notices:
            check_replicated(self)
        if self.rows:
            report_rows(self)

    def rollback(self) -> None:
        """Roll back."""
        self.rows = 0
        answered(self, super().rollback)

    def server(self) -> Address | None:
        """Return the address of the server, or None if the connection is closed."""
        return None if self.closed else address_of(self.fileno())

    def cut(self) -> None:
        """Shut the socket down, so that the waiting thread reads the end of the connection.

        The method returns at once, even if the server is frozen, because it sends nothing. A request to cancel would
        make psycopg2 stop all threads until the server accepts it.
        """
        self.cut_off = True
        with suppress(OSError, psycopg2.Error), socket.socket(fileno=os.dup(self.fileno())) as copied:
            copied.shutdown(socket.SHUT_RDWR)

    @property
    def readonly(self) -> bool | None:
        """Return whether transactions begin as READ ONLY. None means the default of the server."""
        return super().readonly  # type: ignore[no-any-return]

    @readonly.setter
    def readonly(self, value: bool | None) -> None:
        # SQLAlchemy resets it to False, and then the driver would begin with READ WRITE. This would override
        # default_transaction_read_only, and a standby refuses it with an error that does not mention read-only.
        psycopg2.extensions.connection.readonly.__set__(self, value or None)


CONNECT_TIMEOUT: Final = 3  # seconds
# A server that does not answer within this time counts as down. Keep-alive probes find a peer that is gone.
CONNECT_ARGUMENTS: Final = {
    "connection_factory": PostgresConnection,
    "connect_timeout": CONNECT_TIMEOUT,
    "keepalives_idle": 30,
    "keepalives_interval": 10,
    "keepalives_count": 3,
    "tcp_user_timeout": 30_000,  # milliseconds
}

# Shorter times for requests.
TRAFFIC_ARGUMENTS: Final = {"keepalives_idle": 10, "keepalives_interval": 3, "tcp_user_timeout": 10_000}
# A server process notices within a second that its client has gone, even while it waits for a lock. So a statement that
# was ended here also ends on the server. PostgreSQL 14 and newer.
CLIENT_CHECK: Final = "-c client_connection_check_interval=1000"
# Notices tell that a COMMIT was not replicated, so no role or database must switch them off.
NOTICES: Final = "-c client_min_messages=warning"
# The wait for a synchronous standby was cancelled. The driver gives the text of a notice, without the SQLSTATE.
UNREPLICATED: Final = "synchronous replication"
# True if a notice may be that one, in another language than English.
MAY_BE_UNREPLICATED: Final = """
SELECT current_setting('synchronous_standby_names') <> ''
    AND current_setting('lc_messages') !~ '^((C|POSIX|en)([_.@]|$)|English)'
"""

# The messages of a server without free connections, and of one whose last connections are reserved for superusers.
FULL: Final = ("sorry, too many clients already", "remaining connection slots are reserved")


def traffic_arguments(url: URL, *, behind_pgbouncer: bool) -> dict[str, Any]:
    """Return the arguments with which requests connect to this URL. Those in the URL itself take precedence.

    A PgBouncer gets no ``options``, because it refuses them.
    """
    ours = CONNECT_ARGUMENTS | TRAFFIC_ARGUMENTS
    arguments = {name: value for name, value in ours.items() if name not in url.query}
    if behind_pgbouncer:
        return arguments
    # These options replace those of the URL and of the environment, so they have to include them.
    given = url.query.get("options") or os.environ.get("PGOPTIONS", "")
    return arguments | {"options": f"{given} {CLIENT_CHECK} {NOTICES}".strip()}


def is_full(error: psycopg2.OperationalError) -> bool:
    """Return whether the server refused a connection because it has no free one for anybody.

    The function reads the English message. The driver does not report the SQLSTATE of a refused connection (53300),
    which would be the same for the limit of a role or a database. If messages are in another language, the caller does
    not try again.
    """
    return any(words in str(error) for words in FULL)


def usable_connections(connection: Any) -> int:
    """Return how many connections all our processes may use: four fifths of those that are not for superusers.

    The rest is for backups, for people with psql, and for backends that take a moment to exit.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int"
        )
        allowed: int = cursor.fetchone()[0]
    connection.rollback()
    return allowed * 4 // 5


def check_replicated(connection: Any, *, in_doubt: bool = True) -> None:
    """Raise ``NotReplicated`` if a notice of the commit says that the standby has not confirmed it.

    PostgreSQL commits on the primary before it waits for the standby. If the wait is cancelled, it reports success,
    with a warning. In a server whose messages are not in English and that replicates synchronously, every notice of a
    COMMIT counts as this warning. The notices are removed. The driver has the farewell of a backend for a notice too.
    Then nothing can be found out: ``PostgresCommitInDoubt``, or the driver's error if ``in_doubt`` is false.
    """
    notices, connection.notices[:] = list(connection.notices), []
    told = next((notice for notice in notices if UNREPLICATED in notice), None)
    try:
        if told is None and _may_be_unreplicated(connection):
            told = notices[0]
    except psycopg2.Error as error:
        if in_doubt:
            raise PostgresCommitInDoubt(str(error)) from error
        raise
    if told is not None:
        raise NotReplicated(told.partition(":")[2].strip())


def _may_be_unreplicated(connection: Any) -> bool:
    with connection.cursor() as cursor:
        cursor.execute(MAY_BE_UNREPLICATED)
        answer = bool(cursor.fetchone()[0])
    if not connection.autocommit:
        connection.rollback()
    return answer


def listen_on_pool(pool: Pool | Engine) -> None:
    """Add the listener that replaces connections which ended while they were idle."""
    event.listen(pool, "checkout", _on_checkout)


class _Unchecked(threading.local):
    """Whether this thread is checking out a connection without the check that it is alive."""

    now = False


_unchecked: Final = _Unchecked()


def take_unchecked(engine: Engine) -> Any:
    """Return a connection that may have ended while it was idle, for callers that notice this and try again."""
    _unchecked.now = True
    try:
        return engine.raw_connection()
    finally:
        _unchecked.now = False


def stand_alone(connection: Any) -> None:
    """Put the connection into autocommit mode, until it is checked out for a transaction.

    The mode is not reset at once, because each change of it lets other threads of the interpreter run.
    """
    driver = connection.dbapi_connection
    if not driver.autocommit:
        if driver.readonly is not None:
            # Left by an earlier transaction. In autocommit mode the driver would send it to the server, with a SET.
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
        # The connection is new, so another attempt would also fail, and SQLAlchemy would not report why.
        raise psycopg2.OperationalError("the server has ended a new connection")
    record.info[USED] = True


def has_ended(connection: Any) -> bool:
    """Return whether the server has ended a connection on which no statement is running.

    A server that ends a connection sends a message or closes the socket, so there is something to read. To ask the
    operating system takes a few microseconds. A ping would take a round trip.
    """
    return bool(connection.closed) or (_is_readable(connection) and not _answers(connection))


def _is_readable(connection: Any) -> bool:
    poll = select.poll()
    poll.register(connection.fileno(), select.POLLIN)
    return bool(poll.poll(0))


def _answers(connection: Any) -> bool:
    """Return whether a connection with unread data still works: TLS and changed settings of a server also send data."""
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
