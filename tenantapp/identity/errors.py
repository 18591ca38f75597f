"""What can go wrong with people, tenants and permissions.

IdentityError
+-- InvalidValue            a login, name, password or slug that cannot be accepted; `field` names it
|   +-- TenantNotDeleted    the tenant is not deleted, and so neither brought back nor removed
+-- NotFound                no such user, group, role, tenant, grant or web session
+-- AlreadyExists           the login, group, slug or grant is taken
+-- TenantUnfinished        the tenant is still being made
+-- TenantDeleted           the tenant is deleted, and waits to be removed
+-- LastAdmin               the tenant would be left without an administrator
+-- OperatorRequired        the person is no operator of the installation
+-- PermissionMissing       the person's role in the tenant does not hold the view's permission
+-- InvalidCredentials      wrong login or password, or a disabled person: all alike
+-- SessionEnded            the web session was ended or replaced by another request
+-- RegistrationClosed      people may not register themselves
+-- TooManySignIns          every core is busy hashing passwords
+-- CrossSiteRequest        an unsafe request that did not come from our own page
"""


class IdentityError(Exception):
    """Base of the room's errors. ``str(error)`` is a sentence that may be shown to the person."""


class InvalidValue(IdentityError):
    """A value cannot be accepted."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field


class TenantNotDeleted(InvalidValue):
    """There is nothing to bring back or to remove."""

    def __init__(self, slug: str, state: str) -> None:
        super().__init__("slug", f"The tenant {slug} is not deleted, it is {state}.")


class NotFound(IdentityError):
    """There is no such row."""

    def __init__(self, kind: str, name: object) -> None:
        super().__init__(f"There is no {kind} {name}.")
        self.kind = kind


class AlreadyExists(IdentityError):
    """A row with this name is there already."""

    def __init__(self, kind: str, name: object) -> None:
        super().__init__(f"There is a {kind} {name} already.")
        self.kind = kind


class TenantUnfinished(IdentityError):
    """The tenant has no database that could be served yet."""

    def __init__(self, slug: str) -> None:
        super().__init__(f"The tenant {slug} is still being made.")


class TenantDeleted(IdentityError):
    """Nothing is done with the tenant any more, but to bring it back."""

    def __init__(self, slug: str) -> None:
        super().__init__(f"The tenant {slug} is deleted.")


class LastAdmin(IdentityError):
    """Nobody could manage the tenant's members any more."""

    def __init__(self) -> None:
        super().__init__("A tenant keeps at least one administrator.")


class OperatorRequired(IdentityError):
    """No role in a tenant goes as far as the fleet."""

    def __init__(self) -> None:
        super().__init__("This is for operators of the installation.")


class PermissionMissing(IdentityError):
    """The role does not go that far."""

    def __init__(self, permission: str) -> None:
        super().__init__(f"This needs the permission {permission}.")


class InvalidCredentials(IdentityError):
    """Says the same whatever was wrong."""

    def __init__(self) -> None:
        super().__init__("The login or the password is wrong.")


class SessionEnded(IdentityError):
    """The web session that this request came with is gone."""

    def __init__(self) -> None:
        super().__init__("This session has ended. Sign in again.")


class RegistrationClosed(IdentityError):
    """The setting ``identity.registration`` is ``closed``."""

    def __init__(self) -> None:
        super().__init__("Registration is closed.")


class TooManySignIns(IdentityError):
    """Waiting longer would only make the queue longer."""

    def __init__(self) -> None:
        super().__init__("Too many people are signing in right now.")


class CrossSiteRequest(IdentityError):
    """The origin is foreign, or the CSRF token is missing or wrong."""
