"""List the members of a tenant, and change them, as the tenant's own administrators do."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from sqlalchemy import ColumnElement, Select, exists, literal, or_, select
from sqlalchemy.orm import InstrumentedAttribute, Session, aliased, joinedload

from tenantapp.identity.administrators import list_administrated
from tenantapp.identity.effective import grants_of
from tenantapp.identity.errors import LastAdmin
from tenantapp.identity.grants import get_grant, record_grant, remove_grant
from tenantapp.identity.models import Grant, Group, Role, Tenant, TenantState, User
from tenantapp.identity.roles import check_held, get_role
from tenantapp.identity.tenants import locking
from tenantapp.identity.uniqueness import flush_unique
from tenantapp.sql.full_text import fold

LOOKED_AT: Final = 5000  # members at once, by a search


@dataclass(frozen=True, slots=True)
class Member:
    """A person or a group with all their grants in a tenant, the role of the highest rank first."""

    user: User | None
    group: Group | None
    grants: tuple[Grant, ...]

    @property
    def first_id(self) -> UUID:
        """Return the id of the oldest grant. It is the member's place in the list."""
        return min(grant.id for grant in self.grants)


def list_members(
    session: Session,
    tenant_id: UUID,
    *,
    words: str = "",
    role: str | None = None,
    only: ColumnElement[bool] | None = None,
    after: UUID | None = None,
    limit: int | None = None,
    at_once: int = LOOKED_AT,
) -> list[Member]:
    """Return members in the order in which they got their first role.

    Each of the ``words`` must be a part of the login or the name; case and accents do not count. ``role`` is one that
    the member has, perhaps beside others. ``only`` is a condition on their first grant. ``after`` is the ``first_id``
    of the last member of the page before. Executes two statements, and with ``words`` one more for each ``at_once``
    members that it looks at.
    """
    first = select(Grant).where(Grant.tenant_id == tenant_id, ~_has_another(tenant_id, earlier=True)).order_by(Grant.id)
    if role is not None:
        first = first.where(_has_another(tenant_id, role=role))
    if only is not None:
        first = first.where(only)
    if wanted := fold(words).split():
        first = first.where(Grant.id.in_(_named(session, first, wanted, after, limit, at_once)))
    elif after is not None:
        first = first.where(Grant.id > after)
    found = session.scalars(first.limit(limit).options(joinedload(Grant.user), joinedload(Grant.group))).all()
    held = _grants_of(session, tenant_id, found)
    return [Member(grant.user, grant.group, tuple(held[_grantee(grant)])) for grant in found]


def _has_another(tenant_id: UUID, *, earlier: bool = False, role: str | None = None) -> ColumnElement[bool]:
    """Return the condition that the grantee of a grant has one that is earlier, or one of this role."""

    def found(grantee: InstrumentedAttribute[UUID | None]) -> ColumnElement[bool]:
        other = aliased(Grant)
        wanted = other.id < Grant.id if earlier else other.role == role
        of_same = getattr(other, grantee.key) == grantee
        return exists(select(other.id).where(other.tenant_id == tenant_id, of_same, wanted))

    # Two conditions, each with its index. For one with OR in it, SQLite looks at all grants of the tenant for each.
    return or_(found(Grant.user_id), found(Grant.group_id))


def _named(
    session: Session, first: Select[Grant], wanted: Sequence[str], after: UUID | None, limit: int | None, at_once: int
) -> list[UUID]:
    """Return the ids of those of the grants whose grantee's login or name has all the words.

    The engines fold case and accents differently, or not at all, so it is done here.
    """
    names = (
        first.outerjoin(Grant.user)
        .outerjoin(Grant.group)
        .with_only_columns(Grant.id, User.login, User.name, Group.name)
    )
    found: list[UUID] = []
    while limit is None or len(found) < limit:
        some = session.execute((names if after is None else names.where(Grant.id > after)).limit(at_once)).all()
        found += [grant_id for grant_id, *texts in some if _has_words(wanted, texts)]
        if len(some) < at_once:
            break
        after = some[-1][0]
    return found[:limit]


def _has_words(wanted: Sequence[str], texts: Iterable[str | None]) -> bool:
    text = fold(" ".join(each for each in texts if each is not None))
    return all(word in text for word in wanted)


def member_with(session: Session, grant: Grant) -> Member:
    """Return the member that has this grant."""
    return Member(grant.user, grant.group, tuple(_grants_of(session, grant.tenant_id, [grant])[_grantee(grant)]))


def roles_of(session: Session, tenant_id: UUID, user_ids: Sequence[UUID]) -> defaultdict[UUID | None, list[str]]:
    """Return the names of the roles that were given to each of these people themselves, the highest rank first."""
    statement = (
        select(Grant.user_id, Grant.role)
        .join(Role, Role.name == Grant.role)
        .where(Grant.tenant_id == tenant_id, Grant.user_id.in_(user_ids))
        .order_by(Role.rank.desc())
    )
    held: defaultdict[UUID | None, list[str]] = defaultdict(list)
    for user_id, role in session.execute(statement):
        held[user_id].append(role)
    return held


def _grants_of(session: Session, tenant_id: UUID, some: Iterable[Grant]) -> dict[UUID | None, list[Grant]]:
    """Return all grants of the grantees of ``some``, by grantee, the highest rank first."""
    users = [grant.user_id for grant in some if grant.user_id is not None]
    groups = [grant.group_id for grant in some if grant.group_id is not None]
    statement = (
        select(Grant)
        .join(Role, Role.name == Grant.role)
        .where(Grant.tenant_id == tenant_id, or_(Grant.user_id.in_(users), Grant.group_id.in_(groups)))
        .order_by(Role.rank.desc())
    )
    held = defaultdict(list)
    for grant in session.scalars(statement):
        held[_grantee(grant)].append(grant)
    return held


def _grantee(grant: Grant) -> UUID | None:
    return grant.user_id or grant.group_id


def change_role(
    session: Session, tenant_id: UUID, grant_id: UUID, role: str, *, held: Collection[str] | None = None
) -> Grant:
    """Put another role in place of that of a grant. ``held`` is as in ``grants.add_grant``.

    Raises ``NotFound``, ``AlreadyExists``, ``LastAdmin``, and ``RoleBeyondRights`` for either role.
    """
    with keeping_admins(session, Tenant.id == tenant_id):
        grant = get_grant(session, tenant_id, grant_id)
        for each in (grant.role, role):
            check_held(session, each, held)
        before, grant.role = grant.role, get_role(session, role, keep=True).name
        flush_unique(session, "grant of", role)
        if grant.role != before:
            record_grant(session, "member.change", grant, before=before)
    return grant


def revoke(session: Session, tenant_id: UUID, grant_id: UUID, *, held: Collection[str] | None = None) -> None:
    """Take a role from a member, from the next request on. ``held`` is as in ``grants.add_grant``.

    Raises ``NotFound``, ``LastAdmin`` and ``RoleBeyondRights``.
    """
    with keeping_admins(session, Tenant.id == tenant_id):
        grant = get_grant(session, tenant_id, grant_id)
        check_held(session, grant.role, held)
        remove_grant(session, grant)


@contextmanager
def keeping_admins(session: Session, wanted: ColumnElement[bool]) -> Iterator[None]:
    """Let the block change who has which role. Raise ``LastAdmin`` if one of these tenants loses its administrators."""
    # Without the lock, two administrators could remove each other at the same moment.
    ids = session.scalars(locking(select(Tenant.id).where(wanted).order_by(Tenant.id))).all()
    before = list_administrated(session, ids)
    yield
    session.flush()
    if lost := before - list_administrated(session, ids):
        raise LastAdmin(sorted(lost))


def tenants_entered_by(user_id: UUID) -> ColumnElement[bool]:
    """Return the condition that a person has a role in a tenant that is not deleted, also by a group."""
    entered = select(grants_of(literal(user_id)).c.tenant_id)
    return Tenant.id.in_(entered) & (Tenant.state != TenantState.DELETED)
