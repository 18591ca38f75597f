"""Find out who may do what in which tenant, from people's own roles and those of their groups."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from itertools import groupby
from operator import itemgetter
from typing import Any, Final
from uuid import UUID

from orjson import loads
from sqlalchemy import (
    ColumnElement,
    ScalarSelect,
    SQLColumnExpression,
    String,
    Subquery,
    Text,
    case,
    cast,
    func,
    literal,
    literal_column,
    select,
    union_all,
)
from sqlalchemy.orm import Session

from tenantapp.identity.models import Grant, GroupMember, Role, RolePermission, Tenant, TenantState, User
from tenantapp.identity.tenants import place_of
from tenantapp.sql.json_columns import json_array, json_object
from tenantapp.sql.times import UtcDateTime, utcnow
from tenantapp.tenancy.access import GrantedTenant, TenantPlace

MOST_KEPT: Final = 3000  # characters of a text with tenants whose reading is kept


@dataclass(frozen=True, slots=True)
class Granted:
    """A person's roles in a tenant, the highest rank first, and the union of their permissions.

    The roles are the person's own and those of their groups. Without a role, the person may not enter the tenant.
    """

    roles: tuple[str, ...]
    permissions: frozenset[str]


def granted_text(
    user_id: SQLColumnExpression[UUID], tenant_id: SQLColumnExpression[UUID | None]
) -> ScalarSelect[str | None]:
    """Return a scalar subquery with all that the person has in the tenant, as ``rank:role:permission`` words, or null.

    It is a scalar subquery because it is a column of the access statement.
    """
    # Literals, not parameters, because a prepared statement has a fixed list of parameters.
    colon, nothing = literal_column("':'", String), literal_column("''", String)
    space: Any = literal_column("' '", String)
    word = cast(Role.rank, String) + colon + Role.name + colon + func.coalesce(RolePermission.permission, nothing)
    grants = grants_of(user_id, tenant_id)
    return (
        select(func.aggregate_strings(word, space))
        .select_from(grants)
        .join(Role, Role.name == grants.c.role)
        .outerjoin(RolePermission, RolePermission.role == Role.name)
        .correlate_except(Role, RolePermission)
        .scalar_subquery()
    )


@lru_cache(1024)
def read_granted(text: str | None) -> Granted:
    """Read the result of ``granted_text``. Most people of a tenant have one of a few texts, so results are kept."""
    words = [word.split(":", 2) for word in (text or "").split()]
    roles = by_rank((int(rank), role) for rank, role, _ in words)
    return Granted(roles, frozenset(permission for _, _, permission in words if permission))


def by_rank(roles: Iterable[tuple[int, str]]) -> tuple[str, ...]:
    """Return the names of roles that are given with their ranks: each role once, the highest rank first."""
    return tuple(name for _, name in sorted(set(roles), reverse=True))


def effective_permissions(session: Session, user_id: UUID, tenant_id: UUID) -> Granted:
    """Return what the person may do in the tenant, by their own roles and by those of their groups."""
    return read_granted(session.scalar(select(granted_text(literal(user_id), literal(tenant_id)))))


def granted_tenants(user_id: SQLColumnExpression[UUID], now: ColumnElement[datetime]) -> ScalarSelect[str | None]:
    """Return a scalar subquery with the tenants that the person has a role in: a JSON array, or null.

    The array has one object for each grant. It has no tenants that are deleted, or not made yet.
    """
    grant = json_object(
        id=Tenant.id,
        slug=Tenant.slug,
        name=Tenant.name,
        role=Role.name,
        rank=Role.rank,
        condition=_condition(now),
        revision=Tenant.revision,
        provider=Tenant.identity_provider_id,
    )
    grants = grants_of(user_id)
    return (
        select(cast(json_array(grant), Text))
        .select_from(grants)
        .join(Tenant, Tenant.id == grants.c.tenant_id)
        .join(Role, Role.name == grants.c.role)
        .where(Tenant.state.in_([_text(TenantState.ACTIVE), _text(TenantState.SUSPENDED)]))
        .correlate_except(Tenant, Role)
        .scalar_subquery()
    )


def _condition(now: ColumnElement[datetime]) -> ColumnElement[str]:
    """Return whether the tenant is active, suspended or migrating, as far as its row tells."""
    suspended = (Tenant.state == _text(TenantState.SUSPENDED), _text("suspended"))
    return case(suspended, (Tenant.migrating_until > now, _text("migrating")), else_=_text("active"))


def _text(text: str) -> ColumnElement[str]:
    # A literal, not a parameter, because a prepared statement has a fixed list of parameters.
    return literal_column(f"'{text}'", String)


def read_tenants(text: str | None) -> tuple[GrantedTenant, ...]:
    """Read the result of ``granted_tenants``. Return the tenants by slug, each with the person's roles."""
    return _read_tenants(text) if len(text or "") <= MOST_KEPT else _read_tenants.__wrapped__(text)


# The page asks for the session again and again, and most people have a few tenants. Their text changes with them.
@lru_cache(1024)
def _read_tenants(text: str | None) -> tuple[GrantedTenant, ...]:
    slug = itemgetter("slug")
    each_tenant = (list(grants) for _, grants in groupby(sorted(loads(text or "[]"), key=slug), slug))
    return tuple(
        GrantedTenant(
            UUID(grants[0]["id"]),
            grants[0]["slug"],
            grants[0]["name"],
            by_rank((grant["rank"], grant["role"]) for grant in grants),
            grants[0]["condition"],
            grants[0]["revision"],
            grants[0]["provider"] and UUID(grants[0]["provider"]),
        )
        for grants in each_tenant
    )


def tenants_of(session: Session, user_id: UUID) -> tuple[GrantedTenant, ...]:
    """Return the tenants that a person has a role in, by slug, also suspended ones. Executes one statement."""
    return read_tenants(session.scalar(select(granted_tenants(literal(user_id), literal(utcnow(), UtcDateTime)))))


def places_with(session: Session, user_id: UUID, permission: str) -> list[TenantPlace]:
    """Return the active tenants in which the person has this permission, by slug; none if the person is disabled."""
    grants = grants_of(literal(user_id))
    holding = (
        select(grants.c.tenant_id)
        .join(RolePermission, RolePermission.role == grants.c.role)
        .join(User, User.id == literal(user_id))
        .where(User.enabled, RolePermission.permission == permission)
    )
    active = select(Tenant).where(Tenant.state == TenantState.ACTIVE, Tenant.id.in_(holding))
    return [place_of(tenant) for tenant in session.scalars(active.order_by(Tenant.slug))]


def grants_of(
    user_id: SQLColumnExpression[UUID], tenant_id: SQLColumnExpression[UUID | None] | None = None
) -> Subquery:
    """Return a subquery of the grants that are the person's own, and of those of the groups which the person is in.

    Its columns are ``id``, ``tenant_id`` and ``role``. With ``tenant_id``, it has only the grants in this tenant.
    """
    # Two SELECTs that each read an index. For an OR of both, PostgreSQL would read all grants, or all of the tenant.
    columns = (Grant.id, Grant.tenant_id, Grant.role)
    own = select(*columns).where(Grant.user_id == user_id)
    of_groups = select(*columns).join(GroupMember, GroupMember.group_id == Grant.group_id)
    of_groups = of_groups.where(GroupMember.user_id == user_id)
    if tenant_id is not None:
        own = own.where(Grant.tenant_id == tenant_id)
        # The second condition keeps people's own grants out of what is read of the index on tenant and group.
        of_groups = of_groups.where(Grant.tenant_id == tenant_id, Grant.group_id.is_not(None))
    return union_all(*(each.correlate_except(Grant, GroupMember) for each in (own, of_groups))).subquery("granted")
