"""Make accesses for code that runs on the server itself: commands, scripts, pshell."""

from typing import Final
from uuid import UUID

from sqlalchemy.orm import Session

from tenantapp.identity.effective import effective_permissions
from tenantapp.identity.roles import known_permissions
from tenantapp.identity.tenants import get_tenant, place_of
from tenantapp.identity.users import get_user
from tenantapp.tenancy.access import Access, Person
from tenantapp.tenancy.errors import TenantForbidden

# Anybody who can read the settings may do everything. Rows that they write without a login have this name.
LOCAL_PERSON: Final = Person(UUID(int=0), "local", "Local script")


def local_access(user_session: Session, slug: str, *, login: str | None = None) -> Access:
    """Return an access to a tenant for a local script: for the person with this login, or with every permission.

    The tenant may be in any state. Raises ``NotFound``, and ``TenantForbidden`` if the person has no role in the tenant
    or is disabled.
    """
    place = place_of(get_tenant(user_session, slug))
    if login is None:
        return Access(LOCAL_PERSON, place, roles=("admin",), permissions=known_permissions(user_session), operator=True)
    user = get_user(user_session, login)
    granted = effective_permissions(user_session, user.id, place.id)
    if not granted.roles or not user.enabled:
        raise TenantForbidden
    return Access(Person(user.id, user.login, user.name), place, roles=granted.roles, permissions=granted.permissions)
