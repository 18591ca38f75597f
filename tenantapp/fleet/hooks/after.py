"""Hooks that follow a rename or a removal. Each is an operation of its own, repeated until it has succeeded."""

from collections.abc import Iterable, Mapping
from typing import Any, Final
from uuid import UUID

from sqlalchemy.orm import Session

from tenantapp.fleet.errors import HookMissing
from tenantapp.fleet.hooks.declarations import DeclaredHook, HookEvent, hooks_of
from tenantapp.fleet.hooks.running import run_after_removal, run_in_database
from tenantapp.identity.models import Tenant
from tenantapp.identity.tenants import get_tenant, place_of, rename_tenant
from tenantapp.operations.fleet import Fleet
from tenantapp.operations.kinds import Context, Kind, Step
from tenantapp.operations.models import Operation
from tenantapp.operations.queue import request_operation
from tenantapp.tenancy.access import TenantPlace


def rename(
    session: Session, fleet: Fleet, slug: str, new_slug: str, *, name: str | None = None, requested_by: str
) -> tuple[Tenant, list[Operation]]:
    """Rename a tenant, and queue the hooks of that in the same transaction. Return the tenant and the operations.

    Raises what ``rename_tenant`` raises, and ``SettingsError`` if the domain cannot be loaded.
    """
    hooks = hooks_of(fleet).on(HookEvent.RENAMED)
    before = get_tenant(session, slug)
    names = (before.slug, before.name)
    tenant = rename_tenant(session, slug, new_slug, name=name)
    if (tenant.slug, tenant.name) == names:
        return tenant, []
    requested = [_request(session, hook, tenant, requested_by, {"former_slug": slug}) for hook in hooks]
    return tenant, requested


def deleted_hooks(fleet: Fleet) -> list[str]:
    """Return the names of the hooks that follow a removal. Raises ``SettingsError``."""
    return [hook.name for hook in hooks_of(fleet).on(HookEvent.DELETED)]


def request_deleted_hooks(session: Session, names: Iterable[str], tenant: Tenant, requested_by: str) -> None:
    """Queue the hooks that follow the removal of a tenant, in the transaction that removes its row."""
    place = place_of(tenant)
    removed = {"id": str(place.id), "slug": place.slug, "name": place.name}
    removed |= {"server": place.server, "database": place.database}
    for name in names:
        arguments = {"event": HookEvent.DELETED, "hook": name, "removed": removed}
        request_operation(session, HOOK, None, arguments, requested_by, slug=place.slug)


def _request(
    session: Session, hook: DeclaredHook, tenant: Tenant, requested_by: str, about: Mapping[str, Any]
) -> Operation:
    return request_operation(session, HOOK, tenant, {"event": hook.event, "hook": hook.name, **about}, requested_by)


def _run(context: Context) -> dict[str, Any] | None:
    given = context.arguments
    declared = hooks_of(context.fleet).find(HookEvent(given["event"]), given["hook"])
    if declared is None:
        raise HookMissing(given["hook"], given["event"])
    if "removed" in given:
        removed = given["removed"]
        run_after_removal(context, declared, TenantPlace(**{**removed, "id": UUID(removed["id"])}))
        return None
    with context.fleet.user_db.begin(read_only=True) as session:
        tenant = None if context.tenant_id is None else session.get(Tenant, context.tenant_id)
        place = None if tenant is None else place_of(tenant)
    if place is None:
        return {"tenant": "removed"}
    run_in_database(context, declared, place, occasion=context.operation_id)
    return None


HOOK: Final = Kind("hook", (Step("hook", _run),), repeats=True)
