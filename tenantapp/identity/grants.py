"""Grants: who has which role in which tenant."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import (
    ColumnElement,
    ScalarSelect,
    SQLColumnExpression,
    String,
    cast,
    exists,
    func,
    literal,
    literal_column,
    or_,
    select,
)
from sqlalchemy.orm import Session, joinedload

from tenantapp.identity.errors import NotFound
from tenantapp.identity.groups import get_group
from tenantapp.identity.models import Grant, GroupMember, Role, RolePermission, Tenant, TenantState, User
from tenantapp.identity.permissions import Permission
from tenantapp.identity.roles import get_role
from tenantapp.identity.uniqueness import flush_unique
from tenantapp.identity.users import get_user


@dataclass(frozen=True, slots=True)
class Granted:
    """What a person may do in a tenant: the union over their own grant and those of their groups."""

    role: str | None
    permissions: frozenset[str]


def granted_text(
    user_id: SQLColumnExpression[UUID], tenant_id: SQLColumnExpression[UUID | None]
) -> ScalarSelect[str | None]:
    """A scalar with everything the person holds in the tenant as ``rank:role:permission`` words, or null.

    A scalar subquery, so that it can be a column of the access statement.
    """
    # Literals, not parameters: the statement is prepared, and its parameters are counted.
    colon, nothing = literal_column("':'", String), literal_column("''", String)
    space: Any = literal_column("' '", String)
    word = cast(Role.rank, String) + colon + Role.name + colon + func.coalesce(RolePermission.permission, nothing)
    return (
        select(func.aggregate_strings(word, space))
        .select_from(Grant)
        .join(Role, Role.name == Grant.role)
        .outerjoin(RolePermission, RolePermission.role == Role.name)
        .where(Grant.tenant_id == tenant_id, _reaches(user_id))
        .correlate_except(Grant, Role, RolePermission)
        .scalar_subquery()
    )


def read_granted(text: str | None) -> Granted:
    """Read what ``granted_text`` gave."""
    words = [word.split(":", 2) for word in (text or "").split()]
    if not words:
        return Granted(None, frozenset())
    role = max((int(rank), role) for rank, role, _ in words)[1]
    return Granted(role, frozenset(permission for _, _, permission in words if permission))


def effective_permissions(session: Session, user_id: UUID, tenant_id: UUID) -> Granted:
    """What this person may do in that tenant, through their own grant and their groups'."""
    return read_granted(session.scalar(select(granted_text(literal(user_id), literal(tenant_id)))))


def tenants_of(session: Session, user_id: UUID) -> list[tuple[Tenant, str]]:
    """The active tenants a person has a role in, by slug, each with the highest role. One statement."""
    rows = session.execute(
        select(Tenant, Role.name)
        .join(Grant, Grant.tenant_id == Tenant.id)
        .join(Role, Role.name == Grant.role)
        .where(Tenant.state == TenantState.ACTIVE, _reaches(literal(user_id)))
        .order_by(Tenant.slug, Role.rank)
    )
    # Ordered by rank, the highest role of a tenant comes last and stays.
    return list({tenant.id: (tenant, role) for tenant, role in rows}.values())


def add_grant(
    session: Session, tenant_id: UUID, role: str, *, login: str | None = None, group: str | None = None
) -> Grant:
    """Grant a role to a person or to a group. Raises ``NotFound`` and ``AlreadyExists``."""
    get_role(session, role)
    grant = Grant(tenant_id=tenant_id, role=role)
    if group is not None:
        grant.group = get_group(session, group)
    else:
        grant.user = get_user(session, login or "")
    session.add(grant)
    flush_unique(session, "grant for", f"@{group}" if group is not None else login)
    return grant


def find_grant(session: Session, tenant_id: UUID, *, login: str | None = None, group: str | None = None) -> Grant:
    """The grant of a person or of a group in a tenant. Raises ``NotFound``."""
    if group is not None:
        condition = Grant.group_id == get_group(session, group).id
    else:
        condition = Grant.user_id == get_user(session, login or "").id
    grant = session.scalar(select(Grant).where(Grant.tenant_id == tenant_id, condition))
    if grant is None:
        raise NotFound("grant for", f"@{group}" if group is not None else login)
    return grant


def get_grant(session: Session, tenant_id: UUID, grant_id: UUID) -> Grant:
    """A grant of this tenant. Raises ``NotFound``, also for one of another tenant."""
    grant = session.get(Grant, grant_id)
    if grant is None or grant.tenant_id != tenant_id:
        raise NotFound("grant", grant_id)
    return grant


def list_grants(
    session: Session, tenant_id: UUID, *, after: UUID | None = None, limit: int | None = None
) -> list[Grant]:
    """The grants in a tenant with their people and groups, in the order they were made; keyset by id."""
    statement = select(Grant).where(Grant.tenant_id == tenant_id).order_by(Grant.id).limit(limit)
    if after is not None:
        statement = statement.where(Grant.id > after)
    return list(session.scalars(statement.options(joinedload(Grant.user), joinedload(Grant.group))))


def has_admin(session: Session, tenant_id: UUID) -> bool:
    """Whether an enabled person may manage the tenant's members."""
    admin = (
        select(User.id)
        .select_from(User)
        .join(Grant, _reaches(User.id))
        .join(RolePermission, RolePermission.role == Grant.role)
        .where(Grant.tenant_id == tenant_id, User.enabled, RolePermission.permission == Permission.MEMBERS_MANAGE)
    )
    return bool(session.scalar(select(exists(admin))))


def _reaches(user_id: SQLColumnExpression[UUID]) -> ColumnElement[bool]:
    """The grant is the person's own, or that of a group they are in."""
    # Correlated by name: left to itself, a subquery two levels down would range over everybody's rows instead.
    groups = select(GroupMember.group_id).where(GroupMember.user_id == user_id).correlate_except(GroupMember)
    return or_(Grant.user_id == user_id, Grant.group_id.in_(groups))
