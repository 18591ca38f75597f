"""Making tenants: the services."""

from uuid import UUID

from sqlalchemy.orm import Session

from tenantapp.databases.servers.templates import current_template, installation_mark
from tenantapp.fleet.creating.creation import CREATE, make_now
from tenantapp.operations.fleet import Fleet
from tenantapp.operations.models import Operation
from tenantapp.operations.outcomes import Report, no_report
from tenantapp.operations.queue import local_requester, request_operation
from tenantapp.tenancy.access import TenantPlace


def create_tenant(
    fleet: Fleet,
    slug: str,
    *,
    name: str | None = None,
    server: str | None = None,
    report: Report = no_report,
) -> TenantPlace:
    """Make a tenant with a database of its own, on the named server or the default one, ready to be used.

    All of it or nothing: what fails, or is interrupted, is undone. Raises ``InvalidValue``, ``AlreadyExists`` and
    ``ServerError`` before anything is made; later a ``FleetError`` or whatever a migration raises.
    """

    def request(session: Session, operation_id: UUID) -> Operation:
        requester = local_requester()
        return request_create(
            session, fleet, slug, name=name, server=server, requested_by=requester, operation_id=operation_id
        )

    return make_now(fleet, CREATE, request, report)


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
