"""What can go wrong with a database as such.

SqlError
+-- TransactionConflict     the database gave this transaction up for another one; to be tried again
+-- ConnectionsSpent        all connections are in use, and none came free in time
+-- DatabaseUnavailable     a database does not answer, or not to this
    +-- DatabaseSlow        it is slow, and too many requests wait already
    +-- OutcomeUnknown      it was lost while it committed: the change is kept, or it is not
"""

from typing import ClassVar, Final

from tenantapp.sql.failures import Cause, Failure

_UNREACHABLE: Final = Failure(Cause.UNREACHABLE)


class SqlError(Exception):
    """Base of the room's errors. ``str(error)`` is a sentence that may be shown to the person."""


class TransactionConflict(SqlError):
    """A serialization failure or a deadlock. A request is tried again; a script may do the same."""

    def __init__(self) -> None:
        super().__init__("This collided with what somebody else was doing at the same moment.")


class ConnectionsSpent(SqlError):
    """The connection budget of a server is spent, and waiting was in vain."""

    def __init__(self) -> None:
        super().__init__("All connections are in use right now.")


class DatabaseUnavailable(SqlError):
    """A database cannot be reached, is locked for too long, may only be read, or gave up in mid-work.

    Nothing of the transaction is kept, unless it is an ``OutcomeUnknown``.
    """

    database: str = "a database"
    """Which one it is, for the log."""
    failure: Failure = _UNREACHABLE
    """Why, for the log and for whoever decides by it."""

    def for_log(self) -> str:
        """Return the one line that an operator needs."""
        return f"{self.database}: {self.failure}"

    def log_fields(self) -> dict[str, str]:
        """Return the same in parts, for a log that is read by programs."""
        return {"cause": self.failure.cause.value}


class DatabaseSlow(DatabaseUnavailable):
    """It answers slowly, and too many requests of this process wait already."""


class OutcomeUnknown(DatabaseUnavailable):
    """The database was lost after COMMIT was sent and before it answered.

    It is never tried again by itself: done twice would be worse than not done.
    """

    outcome: ClassVar[str] = "Whether the change has been kept is not known. Look before you send it again."
