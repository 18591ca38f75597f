"""Sessions over HTTP: sign in, read the session, choose a tenant, sign out."""

from typing import Any
from uuid import UUID

from pydantic import Field
from pyramid.config import Configurator
from pyramid.response import Response
from pyramid.security import NO_PERMISSION_REQUIRED

from tenantapp.account.answers import Device, EndedSessions, Session
from tenantapp.account.guarding import remember_device
from tenantapp.account.post import post_of
from tenantapp.account.proving import SignIn, proof_in
from tenantapp.answers import Page
from tenantapp.api.json import Body
from tenantapp.api.views import ID, api_view, path_id
from tenantapp.content import example
from tenantapp.credentials import sign_in
from tenantapp.credentials.recovery_codes import RECOVERY_CODE, tell_used
from tenantapp.identity import web_sessions
from tenantapp.identity.effective import tenants_of
from tenantapp.identity.models import Tenant, WebSession
from tenantapp.identity.permissions import Permission
from tenantapp.identity.policy import cookie_token, refuse_tokens
from tenantapp.sql.times import utcnow
from tenantapp.tenancy.access import Access, GrantedTenant, reachable
from tenantapp.tenancy.errors import NoAccess, SecondFactorRequired
from tenantapp.tenancy.request import TenantRequest

PUBLIC = NO_PERMISSION_REQUIRED


class Selection(Body, json_schema_extra=example({"tenant": "globex"})):
    """The body of ``PATCH /session``."""

    tenant: str = Field(max_length=1000)


@api_view(
    "session",
    "POST",
    permission=PUBLIC,
    body=SignIn,
    writes="user",
    status=201,
    answer=Session,
    headers=("Set-Cookie",),
    problems=(
        *("invalid_credentials", "not_signed_in", "tenant_forbidden", "token_not_allowed", "csrf_failed"),
        *("sign_in_incomplete", "password_change_required", "challenge_ended", "invalid_code"),
        "too_many_attempts",
    ),
)
def create_session(request: TenantRequest) -> dict[str, Any]:
    """Sign in, and end the session that the browser had before.

    If more has to be proved or done, the answer is 401 with a ``challenge``, which this call is sent again with.
    """
    refuse_tokens(request)
    proof, tenant = proof_in(request, request.checked_body)
    if old_token := cookie_token(request):
        web_sessions.end(request.user_session, old_token)
    token = sign_in.sign_in(request.user_session, proof, tenant, request.registry.lifetimes, request.user_agent)
    request.response.headerlist.extend(request.registry.security_policy.remember(request, token))
    remember_device(request, proof.user_id)
    if RECOVERY_CODE in proof.factors:
        tell_used(request.user_session, post_of(request), proof.user_id)
    return session_object(request, read_back(request, token), token)


@api_view("session", "GET", permission=Permission.SIGNED_IN, reads_tenants=True, impersonated=True, answer=Session)
def read_session(request: TenantRequest) -> dict[str, Any]:
    """Return who is signed in, the selected tenant, and the tenants that the person has a role in."""
    return session_object(request, request.access, cookie_token(request) or "")


@api_view(
    "session",
    "PATCH",
    permission=Permission.SIGNED_IN,
    body=Selection,
    writes="user",
    answer=Session,
    headers=("Set-Cookie",),
    problems=("tenant_forbidden",),
)
def change_session(request: TenantRequest) -> dict[str, Any]:
    """Select a tenant. The session gets a new token, and the old one no longer works."""
    token = sign_in.switch_tenant(
        request.user_session, cookie_token(request) or "", request.access.person.id, request.checked_body.tenant
    )
    request.response.headerlist.extend(request.registry.security_policy.remember(request, token))
    return session_object(request, read_back(request, token), token)


@api_view(
    "session",
    "DELETE",
    permission=Permission.SIGNED_IN,
    writes="user",
    impersonated=True,
    answer=None,
    headers=("Set-Cookie", "Clear-Site-Data"),
)
def delete_session(request: TenantRequest) -> Response:
    """Sign out: delete the row, clear the cookie, and have the browser forget the answers that it kept.

    An operator who works as somebody else ends that, and signs in again as themselves.
    """
    # Ended by row id: a switch at the same moment gives the session another token.
    web_sessions.end_by_id(request.user_session, request.access.web_session_id)
    return Response(status=204, headerlist=signed_out(request))


@api_view("sessions", "GET", permission=Permission.OWN_ACCOUNT, answer=Page[Device])
def list_sessions(request: TenantRequest) -> dict[str, Any]:
    """Return the person's signed-in devices, newest first."""
    access: Access = request.access
    live = web_sessions.list_live(request.user_session, access.person.id, request.registry.lifetimes)
    return {"items": [device(each, access.web_session_id) for each in live], "next": None}


@api_view("sessions", "DELETE", permission=Permission.OWN_ACCOUNT, writes="user", fresh=True, answer=EndedSessions)
def delete_other_sessions(request: TenantRequest) -> dict[str, Any]:
    """End all of the person's other sessions."""
    access: Access = request.access
    return {"ended": web_sessions.end_others(request.user_session, access.person.id, access.web_session_id)}


@api_view("session_of_id", "DELETE", permission=Permission.OWN_ACCOUNT, writes="user", fresh=True, answer=None)
def delete_one_session(request: TenantRequest) -> Response:
    """End one of the person's own sessions."""
    web_sessions.end_one(request.user_session, request.access.person.id, path_id(request))
    return Response(status=204)


def signed_out(request: TenantRequest) -> list[tuple[str, str]]:
    """Return the headers that clear the cookie, and have the browser forget the answers that it kept."""
    # OWASP ASVS 5.0, 14.3.1. Not "storage": that has the theme and the language; what else it has, the page forgets.
    # Not "cookies": those of other applications on the same domain would go too.
    return [*request.registry.security_policy.forget(request), ("Clear-Site-Data", '"cache"')]


def read_back(request: TenantRequest, token: str) -> Access:
    """Return the access of a web session that this transaction has written. Raises ``NoAccess`` if it has ended."""
    access: Access | None = request.registry.access_reader.read_within(
        request.user_session, web_sessions.hash_token(token), utcnow()
    )
    if access is None:
        raise NoAccess
    return access


def session_object(request: TenantRequest, access: Access, token: str) -> dict[str, Any]:
    """Return the session as the API shows it."""
    # If the access was read before the view was known, it does not have the tenants.
    tenants = access.tenants
    if tenants is None:
        tenants = reachable(tenants_of(request.user_session, access.person.id), access.identity_provider_id)
    impersonation = access.impersonation
    if impersonation is not None:
        # The other tenants of the person are nothing to the operator.
        tenants = tuple(tenant for tenant in tenants if access.selected and tenant.id == access.selected.id)
    return {
        "user": {"id": access.person.id, "login": access.person.login, "name": access.person.name},
        "tenant": access.selected and named(access.selected),
        "roles": access.roles,
        "permissions": sorted(access.permissions),
        "operator": access.operator,
        "tenants": [{**named(tenant), "roles": tenant.roles, "state": tenant.condition} for tenant in tenants],
        "csrf_token": web_sessions.csrf_token(token),
        "expires_at": access.expires_at,
        "factors": sorted(access.factors),
        "authenticated_at": access.authenticated_at,
        "second_factor_required": isinstance(access.refusal, SecondFactorRequired),
        "impersonation": impersonation
        and {
            "operator": impersonation.operator,
            "reason": impersonation.reason,
            "read_only": impersonation.read_only,
            "expires_at": access.expires_at,
        },
    }


def named(tenant: Tenant | GrantedTenant) -> dict[str, Any]:
    """Return a tenant as its people see it."""
    return {"slug": tenant.slug, "name": tenant.name}


def device(web_session: WebSession, current: UUID | None) -> dict[str, Any]:
    """Return a web session as its person sees it in the list."""
    return {
        "id": web_session.id,
        "current": web_session.id == current,
        "tenant": web_session.tenant and named(web_session.tenant),
        "user_agent": web_session.user_agent,
        "impersonated": web_session.impersonator_id is not None,
        "created_at": web_session.created_at,
        "last_seen_at": web_session.last_seen_at,
        "expires_at": web_session.expires_at,
    }


def includeme(config: Configurator) -> None:
    """Add the routes."""
    config.add_route("session", "/session")
    config.add_route("sessions", "/sessions")
    config.add_route("session_of_id", f"/sessions/{ID}")
