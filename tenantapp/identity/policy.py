"""Pyramid's security policy. It reads identity and permissions from the user database for each request."""

import logging
import re
from collections.abc import Callable
from typing import Any, Final, cast

from pyramid.interfaces import ISecurityPolicy
from pyramid.request import RequestLocalCache
from pyramid.security import Allowed, Denied
from zope.interface import implementer

from tenantapp.identity.access_reader import AccessReader
from tenantapp.identity.errors import InvalidToken, OperatorRequired, PermissionMissing
from tenantapp.identity.permissions import NOT_FOR_TOKENS, Permission
from tenantapp.identity.token_text import is_token
from tenantapp.identity.web_sessions import hash_token
from tenantapp.sql.times import utcnow
from tenantapp.tenancy.access import Access
from tenantapp.tenancy.errors import NoAccess, OwnSignInRequired, SecondFactorRequired, TenancyError, TokenNotAllowed
from tenantapp.tenancy.request import TenantRequest

log = logging.getLogger(__name__)

# With this prefix, browsers accept the cookie only if it is Secure, has no Domain, and has Path=/ (RFC 6265bis).
SECURE_COOKIE: Final = "__Host-tenantapp"
PLAIN_COOKIE: Final = "tenantapp"
COOKIE_VALUE: Final = r"[A-Za-z0-9_-]{43}"


class TenantMismatch(TenancyError):
    """The header X-Tenant and the path of the request name different tenants."""

    def __init__(self) -> None:
        super().__init__("X-Tenant and the path name different tenants.")


class DeniedBecause(Denied):
    """A denial with its reason, an exception that becomes the answer."""

    def __new__(cls, reason: Exception) -> "DeniedBecause":
        # Pyramid uses the text as a format string, and the reason has parts that people wrote.
        denied: DeniedBecause = super().__new__(cls, "%s", reason)
        denied.reason = reason
        return denied

    reason: Exception


@implementer(ISecurityPolicy)
class SecurityPolicy:
    """Finds the access of a request, through ``registry.access_reader``. The access decides alone.

    It is found by the API token in ``Authorization: Bearer``, or else by the cookie. With a token the cookie does not
    count, not even if the token is wrong.
    """

    def __init__(self) -> None:
        self._accesses = RequestLocalCache(self._read)

    def identity(self, request: TenantRequest) -> Access | None:
        """Return the access of the request, or None if nobody is signed in. Executes one statement per request."""
        access: Access | None = self._accesses.get_or_create(request)
        return access

    def _read(self, request: TenantRequest) -> Access | None:
        request.depends_on_caller = True
        access = self._find(request) if request.part_of is None else self.identity(request.part_of)
        if access is not None:
            request.identified(access)
            if request.part_of is None:
                for observe in request.registry.access_observers:
                    observe(request, access)
        return access

    def _find(self, request: TenantRequest) -> Access | None:
        reader: AccessReader = request.registry.access_reader
        bearer = bearer_token(request)
        if bearer is not None:
            if not is_token(bearer):
                return None
            return reader.read_token(hash_token(bearer), utcnow(), slug=request.named_tenant)
        token = cookie_token(request)
        if token is None:
            return None
        return reader.read(hash_token(token), utcnow(), slug=request.named_tenant, tenants=request.reads_tenants)

    def authenticated_userid(self, request: TenantRequest) -> str | None:
        """Return the person's id, or None if nobody is signed in."""
        access = self.identity(request)
        return None if access is None else str(access.person.id)

    def permits(self, request: TenantRequest, context: Any, permission: str) -> Allowed | DeniedBecause:
        """Return whether the person has the view's permission in the request's tenant, or why not."""
        access = self.identity(request)
        if access is None:
            return DeniedBecause(NoAccess() if bearer_token(request) is None else InvalidToken())
        if request.names_two_tenants:
            return DeniedBecause(TenantMismatch())
        if access.api_token_id is not None and permission in NOT_FOR_TOKENS:
            return DeniedBecause(TokenNotAllowed())
        if permission == Permission.SIGNED_IN:
            return Allowed("Signed in.")
        if permission == Permission.OWN_ACCOUNT:
            return Allowed("Their own account.") if access.owns_account else DeniedBecause(OwnSignInRequired())
        if permission == Permission.FLEET_OPERATE:
            return _permits_operator(request, access)
        if access.tenant is None:
            return DeniedBecause(access.refusal)
        request.served_tenant = access.tenant
        if permission in (Permission.IN_TENANT, Permission.TENANT_ENTER):
            return Allowed("In a tenant.")
        if not access.may(permission):
            return DeniedBecause(PermissionMissing(permission))
        return Allowed("The permission is held.")

    def permits_now(self, request: TenantRequest, permission: str) -> Access:
        """Return the access as it is now, for an answer that is written after its request has ended.

        Raises why the permission is no longer held.
        """
        self._accesses.clear(request)
        permits = self.permits(request, None, permission)
        if isinstance(permits, DeniedBecause):
            raise permits.reason
        return cast(Access, self.identity(request))

    def remember(self, request: TenantRequest, userid: str, **kwargs: Any) -> list[tuple[str, str]]:
        """Return the header that sets the cookie of a web session. ``userid`` is its token."""
        return _cookie(request, userid)

    def forget(self, request: TenantRequest, **kwargs: Any) -> list[tuple[str, str]]:
        """Return the header that clears the cookie."""
        return _cookie(request, None)


def reads_tenants_view(view: Callable[[Any, Any], Any], info: Any) -> Callable[[Any, Any], Any]:
    """Read the person's tenants with the access, for views declared with ``reads_tenants`` (a view deriver)."""
    if not info.options.get("reads_tenants"):
        return view

    def wanting(context: Any, request: TenantRequest) -> Any:
        request.reads_tenants = True
        return view(context, request)

    return wanting


reads_tenants_view.options = ("reads_tenants",)  # type: ignore[attr-defined]


def _permits_operator(request: TenantRequest, access: Access) -> Allowed | DeniedBecause:
    if access.operator:
        needed = request.registry.app_settings.identity_operators_second_factor
        if needed and not access.has_second_factor:
            return DeniedBecause(SecondFactorRequired("the fleet"))
        return Allowed("An operator.")
    # The request log has a line with the same request id, which names the call.
    log.warning("Request %s: %s (%s) is not an operator.", request.request_id, access.person.login, access.person.id)
    return DeniedBecause(OperatorRequired())


def cookie_name(request: TenantRequest) -> str:
    """Return the name of the cookie, which over https has the ``__Host-`` prefix."""
    return SECURE_COOKIE if request.scheme == "https" else PLAIN_COOKIE


def cookie_token(request: TenantRequest) -> str | None:
    """Return the token in the request's cookie, or None if there is none or it is malformed."""
    return read_cookie(request, cookie_name(request))


def read_cookie(request: TenantRequest, name: str) -> str | None:
    """Return the token in the cookie with this name, or None if there is none or it is malformed."""
    # Only this cookie is read: other cookies of the request may be undecodable.
    pattern = rf"(?:^|;)\s*{name}=({COOKIE_VALUE})\s*(?:;|$)"
    found = re.search(pattern, request.environ.get("HTTP_COOKIE", ""))
    return found[1] if found else None


def bearer_token(request: TenantRequest) -> str | None:
    """Return what ``Authorization`` has after ``Bearer`` (RFC 6750), or None. Other schemes may be those of a proxy."""
    scheme, _, credentials = request.environ.get("HTTP_AUTHORIZATION", "").partition(" ")
    return credentials.strip() if scheme.lower() == "bearer" else None


def refuse_tokens(request: TenantRequest) -> None:
    """Raise ``TokenNotAllowed`` if the request has an API token. For views that need no permission."""
    if bearer_token(request) is not None:
        raise TokenNotAllowed


def _cookie(request: TenantRequest, token: str | None) -> list[tuple[str, str]]:
    attributes = "Path=/; HttpOnly; SameSite=Lax" + ("; Secure" if request.scheme == "https" else "")
    expiry = "; Max-Age=0" if token is None else ""
    return [("Set-Cookie", f"{cookie_name(request)}={token or ''}; {attributes}{expiry}")]
