"""Turn away a request that has waited for so long in the queue of the server that nobody may wait for it any more.

To answer it would take time from those that still can be answered in time.
"""

from collections.abc import Callable
from typing import Any, Final

from tenantapp.api.problems import exception_response
from tenantapp.limiting.errors import Overloaded
from tenantapp.limiting.limiter import Limiter
from tenantapp.tenancy.request import TenantRequest

WAITED: Final = "tenantapp.waited"  # seconds that the request has waited, in the environment that our servers make
OF_PROBES: Final = "/__"
RETRY_AFTER: Final = 5  # seconds


def shedding_tween(handler: Callable[[Any], Any], registry: Any) -> Callable[[Any], Any]:
    """Answer 503 to a request that has waited longer than ``shed.after``, before anything is done for it."""
    after: float = registry.app_settings.shed_after
    limiter: Limiter = registry.limiter
    if not after:
        return handler

    def tween(request: TenantRequest) -> Any:
        waited: float = request.environ.get(WAITED, 0.0)
        if waited > after and not request.environ.get("PATH_INFO", "").startswith(OF_PROBES):
            limiter.count_shed()
            return exception_response(Overloaded(RETRY_AFTER), request)
        return handler(request)

    return tween
