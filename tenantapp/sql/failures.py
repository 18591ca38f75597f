"""What a driver's error says of the database: did it fail, or did the statement?

PostgreSQL tells by SQLSTATE (https://www.postgresql.org/docs/current/errcodes-appendix.html), SQLite by result code
(https://www.sqlite.org/rescode.html). A mistake in a statement is no failure of the database, and stays what it is.
"""

import sqlite3
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

import psycopg2
import psycopg2.extensions

REASON_LENGTH: Final = 300  # characters of a driver's message that are kept


class Cause(StrEnum):
    """What kind of failure it is."""

    UNREACHABLE = "unreachable"  # no connection could be made
    LOST = "connection_lost"
    READ_ONLY = "read_only"
    LOCKED = "locked"  # by somebody else, for too long
    CANCELLED = "cancelled"  # by statement_timeout, or by an operator
    CONFLICT = "conflict"  # the transaction was given up for another one
    SLOW = "slow"  # and too many requests of this process wait already
    SILENT = "no_answer"  # in time
    FULL = "full"  # disk, memory, or connections
    DAMAGED = "damaged"
    FAILED = "failed"  # the operating system below it, or an internal error
    WRONG_TENANT = "wrong_tenant"  # it holds somebody else's data
    NOT_SERVED = "not_served"  # its tenant is in a state that is served to nobody


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a database failed. ``reason`` is the first line of the driver's message.

    ``spoiled``: the connection is not to be used again. ``in_doubt``: it failed while it committed, and whether it has
    kept the change is not known.
    """

    cause: Cause
    reason: str = ""
    spoiled: bool = False
    in_doubt: bool = False

    def __str__(self) -> str:
        words = self.cause.replace("_", " ") + (" while it committed" if self.in_doubt else "")
        return f"{words} ({self.reason})" if self.reason else words


class CommitInDoubt(Exception):
    """The connection was lost after COMMIT was sent and before the answer came."""


class PostgresCommitInDoubt(CommitInDoubt, psycopg2.OperationalError):
    """On PostgreSQL. ``__cause__`` is the driver's error."""


class SqliteCommitInDoubt(CommitInDoubt, sqlite3.OperationalError):
    """On SQLite: the write or the sync of the last page failed. ``__cause__`` is the driver's error."""


# By SQLSTATE, or by its first two characters, the class. Spoiled are connections that have ended, or lead to a server
# that may not be written to: another one may lead to its successor.
_POSTGRES: Final = {
    "08": Failure(Cause.LOST, spoiled=True),  # a pooler says so of the server behind it
    "25006": Failure(Cause.READ_ONLY, spoiled=True),
    "25P03": Failure(Cause.LOST, spoiled=True),  # idle_in_transaction_session_timeout
    "25P04": Failure(Cause.LOST, spoiled=True),  # transaction_timeout
    "26": Failure(Cause.LOST, spoiled=True),  # what was prepared is gone: it is another session than it was
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
# What became of the transaction is not known, whatever was sent last.
_IN_DOUBT: Final = frozenset({"08007", "40003"})
_ENDED: Final = frozenset({"FATAL", "PANIC"})

# By primary result code. A connection keeps what it has found when it opened the file, so that after these a new one
# is made; not where others only hold a lock, or the disk is full.
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
    """Return why the database failed, or None if it was the statement, or is no error of a driver.

    ``connecting``: the error came while a connection was made, so that there is no statement to blame. ``read_only``:
    the transaction was begun as one that only reads, so that a refused write in it is a mistake of ours.
    """
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
    # The first line alone: what follows it, such as PostgreSQL's DETAIL, may quote people's data.
    reason = str(error).strip().partition("\n")[0][:REASON_LENGTH]
    return None if failure is None else replace(failure, reason=reason)


def _postgres_failure(error: psycopg2.Error, read_only: bool) -> Failure | None:
    code = error.pgcode
    if code is None:
        # Of libpq's own making. Where the connection ends with a last word of the server, psycopg2 raises plain
        # DatabaseError and leaves the connection marked as open; else OperationalError, or InterfaceError once it has
        # noticed. Other classes without a code are the driver's refusals, such as of a value that it cannot adapt.
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
        return None  # query_only says the same, with the plain code
    return _SQLITE.get(code & 0xFF)  # the low byte is the primary result code
