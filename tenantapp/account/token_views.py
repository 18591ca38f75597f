"""API tokens over HTTP: a person makes them for programs, and administrators see all those of their tenant."""

from typing import Annotated, Any

from pydantic import Field
from pyramid.config import Configurator
from pyramid.response import Response

from tenantapp.account import answers
from tenantapp.answers import Page
from tenantapp.api.json import Body
from tenantapp.api.query import PageQuery, page_of
from tenantapp.api.views import ID, api_view, path_id
from tenantapp.content import example
from tenantapp.identity import api_tokens
from tenantapp.identity.effective import effective_permissions
from tenantapp.identity.errors import PermissionMissing
from tenantapp.identity.models import ApiToken, User
from tenantapp.identity.permissions import Permission
from tenantapp.identity.roles import holds_admin
from tenantapp.identity.service_accounts import find_service_account
from tenantapp.tenancy.access import Access
from tenantapp.tenancy.request import TenantRequest

PermissionName = Annotated[str, Field(max_length=100)]


class NewToken(
    Body, json_schema_extra=example({"name": "nightly report", "permissions": ["content.read"], "days": 30})
):
    """The body of ``POST /tokens``. ``service_account`` is a login; without it, the token is the person's own."""

    name: str = Field(max_length=1000)
    permissions: list[PermissionName] = Field(min_length=1, max_length=200)
    days: int = 30
    service_account: str | None = Field(None, max_length=1000)


class TokensQuery(PageQuery):
    """The query parameters of ``GET /tokens``. ``all`` shows the tokens of everybody in the tenant."""

    all: bool = False


# No API token has the permission of these views, so no token makes another one.
@api_view("tokens", "GET", permission=Permission.IN_TENANT, query=TokensQuery, answer=Page[answers.Token])
def list_tokens(request: TenantRequest) -> dict[str, Any]:
    """Return a page of the person's tokens for the tenant, or of all its tokens, in the order of their making."""
    query: TokensQuery = request.checked_query
    access, tenant = request.access, request.access.require_tenant()
    if query.all:
        require_members_manage(access)
    found = api_tokens.list_tokens(
        request.user_session,
        tenant.id,
        user_id=None if query.all else access.person.id,
        after=query.after_id(),
        limit=query.limit + 1,
    )
    page = page_of(found, query.limit, lambda token: str(token.id))
    return {"items": [shown(token) for token in page["items"]], "next": page["next"]}


@api_view(
    "tokens",
    "POST",
    permission=Permission.IN_TENANT,
    body=NewToken,
    writes="user",
    fresh=True,
    status=201,
    answer=answers.MadeToken,
    problems=("beyond_your_rights", "not_found", "too_many_tokens"),
)
def create_token(request: TenantRequest) -> dict[str, Any]:
    """Make a token for the tenant. Its text is in this answer and nowhere else."""
    body: NewToken = request.checked_body
    access, session, tenant = request.access, request.user_session, request.access.require_tenant()
    if body.service_account is None:
        user, held = session.get_one(User, access.person.id), access.permissions
    else:
        require_members_manage(access)
        user = find_service_account(session, tenant.id, body.service_account)
        held = effective_permissions(session, user.id, tenant.id).permissions
        if not holds_admin(session, access.permissions):
            # Whoever makes the token has its text, and so all that it permits.
            held &= access.permissions
    token, text = api_tokens.create_token(
        session,
        tenant,
        user,
        held,
        name=body.name,
        permissions=body.permissions,
        days=body.days,
        limits=api_tokens.limits_of(request.registry.app_settings),
        factors=access.factors,
        identity_provider_id=access.identity_provider_id if body.service_account is None else None,
    )
    return {**shown(token), "token": text}


@api_view(
    "token_of_id",
    "DELETE",
    permission=Permission.IN_TENANT,
    writes="user",
    answer=None,
)
def delete_token(request: TenantRequest) -> Response:
    """Revoke a token of the person, or for an administrator any token of the tenant, from the next request on."""
    access, tenant = request.access, request.access.require_tenant()
    owner = None if access.may(Permission.MEMBERS_MANAGE) else access.person.id
    api_tokens.revoke_token(request.user_session, path_id(request), tenant_id=tenant.id, user_id=owner)
    return Response(status=204)


def require_members_manage(access: Access) -> None:
    """Raise ``PermissionMissing`` unless the person manages the members of the tenant, and so who may enter it."""
    if not access.may(Permission.MEMBERS_MANAGE):
        raise PermissionMissing(Permission.MEMBERS_MANAGE)


def shown(token: ApiToken) -> dict[str, Any]:
    """Return a token as the API shows it, without its text, which is not stored."""
    return {
        "id": token.id,
        "name": token.name,
        "user": {"id": token.user.id, "login": token.user.login, "name": token.user.name},
        "permissions": token.permissions.split(),
        "created_at": token.created_at,
        "expires_at": token.expires_at,
        "last_used_at": token.last_used_at,
    }


def includeme(config: Configurator) -> None:
    """Add the routes."""
    config.add_route("tokens", "/tokens")
    config.add_route("token_of_id", f"/tokens/{ID}")
