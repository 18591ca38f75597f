"""The kind of operation that makes an empty tenant, of the template or of a database that is kept ready."""

from functools import partial
from typing import Final
from uuid import UUID

from sqlalchemy.orm import Session

from tenantapp.databases.servers.templates import current_template, installation_mark
from tenantapp.fleet.creating.new_tenants import make_tenant, register, tenant_kind
from tenantapp.fleet.creating.template_copies import STEPS
from tenantapp.fleet.creating.warm import take_warm
from tenantapp.identity.models import TenantState
from tenantapp.operations.fleet import Fleet
from tenantapp.operations.leases import finish
from tenantapp.operations.models import Operation, OperationState
from tenantapp.operations.outcomes import Report, no_report
from tenantapp.operations.queue import local_requester, request_operation
from tenantapp.tenancy.access import TenantPlace


def create_tenant(
    fleet: Fleet, slug: str, *, name: str | None = None, server: str | None = None, report: Report = no_report
) -> TenantPlace:
    """Make a tenant with a database of its own, on the named server or the default one, ready to be used.

    All of it or nothing: what fails, or is interrupted, is undone. Raises ``InvalidValue``, ``AlreadyExists`` and
    ``ServerError`` before anything is made; later a ``FleetError`` or whatever a migration raises.
    """
    requested_by = local_requester()
    request = partial(request_create, fleet=fleet, slug=slug, name=name, server=server, requested_by=requested_by)
    return make_tenant(fleet, CREATE, request, report)


def request_create(
    session: Session,
    fleet: Fleet,
    slug: str,
    *,
    requested_by: str,
    name: str | None = None,
    server: str | None = None,
    operation_id: UUID | None = None,
) -> Operation:
    """Claim the slug and queue the making of the tenant; where a database is kept ready, the tenant is made at once.

    Raises ``InvalidValue``, ``AlreadyExists``, ``ServerError`` and ``HistoryError``.
    """
    chosen = fleet.servers.chosen(server)
    mark = installation_mark(session)
    template = current_template(fleet, mark).name
    arguments = {"slug": slug, "name": name, "server": chosen.name, "mark": mark, "template": template}
    return request_operation(session, CREATE, None, arguments, requested_by, operation_id=operation_id)


def _prepare(session: Session, operation: Operation) -> None:
    """With a database that is ready, the row is all there is to do."""
    given = operation.arguments
    warm = take_warm(session, given["server"], given["template"])
    if warm is None:
        register(session, operation)
        return
    tenant = register(session, operation, warm.tenant_id)
    tenant.state, tenant.revision = TenantState.ACTIVE, warm.revision
    operation.result, operation.progress = {"template": warm.template, "revision": warm.revision, "warm": True}, 1.0
    finish(session, operation, OperationState.SUCCEEDED)
    operation.started_at = operation.finished_at
    session.flush()


CREATE: Final = tenant_kind("create", *STEPS, prepare=_prepare)
