"""The errors of people, tenants and permissions.

IdentityError
+-- InvalidValue            a login, name, password or slug is not acceptable; `field` names it
|   +-- TenantNotDeleted    only a deleted tenant can be undeleted or removed
+-- NotFound                no such user, group, role, tenant, grant or web session
+-- AlreadyExists           the login, group, slug or grant is taken
|   +-- LooksLikeAnother    people could not tell the login from another one
+-- TenantUnfinished        the tenant is still being made
+-- TenantDeleted           the tenant is deleted, and will be removed
+-- TenantExpires           the tenant is a branch, and what is asked would make it the tenant that people work in
+-- LastAdmin               the tenant would be left without an administrator
+-- HasAdministrator        operators give an administrator only to a tenant that has none
+-- OperatorRequired        the person is not an operator of the installation
+-- PermissionMissing       no role of the person in the tenant has the view's permission
+-- BeyondRights            a token was to have permissions that its person does not have
|   +-- RoleBeyondRights    a member was to get or lose a role that permits more than the giver may
+-- TooManyTokens           the person has as many tokens in the tenant as the settings allow
+-- TooManyServiceAccounts  the tenant has as many service accounts as the settings allow
+-- InvalidToken            the API token of a request is unknown, malformed, expired or revoked
+-- InvalidCredentials      wrong login or password, or a disabled person: always the same error
+-- ReauthenticationRequired   the person has to prove again who they are, before a dangerous act
+-- SessionEnded            another request has ended or replaced the web session
+-- ImpersonationRefused    nobody may work as this person in this tenant
+-- ImpersonationForbidden  the tenant lets no operator work as one of its people
+-- RegistrationClosed      people may not register themselves
+-- TooManySignIns          every core is busy hashing passwords, or there is no memory
+-- CrossSiteRequest        an unsafe request that did not come from our own page
"""

from collections.abc import Sequence

from tenantapp.characters import visible


class IdentityError(Exception):
    """Base of this package's errors. ``str(error)`` is a sentence that may be shown to the person."""


class InvalidValue(IdentityError):
    """A value is not acceptable. ``field`` names it."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field


class TenantNotDeleted(InvalidValue):
    """The tenant cannot be undeleted or removed, because it is not deleted."""

    def __init__(self, slug: str, state: str) -> None:
        super().__init__("slug", f"The tenant {slug} is not deleted; it is {state}.")


class NotFound(IdentityError):
    """There is no such row."""

    def __init__(self, kind: str, name: object) -> None:
        super().__init__(f"There is no {kind} {name}.")
        self.kind = kind


class AlreadyExists(IdentityError):
    """A row with this name exists."""

    def __init__(self, kind: str, name: object) -> None:
        super().__init__(f"The {kind} {name} already exists.")
        self.kind = kind


class LooksLikeAnother(AlreadyExists):
    """People could not tell the login from another one that exists."""

    def __init__(self, login: str) -> None:
        IdentityError.__init__(self, f"The login {login} looks like another one that exists.")
        self.kind = "user"


class TenantUnfinished(IdentityError):
    """The tenant has no finished database yet."""

    def __init__(self, slug: str) -> None:
        super().__init__(f"The tenant {slug} is still being made.")


class TenantDeleted(IdentityError):
    """The tenant is deleted. It must be undeleted before anything else is done with it."""

    def __init__(self, slug: str) -> None:
        super().__init__(f"The tenant {slug} is deleted.")


class TenantExpires(IdentityError):
    """The tenant is a branch. It would be removed without a final copy, also if people had come to rely on it.

    ``refused`` is what cannot be done with it, as "renamed".
    """

    def __init__(self, slug: str, refused: str) -> None:
        super().__init__(
            f"The branch {slug} is not {refused}, because it expires and is then removed without a copy. To keep it, "
            f"run `tenantapp tenants expire {slug} --never` first."
        )


class LastAdmin(IdentityError):
    """The change would leave nobody who may manage the members of these tenants, which are named by slug."""

    def __init__(self, slugs: Sequence[str]) -> None:
        super().__init__(f"A tenant needs at least one administrator, and this would leave none: {', '.join(slugs)}.")


class HasAdministrator(IdentityError):
    """The tenant has an administrator, so operators let nobody into it."""

    def __init__(self, slug: str) -> None:
        super().__init__(f"The tenant {slug} has an administrator, who gives people their roles.")


class OperatorRequired(IdentityError):
    """The person is not an operator. No role in a tenant permits work on the fleet."""

    def __init__(self) -> None:
        super().__init__("Only operators may make this call.")


class PermissionMissing(IdentityError):
    """No role of the person has the permission."""

    def __init__(self, permission: str) -> None:
        super().__init__(f"You need the permission {permission}.")


class BeyondRights(IdentityError):
    """A token was to have permissions that its person does not have."""

    def __init__(self, permissions: Sequence[str]) -> None:
        listed = ", ".join(map(visible, permissions))
        super().__init__(f"A token cannot have permissions that its owner does not have: {listed}.")


class RoleBeyondRights(BeyondRights):
    """A role permits more than the person who gives or takes it may do."""

    def __init__(self, role: str, permissions: Sequence[str]) -> None:
        listed = ", ".join(permissions)
        IdentityError.__init__(
            self, f"You can only give and take roles that permit no more than yours. The role {role} has: {listed}."
        )


class TooManyTokens(IdentityError):
    """The person has as many tokens in the tenant as the setting ``tokens.most`` allows."""

    def __init__(self, most: int) -> None:
        super().__init__(f"Nobody has more than {most} tokens in a tenant. Revoke one first.")


class TooManyServiceAccounts(IdentityError):
    """The tenant has as many service accounts as the setting ``service_accounts.most`` allows."""

    def __init__(self, most: int) -> None:
        super().__init__(f"No tenant has more than {most} service accounts. Remove one first.")


class InvalidToken(IdentityError):
    """The API token of a request is unknown, malformed, expired or revoked, or its person is disabled."""

    def __init__(self) -> None:
        super().__init__("The API token is not valid, or no longer.")


class InvalidCredentials(IdentityError):
    """The sign-in failed. The message does not say why, so that nobody can find out logins.

    ``reason`` does, for the log and the audit trail.
    """

    def __init__(self, reason: str = "no longer valid") -> None:
        super().__init__("The login or the password is wrong.")
        self.reason = reason


class ReauthenticationRequired(IdentityError):
    """The person proved who they are too long ago for a dangerous act."""

    def __init__(self) -> None:
        super().__init__("Prove again who you are first.")


class SessionEnded(IdentityError):
    """The request's web session has ended."""

    def __init__(self) -> None:
        super().__init__("This session has ended. Sign in again.")


class ImpersonationRefused(IdentityError):
    """No operator may work as this person in this tenant. The message says why."""


class ImpersonationForbidden(IdentityError):
    """The tenant lets no operator work as one of its people."""

    def __init__(self, slug: str) -> None:
        super().__init__(f"The tenant {slug} forbids that operators work as its people.")


class RegistrationClosed(IdentityError):
    """The setting ``identity.registration`` is ``closed``."""

    def __init__(self) -> None:
        super().__init__("Registration is closed.")


class TooManySignIns(IdentityError):
    """The queue for hashing passwords is too long, so that waiting would only make it longer; or there is no memory."""

    def __init__(self) -> None:
        super().__init__("Too many people are signing in. Try again in a moment.")


class CrossSiteRequest(IdentityError):
    """The request comes from another site, or its CSRF token is missing or wrong."""
