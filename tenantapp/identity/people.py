"""The names of people for others in the same tenant. A row of a tenant has their ids; their names are here."""

from collections.abc import Collection
from uuid import UUID

from sqlalchemy import ColumnElement, exists, or_, select
from sqlalchemy.orm import Session

from tenantapp.identity.models import AuditEntry, Grant, GroupMember, User


def names_of(session: Session, tenant_id: UUID, ids: Collection[UUID]) -> dict[UUID, str]:
    """Return the names of those of these people who belong or belonged to the tenant.

    Those are its members, people in its groups, its service accounts, and people who once were given a role by name, as
    the audit trail has it. Others are left out, so nobody learns by an id who exists. Executes one statement.
    """
    belongs = or_(User.service_tenant_id == tenant_id, *_has_a_role(tenant_id), _had_a_role(tenant_id))
    found = session.execute(select(User.id, User.name).where(User.id.in_(ids), belongs))
    return {person.id: person.name for person in found}


def _has_a_role(tenant_id: UUID) -> tuple[ColumnElement[bool], ...]:
    of_tenant = select(Grant.id).where(Grant.tenant_id == tenant_id)
    in_group = of_tenant.join(GroupMember, GroupMember.group_id == Grant.group_id)
    return (
        exists(of_tenant.where(Grant.user_id == User.id).correlate(User)),
        exists(in_group.where(GroupMember.user_id == User.id).correlate(User)),
    )


def _had_a_role(tenant_id: UUID) -> ColumnElement[bool]:
    # A login is the same for ever, and is in the entries of members. They are read once, not for each person.
    login = AuditEntry.detail["login"].as_string()
    given = select(login).where(AuditEntry.tenant_id == tenant_id, AuditEntry.action.like("member.%"))
    return User.login.in_(given)
