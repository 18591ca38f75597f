"""Requesting copies: the services that commands and views call."""

from pathlib import Path
from typing import Any
from uuid import UUID

from sqlalchemy.orm import Session

from tenantapp.characters import check_line
from tenantapp.databases.histories.histories import head_revision
from tenantapp.databases.servers.templates import installation_mark
from tenantapp.fleet.closing.switching import switch_arguments
from tenantapp.fleet.copying.adopt import ADOPT
from tenantapp.fleet.copying.clone import CLONE
from tenantapp.fleet.copying.move import MOVE
from tenantapp.fleet.copying.private_data import private_data_remover
from tenantapp.fleet.errors import CopyRefused
from tenantapp.identity.models import Tenant
from tenantapp.identity.tenants import get_tenant
from tenantapp.operations.fleet import Fleet
from tenantapp.operations.models import Operation
from tenantapp.operations.queue import request_operation
from tenantapp.tenancy.servers import Server, SqliteServer


def request_clone(
    session: Session,
    fleet: Fleet,
    slug: str,
    new_slug: str,
    *,
    requested_by: str,
    name: str | None = None,
    server: str | None = None,
    without_people: bool = False,
    operation_id: UUID | None = None,
) -> Operation:
    """Queue the making of a tenant of another one's data; its slug is taken at once.

    ``without_people`` has the domain remove what is private. On the source's server if none is named. Raises
    ``NotFound``, ``InvalidValue``, ``AlreadyExists``, ``ServerError`` and ``CopyRefused``.
    """
    source = _served_tenant(session, slug)
    if without_people:
        _check_people_removable(fleet, source)
    arguments = _new_tenant(session, new_slug, name, fleet.servers[server or source.server])
    given = {**arguments, "source": str(source.id), "source_slug": slug, "without_people": without_people}
    return request_operation(session, CLONE, None, given, requested_by, operation_id=operation_id)


def request_move(
    session: Session,
    fleet: Fleet,
    slug: str,
    server: str,
    *,
    requested_by: str,
    operation_id: UUID | None = None,
) -> Operation:
    """Queue the move of a tenant to another server, of whatever engine.

    Raises ``NotFound``, ``ServerError``, and ``CopyRefused`` for the server that it is on; ``OperationRefused`` for a
    tenant that is being made or is deleted.
    """
    tenant = get_tenant(session, slug)
    given = switch_arguments(fleet, tenant, fleet.servers[server]) | {"mark": installation_mark(session)}
    return request_operation(session, MOVE, tenant, given, requested_by, operation_id=operation_id)


def request_adopt(
    session: Session,
    fleet: Fleet,
    slug: str,
    database: str,
    *,
    requested_by: str,
    server: str | None = None,
    name: str | None = None,
    revision: str | None = None,
    operation_id: UUID | None = None,
) -> Operation:
    """Queue the making of a tenant of a database that is there; it is copied, and itself left alone.

    ``database`` is its name on a PostgreSQL server, or the path of a SQLite file; ``revision`` is what it is taken to
    be at if it does not say so, by default the newest. Raises ``InvalidValue``, ``AlreadyExists``, ``ServerError`` and
    ``CopyRefused``; whether it is what it would have to be, the operation finds out before it makes anything.
    """
    place = fleet.servers.chosen(server)
    _check_named(database)
    # Whoever works on it may be somewhere else.
    original = str(Path(database).absolute()) if isinstance(place, SqliteServer) else database
    given = {**_new_tenant(session, slug, name, place), "original": original, "revision": revision}
    return request_operation(session, ADOPT, None, given, requested_by, operation_id=operation_id)


def _check_named(database: str) -> None:
    """The name goes into messages and tables, so it is a line."""
    if not database:
        raise CopyRefused("The database to be adopted has to be named.")
    try:
        check_line(database)
    except ValueError as error:
        raise CopyRefused(f"The database to be adopted cannot have that name. {error}") from None


def _served_tenant(session: Session, slug: str) -> Tenant:
    tenant = get_tenant(session, slug)
    if not tenant.is_served:
        raise CopyRefused(f"The tenant {slug} is {tenant.state}.")
    return tenant


def _check_people_removable(fleet: Fleet, tenant: Tenant) -> None:
    """The domain's function works on its models, and so on the newest revision."""
    private_data_remover(fleet.settings)
    newest = head_revision(fleet.settings, "tenant")
    if tenant.revision != newest:
        raise CopyRefused(
            f"The tenant {tenant.slug} is at revision {tenant.revision}, and people can be removed only from {newest}; "
            f"run `tenantapp migrate --only {tenant.slug}` first."
        )


def _new_tenant(session: Session, slug: str, name: str | None, server: Server) -> dict[str, Any]:
    return {"slug": slug, "name": name, "server": server.name, "mark": installation_mark(session)}
