"""What can go wrong on the way to a tenant database.

TenancyError
+-- ServerError                     a server setting or a server name is wrong
+-- NoAccess                        a session was asked for without a signed-in person
+-- TenantRefused                   signed in, but no tenant database may be reached
|   +-- TenantRequired              none was selected
|   +-- TenantForbidden             the person has no role in the selected one (any more)
|   +-- TenantSuspended             the selected one is suspended
|   +-- TenantMigrating             the selected one's database is being migrated, or has yet to be
+-- UserDatabaseUnavailable         also ``sql.errors.DatabaseUnavailable``
+-- TenantDatabaseUnavailable       also ``sql.errors.DatabaseUnavailable``
    +-- WrongTenantDatabase         it answers, and holds somebody else's data
"""

from tenantapp.sql.errors import DatabaseUnavailable


class TenancyError(Exception):
    """Base of the room's errors. ``str(error)`` is a sentence that may be shown to the person."""


class ServerError(TenancyError):
    """A server is unknown or its setting cannot be used."""


class NoAccess(TenancyError):
    """Nobody is signed in."""

    def __init__(self) -> None:
        super().__init__("Sign in first.")


class TenantRefused(TenancyError):
    """The person is signed in, and there is no tenant database for this request."""


class TenantRequired(TenantRefused):
    """The person has not selected a tenant."""

    def __init__(self) -> None:
        super().__init__("Select a tenant first.")


class TenantForbidden(TenantRefused):
    """The person has no role in the tenant. Says the same for a tenant that does not exist."""

    def __init__(self) -> None:
        super().__init__("You have no access to this tenant.")


class TenantSuspended(TenantRefused):
    """The tenant is suspended for everyone."""

    def __init__(self, reason: str | None) -> None:
        super().__init__(f"This tenant is suspended: {reason}" if reason else "This tenant is suspended.")


class TenantMigrating(TenantRefused):
    """The tenant's database is being migrated right now, or is older than this version of the program can work on."""

    def __init__(self) -> None:
        super().__init__("This tenant is being brought up to date. Try again in a moment.")


class UserDatabaseUnavailable(TenancyError, DatabaseUnavailable):
    """The user database does not answer: nobody's permission can be looked up."""

    def __init__(self) -> None:
        super().__init__("The service is not available right now.")


class TenantDatabaseUnavailable(TenancyError, DatabaseUnavailable):
    """One tenant's database does not answer. The others are not concerned."""

    def __init__(self, slug: str) -> None:
        super().__init__(f"The database of {slug} is not available right now.")
        self.slug = slug


class WrongTenantDatabase(TenantDatabaseUnavailable):
    """The database carries another tenant's id, or none. Its connection is closed and never used."""
