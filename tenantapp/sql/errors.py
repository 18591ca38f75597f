"""What can go wrong with a database as such.

SqlError
+-- TransactionConflict     the database gave this transaction up for another one; to be tried again
+-- ConnectionsSpent        all connections are in use, and none came free in time
+-- DatabaseUnavailable     a database does not answer
"""


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
    """A database cannot be reached, is locked for too long, or gave up in mid-work."""
