"""Find out from a driver's error whether the database failed, or the statement was wrong.

PostgreSQL tells by SQLSTATE (https://www.postgresql.org/docs/current/errcodes-appendix.html), SQLite by result code
(https://www.sqlite.org/rescode.html). An error in a statement is not a failure of the database, and is not changed.
"""

import sqlite3
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

import psycopg2
import psycopg2.extensions

from tenantapp.sql.commit_counts import CommitsLost

REASON_LENGTH: Final = 300  # characters of a driver's message that are kept


class Cause(StrEnum):
    """The kind of a failure."""

    UNREACHABLE = "unreachable"  # no connection could be made
    LOST = "connection_lost"
    READ_ONLY = "read_only"
    LOCKED = "locked"  # by somebody else, for too long
    CANCELLED = "cancelled"  # by statement_timeout, or by an operator
    CONFLICT = "conflict"  # the transaction was ended in favour of another one
    SLOW = "slow"  # the database is slow, and too many requests of this process are waiting
    SILENT = "no_answer"  # there was no answer in time
    NOT_REPLICATED = "not_replicated"  # the wait for the synchronous standby was cancelled
    FULL = "full"  # disk, memory, or connections
    QUOTA = "connection_quota"  # the tenant had as many connections in use as it may, for too long
    DAMAGED = "damaged"
    FAILED = "failed"  # an error of the operating system, or an internal error of the database
    COMMITS_LOST = "commits_lost"  # a SQLite file lacks commits, because its write-ahead log is gone
    WRONG_TENANT = "wrong_tenant"  # the database holds somebody else's data
    NOT_SERVED = "not_served"  # the state of the tenant forbids service


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a database failed. ``reason`` is the first line of the driver's message.

    With ``spoiled``, the connection must not be used again. With ``in_doubt``, the database failed during the commit,
    and it is not known whether the change was kept.
    """

    cause: Cause
    reason: str = ""
    spoiled: bool = False
    in_doubt: bool = False

    def __str__(self) -> str:
        words = self.cause.replace("_", " ") + (" while it committed" if self.in_doubt else "")
        return f"{words} ({self.reason})" if self.reason else words


class CommitInDoubt(Exception):
    """COMMIT was sent, and the database did not confirm it."""


class NoAnswer(psycopg2.OperationalError):
    """We have closed the connection, because the server has fallen silent. ``__cause__`` is the driver's error."""


class PostgresCommitInDoubt(CommitInDoubt, psycopg2.OperationalError):
    """The connection was lost before the answer came. ``__cause__`` is the driver's error."""


class NoAnswerToCommit(PostgresCommitInDoubt):
    """We have closed the connection, because the answer to COMMIT took too long."""


class NotReplicated(PostgresCommitInDoubt):
    """The wait of a COMMIT for the synchronous standby was cancelled. A failover may lose the change."""


class SqliteCommitInDoubt(CommitInDoubt, sqlite3.OperationalError):
    """The write or the sync of the last page failed. ``__cause__`` is the driver's error."""


# By SQLSTATE, or by its first two characters, the class. A connection is spoiled if it has ended. It is also spoiled if
# its server is read-only, because a new connection may lead to another server.
_POSTGRES: Final = {
    "08": Failure(Cause.LOST, spoiled=True),  # a pooler reports the server behind it
    "25006": Failure(Cause.READ_ONLY, spoiled=True),
    "25P03": Failure(Cause.LOST, spoiled=True),  # idle_in_transaction_session_timeout
    "25P04": Failure(Cause.LOST, spoiled=True),  # transaction_timeout
    "26": Failure(Cause.LOST, spoiled=True),  # the prepared statement is gone, so this is another session
    "40": Failure(Cause.CONFLICT),
    "53": Failure(Cause.FULL),
    "55P03": Failure(Cause.LOCKED),  # lock_timeout
    "57": Failure(Cause.LOST, spoiled=True),  # shutdown, crash, the database dropped
    "57014": Failure(Cause.CANCELLED),  # statement_timeout
    "58": Failure(Cause.FAILED),
    "72": Failure(Cause.CANCELLED),  # snapshot too old
    "XX": Failure(Cause.FAILED),
    "XX001": Failure(Cause.DAMAGED),
    "XX002": Failure(Cause.DAMAGED),
}
# With these, the outcome of the transaction is not known, whatever was sent last.
_IN_DOUBT: Final = frozenset({"08007", "40003"})
_ENDED: Final = frozenset({"FATAL", "PANIC"})

# By primary result code. A connection keeps the state in which it opened the file, so most errors spoil it, and a new
# connection is made. It is still sound if others only hold a lock, or if the disk is full.
_SQLITE: Final = {
    sqlite3.SQLITE_BUSY: Failure(Cause.LOCKED),
    sqlite3.SQLITE_LOCKED: Failure(Cause.LOCKED),
    sqlite3.SQLITE_PROTOCOL: Failure(Cause.LOCKED),
    sqlite3.SQLITE_FULL: Failure(Cause.FULL),
    sqlite3.SQLITE_READONLY: Failure(Cause.READ_ONLY, spoiled=True),
    sqlite3.SQLITE_CANTOPEN: Failure(Cause.UNREACHABLE, spoiled=True),
    sqlite3.SQLITE_PERM: Failure(Cause.UNREACHABLE, spoiled=True),
    sqlite3.SQLITE_IOERR: Failure(Cause.FAILED, spoiled=True),
    sqlite3.SQLITE_INTERNAL: Failure(Cause.FAILED, spoiled=True),
    sqlite3.SQLITE_CORRUPT: Failure(Cause.DAMAGED, spoiled=True),
    sqlite3.SQLITE_NOTADB: Failure(Cause.DAMAGED, spoiled=True),
}
_CLOSED: Final = "Cannot operate on a closed database."


def failure_of(error: BaseException | None, *, connecting: bool = False, read_only: bool = False) -> Failure | None:
    """Return why the database failed. Return None if the statement was wrong, or if this is not a driver's error.

    With ``connecting``, the error came while a connection was made, so no statement can be the cause. With
    ``read_only``, the transaction was begun as read-only, so a refused write is an error of our own code.
    """
    if isinstance(error, CommitsLost):
        return Failure(Cause.COMMITS_LOST, _reason_of(error), spoiled=True)
    if isinstance(error, NoAnswer):
        return Failure(Cause.SILENT, _reason_of(error), spoiled=True)
    if isinstance(error, NotReplicated):
        return Failure(Cause.NOT_REPLICATED, _reason_of(error), in_doubt=True)
    if isinstance(error, NoAnswerToCommit):
        return Failure(Cause.SILENT, str(error), spoiled=True, in_doubt=not read_only)
    if isinstance(error, CommitInDoubt):
        lost = failure_of(error.__cause__) or Failure(Cause.LOST)
        return replace(lost, spoiled=True, in_doubt=not read_only)
    if isinstance(error, psycopg2.Error):
        failure = _postgres_failure(error, read_only)
    elif isinstance(error, sqlite3.Error):
        failure = _sqlite_failure(error, read_only)
    else:
        return None
    if failure is None and connecting:
        failure = Failure(Cause.UNREACHABLE)
    if failure is not None and connecting and failure.cause == Cause.LOST:
        failure = replace(failure, cause=Cause.UNREACHABLE)
    return None if failure is None else replace(failure, reason=_reason_of(error))


def _reason_of(error: BaseException) -> str:
    # Only the first line: the others, such as PostgreSQL's DETAIL, may quote people's data.
    return str(error).strip().partition("\n")[0][:REASON_LENGTH]


def _postgres_failure(error: psycopg2.Error, read_only: bool) -> Failure | None:
    code = error.pgcode
    if code is None:
        # An error of libpq itself. If the server ends the connection with a message, psycopg2 raises plain
        # DatabaseError, and the connection stays marked as open. Without a message it raises OperationalError, and
        # later InterfaceError. Other classes without a code are errors of the driver, such as a value that it cannot
        # adapt.
        lost = type(error) is psycopg2.DatabaseError or isinstance(
            error, psycopg2.OperationalError | psycopg2.InterfaceError
        )
        return Failure(Cause.LOST, spoiled=True) if lost else None
    if code in _IN_DOUBT:
        return Failure(Cause.LOST, spoiled=True, in_doubt=True)
    if (error.diag.severity_nonlocalized or error.diag.severity) in _ENDED:
        return Failure(Cause.LOST, spoiled=True)
    if code == "25006" and read_only:
        return None
    return _POSTGRES.get(code) or _POSTGRES.get(code[:2])


def _sqlite_failure(error: sqlite3.Error, read_only: bool) -> Failure | None:
    code: int | None = getattr(error, "sqlite_errorcode", None)
    if code is None:
        return Failure(Cause.LOST, spoiled=True) if str(error) == _CLOSED else None
    if code == sqlite3.SQLITE_READONLY and read_only:
        return None  # PRAGMA query_only refuses writes with the same code
    return _SQLITE.get(code & 0xFF)  # the low byte is the primary result code
