"""The operator's work on the databases: making them and migrating them. Knows nothing of HTTP."""

import logging
from typing import Any

from pyramid.events import ApplicationCreated
from sqlalchemy.exc import DBAPIError

from tenantapp.identity.tenants import list_tenants, place_of
from tenantapp.tenancy.access import TenantPlace
from tenantapp.tenancy.dbfactory import DBFactory
from tenantapp.tenancy.errors import UserDatabaseUnavailable

log = logging.getLogger(__name__)


def includeme(config: Any) -> None:
    """When the application starts, make it know the tenants."""
    config.add_subscriber(_add_known_tenants, ApplicationCreated)


def _add_known_tenants(event: Any) -> None:
    registry = event.app.registry
    places = _known_places(registry.user_db)
    # One on a server that the settings no longer name is not served; it does not keep the others from it.
    registry.tenant_dbs.add(place for place in places if place.server in registry.servers)


def _known_places(user_db: DBFactory) -> list[TenantPlace]:
    try:
        with user_db.begin(read_only=True) as session:
            return [place_of(tenant) for tenant in list_tenants(session)]
    except (UserDatabaseUnavailable, DBAPIError):
        log.warning("The user database does not answer or has no tables yet; `tenantapp init` makes them.")
        return []
