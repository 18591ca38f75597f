"""Making a tenant of a bundle."""

import logging
from collections.abc import Callable
from functools import partial
from pathlib import Path
from uuid import UUID

from sqlalchemy import delete, update

from tenantapp.fleet.bundles.exporting import check_bundle
from tenantapp.fleet.bundles.loading import load_bundle
from tenantapp.fleet.bundles.manifest import Manifest
from tenantapp.fleet.errors import BundleRefused
from tenantapp.fleet.migrations import upgrade_tenant_database, upgrade_to
from tenantapp.fleet.schemas.expected import check_revision
from tenantapp.fleet.server_databases import databases_on
from tenantapp.fleet.targets import tenant_target
from tenantapp.identity.models import Tenant, TenantState
from tenantapp.identity.tenants import place_of, register_tenant
from tenantapp.settings import Settings
from tenantapp.tenancy.access import TenantPlace
from tenantapp.tenancy.dbfactory import DBFactory
from tenantapp.tenancy.engines import make_engine
from tenantapp.tenancy.errors import TenantDatabaseUnavailable
from tenantapp.tenancy.ids import uuid7
from tenantapp.tenancy.models import TenantIdentity
from tenantapp.tenancy.servers import Server, Servers

log = logging.getLogger(__name__)

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
    ``register_tenant`` and ``load_bundle`` raise.
    """
    manifest = check_importable(settings, file)
    chosen = servers.default if server is None else servers[server]
    place = _register(user_db, uuid7(), slug, name or manifest.tenant.name, chosen)
    try:
        databases_on(chosen).create(place.database)
        upgrade_to(settings, "tenant", tenant_target(settings, servers, place), manifest.revision)
        load_bundle(settings, servers, place, file, progress)
        revision = upgrade_tenant_database(settings, servers, place)
        _write_identity(chosen, place)
        _activate(user_db, place, revision)
    except BaseException:
        _undo(user_db, chosen, place)
        raise
    return place


def _register(user_db: DBFactory, tenant_id: UUID, slug: str, name: str, server: Server) -> TenantPlace:
    """Committed first: the row claims the slug, and shows where to look should even the undoing be cut short."""
    with user_db.begin() as session:
        return place_of(register_tenant(session, tenant_id, slug, name=name, server=server.name))


def _write_identity(server: Server, place: TenantPlace) -> None:
    unavailable = partial(TenantDatabaseUnavailable, place.slug)
    url = server.tenant_url(place.database)
    database = DBFactory(partial(make_engine, url, unavailable=unavailable, pool_timeout=0))
    try:
        with database.begin() as session:
            session.add(TenantIdentity(tenant_id=place.id))
    finally:
        database.dispose()


def _activate(user_db: DBFactory, place: TenantPlace, revision: str) -> None:
    with user_db.begin() as session:
        creating = update(Tenant).where(Tenant.id == place.id, Tenant.state == TenantState.CREATING)
        session.execute(creating.values(state=TenantState.ACTIVE, revision=revision))


def _undo(user_db: DBFactory, server: Server, place: TenantPlace) -> None:
    """Nothing is raised: the error that led here is the one to be seen. What is left is found by its row."""
    try:
        with user_db.begin() as session:
            session.execute(delete(Tenant).where(Tenant.id == place.id, Tenant.state == TenantState.CREATING))
            databases_on(server).drop(place.database)
    except Exception:
        log.exception("The tenant %s could not be removed again.", place.slug)
