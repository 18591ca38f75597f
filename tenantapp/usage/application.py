"""Usage in the application: each request is counted, and a thread writes what was counted."""

from pyramid.config import Configurator

from tenantapp.operations.background import Background
from tenantapp.usage.ledger import Ledger
from tenantapp.usage.meter import Meter
from tenantapp.usage.observing import counting


def includeme(config: Configurator) -> None:
    """Put ``usage_ledger`` and ``usage_thread`` on the registry, and observe the requests, unless ``usage.keep`` is 0.

    The thread starts with the first request that is counted: then the process has been forked, and it serves.
    """
    registry = config.registry
    if registry.app_settings.usage_keep:
        meter = Meter()
        registry.usage_ledger = Ledger(meter, registry.user_db)
        registry.usage_thread = Background("usage", registry.usage_ledger.run)
        registry.request_observers.append(counting(meter, registry.usage_thread.start))
