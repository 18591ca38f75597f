"""Service accounts over HTTP: administrators make accounts for programs that work in their tenant."""

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
from tenantapp.identity import service_accounts
from tenantapp.identity.freshness import require_fresh_for
from tenantapp.identity.members import roles_of
from tenantapp.identity.models import User
from tenantapp.identity.permissions import Permission
from tenantapp.tenancy.request import TenantRequest

RoleName = Annotated[str, Field(max_length=50)]


class NewServiceAccount(
    Body, json_schema_extra=example({"login": "reporting", "name": "Reports", "roles": ["reader"]})
):
    """The body of ``POST /service-accounts``. The login is unique in the tenant."""

    login: str = Field(max_length=1000)
    name: str | None = Field(None, max_length=1000)
    roles: list[RoleName] = Field(min_length=1, max_length=50)


@api_view(
    "service_accounts",
    "GET",
    permission=Permission.MEMBERS_MANAGE,
    query=PageQuery,
    answer=Page[answers.ServiceAccount],
    problems=("token_not_allowed",),
)
def list_service_accounts(request: TenantRequest) -> dict[str, Any]:
    """Return a page of the tenant's service accounts, in the order of their making."""
    request.access.refuse_tokens()
    query: PageQuery = request.checked_query
    tenant = request.access.require_tenant()
    found = service_accounts.list_service_accounts(
        request.user_session, tenant.id, after=query.after_id(), limit=query.limit + 1
    )
    page = page_of(found, query.limit, lambda account: str(account.id))
    held = roles_of(request.user_session, tenant.id, [account.id for account in page["items"]])
    return {"items": [shown(account, held[account.id]) for account in page["items"]], "next": page["next"]}


@api_view(
    "service_accounts",
    "POST",
    permission=Permission.MEMBERS_MANAGE,
    body=NewServiceAccount,
    writes="user",
    status=201,
    answer=answers.ServiceAccount,
    problems=(
        *("already_exists", "beyond_your_rights", "not_found", "token_not_allowed", "too_many_service_accounts"),
        "reauthentication_required",
    ),
)
def create_service_account(request: TenantRequest) -> dict[str, Any]:
    """Make a service account with roles in the tenant. It is a member; it cannot sign in."""
    request.access.refuse_tokens()
    body: NewServiceAccount = request.checked_body
    for role in body.roles:
        require_fresh_for(request, role)
    tenant, most = request.access.require_tenant(), request.registry.app_settings.service_accounts_most
    account = service_accounts.create_service_account(
        request.user_session, tenant, body.login, body.roles, held=request.access.permissions, name=body.name, most=most
    )
    return shown(account, roles_of(request.user_session, tenant.id, [account.id])[account.id])


@api_view(
    "service_account",
    "DELETE",
    permission=Permission.MEMBERS_MANAGE,
    writes="user",
    answer=None,
    problems=("beyond_your_rights", "token_not_allowed"),
)
def delete_service_account(request: TenantRequest) -> Response:
    """Remove a service account with its roles and tokens, from the next request on."""
    request.access.refuse_tokens()
    tenant = request.access.require_tenant()
    held = request.access.permissions
    service_accounts.remove_service_account(request.user_session, tenant, path_id(request), held=held)
    return Response(status=204)


def shown(account: User, roles: list[str]) -> dict[str, Any]:
    """Return a service account as the API shows it. Its roles are changed with the members."""
    return {
        "id": account.id,
        "login": account.login,
        "name": account.name,
        "roles": roles,
        "enabled": account.enabled,
        "created_at": account.created_at,
    }


def includeme(config: Configurator) -> None:
    """Add the routes."""
    config.add_route("service_accounts", "/service-accounts")
    config.add_route("service_account", f"/service-accounts/{ID}")
