"""Read and change tenants in the user database: slug, name, state, and the place of the tenant database.

The package ``fleet`` makes and removes the tenant databases.
"""

from collections.abc import Collection, Iterator
from datetime import datetime
from typing import Any, TypeVar
from uuid import UUID

from sqlalchemy import Select, or_, select
from sqlalchemy.orm import Session

from tenantapp.identity.audit import record
from tenantapp.identity.epochs import epoch_of, new_epoch
from tenantapp.identity.errors import (
    InvalidValue,
    NotFound,
    TenantDeleted,
    TenantExpires,
    TenantNotDeleted,
    TenantUnfinished,
)
from tenantapp.identity.models import Tenant, TenantState
from tenantapp.identity.names import check_slug, clean_name, clean_reason
from tenantapp.identity.uniqueness import flush_unique
from tenantapp.tenancy.access import TenantPlace

Selecting = TypeVar("Selecting", bound=Select[Any])


def register_tenant(
    session: Session, tenant_id: UUID, slug: str, *, name: str | None, server: str, expires_at: datetime | None = None
) -> Tenant:
    """Register a tenant in the state ``creating``. The name of its database is made from its id, never from input.

    With ``expires_at`` it is a branch. Raises ``InvalidValue`` and ``AlreadyExists``.
    """
    tenant = Tenant(
        id=tenant_id,
        slug=check_slug(slug),
        name=clean_name(name or slug),
        server=server,
        database=database_name(tenant_id),
        state=TenantState.CREATING,
        expires_at=expires_at,
    )
    session.add(tenant)
    flush_unique(session, "tenant", slug)
    return tenant


def ask_the_same(tenant: Tenant, original: Tenant) -> None:
    """Let a tenant with a copy of another one's data ask of people what the administrators of the other one decided.

    Not for single sign-on: the tenant has no identity provider. See ``Tenant``.
    """
    tenant.second_factor_required = original.second_factor_required
    tenant.impersonation_forbidden = original.impersonation_forbidden


def database_name(tenant_id: UUID) -> str:
    """Return the name of a tenant's database."""
    return f"tenant_{tenant_id.hex}"


def get_tenant(session: Session, slug: str, *, for_update: bool = False) -> Tenant:
    """Return the tenant with this slug, in any state. ``for_update`` locks its row. Raises ``NotFound``."""
    statement = select(Tenant).where(Tenant.slug == slug)
    tenant = session.scalar(locking(statement) if for_update else statement)
    if tenant is None:
        raise NotFound("tenant", slug)
    return tenant


def served_tenant(session: Session, slug: str, *, for_update: bool = False) -> Tenant:
    """Return the tenant with this slug, if it is active or suspended. ``for_update`` locks its row.

    Raises ``NotFound``. Raises ``TenantUnfinished`` or ``TenantDeleted`` if the tenant is being made or is deleted.
    """
    tenant = get_tenant(session, slug, for_update=for_update)
    refuse_unfinished(tenant)
    refuse_deleted(tenant)
    return tenant


def refuse_unfinished(tenant: Tenant) -> None:
    """Raise ``TenantUnfinished`` if the tenant is still being made."""
    if tenant.state == TenantState.CREATING:
        raise TenantUnfinished(tenant.slug)


def refuse_deleted(tenant: Tenant) -> None:
    """Raise ``TenantDeleted`` if the tenant is deleted."""
    if tenant.state == TenantState.DELETED:
        raise TenantDeleted(tenant.slug)


def refuse_branch(tenant: Tenant, refused: str) -> None:
    """Raise ``TenantExpires`` if the tenant is a branch. ``refused`` is what cannot be done with it, as "renamed"."""
    if tenant.expires_at is not None:
        raise TenantExpires(tenant.slug, refused)


def list_tenants(
    session: Session,
    *,
    state: str | None = None,
    server: str | None = None,
    revision: str | None = None,
    words: str = "",
    after: str | None = None,
    limit: int | None = None,
) -> list[Tenant]:
    """Return tenants by slug: all, or those in a state, on a server or at a revision.

    Each of the ``words`` must be a part of the slug or the name; ASCII letters match in either case. ``after`` is the
    last slug of the last page.
    """
    statement = select(Tenant).order_by(Tenant.slug).limit(limit)
    if state is not None:
        statement = statement.where(Tenant.state == state)
    if server is not None:
        statement = statement.where(Tenant.server == server)
    if revision is not None:
        statement = statement.where(Tenant.revision == revision)
    for word in words.split():
        found = (column.icontains(word, autoescape=True) for column in (Tenant.slug, Tenant.name))
        statement = statement.where(or_(*found))
    if after is not None:
        statement = statement.where(Tenant.slug > after)
    return list(session.scalars(statement))


def list_places(session: Session) -> Iterator[TenantPlace]:
    """Yield all tenants with the places of their databases. They are read in parts, without an object for each."""
    found = select(Tenant.id, Tenant.slug, Tenant.name, Tenant.server, Tenant.database, Tenant.epoch)
    for tenant_id, slug, name, server, database, epoch in session.execute(found.execution_options(yield_per=1000)):
        yield TenantPlace(tenant_id, slug, name, server, database, epoch_of(epoch, tenant_id))


def suspend_tenant(session: Session, slug: str, reason: str) -> Tenant:
    """Suspend a tenant, from the next request on. Its people see the reason.

    Raises ``NotFound``, ``InvalidValue``, ``TenantUnfinished`` and ``TenantDeleted``.
    """
    tenant = served_tenant(session, slug, for_update=True)
    tenant.state, tenant.state_reason = TenantState.SUSPENDED, clean_reason(reason)
    _record(session, "tenant.suspend", tenant, reason=tenant.state_reason)
    session.flush()
    return tenant


def resume_tenant(session: Session, slug: str) -> Tenant:
    """Serve a suspended tenant again. A tenant in another state does not change. Raises ``NotFound``."""
    tenant = get_tenant(session, slug, for_update=True)
    if tenant.state == TenantState.SUSPENDED:
        tenant.state, tenant.state_reason = TenantState.ACTIVE, None
        _record(session, "tenant.resume", tenant)
        session.flush()
    return tenant


def locked_tenant(session: Session, tenant_id: UUID) -> Tenant:
    """Return a tenant, and lock its row."""
    return session.scalars(locking(select(Tenant).where(Tenant.id == tenant_id))).one()


def locking(tenants: Selecting) -> Selecting:
    """Return a SELECT of tenants that locks their rows, and reads them again, because they may have changed since.

    It is FOR NO KEY UPDATE: the keys of the tenants stay, so whoever inserts rows that refer to them, such as the web
    sessions of people who sign in, need not wait.
    """
    return tenants.with_for_update(key_share=True).execution_options(populate_existing=True)


def require_second_factor(session: Session, tenant_id: UUID, required: bool) -> Tenant:
    """Require a second factor of everybody who works in a tenant, or no longer, from the next request on."""
    tenant = locked_tenant(session, tenant_id)
    if tenant.second_factor_required != required:
        tenant.second_factor_required = required
        _record(session, "settings.change", tenant, second_factor_required=required)
    session.flush()
    return tenant


def rename_tenant(session: Session, slug: str, new_slug: str, *, name: str | None = None) -> Tenant:
    """Change a tenant's slug, and its name if one is given. Its database keeps its name.

    A branch gets no other slug: it could take the place of a tenant, and would still expire. Raises ``NotFound``,
    ``InvalidValue``, ``TenantDeleted``, ``TenantExpires`` and ``AlreadyExists``.
    """
    tenant = get_tenant(session, slug, for_update=True)
    refuse_deleted(tenant)
    if new_slug != slug:
        refuse_branch(tenant, "renamed")
    before = {"slug": tenant.slug, "name": tenant.name}
    tenant.slug = check_slug(new_slug)
    if name is not None:
        tenant.name = clean_name(name)
    flush_unique(session, "tenant", new_slug)
    _record(session, "tenant.rename", tenant, before=before, after={"slug": tenant.slug, "name": tenant.name})
    return tenant


def change_expiry(session: Session, slug: str, expires_at: datetime | None) -> Tenant:
    """Let a branch be deleted at another time. With None it becomes a tenant like all others, which never expires.

    Raises ``NotFound``, ``TenantUnfinished``, ``TenantDeleted``, and ``InvalidValue`` if the tenant is no branch: what
    expires is removed without a final copy.
    """
    tenant = served_tenant(session, slug, for_update=True)
    if tenant.expires_at is None:
        raise InvalidValue("expires_in", f"The tenant {slug} is no branch. Only branches expire.")
    tenant.expires_at = expires_at
    _record(session, "tenant.expire", tenant, expires_at=None if expires_at is None else expires_at.isoformat())
    session.flush()
    return tenant


def delete_tenant(session: Session, slug: str, purge_after: datetime) -> Tenant:
    """Delete a tenant, from the next request on. Its slug stays taken, and its data is not removed yet.

    A tenant that is deleted already keeps its ``purge_after``. Raises ``NotFound`` and ``TenantUnfinished``.
    """
    tenant = get_tenant(session, slug, for_update=True)
    refuse_unfinished(tenant)
    if tenant.state != TenantState.DELETED:
        tenant.state, tenant.purge_after = TenantState.DELETED, purge_after
        expiry = {} if tenant.expires_at is None else {"expires_at": tenant.expires_at.isoformat()}
        _record(session, "tenant.delete", tenant, purge_after=purge_after.isoformat(), **expiry)
        session.flush()
    return tenant


def undelete_tenant(session: Session, slug: str) -> Tenant:
    """Undelete a tenant. It gets back the state that it had before. A branch does not expire any more.

    Raises ``NotFound`` and ``TenantNotDeleted``.
    """
    tenant = get_tenant(session, slug, for_update=True)
    if tenant.state != TenantState.DELETED:
        raise TenantNotDeleted(slug, tenant.state)
    # Only a suspended tenant has a reason.
    tenant.state = TenantState.SUSPENDED if tenant.state_reason else TenantState.ACTIVE
    tenant.purge_after = tenant.expires_at = None
    _record(session, "tenant.undelete", tenant)
    session.flush()
    return tenant


def renew_epochs(session: Session, slugs: Collection[str] = (), *, server: str | None = None) -> list[Tenant]:
    """Give a new epoch to these tenants, to those on a server, or to all, in any state.

    This is for an operator who has restored databases without this program. Raises ``NotFound``.
    """
    statement = locking(select(Tenant).order_by(Tenant.slug))
    if slugs:
        statement = statement.where(Tenant.slug.in_(slugs))
    if server is not None:
        statement = statement.where(Tenant.server == server)
    found = list(session.scalars(statement))
    for slug in sorted(set(slugs) - {tenant.slug for tenant in found}):
        raise NotFound("tenant", slug)
    for tenant in found:
        tenant.epoch = new_epoch()
        _record(session, "tenant.new_epoch", tenant)
    session.flush()
    return found


def _record(session: Session, action: str, tenant: Tenant, **detail: Any) -> None:
    record(session, action, tenant_id=tenant.id, slug=tenant.slug, detail=detail)


def place_of(tenant: Tenant) -> TenantPlace:
    """Return the tenant and the place of its database, as plain values."""
    epoch = epoch_of(tenant.epoch, tenant.id)
    names = (tenant.id, tenant.slug, tenant.name)
    return TenantPlace(*names, tenant.server, tenant.database, epoch, tenant.connection_quota)


def describe_tenant(tenant: Tenant) -> dict[str, Any]:
    """Return a tenant as operators see it, over HTTP and on the command line."""
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
        "expires_at": tenant.expires_at,
        "storage_quota": tenant.storage_quota,
        "storage_used": tenant.storage_used,
        "storage_full": tenant.storage_full,
        "connection_quota": tenant.connection_quota,
    }
