"""Tenants as the user database knows them: slug, name, state, and the place of the database.

Making and removing the databases themselves is the fleet's work.
"""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from tenantapp.identity.audit import record
from tenantapp.identity.errors import NotFound, TenantDeleted, TenantNotDeleted, TenantUnfinished
from tenantapp.identity.models import Tenant, TenantState
from tenantapp.identity.names import check_slug, clean_name, clean_reason
from tenantapp.identity.uniqueness import flush_unique
from tenantapp.tenancy.access import TenantPlace


def register_tenant(session: Session, tenant_id: UUID, slug: str, *, name: str | None, server: str) -> Tenant:
    """Register a tenant in the state ``creating``. Its database's name is made from its id, never from input.

    Raises ``InvalidValue`` and ``AlreadyExists``.
    """
    tenant = Tenant(
        id=tenant_id,
        slug=check_slug(slug),
        name=clean_name(name or slug),
        server=server,
        database=database_name(tenant_id),
        state=TenantState.CREATING,
    )
    session.add(tenant)
    flush_unique(session, "tenant", slug)
    return tenant


def database_name(tenant_id: UUID) -> str:
    """What the database of a tenant is called."""
    return f"tenant_{tenant_id.hex}"


def get_tenant(session: Session, slug: str, *, for_update: bool = False) -> Tenant:
    """The tenant with this slug, in whatever state; ``for_update`` if that is to change. Raises ``NotFound``."""
    statement = select(Tenant).where(Tenant.slug == slug)
    if for_update:
        # What was read before may have changed meanwhile. The key does not: whatever refers to it need not wait.
        statement = statement.with_for_update(key_share=True).execution_options(populate_existing=True)
    tenant = session.scalar(statement)
    if tenant is None:
        raise NotFound("tenant", slug)
    return tenant


def served_tenant(session: Session, slug: str, *, for_update: bool = False) -> Tenant:
    """The tenant with this slug, whose database is worked on.

    Raises ``NotFound``, and ``TenantUnfinished`` or ``TenantDeleted`` for one that is being made or is deleted.
    """
    tenant = get_tenant(session, slug, for_update=for_update)
    refuse_unfinished(tenant)
    refuse_deleted(tenant)
    return tenant


def refuse_unfinished(tenant: Tenant) -> None:
    """Raise ``TenantUnfinished`` for a tenant that is still being made."""
    if tenant.state == TenantState.CREATING:
        raise TenantUnfinished(tenant.slug)


def refuse_deleted(tenant: Tenant) -> None:
    """Raise ``TenantDeleted`` for a tenant that waits to be removed."""
    if tenant.state == TenantState.DELETED:
        raise TenantDeleted(tenant.slug)


def list_tenants(
    session: Session,
    *,
    state: str | None = None,
    server: str | None = None,
    after: str | None = None,
    limit: int | None = None,
) -> list[Tenant]:
    """The tenants, by slug: all, or those in a state or on a server; keyset by slug."""
    statement = select(Tenant).order_by(Tenant.slug).limit(limit)
    if state is not None:
        statement = statement.where(Tenant.state == state)
    if server is not None:
        statement = statement.where(Tenant.server == server)
    if after is not None:
        statement = statement.where(Tenant.slug > after)
    return list(session.scalars(statement))


def suspend_tenant(session: Session, slug: str, reason: str) -> Tenant:
    """Serve nobody from the next request on; the reason is shown to the tenant's people.

    Raises ``NotFound``, ``InvalidValue``, ``TenantUnfinished`` and ``TenantDeleted``.
    """
    tenant = served_tenant(session, slug, for_update=True)
    tenant.state, tenant.state_reason = TenantState.SUSPENDED, clean_reason(reason)
    _record(session, "tenant.suspend", tenant, reason=tenant.state_reason)
    session.flush()
    return tenant


def resume_tenant(session: Session, slug: str) -> Tenant:
    """Serve a suspended tenant again; nothing changes for one in another state. Raises ``NotFound``."""
    tenant = get_tenant(session, slug, for_update=True)
    if tenant.state == TenantState.SUSPENDED:
        tenant.state, tenant.state_reason = TenantState.ACTIVE, None
        _record(session, "tenant.resume", tenant)
        session.flush()
    return tenant


def rename_tenant(session: Session, slug: str, new_slug: str, *, name: str | None = None) -> Tenant:
    """Give a tenant another slug, and another name if one is given; its database stays where it is.

    Raises ``NotFound``, ``InvalidValue``, ``TenantDeleted`` and ``AlreadyExists``.
    """
    tenant = get_tenant(session, slug, for_update=True)
    refuse_deleted(tenant)
    before = {"slug": tenant.slug, "name": tenant.name}
    tenant.slug = check_slug(new_slug)
    if name is not None:
        tenant.name = clean_name(name)
    flush_unique(session, "tenant", new_slug)
    _record(session, "tenant.rename", tenant, before=before, after={"slug": tenant.slug, "name": tenant.name})
    return tenant


def delete_tenant(session: Session, slug: str, purge_after: datetime) -> Tenant:
    """Serve nobody from the next request on. The slug stays taken; nothing is removed yet.

    One that is deleted keeps its time. Raises ``NotFound`` and ``TenantUnfinished``.
    """
    tenant = get_tenant(session, slug, for_update=True)
    refuse_unfinished(tenant)
    if tenant.state != TenantState.DELETED:
        tenant.state, tenant.purge_after = TenantState.DELETED, purge_after
        _record(session, "tenant.delete", tenant, purge_after=purge_after.isoformat())
        session.flush()
    return tenant


def undelete_tenant(session: Session, slug: str) -> Tenant:
    """Make a deleted tenant what it was before.

    Raises ``NotFound`` and ``TenantNotDeleted``.
    """
    tenant = get_tenant(session, slug, for_update=True)
    if tenant.state != TenantState.DELETED:
        raise TenantNotDeleted(slug, tenant.state)
    # Only a suspended one has a reason.
    tenant.state = TenantState.SUSPENDED if tenant.state_reason else TenantState.ACTIVE
    tenant.purge_after = None
    _record(session, "tenant.undelete", tenant)
    session.flush()
    return tenant


def _record(session: Session, action: str, tenant: Tenant, **detail: Any) -> None:
    record(session, action, tenant_id=tenant.id, slug=tenant.slug, detail=detail)


def place_of(tenant: Tenant) -> TenantPlace:
    """Where the tenant's database is, as plain values."""
    return TenantPlace(tenant.id, tenant.slug, tenant.name, tenant.server, tenant.database)


def describe_tenant(tenant: Tenant) -> dict[str, Any]:
    """Return what operators see of a tenant, over HTTP and on the command line alike."""
    return {
        "id": tenant.id,
        "slug": tenant.slug,
        "name": tenant.name,
        "state": tenant.state,
        "state_reason": tenant.state_reason,
        "server": tenant.server,
        "database": tenant.database,
        "revision": tenant.revision,
        "created_at": tenant.created_at,
        "purge_after": tenant.purge_after,
    }
