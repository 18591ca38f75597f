"""Members over HTTP: administrators manage who has which role in the selected tenant."""

from typing import Any

from pydantic import Field, model_validator
from pyramid.config import Configurator
from pyramid.response import Response

from tenantapp.api.json import Body
from tenantapp.api.query import PageQuery, page_of
from tenantapp.api.views import ID, api_view, path_id
from tenantapp.identity import members
from tenantapp.identity.grants import add_grant, list_grants
from tenantapp.identity.models import Grant
from tenantapp.identity.permissions import Permission
from tenantapp.tenancy.request import TenantRequest


class NewMember(Body):
    """The body of ``POST /members``: a person by login, or a group by name."""

    login: str | None = Field(None, max_length=1000)
    group: str | None = Field(None, max_length=1000)
    role: str = Field(max_length=50)

    @model_validator(mode="after")
    def one_grantee(self) -> "NewMember":
        """Raise ``ValueError`` unless exactly one of login and group is given."""
        if (self.login is None) == (self.group is None):
            raise ValueError("Give either login or group.")
        return self


class MemberRole(Body):
    """The body of ``PATCH /members/{id}``."""

    role: str = Field(max_length=50)


@api_view("members", "GET", permission=Permission.MEMBERS_MANAGE, query=PageQuery)
def list_members(request: TenantRequest) -> dict[str, Any]:
    """Return a page of the tenant's grants, oldest first."""
    query: PageQuery = request.checked_query
    tenant = request.access.require_tenant()
    grants = list_grants(request.user_session, tenant.id, after=query.after_id(), limit=query.limit + 1)
    page = page_of(grants, query.limit, lambda grant: str(grant.id))
    return {"items": [member(grant) for grant in page["items"]], "next": page["next"]}


@api_view("members", "POST", permission=Permission.MEMBERS_MANAGE, body=NewMember, writes="user", status=201)
def create_member(request: TenantRequest) -> dict[str, Any]:
    """Grant a role to an existing person or group."""
    body: NewMember = request.checked_body
    tenant = request.access.require_tenant()
    return member(add_grant(request.user_session, tenant.id, body.role, login=body.login, group=body.group))


@api_view("member", "PATCH", permission=Permission.MEMBERS_MANAGE, body=MemberRole, writes="user")
def change_member(request: TenantRequest) -> dict[str, Any]:
    """Give a member another role."""
    tenant, grant_id = request.access.require_tenant(), path_id(request)
    return member(members.change_role(request.user_session, tenant.id, grant_id, request.checked_body.role))


@api_view("member", "DELETE", permission=Permission.MEMBERS_MANAGE, writes="user")
def delete_member(request: TenantRequest) -> Response:
    """Revoke a grant, from the next request on."""
    tenant, grant_id = request.access.require_tenant(), path_id(request)
    members.remove_member(request.user_session, tenant.id, grant_id)
    return Response(status=204)


def member(grant: Grant) -> dict[str, Any]:
    """Return a grant as the API shows it."""
    return {
        "id": grant.id,
        "role": grant.role,
        "user": grant.user and {"id": grant.user.id, "login": grant.user.login, "name": grant.user.name},
        "group": grant.group and {"id": grant.group.id, "name": grant.group.name},
    }


def includeme(config: Configurator) -> None:
    """Add the routes."""
    config.add_route("members", "/members")
    config.add_route("member", f"/members/{ID}")
