"""Change the members of a tenant, as its own administrators do."""

from collections.abc import Iterator
from contextlib import contextmanager
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from tenantapp.identity.effective import has_admin
from tenantapp.identity.errors import LastAdmin
from tenantapp.identity.grants import get_grant
from tenantapp.identity.models import Grant, Tenant
from tenantapp.identity.roles import get_role


def change_role(session: Session, tenant_id: UUID, grant_id: UUID, role: str) -> Grant:
    """Give a member another role. Raises ``NotFound`` and ``LastAdmin``."""
    with _keeping_an_admin(session, tenant_id):
        grant = get_grant(session, tenant_id, grant_id)
        grant.role = get_role(session, role).name
    return grant


def remove_member(session: Session, tenant_id: UUID, grant_id: UUID) -> None:
    """Remove a member, from the next request on. Raises ``NotFound`` and ``LastAdmin``."""
    with _keeping_an_admin(session, tenant_id):
        session.delete(get_grant(session, tenant_id, grant_id))


@contextmanager
def _keeping_an_admin(session: Session, tenant_id: UUID) -> Iterator[None]:
    # Without the lock, two administrators could remove each other at the same moment. It is FOR NO KEY UPDATE, so that
    # people who sign in, whose web sessions refer to the tenant, need not wait.
    session.scalar(select(Tenant.id).where(Tenant.id == tenant_id).with_for_update(key_share=True))
    had_one = has_admin(session, tenant_id)
    yield
    session.flush()
    if had_one and not has_admin(session, tenant_id):
        raise LastAdmin
