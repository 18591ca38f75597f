"""Accesses for code that runs on the server itself: the command line, a script, pshell."""

from typing import Final
from uuid import UUID

from sqlalchemy.orm import Session

from tenantapp.identity.effective import effective_permissions
from tenantapp.identity.roles import known_permissions
from tenantapp.identity.tenants import get_tenant, place_of
from tenantapp.identity.users import get_user
from tenantapp.tenancy.access import Access, Person
from tenantapp.tenancy.errors import TenantForbidden

# Whoever may read the settings may do everything; rows they write without a login carry this name.
LOCAL_PERSON: Final = Person(UUID(int=0), "local", "Local script")


def local_access(user_session: Session, slug: str, *, login: str | None = None) -> Access:
    """An access to a tenant for a local script: as this person, or with every permission as nobody in particular.

    Works for a tenant in any state. Raises ``NotFound``, and ``TenantForbidden`` when the person has no role there.
    """
    place = place_of(get_tenant(user_session, slug))
    if login is None:
        return Access(LOCAL_PERSON, place, role="admin", permissions=known_permissions(user_session), operator=True)
    user = get_user(user_session, login)
    granted = effective_permissions(user_session, user.id, place.id)
    if granted.role is None or not user.enabled:
        raise TenantForbidden
    return Access(Person(user.id, user.login, user.name), place, role=granted.role, permissions=granted.permissions)
