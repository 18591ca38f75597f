"""Making a tenant of a bundle."""

from collections.abc import Callable
from pathlib import Path

from tenantapp.fleet.bundles.exporting import check_bundle
from tenantapp.fleet.bundles.loading import load_bundle
from tenantapp.fleet.bundles.manifest import Manifest
from tenantapp.fleet.errors import BundleRefused
from tenantapp.fleet.migrations import upgrade_to
from tenantapp.fleet.provisioning import create_tenant
from tenantapp.fleet.schemas.expected import check_revision
from tenantapp.fleet.targets import tenant_target
from tenantapp.settings import Settings
from tenantapp.tenancy.access import TenantPlace
from tenantapp.tenancy.dbfactory import DBFactory
from tenantapp.tenancy.servers import Servers

Progress = Callable[[int], None]


def check_importable(settings: Settings, file: Path, progress: Progress = lambda rows: None) -> Manifest:
    """Check a whole bundle, and that it is of this domain and of a revision that the history has.

    Raises ``BundleRefused``, ``UnknownRevision`` and ``OSError``.
    """
    manifest = check_bundle(file, progress)
    if manifest.domain != settings.tenantapp_domain:
        raise BundleRefused(file, f"it is of the domain {manifest.domain}, and this is {settings.tenantapp_domain}")
    check_revision(settings, manifest.revision)
    return manifest


def import_tenant(
    user_db: DBFactory,
    settings: Settings,
    servers: Servers,
    file: Path,
    slug: str,
    *,
    name: str | None = None,
    server: str | None = None,
    progress: Progress = lambda rows: None,
) -> TenantPlace:
    """Make a tenant of a checked bundle: a database at the bundle's revision, its rows, then the newest revision.

    ``name`` is the bundle's if it is left out. All of it or nothing. Raises what ``check_importable``,
    ``create_tenant`` and ``load_bundle`` raise.
    """
    manifest = check_importable(settings, file)

    def fill(place: TenantPlace) -> None:
        upgrade_to(settings, "tenant", tenant_target(settings, servers, place), manifest.revision)
        load_bundle(settings, servers, place, file, progress)

    return create_tenant(user_db, settings, servers, slug, name=name or manifest.tenant.name, server=server, fill=fill)
