"""The kind of operation that makes an empty tenant, from a copy of the template or from a warm database.

Its steps make the database. The kind ``warm`` uses the same steps to make a database in advance. They need the
arguments ``tenant_id``, ``server`` and ``mark``, and return ``template`` and ``revision``.
"""

from dataclasses import replace
from functools import partial
from typing import Any, Final
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.engine import Connection
from sqlalchemy.orm import Session

from tenantapp.databases.errors import TemplateMissing
from tenantapp.databases.histories.targets import Watch
from tenantapp.databases.models import WarmDatabase
from tenantapp.databases.servers.base import ServerDatabases
from tenantapp.databases.servers.server_databases import databases_on
from tenantapp.databases.servers.templates import current_template, installation_mark
from tenantapp.fleet.creating.new_tenants import drop_new_database, make_tenant, register, tenant_kind
from tenantapp.fleet.creating.placement import server_for_new
from tenantapp.fleet.hooks.declarations import HookEvent, hooks_of
from tenantapp.fleet.hooks.steps import HOOKS
from tenantapp.identity.models import TenantState
from tenantapp.identity.tenants import database_name
from tenantapp.operations.fleet import Fleet
from tenantapp.operations.kinds import Context, Step
from tenantapp.operations.leases import finish
from tenantapp.operations.models import Operation, OperationState
from tenantapp.operations.outcomes import Report, no_report
from tenantapp.operations.queue import local_requester, request_operation
from tenantapp.tenancy.access import TenantPlace


def create_tenant(
    fleet: Fleet,
    slug: str,
    *,
    name: str | None = None,
    server: str | None = None,
    administrator: str | None = None,
    report: Report = no_report,
) -> TenantPlace:
    """Make a tenant with its own database, on the named server or the default one, ready for use.

    ``administrator`` is the login of a person who gets the role ``admin`` in it.

    If it fails or is interrupted, all of it is undone. Raises ``InvalidValue``, ``AlreadyExists`` and ``ServerError``
    before anything is made, and later a ``FleetError`` or what a migration raises.
    """
    request = partial(
        request_create,
        fleet=fleet,
        slug=slug,
        name=name,
        server=server,
        administrator=administrator,
        requested_by=local_requester(),
    )
    return make_tenant(fleet, CREATE, request, report)


def request_create(
    session: Session,
    fleet: Fleet,
    slug: str,
    *,
    requested_by: str,
    name: str | None = None,
    server: str | None = None,
    administrator: str | None = None,
    operation_id: UUID | None = None,
) -> Operation:
    """Claim the slug and queue the making of the tenant. If a warm database is ready, the tenant is made at once.

    ``administrator`` is the login of its first administrator, see ``name_administrator``. If the domain declares hooks,
    they are left to do even with a warm database. Raises ``InvalidValue``, ``AlreadyExists``, ``ServerError``,
    ``HistoryError``, and ``SettingsError`` if the domain cannot be loaded.
    """
    chosen = server_for_new(session, fleet, server)
    mark = installation_mark(session)
    template = current_template(fleet, mark, chosen).name
    arguments: dict[str, Any] = {"slug": slug, "name": name, "server": chosen.name, "mark": mark, "template": template}
    arguments |= {"administrator": administrator}
    if hooks_of(fleet).on(HookEvent.CREATED):
        arguments[HOOKS] = True
    return request_operation(session, CREATE, None, arguments, requested_by, operation_id=operation_id)


def _prepare(session: Session, operation: Operation) -> None:
    """Make the tenant's row. If a warm database is ready, only hooks are left to do."""
    given = operation.arguments
    warm = _take_warm(session, given["server"], given["template"])
    if warm is None:
        register(session, operation)
        return
    tenant = register(session, operation, warm.tenant_id)
    operation.result = {"template": warm.template, "revision": warm.revision, "warm": True}
    if given.get(HOOKS):
        operation.step = HOOKS
        session.flush()
        return
    tenant.state, tenant.revision = TenantState.ACTIVE, warm.revision
    operation.progress = 1.0
    finish(session, operation, OperationState.SUCCEEDED)
    operation.started_at = operation.finished_at
    session.flush()


def _take_warm(session: Session, server: str, template: str) -> WarmDatabase | None:
    """Take a database of this server and template out of the pool, for the tenant made in the same transaction."""
    fitting = select(WarmDatabase).where(WarmDatabase.server == server, WarmDatabase.template == template)
    oldest = fitting.order_by(WarmDatabase.tenant_id).limit(1)
    warm = session.scalar(oldest.with_for_update(skip_locked=True))
    if warm is not None:
        session.delete(warm)
    return warm


def _ensure_template(context: Context) -> dict[str, Any]:
    server = context.fleet.servers[context.arguments["server"]]
    template = replace(current_template(context.fleet, context.arguments["mark"], server), watch=_watch)
    databases_on(server).ensure_template(template)
    return {"template": template.name, "revision": template.revision}


def _watch(connection: Connection) -> Watch:
    # Only for a template that is built: most tenants are made without that, and importing it takes time.
    from tenantapp.databases.schemas.effects import Effects

    return Effects(connection)


def _copy_template(context: Context) -> dict[str, Any]:
    template = {name: context.result[name] for name in ("template", "revision")}
    try:
        _copy(context, template["template"])
    except TemplateMissing:
        # A newer version of the program may have removed it a moment ago.
        template = _ensure_template(context)
        _copy(context, template["template"])
    return template


def _copy(context: Context, template: str) -> None:
    tenant_id = UUID(context.arguments["tenant_id"])
    _databases(context).copy_template(template, database_name(tenant_id), tenant_id, context.arguments["mark"])


def _databases(context: Context) -> ServerDatabases:
    return databases_on(context.fleet.servers[context.arguments["server"]])


# The template comes first: if the server refuses or does not answer, no database has to be undone.
STEPS: Final = (Step("template", _ensure_template), Step("database", _copy_template, drop_new_database))
CREATE: Final = tenant_kind("create", *STEPS, event=HookEvent.CREATED, prepare=_prepare)
