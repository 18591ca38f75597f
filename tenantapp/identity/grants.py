"""Grants: who has which roles in which tenant. A person or a group has one grant for each role.

Each change of a grant is in the audit trail.
"""

from collections.abc import Collection
from typing import Any
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session, joinedload

from tenantapp.identity.audit import record
from tenantapp.identity.errors import NotFound
from tenantapp.identity.groups import get_group
from tenantapp.identity.models import Grant, Tenant
from tenantapp.identity.roles import check_held, get_role
from tenantapp.identity.uniqueness import flush_unique
from tenantapp.identity.users import get_user


def add_grant(
    session: Session,
    tenant_id: UUID,
    role: str,
    *,
    login: str | None = None,
    group: str | None = None,
    action: str = "member.grant",
    held: Collection[str] | None = None,
) -> Grant:
    """Give a person or a group a role beside those that they have. Raises ``NotFound`` and ``AlreadyExists``.

    ``action`` is what the audit trail calls it. ``held`` are the permissions of who gives the role: it raises
    ``RoleBeyondRights`` for a role that permits more. None is for the command line.
    """
    get_role(session, role, keep=True)
    check_held(session, role, held)
    grant = Grant(tenant_id=tenant_id, role=role)
    if group is not None:
        grant.group = get_group(session, group)
    else:
        user = get_user(session, login or "")
        if user.service_tenant_id not in (None, tenant_id):
            raise NotFound("user", login)
        grant.user = user
    session.add(grant)
    flush_unique(session, f"grant of {role} for", f"@{group}" if group is not None else login)
    record_grant(session, action, grant)
    return grant


def remove_grant(session: Session, grant: Grant) -> None:
    """Take a role from a person or a group, from the next request on. It does so even for the last administrator."""
    record_grant(session, "member.revoke", grant)
    session.delete(grant)


def record_grant(session: Session, action: str, grant: Grant, **more: Any) -> None:
    """Write what happens to a grant to the audit trail."""
    slug = session.scalar(select(Tenant.slug).where(Tenant.id == grant.tenant_id))
    who = {"login": grant.user.login} if grant.user is not None else {"group": grant.group and grant.group.name}
    record(session, action, tenant_id=grant.tenant_id, slug=slug, detail={**who, "role": grant.role, **more})


def find_grants(
    session: Session, tenant_id: UUID, *, login: str | None = None, group: str | None = None
) -> list[Grant]:
    """Return the grants of a person or of a group in a tenant, oldest first. Raises ``NotFound`` if there are none."""
    if group is not None:
        condition = Grant.group_id == get_group(session, group).id
    else:
        condition = Grant.user_id == get_user(session, login or "").id
    found = session.scalars(select(Grant).where(Grant.tenant_id == tenant_id, condition).order_by(Grant.id)).all()
    if not found:
        raise NotFound("grant for", f"@{group}" if group is not None else login)
    return list(found)


def find_grant(
    session: Session, tenant_id: UUID, role: str, *, login: str | None = None, group: str | None = None
) -> Grant:
    """Return the grant of a role to a person or to a group in a tenant. Raises ``NotFound``."""
    for grant in find_grants(session, tenant_id, login=login, group=group):
        if grant.role == role:
            return grant
    raise NotFound(f"grant of {role} for", f"@{group}" if group is not None else login)


def get_grant(session: Session, tenant_id: UUID, grant_id: UUID) -> Grant:
    """Return a grant of this tenant. Raises ``NotFound``, also for a grant of another tenant."""
    grant = session.get(Grant, grant_id)
    if grant is None or grant.tenant_id != tenant_id:
        raise NotFound("grant", grant_id)
    return grant


def list_grants(session: Session, tenant_id: UUID) -> list[Grant]:
    """Return the grants in a tenant with their people and groups, in the order in which they were made."""
    statement = select(Grant).where(Grant.tenant_id == tenant_id).order_by(Grant.id)
    return list(session.scalars(statement.options(joinedload(Grant.user), joinedload(Grant.group))))
