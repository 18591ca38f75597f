"""The errors on the way to a tenant database.

TenancyError
+-- ServerError                     a server is unknown, or its setting is wrong
+-- NoAccess                        nobody is signed in
+-- TenantRefused                   somebody is signed in, but may not use a tenant database
|   +-- TokenNotAllowed             an API token cannot make this call
|   +-- NotWhileImpersonating       an operator who works as somebody else cannot make this call
|   +-- ImpersonationReadOnly       an operator who works as somebody else may only read
|   +-- TenantRequired              no tenant is selected
|   +-- TenantForbidden             the person has no role in the selected tenant, or no longer
|   +-- TenantSuspended             the selected tenant is suspended
|   +-- TenantMigrating             the selected tenant's database is being migrated, or is too old
|   +-- SecondFactorRequired        the selected tenant, or work on the fleet, asks for a second factor
|   +-- SingleSignOnRequired        the selected tenant takes only those for whom its identity provider vouches
|   +-- OwnSignInRequired           the identity provider of another tenant vouches for the person
+-- TenantOutdated                  the selected tenant's database lacks a table or column that the program expects
+-- ChangesGone                     the changes that a reader asks for are no longer kept
+-- KeyInUse                        another request with the same idempotency key is running
+-- KeyReused                       the idempotency key was used for another request
+-- UserDatabaseUnavailable         also ``sql.errors.DatabaseUnavailable``
|   +-- UserDatabaseSlow            also ``sql.errors.DatabaseSlow``
|   +-- UserOutcomeUnknown          also ``sql.errors.OutcomeUnknown``
+-- TenantDatabaseUnavailable       also ``sql.errors.DatabaseUnavailable``
    +-- TenantDatabaseSlow          also ``sql.errors.DatabaseSlow``
    +-- TenantOutcomeUnknown        also ``sql.errors.OutcomeUnknown``
    +-- QuotaSpent                  also ``sql.errors.ConnectionsSpent``
    +-- WrongTenantDatabase         the database holds the data of somebody else
    +-- ReplicaUnavailable          a replica could not be read; the request is tried again on the server
"""

from typing import Final

from tenantapp.sql.errors import ConnectionsSpent, DatabaseSlow, DatabaseUnavailable, OutcomeUnknown
from tenantapp.sql.failures import Cause, Failure

USER_DATABASE_LOST: Final = (
    "Put the file or its log back, or restore a copy; to use what is left, run `tenantapp accept-loss --user-database`"
)
_UNREACHABLE: Final = Failure(Cause.UNREACHABLE)


class TenancyError(Exception):
    """Base of this package's errors. ``str(error)`` is a sentence that may be shown to the person."""


class ServerError(TenancyError):
    """A server is unknown, or its setting cannot be used."""


class NoAccess(TenancyError):
    """Nobody is signed in."""

    def __init__(self) -> None:
        super().__init__("Sign in first.")


class TenantRefused(TenancyError):
    """The person is signed in, but this request may not use a tenant database."""


class TokenNotAllowed(TenantRefused):
    """An API token works in its tenant. It does not manage sessions, tokens, service accounts or the fleet."""

    def __init__(self) -> None:
        super().__init__("An API token cannot make this call. Sign in.")


class NotWhileImpersonating(TenantRefused):
    """The call is about the person themselves, or dangerous. An operator who works as them cannot make it."""

    def __init__(self) -> None:
        super().__init__("An operator who works as somebody else cannot do this.")


class ImpersonationReadOnly(TenantRefused):
    """The impersonation is read-only, and the call changes something."""

    def __init__(self) -> None:
        super().__init__("This impersonation is read-only.")


class TenantRequired(TenantRefused):
    """The person has not selected a tenant."""

    def __init__(self) -> None:
        super().__init__("Select a tenant first.")


class TenantForbidden(TenantRefused):
    """The person has no role in the tenant, or there is no such tenant. The message is the same."""

    def __init__(self) -> None:
        super().__init__("You have no access to this tenant.")


class TenantSuspended(TenantRefused):
    """The tenant is suspended for everyone. ``reason`` is what operators have written about it, or None."""

    def __init__(self, reason: str | None) -> None:
        self.reason = reason
        super().__init__(f"This tenant is suspended: {reason}" if reason else "This tenant is suspended.")


class TenantMigrating(TenantRefused):
    """The tenant's database is being migrated or moved, or is too old for this version of the program."""

    def __init__(self) -> None:
        super().__init__("This tenant is being brought up to date. Try again in a moment.")


class SecondFactorRequired(TenantRefused):
    """The person, or who made the API token, has not proved who they are by a second factor."""

    def __init__(self, where: str = "this tenant") -> None:
        super().__init__(f"A second factor is required in {where}. Set one up, and sign in with it.")


class SingleSignOnRequired(TenantRefused):
    """The tenant's identity provider has not vouched for the person, or for who made the API token.

    ``start`` is the path where a browser signs in by it.
    """

    def __init__(self, slug: str) -> None:
        super().__init__("This tenant requires single sign-on. Sign in by its identity provider.")
        self.start = f"/sso/{slug}/start"


class OwnSignInRequired(TenantRefused):
    """The identity provider of another tenant vouches for the person, which does not count here."""

    def __init__(self) -> None:
        super().__init__("You have signed in by the identity provider of a tenant, which counts only there.")


class TenantOutdated(TenancyError):
    """The tenant's database lacks ``missing``: a table, or ``table.column``. Other tenants are not affected."""

    def __init__(self, slug: str, missing: str) -> None:
        super().__init__("The database of this tenant is not up to date. Tell an operator.")
        self.slug, self.missing = slug, missing

    def for_log(self) -> str:
        """Return one line for the log, with the command to run."""
        kind = "column" if "." in self.missing else "table"
        return (
            f"The database of {self.slug} lacks the {kind} {self.missing}. Run `tenantapp migrate --only {self.slug}`. "
            f"If it is migrated already, `tenantapp fleet verify {self.slug}` shows what differs"
        )

    def log_fields(self) -> dict[str, str]:
        """Return the parts of this line, for a log that programs read."""
        return {"tenant": self.slug, "missing": self.missing}


class ChangesGone(TenancyError):
    """The changes after this position are no longer kept, or the position is one of another database."""

    def __init__(self) -> None:
        super().__init__("These changes are no longer kept. Read everything again, and follow the changes from there.")


class KeyInUse(TenancyError):
    """Another request with the same idempotency key is running."""

    def __init__(self) -> None:
        super().__init__("A request with this idempotency key is running. Wait, and send it again.")


class KeyReused(TenancyError):
    """The idempotency key was used for another request, or with other permissions."""

    def __init__(self) -> None:
        used = "This idempotency key was used for another request, or with other permissions."
        super().__init__(f"{used} Use a new key for each request.")


class UserDatabaseUnavailable(TenancyError, DatabaseUnavailable):
    """The user database does not answer, so no permission can be checked; or it is read-only at present."""

    database = "user database"

    def __init__(self, failure: Failure = _UNREACHABLE) -> None:
        read_only = failure.cause == Cause.READ_ONLY
        super().__init__(f"The service is {'read-only' if read_only else 'not available'} right now.")
        self.failure = failure

    def for_log(self) -> str:
        line = super().for_log()
        return f"{line}. {USER_DATABASE_LOST}" if self.failure.cause == Cause.COMMITS_LOST else line


class UserDatabaseSlow(DatabaseSlow, UserDatabaseUnavailable):
    """The user database is slow, and too many requests are waiting for it."""

    def __str__(self) -> str:
        return "The service is slow right now. Try again in a moment."


class UserOutcomeUnknown(OutcomeUnknown, UserDatabaseUnavailable):
    """The user database did not confirm a commit."""

    def __str__(self) -> str:
        return f"The service did not confirm this change. {self.outcome}"


class TenantDatabaseUnavailable(TenancyError, DatabaseUnavailable):
    """One tenant's database does not answer, or is read-only at present. Other tenants are not affected."""

    def __init__(self, slug: str, server: str = "", failure: Failure = _UNREACHABLE) -> None:
        read_only = failure.cause == Cause.READ_ONLY
        super().__init__(f"The database of {slug} is {'read-only' if read_only else 'not available'} right now.")
        self.slug = slug
        self.server = server
        self.failure = failure

    @property
    def database(self) -> str:  # type: ignore[override]
        return f"tenant {self.slug} on server {self.server}" if self.server else f"tenant {self.slug}"

    def for_log(self) -> str:
        line = super().for_log()
        if self.failure.cause != Cause.COMMITS_LOST:
            return line
        return (
            f"{line}. Put the file or its log back; or restore a backup: `tenantapp tenants restore {self.slug}`; or"
            f" serve what is left: `tenantapp accept-loss {self.slug}`"
        )

    def log_fields(self) -> dict[str, str]:
        return {"tenant": self.slug, "server": self.server, **super().log_fields()}


class TenantDatabaseSlow(DatabaseSlow, TenantDatabaseUnavailable):
    """One tenant's database is slow, and too many requests are waiting."""

    def __str__(self) -> str:
        return f"The database of {self.slug} is slow right now. Try again in a moment."


class QuotaSpent(ConnectionsSpent, TenantDatabaseUnavailable):
    """One tenant has as many connections in use as it may, and none became free in time."""

    def __init__(self, slug: str, server: str, failure: Failure) -> None:
        TenantDatabaseUnavailable.__init__(self, slug, server, failure)

    def __str__(self) -> str:
        return f"All connections that {self.slug} may use are in use. Try again in a moment."


class TenantOutcomeUnknown(OutcomeUnknown, TenantDatabaseUnavailable):
    """One tenant's database did not confirm a commit."""

    def __str__(self) -> str:
        return f"The database of {self.slug} did not confirm this change. {self.outcome}"


class WrongTenantDatabase(TenantDatabaseUnavailable):
    """The database has another tenant's id, or none. The connection is closed and never used."""

    def __init__(self, slug: str, server: str = "") -> None:
        super().__init__(slug, server, Failure(Cause.WRONG_TENANT))


class ReplicaUnavailable(TenantDatabaseUnavailable):
    """One tenant's database on a replica could not be read. The request is tried again on the server."""

    def __init__(self, slug: str, server: str, address: str, failure: Failure) -> None:
        super().__init__(slug, server, failure)
        self.address = address

    @property
    def database(self) -> str:  # type: ignore[override]
        return f"tenant {self.slug} on the replica {self.address} of server {self.server}, so the server is read"


def user_database_failed(failure: Failure) -> UserDatabaseUnavailable:
    """Return the error for a failure of the user database."""
    if failure.in_doubt:
        return UserOutcomeUnknown(failure)
    return UserDatabaseSlow(failure) if failure.cause == Cause.SLOW else UserDatabaseUnavailable(failure)


def tenant_database_failed(slug: str, server: str, failure: Failure) -> TenantDatabaseUnavailable:
    """Return the error for a failure of one tenant's database."""
    if failure.in_doubt:
        return TenantOutcomeUnknown(slug, server, failure)
    if failure.cause == Cause.QUOTA:
        return QuotaSpent(slug, server, failure)
    error = TenantDatabaseSlow if failure.cause == Cause.SLOW else TenantDatabaseUnavailable
    return error(slug, server, failure)
