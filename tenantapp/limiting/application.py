"""Limits in the application: what counts the requests, and what turns away those that are too many or too late."""

import tempfile
from collections.abc import Mapping
from hashlib import sha256
from os import geteuid
from pathlib import Path
from typing import Any, Final

from pyramid import tweens
from pyramid.config import Configurator

from tenantapp.limiting.counting import charge_access, charge_further
from tenantapp.limiting.errors import LimitingError, Overloaded, StorageFull, TooManyRequests
from tenantapp.limiting.limiter import Counters, Limiter
from tenantapp.limiting.policies import policies_of
from tenantapp.limiting.quotas import quota_view
from tenantapp.limiting.shared_counters import SharedCounters
from tenantapp.settings import Settings

ADDRESS: Final = "tenantapp.api.address.address_tween"
SHEDDING: Final = "tenantapp.limiting.shedding.shedding_tween"
COUNTING: Final = "tenantapp.limiting.counting.counting_tween"
TOOLBAR: Final = "pyramid_debugtoolbar.toolbar_tween_factory"


def includeme(config: Configurator) -> None:
    """Put ``limiter`` on the registry, add the request's ``charge``, and the tweens that turn requests away."""
    settings: Settings = config.registry.app_settings
    config.registry.limiter = Limiter(policies_of(settings), _counters(settings))
    config.registry.access_observers.append(charge_access)
    config.add_request_method(charge_further, "charge")
    config.add_problem(TooManyRequests, 429, "too_many_requests", members=("policy",), headers=_retry_after)
    config.add_problem(StorageFull, 409, "storage_full")
    config.add_view_deriver(quota_view, under="fresh", over="checked_request", name="quota")
    config.add_problem(Overloaded, 503, "overloaded", headers=_retry_after)
    # Within the headers of CORS, so that pages of other origins can read why. Outside all that works on the request.
    config.add_tween(SHEDDING, under=ADDRESS, over=(COUNTING, TOOLBAR, tweens.EXCVIEW))
    config.add_tween(COUNTING, under=ADDRESS, over=(TOOLBAR, tweens.EXCVIEW))


def _counters(settings: Settings) -> Counters:
    """Return the counters: in the Redis of the throttle, or those that the processes of this machine share."""
    if settings.throttle_store is not None:
        from tenantapp.limiting.redis_counters import RedisCounters

        return RedisCounters(settings.throttle_store)
    # An installation has a user database, so two installations on a machine do not count together.
    installation = sha256(str(settings.user_db_url).encode()).hexdigest()[:16]
    directory = Path(tempfile.gettempdir()) / f"tenantapp-limits-{geteuid()}-{installation}"
    return SharedCounters(directory, settings.connections_workers or 1)


def _retry_after(request: Any, error: LimitingError) -> Mapping[str, str]:
    return {"Retry-After": str(error.retry_after)}
