"""Making a tenant: its row, its database, its tables."""

import logging
from collections.abc import Callable
from functools import partial
from typing import cast
from uuid import UUID

from sqlalchemy import CursorResult, delete, inspect, update

from tenantapp.fleet.errors import HistoryError
from tenantapp.fleet.migrations import upgrade_tenant_database
from tenantapp.fleet.server_databases import databases_on
from tenantapp.identity.errors import IdentityError
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


def create_tenant(
    user_db: DBFactory,
    settings: Settings,
    servers: Servers,
    slug: str,
    *,
    name: str | None = None,
    server: str | None = None,
    fill: Callable[[TenantPlace], None] | None = None,
) -> TenantPlace:
    """Make a tenant with a database of its own, on the named server or the default one, ready to be used.

    ``fill`` is given the empty database, before it is migrated to the newest revision and gets its identity.
    All of it or nothing: what fails, or is interrupted, is undone. Raises ``InvalidValue``, ``AlreadyExists`` and
    ``ServerError`` before anything is made; later a ``FleetError`` or whatever a migration raises.
    """
    chosen = servers.default if server is None else servers[server]
    tenant_id = uuid7()
    place: TenantPlace | None = None
    try:
        # Committed first: the row claims the slug, and shows where to look should even the undoing be cut short.
        place = _register(user_db, tenant_id, slug, name, chosen)
        databases_on(chosen).create(place.database)
        if fill is not None:
            fill(place)
        revision = upgrade_tenant_database(settings, servers, place)
        _write_identity(chosen, place)
        _activate(user_db, place, revision)
    except IdentityError:
        raise
    except BaseException:
        _undo(user_db, tenant_id, place, chosen)
        raise
    return place


def discard_unfinished(user_db: DBFactory, servers: Servers, place: TenantPlace) -> None:
    """Remove what a killed ``create_tenant`` left behind. Nothing changes for a tenant that was finished.

    Raises ``ServerError`` and a ``FleetError``.
    """
    with user_db.begin() as session:
        unfinished = delete(Tenant).where(Tenant.id == place.id, Tenant.state == TenantState.CREATING)
        if cast("CursorResult[object]", session.execute(unfinished)).rowcount:
            # Within the transaction: if the database cannot be removed, the row that names it stays.
            databases_on(servers[place.server]).drop(place.database)


def _register(user_db: DBFactory, tenant_id: UUID, slug: str, name: str | None, server: Server) -> TenantPlace:
    with user_db.begin() as session:
        return place_of(register_tenant(session, tenant_id, slug, name=name, server=server.name))


def _write_identity(server: Server, place: TenantPlace) -> None:
    table = TenantIdentity.__tablename__
    url = server.tenant_url(place.database)
    unavailable = partial(TenantDatabaseUnavailable, place.slug)
    database = DBFactory(partial(make_engine, url, unavailable=unavailable, pool_timeout=0))
    try:
        with database.begin() as session:
            if not inspect(session.connection()).has_table(table):
                raise HistoryError(f"The tenant history makes no table {table}, which every tenant database needs.")
            session.add(TenantIdentity(tenant_id=place.id))
    finally:
        database.dispose()


def _activate(user_db: DBFactory, place: TenantPlace, revision: str) -> None:
    with user_db.begin() as session:
        creating = update(Tenant).where(Tenant.id == place.id, Tenant.state == TenantState.CREATING)
        session.execute(creating.values(state=TenantState.ACTIVE, revision=revision))


def _undo(user_db: DBFactory, tenant_id: UUID, place: TenantPlace | None, server: Server) -> None:
    """Nothing is raised: the error that led here is the one to be seen."""
    if place is not None:
        try:
            databases_on(server).drop(place.database)
        except Exception:
            log.exception("The database %s on server %s could not be removed.", place.database, server.name)
    try:
        with user_db.begin() as session:
            session.execute(delete(Tenant).where(Tenant.id == tenant_id))
    except Exception:
        log.exception("The row of tenant %s could not be removed.", tenant_id)
