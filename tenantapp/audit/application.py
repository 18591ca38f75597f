"""The audit trail in the application: if the process has a worker, a thread beside it seals the entries."""

from pyramid.config import Configurator

from tenantapp.audit.keeper import Keeper
from tenantapp.operations.background import Background


def includeme(config: Configurator) -> None:
    """Let a keeper begin with the worker of this process, if there is one."""
    registry = config.registry
    if registry.app_settings.fleet_worker:
        keeper = Keeper(registry.user_db, registry.app_settings)
        registry.worker_host.add(Background("audit trail", keeper.run))
