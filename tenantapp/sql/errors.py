"""The errors of databases.

SqlError
+-- TransactionConflict     the database ended this transaction in favour of another one; try again
+-- ConnectionsSpent        all connections are in use, and none became free in time; also ``tenancy.errors.QuotaSpent``
+-- DatabaseUnavailable     a database does not answer, is locked or read-only, or has failed
    +-- DatabaseSlow        the database is slow, and too many requests are waiting
    +-- OutcomeUnknown      the database did not confirm the commit: the change was kept, or it was not
"""

from typing import ClassVar, Final

from tenantapp.sql.failures import Cause, Failure

_UNREACHABLE: Final = Failure(Cause.UNREACHABLE)


class SqlError(Exception):
    """Base of this package's errors. ``str(error)`` is a sentence that may be shown to the person."""


class TransactionConflict(SqlError):
    """A serialization failure or a deadlock. Requests are retried. A script may retry its transaction."""

    def __init__(self) -> None:
        super().__init__("The change conflicted with another change at the same moment. Try again.")


class ConnectionsSpent(SqlError):
    """The connection budget of a server is spent, and no connection became free in time."""

    def __init__(self) -> None:
        super().__init__("All connections are in use. Try again in a moment.")


class DatabaseUnavailable(SqlError):
    """A database cannot be reached, stays locked too long, is read-only, or has failed during the work.

    Nothing of the transaction is kept, unless the error is an ``OutcomeUnknown``.
    """

    database: str = "a database"
    """The name of the database, for the log."""
    failure: Failure = _UNREACHABLE
    """Why the database failed, for the log and for code that depends on the cause."""

    def for_log(self) -> str:
        """Return one line for the log: the database and the failure."""
        return f"{self.database}: {self.failure}"

    def log_fields(self) -> dict[str, str]:
        """Return the parts of this line, for a log that programs read."""
        return {"cause": self.failure.cause.value}


class DatabaseSlow(DatabaseUnavailable):
    """The database answers slowly, and too many requests of this process are waiting."""


class OutcomeUnknown(DatabaseUnavailable):
    """COMMIT was sent, and the connection was lost before the answer came, or the synchronous standby did not confirm.

    The program never retries such a transaction, because the change could be made twice.
    """

    outcome: ClassVar[str] = "It is not known whether the change was kept. Check before you send it again."
