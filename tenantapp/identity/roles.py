"""Read roles, add and remove them, and change their permissions. Each change is in the audit trail."""

from collections.abc import Collection
from typing import Final

from sqlalchemy import exists, func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session, selectinload

from tenantapp.identity.audit import record
from tenantapp.identity.errors import InvalidValue, NotFound, RoleBeyondRights
from tenantapp.identity.models import Grant, Role, RolePermission
from tenantapp.identity.names import ROLE_NAME
from tenantapp.identity.permissions import OF_NO_ROLE, Permission
from tenantapp.identity.uniqueness import flush_unique
from tenantapp.nearest_names import nearest

ADMIN: Final = "admin"
GAP: Final = 10  # between the ranks of two roles, so that others find room between them


def list_roles(session: Session) -> list[Role]:
    """Return the roles with their permissions, the lowest rank first."""
    return list(session.scalars(select(Role).options(selectinload(Role.permissions)).order_by(Role.rank)))


def get_role(session: Session, name: str, *, keep: bool = False) -> Role:
    """Return the role with this name. With ``keep`` nobody can remove it until the transaction ends.

    Raises ``NotFound``.
    """
    role = session.get(Role, name, with_for_update={"read": True, "key_share": True} if keep else None)
    if role is None:
        raise NotFound("role", name)
    return role


def check_held(session: Session, role_name: str, held: Collection[str] | None) -> None:
    """Raise ``RoleBeyondRights`` if a role permits more than ``held``, the permissions of who gives or takes it.

    None is for the command line and for operators, who may give every role.

    Who has all permissions of the role ``admin`` decides on every role: a domain may have roles for work that
    administrators do not do.
    """
    if held is None:
        return
    permitted = select(RolePermission.permission).where(RolePermission.role == role_name)
    beyond = set(session.scalars(permitted)) - set(held)
    if beyond and not holds_admin(session, held):
        raise RoleBeyondRights(role_name, sorted(beyond))


def holds_admin(session: Session, held: Collection[str]) -> bool:
    """Return whether ``held`` has all permissions of the role ``admin``, so that who has them decides on the tenant.

    If that role is gone or empty, nobody has.
    """
    of_admin = _permissions_of_admin(session)
    return bool(of_admin) and of_admin <= set(held)


def require_admin(session: Session, held: Collection[str]) -> None:
    """Raise ``RoleBeyondRights`` unless ``holds_admin``."""
    if not holds_admin(session, held):
        raise RoleBeyondRights(ADMIN, sorted(_permissions_of_admin(session) - set(held)))


def _permissions_of_admin(session: Session) -> set[str]:
    return set(session.scalars(select(RolePermission.permission).where(RolePermission.role == ADMIN)))


def permits(session: Session, role: str, permission: str) -> bool:
    """Return whether a role has a permission. A role that does not exist has none."""
    return session.get(RolePermission, (role, permission)) is not None


def known_permissions(session: Session) -> frozenset[str]:
    """Return the bundled permissions, and those of the domain that some role has."""
    return frozenset(Permission) | frozenset(session.scalars(select(RolePermission.permission).distinct()))


def add_role(session: Session, name: str, *, after: str | None = None) -> Role:
    """Make a role without permissions, which ranks above the role ``after``, or below all roles.

    Raises ``InvalidValue``, ``AlreadyExists``, and ``NotFound`` for the role ``after``.
    """
    if not ROLE_NAME.fullmatch(name):
        raise InvalidValue("role", "A role has a name of lower-case letters, digits, hyphens and underscores.")
    # One at a time, for two could take the same rank. Who grants a role need not wait.
    session.execute(select(Role.name).order_by(Role.name).with_for_update(key_share=True))
    role = Role(name=name, rank=_rank_above(session, None if after is None else get_role(session, after)))
    session.add(role)
    flush_unique(session, "role", name)
    record(session, "role.add", detail={"role": name, "after": after})
    return role


def remove_role(session: Session, name: str) -> None:
    """Remove a role that nobody has. Raises ``NotFound``, and ``InvalidValue`` if somebody has it."""
    role = get_role(session, name)
    granted = InvalidValue("role", f"Somebody has the role {name}. Remove its grants first.")
    if session.scalar(select(exists().where(Grant.role == name))):
        raise granted
    session.delete(role)
    try:
        session.flush()
    except IntegrityError:
        raise granted from None  # since we looked
    record(session, "role.remove", detail={"role": name})


def allow(session: Session, role_name: str, permission: str, *, known: Collection[str]) -> Role:
    """Give a role a permission, in all tenants. Raises ``NotFound`` and ``InvalidValue``.

    ``known`` are the permissions that the application has: ``registry.declared_rights.known``. Another one is most
    likely a slip.
    """
    role = get_role(session, role_name, keep=True)
    if permission in OF_NO_ROLE:
        raise InvalidValue("permission", f"The permission {permission} cannot be given to a role.")
    if permission not in known:
        raise InvalidValue("permission", f"Nothing asks for the permission {permission}{nearest(permission, known)}.")
    if session.get(RolePermission, (role.name, permission)) is None:
        role.permissions.append(RolePermission(permission=permission))
        record(session, "role.allow", detail={"role": role.name, "permission": permission})
        session.flush()
    return role


def deny(session: Session, role_name: str, permission: str) -> Role:
    """Take a permission from a role, in all tenants. Raises ``NotFound``."""
    role = get_role(session, role_name)
    kept = [held for held in role.permissions if held.permission != permission]
    if len(kept) < len(role.permissions):
        role.permissions = kept
        record(session, "role.deny", detail={"role": role.name, "permission": permission})
        session.flush()
    return role


def _rank_above(session: Session, role: Role | None) -> int:
    """Return a free rank above this role and below the next one. Makes room if there is none."""
    below = 0 if role is None else role.rank
    above = session.scalar(select(func.min(Role.rank)).where(Role.rank > below))
    if above is None:
        return below + GAP
    if above - below < 2:
        # From the highest down, as no two roles may have one rank even for a moment.
        for each in session.scalars(select(Role).where(Role.rank > below).order_by(Role.rank.desc())).all():
            each.rank += GAP
            session.flush()
        above += GAP
    return (below + above) // 2
