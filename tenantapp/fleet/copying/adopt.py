"""The kind of operation that makes a tenant from a copy of an existing database, which is left as it is."""

from typing import Any, Final, cast

from alembic.runtime.migration import MigrationContext
from sqlalchemy import Table

from tenantapp.databases.connections.migration_connections import migration_connection
from tenantapp.databases.histories.histories import heads_of, script_directory
from tenantapp.databases.histories.targets import Target, tenant_target
from tenantapp.databases.histories.upgrading import upgrade
from tenantapp.databases.schemas.expected import expected_privileges
from tenantapp.fleet.copying.adoptable import check_adoptable
from tenantapp.fleet.copying.clone import finish_copy
from tenantapp.fleet.copying.copies import copy_database
from tenantapp.fleet.copying.originals import Original, foreign_original
from tenantapp.fleet.creating.new_tenants import drop_new_database, new_tenant, tenant_kind
from tenantapp.fleet.errors import CopyFailed
from tenantapp.fleet.hooks.declarations import HookEvent
from tenantapp.fleet.tenant_files import counts, listed_files
from tenantapp.operations.checkpoints import checkpoint
from tenantapp.operations.kinds import Context, Step
from tenantapp.settings import Settings
from tenantapp.tenancy.access import TenantPlace
from tenantapp.tenancy.models import TenantIdentity


def _original(context: Context) -> Original:
    given = context.arguments
    return foreign_original(context.fleet.servers[given["server"]], given["original"])


def _check(context: Context) -> dict[str, Any]:
    """Check the database before anything is made."""
    fleet, given = context.fleet, context.arguments
    server = fleet.servers[given["server"]]
    at = check_adoptable(fleet, server, _original(context), given["original"], given["revision"])
    return {"adopted_at": at}


def _copy(context: Context) -> dict[str, Any]:
    """Fill the database. This runs once: after an interruption it fails on what is left, and is undone."""
    fleet, place, mark = context.fleet, new_tenant(context), context.arguments["mark"]
    at = context.result["adopted_at"]
    privileges = expected_privileges(fleet, fleet.servers[place.server], at)
    copied = copy_database(fleet, _original(context), place, mark, context.progress, revision=at, privileges=privileges)
    return {"method": copied.method}


def _finish(context: Context) -> dict[str, Any]:
    """Complete and migrate the copy, and give it the tenant's identity. If the process dies, this runs again."""
    settings, place = context.fleet.settings, new_tenant(context)
    target = tenant_target(context.fleet, place)
    _complete_tables(settings, target, context.result["adopted_at"])
    revision = upgrade(target)
    finish_copy(context, place, revision)
    return {"revision": revision, **_files_without_content(context, place)}


def _files_without_content(context: Context, place: TenantPlace) -> dict[str, int]:
    """Return what the result says of the files that the database lists: their content is elsewhere."""
    url = context.fleet.servers[place.server].tenant_url(place.database)
    files = len(listed_files(url, f"the database of {place.slug}"))
    return counts(files, files)


@checkpoint("adoption.complete_tables")
def _complete_tables(settings: Settings, target: Target, revision: str) -> None:
    """Add the tables that a tenant database has besides those of the domain, if they are missing."""
    with migration_connection(target.url, target.name, failure=CopyFailed) as connection, connection.begin():
        cast(Table, TenantIdentity.__table__).create(connection, checkfirst=True)
        if not heads_of(connection):
            MigrationContext.configure(connection).stamp(script_directory(settings, "tenant"), revision)


ADOPT: Final = tenant_kind(
    "adopt",
    *(Step("check", _check), Step("database", _copy, drop_new_database), Step("identity", _finish)),
    event=HookEvent.CREATED,
)
