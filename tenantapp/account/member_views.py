"""Members over HTTP: administrators manage who has which roles in the tenant."""

from collections.abc import Sequence
from typing import Any

from pydantic import Field, model_validator
from pyramid.config import Configurator
from pyramid.response import Response
from sqlalchemy.orm import Session

from tenantapp.account import answers
from tenantapp.answers import Page
from tenantapp.api.json import Body
from tenantapp.api.query import PageQuery, page_of
from tenantapp.api.views import ID, api_view, path_id
from tenantapp.content import example
from tenantapp.credentials import factors
from tenantapp.identity import members
from tenantapp.identity.errors import NotFound
from tenantapp.identity.freshness import require_fresh_for
from tenantapp.identity.grants import add_grant
from tenantapp.identity.members import Member
from tenantapp.identity.permissions import Permission
from tenantapp.identity.roles import list_roles
from tenantapp.joining.invitations import belongs
from tenantapp.tenancy.request import TenantRequest


class MembersQuery(PageQuery):
    """Which members: those whose login or name has all words of ``q``, and that have the role.

    With ``without_second_factor``, only people without one, and groups with such a person.
    """

    q: str = Field("", max_length=200)
    role: str | None = Field(None, max_length=50)
    without_second_factor: bool = False


class NewMember(Body, json_schema_extra=example({"login": "bob", "role": "editor"})):
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


class MemberRole(Body, json_schema_extra=example({"role": "author"})):
    """The body of ``PATCH /members/{id}``."""

    role: str = Field(max_length=50)


@api_view("members", "GET", permission=Permission.MEMBERS_MANAGE, query=MembersQuery, answer=Page[answers.Member])
def list_members(request: TenantRequest) -> dict[str, Any]:
    """Return a page of the people and groups with roles in the tenant, the oldest first."""
    query: MembersQuery = request.checked_query
    session, tenant = request.user_session, request.access.require_tenant()
    found = members.list_members(
        session,
        tenant.id,
        words=query.q,
        role=query.role,
        only=factors.LETS_IN_WITHOUT_FACTOR if query.without_second_factor else None,
        after=query.after_id(),
        limit=query.limit + 1,
    )
    page = page_of(found, query.limit, lambda member: str(member.first_id))
    return {"items": _shown(session, page["items"]), "next": page["next"]}


@api_view("second_factors", "GET", permission=Permission.MEMBERS_MANAGE, answer=answers.SecondFactors)
def count_second_factors(request: TenantRequest) -> dict[str, Any]:
    """Return how many people have a role in the tenant, also by a group, and how many of them lack a second factor."""
    found = factors.count_factors(request.user_session, request.access.require_tenant().id)
    return {"people": found.people, "without_second_factor": found.without_second_factor}


@api_view(
    "members",
    "POST",
    permission=Permission.MEMBERS_MANAGE,
    body=NewMember,
    writes="user",
    status=201,
    answer=answers.Member,
    problems=("already_exists", "beyond_your_rights", "not_found", "reauthentication_required"),
)
def create_member(request: TenantRequest) -> dict[str, Any]:
    """Grant a role to a member, beside the roles that they have, or to a group. Return the member.

    Who is no member is invited, so that nobody becomes one without being asked. Whether there is such a person is not
    told.
    """
    body: NewMember = request.checked_body
    require_fresh_for(request, body.role)
    session, tenant = request.user_session, request.access.require_tenant()
    if body.login is not None and not belongs(session, tenant.id, body.login):
        raise NotFound("member", body.login)
    held = request.access.permissions
    grant = add_grant(session, tenant.id, body.role, login=body.login, group=body.group, held=held)
    return _shown(session, [members.member_with(session, grant)])[0]


@api_view(
    "member",
    "PATCH",
    permission=Permission.MEMBERS_MANAGE,
    body=MemberRole,
    writes="user",
    answer=answers.Member,
    problems=("already_exists", "beyond_your_rights", "last_admin", "reauthentication_required"),
)
def change_member(request: TenantRequest) -> dict[str, Any]:
    """Put another role in place of that of a grant. Return the member."""
    require_fresh_for(request, request.checked_body.role)
    session, tenant = request.user_session, request.access.require_tenant()
    held = request.access.permissions
    grant = members.change_role(session, tenant.id, path_id(request), request.checked_body.role, held=held)
    return _shown(session, [members.member_with(session, grant)])[0]


@api_view(
    "member",
    "DELETE",
    permission=Permission.MEMBERS_MANAGE,
    writes="user",
    answer=None,
    problems=("beyond_your_rights", "last_admin"),
)
def delete_member(request: TenantRequest) -> Response:
    """Revoke a grant, from the next request on."""
    tenant, grant_id = request.access.require_tenant(), path_id(request)
    members.revoke(request.user_session, tenant.id, grant_id, held=request.access.permissions)
    return Response(status=204)


@api_view("roles", "GET", permission=Permission.MEMBERS_MANAGE, answer=Page[answers.Role])
def list_roles_of_members(request: TenantRequest) -> dict[str, Any]:
    """Return the roles that members may have, the highest rank first, in one page."""
    found = reversed(list_roles(request.user_session))
    items = [{"name": role.name, "permissions": sorted(held.permission for held in role.permissions)} for role in found]
    return {"items": items, "next": None}


def _shown(session: Session, some: Sequence[Member]) -> list[dict[str, Any]]:
    """Return members as the API shows them. Executes one statement."""
    lacking = factors.grants_without_factor(session, [each.first_id for each in some])
    return [_member(each, each.first_id not in lacking) for each in some]


def _member(found: Member, has_factor: bool) -> dict[str, Any]:
    """Return a member as the API shows it: the names of the roles, and the grants that can be changed."""
    user, group = found.user, found.group
    is_program = user is not None and user.service_tenant_id is not None
    return {
        "user": user
        and {
            "id": user.id,
            "login": user.login,
            "name": user.name,
            "service_account": is_program,
        },
        "group": group and {"id": group.id, "name": group.name},
        "roles": [grant.role for grant in found.grants],
        "grants": [{"id": grant.id, "role": grant.role} for grant in found.grants],
        "second_factor": None if is_program else has_factor,
    }


def includeme(config: Configurator) -> None:
    """Add the routes."""
    config.add_route("members", "/members")
    config.add_route("second_factors", "/members/second-factors")
    config.add_route("member", f"/members/{ID}")
    config.add_route("roles", "/roles")
