"""Invite people into a tenant, and let them accept or decline. Each step is in the audit trail.

Nobody becomes a member without being asked, and nobody learns by an invitation who exists: to invite somebody unknown
looks the same.
"""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final
from uuid import UUID

from sqlalchemy import ColumnElement, and_, delete, exists, func, or_, select
from sqlalchemy.orm import Session, contains_eager, joinedload

from tenantapp.credentials.addresses import check_address
from tenantapp.credentials.errors import LinkNotValid
from tenantapp.credentials.one_time_links import LIFETIMES, Link, Purpose, make_link, read_link, use_link
from tenantapp.credentials.post import Post
from tenantapp.identity.audit import record
from tenantapp.identity.effective import effective_permissions
from tenantapp.identity.errors import InvalidValue, NotFound, RoleBeyondRights
from tenantapp.identity.grants import record_grant
from tenantapp.identity.models import Grant, GroupMember, Invitation, Tenant, User
from tenantapp.identity.names import normalize_login
from tenantapp.identity.permissions import Permission
from tenantapp.identity.roles import check_held, get_role
from tenantapp.identity.tenants import locked_tenant
from tenantapp.identity.uniqueness import flush_unique
from tenantapp.joining.errors import NotInvited, TooManyInvitations
from tenantapp.sql.times import utcnow
from tenantapp.tenancy.access import Access

LIFETIME: Final = LIFETIMES[Purpose.INVITATION]
RESENT_AFTER: Final = timedelta(minutes=1)  # nobody gets two mails about an invitation within it
PACKAGE: Final = "tenantapp.joining"


@dataclass(frozen=True, slots=True)
class Inviting:
    """Who invites into which tenant: the access of a request. ``most`` is how many open invitations a tenant has.

    Where no mail can be sent by the ``post``, people are only invited by their login.
    """

    access: Access
    most: int
    post: Post


def invite_address(session: Session, inviting: Inviting, address: str, role: str) -> Invitation:
    """Invite whoever reads the mail of an address, and write to them.

    Raises ``MailNotConfigured``, ``InvalidValue``, ``NotFound`` for the role, ``RoleBeyondRights``,
    ``TooManyInvitations``, and ``AlreadyExists`` if this address has an open invitation to the role.
    """
    inviting.post.require()
    invitation = _invite(session, inviting, role, mail_address=check_address(address))
    _write(session, inviting, invitation)
    return invitation


def invite_login(session: Session, inviting: Inviting, login: str, role: str) -> Invitation:
    """Invite the person with a login, whether or not there is one. If they have an address, write to them.

    Raises what ``invite_address`` does.
    """
    invitation = _invite(session, inviting, role, login=normalize_login(login))
    _write(session, inviting, invitation)
    return invitation


def belongs(session: Session, tenant_id: UUID, login: str) -> bool:
    """Return whether the person with a login is in a tenant: by a role, by a group's, or as its service account."""
    try:
        is_person = User.login == normalize_login(login)
    except InvalidValue:
        return False
    granted = select(Grant.id).where(Grant.tenant_id == tenant_id)
    own = granted.where(Grant.user_id == User.id)
    by_group = granted.join(GroupMember, GroupMember.group_id == Grant.group_id).where(GroupMember.user_id == User.id)
    inside = or_(own.correlate(User).exists(), by_group.correlate(User).exists(), User.service_tenant_id == tenant_id)
    return bool(session.scalar(select(exists().where(is_person, inside))))


def list_invitations(session: Session, tenant_id: UUID, *, after: UUID | None, limit: int) -> list[Invitation]:
    """Return the invitations of a tenant that wait for an answer, the oldest first."""
    waiting = _open().where(Invitation.tenant_id == tenant_id).order_by(Invitation.id).limit(limit)
    return list(session.scalars(waiting if after is None else waiting.where(Invitation.id > after)))


def resend(session: Session, inviting: Inviting, invitation_id: UUID) -> Invitation:
    """Write another mail about an invitation, which then lasts for ``LIFETIME`` again.

    Raises ``NotFound``, and ``RoleBeyondRights`` for a role that permits more than the person may do.

    Within ``RESENT_AFTER`` of the last mail it does nothing: ``sent_at`` tells.
    """
    invitation = invitation_of_tenant(session, inviting.access.require_tenant().id, invitation_id)
    check_held(session, invitation.role, inviting.access.permissions)
    now = utcnow()
    if invitation.sent_at is None or invitation.sent_at <= now - RESENT_AFTER:
        invitation.expires_at = now + LIFETIME
        _write(session, inviting, invitation)
        _record(session, "invitation.resend", invitation)
    return invitation


def revoke_invitation(session: Session, access: Access, invitation_id: UUID) -> None:
    """Take an invitation back. Its links no longer work. Raises ``NotFound`` and ``RoleBeyondRights``."""
    invitation = invitation_of_tenant(session, access.require_tenant().id, invitation_id)
    check_held(session, invitation.role, access.permissions)
    _record(session, "invitation.revoke", invitation)
    session.delete(invitation)


def list_received(session: Session, user_id: UUID) -> list[Invitation]:
    """Return the invitations that a person may accept or decline, the oldest first."""
    mine = and_(User.id == user_id, _is_for(User))
    return list(session.scalars(_open().join(User, mine).order_by(Invitation.id)))


def received(session: Session, user_id: UUID, invitation_id: UUID) -> Invitation:
    """Return one of ``list_received``. Raises ``NotFound``."""
    mine = and_(User.id == user_id, _is_for(User))
    found: Invitation | None = session.scalar(_open().join(User, mine).where(Invitation.id == invitation_id))
    if found is None:
        raise NotFound("invitation", invitation_id)
    return found


def read_linked(session: Session, token: str) -> tuple[Invitation, Link]:
    """Return the invitation that a link is about, and the link, which can still be used. Raises ``LinkNotValid``."""
    link = read_link(session, Purpose.INVITATION, token)
    return _linked_to(session, link), link


def use_linked(session: Session, token: str) -> tuple[Invitation, Link]:
    """Return the invitation that a link is about, and the link, which is used up. Raises ``LinkNotValid``."""
    link = use_link(session, Purpose.INVITATION, token)
    return _linked_to(session, link), link


def check_invited(session: Session, invitation: Invitation, user_id: UUID | None) -> None:
    """Raise ``NotInvited`` if an invitation by login is for another person than this one, or than somebody new.

    One by address is for whoever has its link, with whatever account.
    """
    if invitation.login is None:
        return
    mine = select(exists().where(Invitation.id == invitation.id, User.id == user_id, _is_for(User)))
    if not session.scalar(mine):
        raise NotInvited(invitation.login)


def accept(session: Session, invitation: Invitation, user_id: UUID) -> Grant:
    """Make a person a member by an invitation, from the next request on. Return their grant of the role.

    Raises ``LinkNotValid`` if it was used or revoked meanwhile, or if who invited may no longer give the role.
    """
    if not _may_still_be_given(session, invitation):
        raise LinkNotValid
    held = select(Grant).where(Grant.tenant_id == invitation.tenant_id, Grant.user_id == user_id)
    grant = session.scalar(held.where(Grant.role == invitation.role))
    # Gone before the role is given: of two who accept at once, one waits here and finds nothing.
    if not session.scalars(delete(Invitation).where(Invitation.id == invitation.id).returning(Invitation.id)).all():
        raise LinkNotValid
    _record(session, "invitation.accept", invitation)
    if grant is None:
        get_role(session, invitation.role, keep=True)
        grant = Grant(tenant_id=invitation.tenant_id, role=invitation.role, user=session.get_one(User, user_id))
        session.add(grant)
        flush_unique(session, "grant of", invitation.role)
        record_grant(session, "member.grant", grant, invitation=str(invitation.id))
    return grant


def decline(session: Session, invitation: Invitation) -> None:
    """Delete an invitation that the invited person does not want."""
    _record(session, "invitation.decline", invitation)
    session.delete(invitation)


def _invite(session: Session, inviting: Inviting, role: str, **whom: str) -> Invitation:
    tenant_id = inviting.access.require_tenant().id
    check_held(session, get_role(session, role, keep=True).name, inviting.access.permissions)
    locked_tenant(session, tenant_id)  # of two requests at once, the second counts what the first has made
    session.execute(delete(Invitation).where(Invitation.tenant_id == tenant_id, Invitation.expires_at <= utcnow()))
    waiting = select(func.count()).select_from(Invitation).where(Invitation.tenant_id == tenant_id)
    if session.scalars(waiting).one() >= inviting.most:
        raise TooManyInvitations(inviting.most)
    invitation = Invitation(
        tenant_id=tenant_id,
        role=role,
        invited_by_id=inviting.access.person.id,
        expires_at=utcnow() + LIFETIME,
        **whom,
    )
    session.add(invitation)
    flush_unique(session, f"invitation to {role} for", next(iter(whom.values())))
    _record(session, "invitation.create", invitation)
    return invitation


def _write(session: Session, inviting: Inviting, invitation: Invitation) -> None:
    """Write to the invited person, if mail is sent here and their address is known."""
    address = invitation.mail_address or session.scalar(
        select(User.mail_address).where(User.login == invitation.login, User.enabled)
    )
    # Stored whether or not anybody gets it: who invites a login does not learn whether there is one.
    invitation.sent_at = utcnow()
    if address is None or inviting.post.lacking is not None:
        return
    detail = {"invitation": str(invitation.id)}
    token = make_link(
        session, Purpose.INVITATION, mail_address=address, detail=detail, expires_at=invitation.expires_at
    )
    inviting.post.link(
        session,
        address,
        Purpose.INVITATION,
        token,
        invitation.expires_at,
        package=PACKAGE,
        tenant=inviting.access.require_tenant().name,
        inviter=inviting.access.person.name,
        role=invitation.role,
    )


def _open() -> Any:
    """Return the SELECT of the invitations that can be accepted: not expired, and into a tenant that is not deleted.

    A suspended tenant takes new members, who work there once it is resumed.
    """
    whole = select(Invitation).join(Invitation.tenant).where(Invitation.expires_at > utcnow(), Tenant.is_served)
    return whole.options(contains_eager(Invitation.tenant), joinedload(Invitation.invited_by))


def _is_for(user: type[User]) -> ColumnElement[bool]:
    by_login = and_(Invitation.login == user.login, Invitation.created_at >= user.created_at)
    return or_(Invitation.mail_address == user.mail_address, by_login)


def _may_still_be_given(session: Session, invitation: Invitation) -> bool:
    """Return whether who has invited may still give the role: they are there, and have the rights."""
    inviter = invitation.invited_by
    if inviter is None or not inviter.enabled:
        return False
    held = effective_permissions(session, inviter.id, invitation.tenant_id).permissions
    try:
        check_held(session, invitation.role, held)
    except RoleBeyondRights:
        return False
    return Permission.MEMBERS_MANAGE in held


def invitation_of_tenant(session: Session, tenant_id: UUID, invitation_id: UUID) -> Invitation:
    """Return an open invitation of a tenant. Raises ``NotFound``."""
    found: Invitation | None = session.scalar(
        _open().where(Invitation.id == invitation_id, Invitation.tenant_id == tenant_id)
    )
    if found is None:
        raise NotFound("invitation", invitation_id)
    return found


def _linked_to(session: Session, link: Link) -> Invitation:
    found: Invitation | None = session.scalar(_open().where(Invitation.id == UUID(link.detail["invitation"])))
    if found is None:
        raise LinkNotValid
    return found


def _record(session: Session, action: str, invitation: Invitation) -> None:
    slug = session.scalar(select(Tenant.slug).where(Tenant.id == invitation.tenant_id))
    whom = {"login": invitation.login} if invitation.mail_address is None else {"address": invitation.mail_address}
    detail = {**whom, "role": invitation.role, "invitation": str(invitation.id)}
    record(session, action, tenant_id=invitation.tenant_id, slug=slug, detail=detail)
