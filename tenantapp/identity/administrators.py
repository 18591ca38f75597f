"""Find out which tenants have an administrator, and give one to a tenant that has none.

An administrator is an enabled person who can sign in and may manage the tenant's members, by their own role or by one
of a group's. They give roles to others. So a tenant needs the first one from somebody else: an operator.
"""

from collections.abc import Sequence
from typing import Final
from uuid import UUID

from sqlalchemy import ColumnElement, exists, or_, select
from sqlalchemy.orm import Session

from tenantapp.identity.errors import HasAdministrator, InvalidValue, NotFound
from tenantapp.identity.grants import add_grant
from tenantapp.identity.models import Grant, GroupMember, RolePermission, Tenant, User
from tenantapp.identity.permissions import Permission
from tenantapp.identity.roles import get_role
from tenantapp.identity.tenants import served_tenant
from tenantapp.identity.users import get_user

ADMIN: Final = "admin"  # the role that the first administrator gets
BY_ID: Final = 1000  # tenants that a statement names at most; SQLite allows 32,766 parameters


def has_admin(session: Session, tenant_id: UUID) -> bool:
    """Return whether the tenant has an administrator."""
    return bool(session.scalar(select(exists().where(Tenant.id == tenant_id, _administrated()))))


def list_administrated(session: Session, ids: Sequence[UUID]) -> set[str]:
    """Return the slugs of those of the tenants that have an administrator."""
    return set(session.scalars(select(Tenant.slug).where(Tenant.id.in_(ids), _administrated())))


def ids_administrated(session: Session, found: Sequence[Tenant]) -> set[UUID]:
    """Return the ids of those of the tenants that have an administrator. Executes one statement."""
    having = select(Tenant.id).where(_administrated())
    if len(found) <= BY_ID:
        having = having.where(Tenant.id.in_([tenant.id for tenant in found]))
    return set(session.scalars(having)) if found else set()


def list_mail_addresses(session: Session, tenant_id: UUID) -> Sequence[str]:
    """Return the confirmed mail addresses of the tenant's administrators."""
    managing = select(Grant).join(RolePermission, RolePermission.role == Grant.role)
    managing = managing.where(Grant.tenant_id == tenant_id, RolePermission.permission == Permission.MEMBERS_MANAGE)
    own = managing.with_only_columns(Grant.user_id).where(Grant.user_id.is_not(None))
    of_group = managing.with_only_columns(GroupMember.user_id).join(GroupMember, GroupMember.group_id == Grant.group_id)
    addresses = select(User.mail_address).where(User.id.in_(own) | User.id.in_(of_group))
    return [each for each in session.scalars(addresses.where(User.enabled).order_by(User.id)) if each is not None]


def _administrated() -> ColumnElement[bool]:
    """Return the condition that a tenant has an administrator."""
    managing = (
        select(Grant.id)
        .join(RolePermission, RolePermission.role == Grant.role)
        .where(Grant.tenant_id == Tenant.id, RolePermission.permission == Permission.MEMBERS_MANAGE)
        .where(User.enabled, User.service_tenant_id.is_(None))
        .correlate(Tenant)
    )
    # Two conditions, each with its indexes. For one with OR in it, a database would look at all people.
    own = managing.join(User, User.id == Grant.user_id)
    of_group = managing.join(GroupMember, GroupMember.group_id == Grant.group_id).join(
        User, User.id == GroupMember.user_id
    )
    return or_(own.exists(), of_group.exists())


def name_administrator(session: Session, tenant_id: UUID, login: str) -> Grant:
    """Give a person the role ``admin`` in a tenant that is being made.

    Raises ``InvalidValue`` for the field ``administrator`` if they cannot be one: they are unknown or disabled, or a
    service account.
    """
    _check_person(session, login)
    _check_role(session)
    return add_grant(session, tenant_id, ADMIN, login=login, action="member.appoint")


def appoint(session: Session, slug: str, login: str) -> Tenant:
    """Give a person the role ``admin`` in a tenant that has no administrator.

    The tenant's own audit trail names who did it. Raises ``HasAdministrator`` if the tenant has one: they let people
    in, and nobody else. Raises ``NotFound``, ``TenantUnfinished``, ``TenantDeleted`` and ``InvalidValue`` as
    ``name_administrator`` does.
    """
    # The lock keeps two operators from doing so at the same moment.
    tenant = served_tenant(session, slug, for_update=True)
    if has_admin(session, tenant.id):
        raise HasAdministrator(slug)
    name_administrator(session, tenant.id, login)
    return tenant


def _check_person(session: Session, login: str) -> None:
    try:
        user = get_user(session, login)
    except NotFound as error:
        raise InvalidValue("administrator", str(error)) from None
    if user.service_tenant_id is not None:
        raise InvalidValue("administrator", f"{user.login} is a service account, which cannot be an administrator.")
    if not user.enabled:
        raise InvalidValue("administrator", f"{user.login} is disabled, and cannot be an administrator.")


def _check_role(session: Session) -> None:
    """Raise ``InvalidValue`` if the role was removed, or no longer permits what makes an administrator."""
    try:
        held = {each.permission for each in get_role(session, ADMIN, keep=True).permissions}
    except NotFound:
        held = set()
    if Permission.MEMBERS_MANAGE not in held:
        needed = f"{Permission.MEMBERS_MANAGE} is not a permission of the role {ADMIN}"
        raise InvalidValue("administrator", f"Nobody can be made an administrator here: {needed}.")
