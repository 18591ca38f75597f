"""The kind of operation that makes a new tenant from a copy of another tenant's data."""

from typing import Any, Final
from uuid import UUID

from tenantapp.databases.connections.maintenance_engines import reading_connection
from tenantapp.databases.histories.targets import tenant_target
from tenantapp.databases.schemas.computed import check_computable
from tenantapp.databases.servers.identity_rows import write_identity
from tenantapp.fleet.backups.restored_forms import Side
from tenantapp.fleet.copying.branches import KIND
from tenantapp.fleet.copying.checks import ACCEPT, check_same_drift, check_structure, expected_on, found_on
from tenantapp.fleet.copying.cloned_files import clone_files
from tenantapp.fleet.copying.copies import check_drift_carried, copy_database
from tenantapp.fleet.copying.originals import Original, check_identity, original_of, single_revision
from tenantapp.fleet.copying.private_data import remove_private_data
from tenantapp.fleet.creating.new_tenants import drop_new_database, new_tenant, tenant_kind
from tenantapp.fleet.errors import CopyFailed, CopyRefused
from tenantapp.fleet.hooks.declarations import HookEvent
from tenantapp.fleet.hooks.steps import REHEARSAL
from tenantapp.fleet.tenant_files import bring_to_new, from_tenant, remove_new_files
from tenantapp.identity.models import Tenant
from tenantapp.identity.tenants import place_of
from tenantapp.operations.kinds import Context, Step
from tenantapp.tenancy.access import TenantPlace
from tenantapp.tenancy.servers import PostgresServer


def finish_copy(context: Context, place: TenantPlace, revision: str, original: Side | None = None) -> list[str]:
    """Compare a copy's structure with that of its revision, and write the tenant's identity into it.

    With an ``original``, the copy may differ from its revision as that does: the differences are returned. If the
    process dies, the function can be called again. Raises ``CopyFailed``, and what ``expected_on`` and
    ``write_identity`` raise.
    """
    fleet, drift = context.fleet, list[str]()
    target, server = tenant_target(fleet, place), fleet.servers[place.server]
    with reading_connection(target.url, target.name) as connection, connection.begin():
        found = found_on(server, connection, target.name)
    if original is None:
        check_structure(fleet, found, expected_on(fleet, server, revision), target.name, _advice(context))
    else:
        drift = check_same_drift(fleet, original, found, revision, target.name)
    context.check()
    write_identity(target.url, target.name, place.id, CopyFailed)
    return drift


def _advice(context: Context) -> str:
    return ACCEPT if "accept_drift" in context.arguments else ""


def _source(context: Context) -> TenantPlace:
    with context.fleet.user_db.begin(read_only=True) as session:
        source = session.get(Tenant, UUID(context.arguments["source"]))
        if source is None:
            raise CopyRefused("The tenant to be copied does not exist any more.")
        return place_of(source)


def _copy(context: Context) -> dict[str, Any]:
    """Fill the database. This runs once: after an interruption it fails on what is left, and is undone."""
    fleet, place, source_place = context.fleet, new_tenant(context), _source(context)
    original = original_of(fleet.servers, source_place)
    with original.reading() as connection:
        check_identity(connection, source_place)
    mark = context.arguments["mark"]
    # To copy files the tenant's people are kept out, which is said of branches only.
    copied = clone_files(fleet, source_place, place, mark) if "expires_at" in context.arguments else None
    if copied is None:
        _check_carried(context, original, source_place, place)
        copied = copy_database(fleet, original, place, mark, context.progress)
    return {"method": copied.method, "revision": copied.revision}


def _check_carried(context: Context, original: Original, source_place: TenantPlace, place: TenantPlace) -> None:
    """Raise ``CopyRefused``, or what ``check_computable`` raises, before a copy is made that lacks something."""
    fleet = context.fleet
    if context.arguments.get("accept_drift"):
        with original.reading() as connection:
            side = found_on(fleet.servers[source_place.server], connection, original.name)
            server, revision = fleet.servers[place.server], single_revision(connection, original.name)
            check_drift_carried(fleet, connection, side, server, revision)
    if isinstance(fleet.servers[place.server], PostgresServer):
        check_computable(fleet.servers[source_place.server].tenant_url(source_place.database), original.name)


def _finish(context: Context) -> dict[str, Any]:
    place = new_tenant(context)
    if context.arguments["without_people"]:
        remove_private_data(context.fleet.settings, tenant_target(context.fleet, place))
    # Clones that an earlier version has queued do not have the argument.
    original = _side_of_source(context) if context.arguments.get("accept_drift") else None
    return {"drift": finish_copy(context, place, context.result["revision"], original)}


def _side_of_source(context: Context) -> Side:
    servers, place = context.fleet.servers, _source(context)
    original = original_of(servers, place)
    with original.reading() as connection:
        return found_on(servers[place.server], connection, original.name)


def _carry_files(context: Context) -> dict[str, int]:
    settings, place = context.fleet.settings, new_tenant(context)
    return bring_to_new(context, place, [from_tenant(settings, UUID(context.arguments["source"]))])


def _carries_files(context: Context) -> bool:
    return REHEARSAL not in context.arguments


CLONE: Final = tenant_kind(
    KIND,
    Step("database", _copy, drop_new_database),
    Step("identity", _finish),
    Step("files", _carry_files, remove_new_files, needed=_carries_files),
    event=HookEvent.CLONED,
)
