"""The kind of operation that makes a new tenant from a copy of another tenant's data."""

from typing import Any, Final
from uuid import UUID

from tenantapp.databases.connections.maintenance_engines import reading_connection
from tenantapp.databases.histories.targets import tenant_target
from tenantapp.databases.servers.identity_rows import write_identity
from tenantapp.fleet.copying.checks import check_structure, expected_on, found_on
from tenantapp.fleet.copying.copies import copy_database
from tenantapp.fleet.copying.originals import check_identity, original_of
from tenantapp.fleet.copying.private_data import remove_private_data
from tenantapp.fleet.creating.new_tenants import drop_new_database, new_tenant, tenant_kind
from tenantapp.fleet.errors import CopyFailed, CopyRefused
from tenantapp.fleet.hooks.declarations import HookEvent
from tenantapp.fleet.tenant_files import bring_to_new, from_tenant, remove_new_files
from tenantapp.identity.models import Tenant
from tenantapp.identity.tenants import place_of
from tenantapp.operations.kinds import Context, Step
from tenantapp.tenancy.access import TenantPlace


def finish_copy(context: Context, place: TenantPlace, revision: str) -> None:
    """Compare a copy's structure with that of its revision, and write the tenant's identity into it.

    If the process dies, the function can be called again.

    Raises ``CopyFailed``, and what ``expected_on`` and ``write_identity`` raise.
    """
    fleet = context.fleet
    target, server = tenant_target(fleet, place), fleet.servers[place.server]
    with reading_connection(target.url, target.name) as connection, connection.begin():
        found = found_on(server, connection, target.name)
    check_structure(fleet, found, expected_on(fleet, server, revision), target.name)
    context.check()
    write_identity(target.url, target.name, place.id, CopyFailed)


def _copy(context: Context) -> dict[str, Any]:
    """Fill the database. This runs once: after an interruption it fails on what is left, and is undone."""
    fleet, place = context.fleet, new_tenant(context)
    with fleet.user_db.begin(read_only=True) as session:
        source = session.get(Tenant, UUID(context.arguments["source"]))
        if source is None:
            raise CopyRefused("The tenant to be copied does not exist any more.")
        source_place = place_of(source)
    original = original_of(fleet.servers, source_place)
    with original.reading() as connection:
        check_identity(connection, source_place)
    mark = context.arguments["mark"]
    copied = copy_database(fleet, original, place, mark, context.progress)
    return {"method": copied.method, "revision": copied.revision}


def _finish(context: Context) -> None:
    place = new_tenant(context)
    if context.arguments["without_people"]:
        remove_private_data(context.fleet.settings, tenant_target(context.fleet, place))
    finish_copy(context, place, context.result["revision"])


def _carry_files(context: Context) -> dict[str, int]:
    settings, place = context.fleet.settings, new_tenant(context)
    return bring_to_new(context, place, [from_tenant(settings, UUID(context.arguments["source"]))])


CLONE: Final = tenant_kind(
    "clone",
    Step("database", _copy, drop_new_database),
    Step("identity", _finish),
    Step("files", _carry_files, remove_new_files),
    event=HookEvent.CLONED,
)
