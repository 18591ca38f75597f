"""Read roles, and change their permissions. Each change is in the audit trail."""

import re
from typing import Final

from sqlalchemy import select
from sqlalchemy.orm import Session, selectinload

from tenantapp.identity.audit import record
from tenantapp.identity.errors import InvalidValue, NotFound
from tenantapp.identity.models import Role, RolePermission
from tenantapp.identity.permissions import OF_NO_ROLE, Permission

PERMISSION_NAME: Final = re.compile(r"[a-z][a-z0-9_]{0,48}\.[a-z][a-z0-9_]{0,48}")


def list_roles(session: Session) -> list[Role]:
    """Return the roles with their permissions, the lowest rank first."""
    return list(session.scalars(select(Role).options(selectinload(Role.permissions)).order_by(Role.rank)))


def get_role(session: Session, name: str) -> Role:
    """Return the role with this name. Raises ``NotFound``."""
    role = session.get(Role, name)
    if role is None:
        raise NotFound("role", name)
    return role


def known_permissions(session: Session) -> frozenset[str]:
    """Return the bundled permissions, and those of the domain that some role has."""
    return frozenset(Permission) | frozenset(session.scalars(select(RolePermission.permission).distinct()))


def allow(session: Session, role_name: str, permission: str) -> Role:
    """Give a role a permission, in all tenants. Raises ``NotFound`` and ``InvalidValue``."""
    role = get_role(session, role_name)
    if not PERMISSION_NAME.fullmatch(permission):
        raise InvalidValue("permission", "A permission has a name such as content.read.")
    if permission in OF_NO_ROLE:
        raise InvalidValue("permission", f"The permission {permission} cannot be given to a role.")
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
