"""Explain an error to the operator in one sentence."""

import sys
from typing import Final

from psycopg2 import errors as postgres
from sqlalchemy.exc import DBAPIError

from tenantapp.audit.errors import AuditError
from tenantapp.identity.errors import IdentityError
from tenantapp.operations.errors import FleetError, TenantBusy
from tenantapp.operations.outcomes import first_line
from tenantapp.scaffold.errors import ScaffoldRefused
from tenantapp.settings import SettingsError
from tenantapp.sql.errors import OutcomeUnknown, SqlError
from tenantapp.sql.failures import Cause
from tenantapp.tenancy.errors import (
    USER_DATABASE_LOST,
    TenancyError,
    TenantDatabaseUnavailable,
    UserDatabaseUnavailable,
)


class CommandFailed(Exception):
    """A command failed. The message is one sentence that says why."""


KNOWN_ERRORS: Final = (
    CommandFailed,
    AuditError,
    ScaffoldRefused,
    SettingsError,
    SqlError,
    TenancyError,
    IdentityError,
    FleetError,
    DBAPIError,
    OSError,
    UnicodeError,  # an argument or a password that is not UTF-8
)
# How SQLite reports a missing table or column: it has no error code for that.
SQLITE_MISSING: Final = ("no such table", "no such column", "has no column named")


def is_known(error: Exception) -> bool:
    """Return whether an error is one that a command may end with, and not a bug."""
    # Commands of the domain raise the errors of resources. Ours need not import the package.
    resources = sys.modules.get("tenantapp.resources.errors")
    return isinstance(error, KNOWN_ERRORS) or (resources is not None and isinstance(error, resources.ResourceError))


def explained(error: Exception) -> str:
    """Return why a command failed and what to do. Our own errors say it themselves; driver errors are explained."""
    if isinstance(error, UserDatabaseUnavailable) and not isinstance(error, OutcomeUnknown):
        return _user_database_down(error)
    if isinstance(error, TenantDatabaseUnavailable) and error.failure.cause == Cause.COMMITS_LOST:
        return error.for_log()
    if isinstance(error, DBAPIError):
        return _statement_failed(error)
    if isinstance(error, TenantBusy):
        return f"{error} If its worker has died, `tenantapp worker --until-idle` resumes it"
    return str(error)


def _user_database_down(error: UserDatabaseUnavailable) -> str:
    """Return the reason as well: unlike the people of a tenant, the operator can do something about it."""
    if error.failure.cause == Cause.COMMITS_LOST:
        return f"The user database is not complete: {error.failure.reason}. {USER_DATABASE_LOST}"
    reason = first_line(error.__cause__)
    if reason == "unable to open database file":
        return "The user database is missing or cannot be opened; if it was never made, run `tenantapp init`"
    if error.failure.cause == Cause.READ_ONLY:
        return f"The user database or its directory is not writable ({reason})"
    # psycopg2 gives no code for a failed connection, and the message is in the language of the server.
    return f"The user database does not answer ({reason}); if it was never made, run `tenantapp init`"


def _statement_failed(error: DBAPIError) -> str:
    reason = first_line(error.orig)
    missing = isinstance(error.orig, postgres.UndefinedTable | postgres.UndefinedColumn)
    if missing or any(words in reason for words in SQLITE_MISSING):
        return f"The database lacks a table or column that this version needs ({reason}); run `tenantapp init`"
    return f"The database refused the statement: {reason}"
