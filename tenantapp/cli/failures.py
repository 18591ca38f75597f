"""What went wrong, as one sentence for the operator."""

from typing import Final

from psycopg2 import errors as postgres
from sqlalchemy.exc import DBAPIError

from tenantapp.identity.errors import IdentityError
from tenantapp.operations.errors import FleetError, TenantBusy
from tenantapp.operations.outcomes import first_line
from tenantapp.settings import SettingsError
from tenantapp.sql.errors import OutcomeUnknown, SqlError
from tenantapp.sql.failures import Cause
from tenantapp.tenancy.errors import TenancyError, UserDatabaseUnavailable


class CommandFailed(Exception):
    """The command could not do its work. The message is one sentence that says why."""


KNOWN_ERRORS: Final = (
    CommandFailed,
    SettingsError,
    SqlError,
    TenancyError,
    IdentityError,
    FleetError,
    DBAPIError,
    OSError,
    UnicodeError,  # an argument or a password that is not UTF-8
)
# How SQLite says that a table or a column is missing; it has no code of its own for that.
SQLITE_MISSING: Final = ("no such table", "no such column", "has no column named")


def explained(error: Exception) -> str:
    """Why a command failed, and what to do. Errors for people speak for themselves; those of a driver are explained."""
    if isinstance(error, UserDatabaseUnavailable) and not isinstance(error, OutcomeUnknown):
        return _user_database_down(error)
    if isinstance(error, DBAPIError):
        return _statement_failed(error)
    if isinstance(error, TenantBusy):
        return f"{error} One whose worker is gone is gone on with by `tenantapp worker --until-idle`"
    return str(error)


def _user_database_down(error: UserDatabaseUnavailable) -> str:
    """People are told that the service is not available; the operator can do something about the reason."""
    reason = first_line(error.__cause__)
    if reason == "unable to open database file":
        return "There is no user database, or it may not be opened; if it was never made, run `tenantapp init`"
    if error.failure.cause == Cause.READ_ONLY:
        return f"The user database, or its directory, may not be written to ({reason})"
    # psycopg2 gives no code for a connection that failed, and the server says it in its own language.
    return f"The user database does not answer ({reason}); if it was never made, run `tenantapp init`"


def _statement_failed(error: DBAPIError) -> str:
    reason = first_line(error.orig)
    missing = isinstance(error.orig, postgres.UndefinedTable | postgres.UndefinedColumn)
    if missing or any(words in reason for words in SQLITE_MISSING):
        return f"The database is not at the structure this version needs ({reason}); run `tenantapp init`"
    return f"The database refused: {reason}"
