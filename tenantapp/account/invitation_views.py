"""Invitations over HTTP: administrators invite, the invited accept or decline."""

from typing import Any

from pydantic import Field, model_validator
from pyramid.config import Configurator
from pyramid.response import Response
from pyramid.security import NO_PERMISSION_REQUIRED

from tenantapp.account import answers
from tenantapp.account.link_views import PROBLEMS, UsedLink
from tenantapp.account.post import post_of
from tenantapp.account.registration_views import InvitedPerson, described, new_user
from tenantapp.answers import Page
from tenantapp.api.json import Body
from tenantapp.api.query import PageQuery, page_of
from tenantapp.api.views import ID, api_view, path_id
from tenantapp.content import example
from tenantapp.identity.freshness import require_fresh_for
from tenantapp.identity.models import Invitation
from tenantapp.identity.permissions import Permission
from tenantapp.identity.policy import refuse_tokens
from tenantapp.joining import invitations, registration
from tenantapp.joining.errors import NotInvited, TooManyInvitations
from tenantapp.joining.invitations import Inviting
from tenantapp.tenancy.request import TenantRequest


class NewInvitation(Body, json_schema_extra=example({"address": "bob@example.com", "role": "editor"})):
    """The body of ``POST /invitations``: an address of mail, or the login of a person."""

    address: str | None = Field(None, max_length=1000)
    login: str | None = Field(None, max_length=1000)
    role: str = Field(max_length=50)

    @model_validator(mode="after")
    def one_invited(self) -> "NewInvitation":
        """Raise ``ValueError`` unless exactly one of address and login is given."""
        if (self.address is None) == (self.login is None):
            raise ValueError("Give either address or login.")
        return self


@api_view("invitations", "GET", permission=Permission.MEMBERS_MANAGE, query=PageQuery, answer=Page[answers.Invitation])
def list_invitations(request: TenantRequest) -> dict[str, Any]:
    """Return a page of the invitations that wait for an answer, the oldest first."""
    query: PageQuery = request.checked_query
    tenant = request.access.require_tenant()
    found = invitations.list_invitations(request.user_session, tenant.id, after=query.after_id(), limit=query.limit + 1)
    page = page_of(found, query.limit, lambda invitation: str(invitation.id))
    return {"items": [invitation_of(each) for each in page["items"]], "next": page["next"]}


@api_view(
    "invitations",
    "POST",
    permission=Permission.MEMBERS_MANAGE,
    body=NewInvitation,
    writes="user",
    status=201,
    answer=answers.Invitation,
    problems=(
        *("already_exists", "beyond_your_rights", "mail_not_configured", "not_found", "too_many_invitations"),
        "reauthentication_required",
    ),
)
def create_invitation(request: TenantRequest) -> dict[str, Any]:
    """Invite an address, which gets a mail, or a person by login. The answer does not tell whether there is anybody."""
    body: NewInvitation = request.checked_body
    require_fresh_for(request, body.role)
    if body.address is not None:
        made = invitations.invite_address(request.user_session, inviting(request), body.address, body.role)
    else:
        made = invitations.invite_login(request.user_session, inviting(request), body.login or "", body.role)
    return invitation_of(made)


@api_view(
    "invitation_mail",
    "POST",
    permission=Permission.MEMBERS_MANAGE,
    writes="user",
    answer=answers.Invitation,
    problems=("beyond_your_rights", "reauthentication_required"),
)
def resend_invitation(request: TenantRequest) -> dict[str, Any]:
    """Write another mail about an invitation, at most one a minute. It then lasts for seven days again."""
    session, tenant = request.user_session, request.access.require_tenant()
    require_fresh_for(request, invitations.invitation_of_tenant(session, tenant.id, path_id(request)).role)
    return invitation_of(invitations.resend(session, inviting(request), path_id(request)))


@api_view(
    "invitation",
    "DELETE",
    permission=Permission.MEMBERS_MANAGE,
    writes="user",
    answer=None,
    problems=("beyond_your_rights",),
)
def delete_invitation(request: TenantRequest) -> Response:
    """Revoke an invitation. Its links no longer work."""
    invitations.revoke_invitation(request.user_session, request.access, path_id(request))
    return Response(status=204)


@api_view("received_invitations", "GET", permission=Permission.OWN_ACCOUNT, answer=Page[answers.ReceivedInvitation])
def list_received(request: TenantRequest) -> dict[str, Any]:
    """Return the invitations to the person's login and confirmed address, in one page."""
    found = invitations.list_received(request.user_session, request.access.person.id)
    items = [
        {
            "id": each.id,
            "tenant": {"slug": each.tenant.slug, "name": each.tenant.name},
            "role": each.role,
            "invited_by": inviter(each),
            "expires_at": each.expires_at,
        }
        for each in found
    ]
    return {"items": items, "next": None}


@api_view(
    "received_invitation",
    "POST",
    permission=Permission.OWN_ACCOUNT,
    writes="user",
    answer=answers.Joined,
    problems=PROBLEMS[:1],
)
def accept_received(request: TenantRequest) -> dict[str, Any]:
    """Accept an invitation: the person is a member from the next request on."""
    session, person = request.user_session, request.access.person
    return accepted(request, invitations.received(session, person.id, path_id(request)))


@api_view("received_invitation", "DELETE", permission=Permission.OWN_ACCOUNT, writes="user", answer=None)
def decline_received(request: TenantRequest) -> Response:
    """Decline an invitation."""
    session, person = request.user_session, request.access.person
    invitations.decline(session, invitations.received(session, person.id, path_id(request)))
    return Response(status=204)


@api_view(
    "invitation_link",
    "POST",
    permission=NO_PERMISSION_REQUIRED,
    body=UsedLink,
    writes="user",
    answer=answers.LinkedInvitation,
    problems=PROBLEMS[:1],
)
def read_link(request: TenantRequest) -> dict[str, Any]:
    """Return what an invitation is about. Its link can still be used."""
    invitation, link = invitations.read_linked(request.user_session, request.checked_body.token)
    return {
        "tenant": invitation.tenant.name,
        "role": invitation.role,
        "invited_by": inviter(invitation),
        "address": link.mail_address,
        "login": invitation.login,
        "expires_at": invitation.expires_at,
    }


@api_view(
    "accepted_link",
    "POST",
    permission=Permission.OWN_ACCOUNT,
    body=UsedLink,
    writes="user",
    answer=answers.Joined,
    problems=("not_invited", *PROBLEMS[:1]),
)
def accept_link(request: TenantRequest) -> dict[str, Any]:
    """Accept an invitation by its link, as the person who is signed in. One by login is for its person alone."""
    invitation, _ = invitations.use_linked(request.user_session, request.checked_body.token)
    invitations.check_invited(request.user_session, invitation, request.access.person.id)
    return accepted(request, invitation)


@api_view(
    "declined_link",
    "POST",
    permission=NO_PERMISSION_REQUIRED,
    body=UsedLink,
    writes="user",
    answer=None,
    problems=PROBLEMS[:1],
)
def decline_link(request: TenantRequest) -> Response:
    """Decline an invitation by its link. Nobody needs to be signed in."""
    invitation, _ = invitations.use_linked(request.user_session, request.checked_body.token)
    invitations.decline(request.user_session, invitation)
    return Response(status=204)


@api_view(
    "registering_link",
    "POST",
    permission=NO_PERMISSION_REQUIRED,
    body=InvitedPerson,
    writes="user",
    status=201,
    answer=answers.User,
    problems=("already_exists", "not_invited", "too_many_attempts", *PROBLEMS),
)
def register_by_link(request: TenantRequest) -> dict[str, Any]:
    """Register by an invitation and accept it. The address that the link was sent to is confirmed by it."""
    refuse_tokens(request)
    body: InvitedPerson = request.checked_body
    # Read before the transaction: no lock is held while the password is hashed.
    with request.registry.user_db.begin(read_only=True) as session:
        invitation, link = invitations.read_linked(session, body.token)
        invitations.check_invited(session, invitation, None)
        words = [invitation.tenant.name, invitation.tenant.slug]
    new = new_user(request, body, link.mail_address or "", *words)
    return described(registration.register_invited(request.user_session, body.token, new))


def inviting(request: TenantRequest) -> Inviting:
    """Return who invites."""
    most = request.registry.app_settings.invitations_most
    return Inviting(request.access, most, post_of(request))


def accepted(request: TenantRequest, invitation: Invitation) -> dict[str, Any]:
    """Accept an invitation as the person of the request."""
    tenant, role = invitation.tenant, invitation.role
    invitations.accept(request.user_session, invitation, request.access.person.id)
    return {"tenant": {"slug": tenant.slug, "name": tenant.name}, "role": role}


def inviter(invitation: Invitation) -> str | None:
    """Return the name of who invited, as far as they are still there."""
    return None if invitation.invited_by is None else invitation.invited_by.name


def invitation_of(invitation: Invitation) -> dict[str, Any]:
    """Return an invitation as the administrators see it."""
    return {
        "id": invitation.id,
        "address": invitation.mail_address,
        "login": invitation.login,
        "role": invitation.role,
        "invited_by": inviter(invitation),
        "created_at": invitation.created_at,
        "expires_at": invitation.expires_at,
        "sent_at": invitation.sent_at,
    }


def includeme(config: Configurator) -> None:
    """Add the routes."""
    config.add_route("invitations", "/invitations")
    config.add_route("invitation", f"/invitations/{ID}")
    config.add_route("invitation_mail", f"/invitations/{ID}/mail")
    config.add_route("received_invitations", "/account/invitations")
    config.add_route("received_invitation", f"/account/invitations/{ID}")
    config.add_route("invitation_link", "/links/invitation")
    config.add_route("accepted_link", "/links/invitation/accept")
    config.add_route("declined_link", "/links/invitation/decline")
    config.add_route("registering_link", "/links/invitation/register")
    config.add_problem(TooManyInvitations, 409, "too_many_invitations")
    config.add_problem(NotInvited, 403, "not_invited")
