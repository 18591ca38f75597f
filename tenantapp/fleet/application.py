"""The fleet in the application: what it puts on the registry, and what it does at start-up."""

import logging
from typing import Any

from pyramid.config import Configurator
from pyramid.events import ApplicationCreated, NewRequest
from sqlalchemy.exc import DBAPIError

from tenantapp.databases.histories.oldest_program import refuse_old_program
from tenantapp.databases.histories.revisions import outdated_revisions
from tenantapp.fleet.archives.shipping import Shipper
from tenantapp.fleet.hooks.declarations import DeclaredHooks, add_tenant_hook_directive
from tenantapp.fleet.kinds import CHORES, KINDS
from tenantapp.identity.tenants import list_places
from tenantapp.operations.background import Background, ServingThreads
from tenantapp.operations.fleet import Fleet
from tenantapp.operations.worker import WorkerHost
from tenantapp.tenancy.errors import UserDatabaseUnavailable

log = logging.getLogger(__name__)


def includeme(config: Configurator) -> None:
    """Put ``fleet``, ``worker_host``, ``serving_threads`` and ``declared_hooks`` on the registry.

    Add the directive ``add_tenant_hook``. When the application is made, add the known tenants; ``ProgramTooOld`` is
    raised then if the user database is for newer programs.
    """
    registry = config.registry
    registry.declared_hooks = DeclaredHooks()
    config.add_directive("add_tenant_hook", add_tenant_hook_directive, action_wrap=False)
    registry.access_reader.outdated = outdated_revisions(registry.app_settings)
    registry.fleet = Fleet(registry.user_db, registry.app_settings, registry.servers, registry)
    registry.worker_host = WorkerHost(registry.fleet, KINDS, CHORES, registry.app_settings.fleet_worker)
    if registry.app_settings.fleet_worker:
        registry.worker_host.add(Background("shipping", Shipper(registry.fleet).run))
    registry.serving_threads = ServingThreads()
    registry.serving_threads.add(registry.worker_host)
    config.add_subscriber(_add_known_tenants, ApplicationCreated)
    # Under a web server other than ours, the first request shows that the application serves.
    config.add_subscriber(_start_threads, NewRequest)


def _start_threads(event: Any) -> None:
    threads: ServingThreads = event.request.registry.serving_threads
    if not threads.started:
        threads.start()


def _add_known_tenants(event: Any) -> None:
    registry = event.app.registry
    refuse_old_program(registry.app_settings, registry.user_db)
    try:
        with registry.user_db.begin(read_only=True) as session:
            # Tenants on a server that the settings no longer name are not served. The other tenants are.
            places = (place for place in list_places(session) if place.server in registry.servers)
            registry.tenant_dbs.add(places)
    except (UserDatabaseUnavailable, DBAPIError):
        log.warning("The user database does not answer or has no tables yet; `tenantapp init` makes them.")
