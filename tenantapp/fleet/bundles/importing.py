"""Make a tenant from a bundle."""

from functools import partial
from pathlib import Path
from typing import Any, Final
from uuid import UUID

from sqlalchemy.orm import Session

from tenantapp.databases.connections.extensions import check_extensions
from tenantapp.databases.histories.targets import tenant_target
from tenantapp.databases.histories.upgrading import upgrade
from tenantapp.databases.schemas.expected import check_revision
from tenantapp.databases.servers.identity_rows import write_identity
from tenantapp.databases.servers.server_databases import databases_on
from tenantapp.databases.servers.templates import installation_mark
from tenantapp.fleet.bundles.archive import open_bundle
from tenantapp.fleet.bundles.exporting import check_bundle
from tenantapp.fleet.bundles.limits import Limits
from tenantapp.fleet.bundles.loading import load_bundle, make_tables
from tenantapp.fleet.bundles.manifest import Manifest
from tenantapp.fleet.creating.new_tenants import drop_new_database, make_tenant, new_tenant, tenant_kind
from tenantapp.fleet.creating.placement import server_for_new
from tenantapp.fleet.errors import BundleRefused, LoadFailed
from tenantapp.fleet.hooks.declarations import HookEvent
from tenantapp.fleet.tenant_files import bring_to_new, remove_new_files
from tenantapp.operations.fleet import Fleet
from tenantapp.operations.kinds import Context, Step
from tenantapp.operations.models import Operation
from tenantapp.operations.outcomes import Report, counted, no_report
from tenantapp.operations.queue import local_requester, request_operation
from tenantapp.settings import Settings
from tenantapp.tenancy.access import TenantPlace


def check_importable(settings: Settings, file: Path) -> Manifest:
    """Check a whole bundle, its domain and its revision, and return its manifest.

    Raises ``BundleRefused``, ``UnknownRevision`` and ``OSError``.
    """
    manifest = check_bundle(file, Limits.of(settings))
    if manifest.domain != settings.tenantapp_domain:
        raise BundleRefused(file, f"it is of the domain {manifest.domain}, not of {settings.tenantapp_domain}")
    check_revision(settings, manifest.revision)
    return manifest


def request_import(
    session: Session,
    fleet: Fleet,
    file: Path,
    slug: str,
    *,
    manifest: Manifest,
    requested_by: str,
    name: str | None = None,
    server: str | None = None,
    administrator: str | None = None,
    operation_id: UUID | None = None,
) -> Operation:
    """Claim the slug, and queue the making of a tenant from a bundle. ``manifest`` comes from ``check_importable``.

    ``name`` defaults to the name in the bundle. ``administrator`` is the login of the first administrator. The worker
    reads the file again, at the same path. Raises ``InvalidValue``, ``AlreadyExists`` and ``ServerError``.
    """
    arguments = {
        "slug": slug,
        "source_slug": manifest.tenant.slug,
        "name": name or manifest.tenant.name,
        "server": server_for_new(session, fleet, server).name,
        "file": str(file.absolute()),
        "revision": manifest.revision,
        "rows": manifest.rows,
        "extensions": list(manifest.extensions),
        "mark": installation_mark(session),
        "administrator": administrator,
    }
    return request_operation(session, IMPORT, None, arguments, requested_by, operation_id=operation_id)


def import_tenant(
    fleet: Fleet,
    file: Path,
    slug: str,
    *,
    name: str | None = None,
    server: str | None = None,
    report: Report = no_report,
) -> TenantPlace:
    """Make a tenant from a bundle: a database at the bundle's revision, then its rows, then the newest revision.

    This is an operation that this process works on: all or nothing. Raises what ``check_importable``,
    ``request_import`` and ``load_bundle`` raise.
    """
    manifest, requested_by = check_importable(fleet.settings, file), local_requester()
    request = partial(
        request_import,
        fleet=fleet,
        file=file,
        slug=slug,
        manifest=manifest,
        requested_by=requested_by,
        name=name,
        server=server,
    )
    return make_tenant(fleet, IMPORT, request, report)


def _load(context: Context) -> dict[str, Any]:
    """Make and load the database. This runs once: after an interruption it fails on what is left, and is undone."""
    fleet, given, place = context.fleet, context.arguments, new_tenant(context)
    server = fleet.servers[place.server]
    # Operations that an earlier version has queued do not have the argument.
    check_extensions(given.get("extensions", ()), server, "the bundle")
    databases_on(server).create(place.database, given["mark"])
    target = tenant_target(fleet, place)
    make_tables(target, given["revision"])
    progress = counted(context.progress, f"{{}} of {given['rows']} rows", total=given["rows"])
    load_bundle(fleet, place, Path(given["file"]), progress)
    revision = upgrade(target)
    write_identity(target.url, target.name, place.id, LoadFailed)
    return {"revision": revision}


def _bring_files(context: Context) -> dict[str, int]:
    with open_bundle(Path(context.arguments["file"]), Limits.of(context.fleet.settings)) as bundle:
        return bring_to_new(context, new_tenant(context), [bundle.content])


IMPORT: Final = tenant_kind(
    "import",
    *(Step("database", _load, drop_new_database), Step("files", _bring_files, remove_new_files)),
    event=HookEvent.CLONED,
)
