"""Add tenancy to the application: the databases on the registry, and the request that opens sessions on them."""

from datetime import timedelta
from typing import Any, Final

from pyramid.config import Configurator
from pyramid.interfaces import IExecutionPolicy, IRequestExtensions, IRequestFactory, IRoutesMapper
from pyramid_retry import mark_error_retryable

from tenantapp.settings import Settings
from tenantapp.sql.bulkhead import Bulkhead
from tenantapp.sql.errors import TransactionConflict
from tenantapp.tenancy.cache_stores import cache_store
from tenantapp.tenancy.connection_quotas import ConnectionQuotas
from tenantapp.tenancy.databases import TenantDatabases
from tenantapp.tenancy.errors import ReplicaUnavailable
from tenantapp.tenancy.named_tenants import NamedTenantRoutes
from tenantapp.tenancy.observing import add_observing_tween, observe_requests
from tenantapp.tenancy.positions import Positions
from tenantapp.tenancy.replicas import replicas_of
from tenantapp.tenancy.request import TenantRequest
from tenantapp.tenancy.server_engines import check_open_files, engines_of
from tenantapp.tenancy.servers import Servers
from tenantapp.tenancy.user_database import check_user_database, user_database

AFTER_ALL: Final = 100  # the order of a configuration action that runs after all others


def includeme(config: Configurator) -> None:
    """Put the databases and the ``bulkhead`` on the registry. Set the request factory and the matching of routes.

    ``request_starters`` are called before each request, and ``request_observers`` after it, see ``observing``. Raises
    ``SettingsError``.
    """
    settings: Settings = config.registry.app_settings
    check_user_database(settings.user_db_url)
    config.registry.request_observers = []
    config.registry.request_starters = []
    config.registry.bulkhead = Bulkhead(
        threads=settings.threads, slow=settings.connections_slow, deadline=settings.connections_deadline
    )
    servers = Servers.of(settings, pgbouncers=True)
    check_open_files(settings)
    config.registry.servers = servers
    config.registry.user_db = user_database(
        settings.user_db_url,
        pgbouncer=settings.user_db_pgbouncer,
        pool_timeout=settings.connections_timeout,
        probe_pause=settings.connections_probe,
    )
    config.registry.tenant_dbs = TenantDatabases(
        servers,
        engines_of(servers, settings),
        changes_kept=timedelta(days=settings.changes_keep),
        replicas=replicas_of(servers, settings),
        quotas=ConnectionQuotas.of(settings),
    )
    config.registry.positions = Positions(settings.tenancy_secret or "")  # only servers with a secret have replicas
    config.registry.cache_store = cache_store(settings.cache_url, settings.cache_memory)
    config.set_request_factory(TenantRequest)
    config.registry.registerUtility(NamedTenantRoutes(config.get_routes_mapper()), IRoutesMapper)
    # One transaction per request. The manager is explicit: a session that is used outside the transaction raises an
    # error instead of beginning another one. The veto aborts also if an error is returned instead of raised. Without
    # annotation, the user database is not queried before the route is known. A safe method has no transaction: its
    # sessions cannot write, so there is nothing to commit.
    config.add_settings(
        {
            "tm.manager_hook": "pyramid_tm.explicit_manager",
            "tm.commit_veto": "pyramid_tm.default_commit_veto",
            "tm.annotate_user": False,
            "tm.activate_hook": "tenantapp.tenancy.request.has_transaction",
            "retry.activate_hook": "tenantapp.tenancy.request.retry_attempts",
        }
    )
    config.include("pyramid_retry")
    mark_error_retryable(TransactionConflict)
    mark_error_retryable(ReplicaUnavailable)
    config.include("pyramid_tm")
    config.action(None, _extend_request_class, args=(config.registry,), order=AFTER_ALL)
    add_observing_tween(config)
    config.action(None, _watch_requests, args=(config.registry,), order=AFTER_ALL)
    config.action(None, observe_requests, args=(config.registry,), order=AFTER_ALL + 1)


def _extend_request_class(registry: Any) -> None:
    """Put what ``add_request_method`` adds on one class for all requests.

    Pyramid would make a new class for each request, which costs as much as a small database query.
    """
    extensions, factory = registry.queryUtility(IRequestExtensions), registry.getUtility(IRequestFactory)
    if extensions is not None and isinstance(factory, type):
        attributes = {"__module__": factory.__module__, "__doc__": factory.__doc__, **extensions.descriptors}
        registry.registerUtility(type(factory.__name__, (factory,), attributes), IRequestFactory)
        extensions.descriptors.clear()


def _watch_requests(registry: Any) -> None:
    """Let the bulkhead watch each request from its beginning until its sessions are closed.

    A tween would end too early: the finished callbacks, which roll back, run after it.
    """
    policy = registry.getUtility(IExecutionPolicy)
    bulkhead: Bulkhead = registry.bulkhead

    def watched(environ: Any, router: Any) -> Any:
        token = bulkhead.begin()
        try:
            return policy(environ, router)
        finally:
            bulkhead.finish(token)

    registry.registerUtility(watched, IExecutionPolicy)
