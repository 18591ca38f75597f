"""The services that request clones, moves and adoptions. Commands and views call them."""

from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

from sqlalchemy.orm import Session

from tenantapp.characters import check_line
from tenantapp.databases.histories.histories import head_revision
from tenantapp.databases.servers.templates import installation_mark
from tenantapp.fleet.closing.switching import switch_arguments
from tenantapp.fleet.copying.adopt import ADOPT
from tenantapp.fleet.copying.branches import expiry
from tenantapp.fleet.copying.clone import CLONE
from tenantapp.fleet.copying.move import MOVE
from tenantapp.fleet.copying.private_data import private_data_remover
from tenantapp.fleet.errors import CopyRefused
from tenantapp.fleet.hooks.steps import REHEARSAL
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
    accept_drift: bool = False,
    expires_in: timedelta | None = None,
    rehearsal: bool = False,
    operation_id: UUID | None = None,
) -> Operation:
    """Claim the new slug, and queue the making of a tenant from a copy of another tenant's data.

    With ``without_people``, the domain removes private data from the copy. With ``accept_drift``, the structure need
    not be that of the revision, but only that of the source. ``server`` defaults to that of the source. With
    ``expires_in`` the new tenant is a branch: after this time a worker deletes it, and makes no final copy of it.
    One for a ``rehearsal`` gets no files, and the domain is not told of it.
    Raises ``NotFound``, ``InvalidValue``, ``AlreadyExists``, ``ServerError`` and ``CopyRefused``.
    """
    source = _served_tenant(session, slug)
    if without_people:
        _check_people_removable(fleet, source)
    arguments = _new_tenant(session, new_slug, name, fleet.servers[server or source.server])
    given = {**arguments, "source": str(source.id), "source_slug": slug, "without_people": without_people}
    given["accept_drift"] = accept_drift
    if expires_in is not None:
        given["expires_at"] = expiry(session, expires_in).isoformat()
    if rehearsal:
        given[REHEARSAL] = True
    return request_operation(session, CLONE, None, given, requested_by, operation_id=operation_id)


def request_move(
    session: Session,
    fleet: Fleet,
    slug: str,
    server: str,
    *,
    requested_by: str,
    accept_drift: bool = False,
    operation_id: UUID | None = None,
) -> Operation:
    """Queue the move of a tenant to another server, of either engine.

    With ``accept_drift``, a structure that is not that of the revision is moved to another version of PostgreSQL too.
    Raises ``NotFound``, ``ServerError``, ``CopyRefused`` if the tenant is on this server already, and
    ``OperationRefused`` if the tenant is being made or is deleted.
    """
    tenant = get_tenant(session, slug)
    given = switch_arguments(fleet, tenant, fleet.servers[server]) | {"mark": installation_mark(session)}
    given["accept_drift"] = accept_drift
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
    administrator: str | None = None,
    operation_id: UUID | None = None,
) -> Operation:
    """Claim the slug, and queue the making of a tenant from a copy of an existing database, which is left as it is.

    ``database`` is a name on a PostgreSQL server, or the path of a SQLite file. ``revision`` is that of a database that
    records none, by default the newest. ``administrator`` is the login of the first administrator. The operation checks
    the database before it makes anything. Raises ``InvalidValue``, ``AlreadyExists``, ``ServerError`` and
    ``CopyRefused``.
    """
    place = fleet.servers.chosen(server)
    _check_named(database)
    # The worker may run in another directory.
    original = str(Path(database).absolute()) if isinstance(place, SqliteServer) else database
    given = _new_tenant(session, slug, name, place) | {"administrator": administrator}
    given |= {"original": original, "revision": revision}
    return request_operation(session, ADOPT, None, given, requested_by, operation_id=operation_id)


def _check_named(database: str) -> None:
    """Raise ``CopyRefused`` if the name is empty or no line of text: messages and tables show it."""
    if not database:
        raise CopyRefused("Name the database to adopt.")
    try:
        check_line(database)
    except ValueError as error:
        raise CopyRefused(f"The database to adopt cannot have that name. {error}") from None


def _served_tenant(session: Session, slug: str) -> Tenant:
    tenant = get_tenant(session, slug)
    if not tenant.is_served:
        raise CopyRefused(f"The tenant {slug} is {tenant.state}.")
    return tenant


def _check_people_removable(fleet: Fleet, tenant: Tenant) -> None:
    """Raise ``CopyRefused`` unless the tenant is at the newest revision, which the domain's models need."""
    private_data_remover(fleet.settings)
    newest = head_revision(fleet.settings, "tenant")
    if tenant.revision != newest:
        raise CopyRefused(
            f"The tenant {tenant.slug} is at revision {tenant.revision}, and people can be removed only from {newest}; "
            f"run `tenantapp migrate --only {tenant.slug}` first."
        )


def _new_tenant(session: Session, slug: str, name: str | None, server: Server) -> dict[str, Any]:
    return {"slug": slug, "name": name, "server": server.name, "mark": installation_mark(session)}
