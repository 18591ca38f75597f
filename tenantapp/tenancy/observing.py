"""Tell others of each request that was served, when all of it is over: its rollbacks, and the end of its sessions."""

import logging
from collections.abc import Callable, Sequence
from time import perf_counter
from typing import Any, Final, NamedTuple

from pyramid import tweens
from pyramid.config import Configurator
from pyramid.interfaces import IExecutionPolicy
from pyramid.response import Response

from tenantapp.sql.waits import Waits, present
from tenantapp.tenancy.request import TenantRequest

log = logging.getLogger(__name__)
SEEN: Final = "tenantapp.seen"


class Served(NamedTuple):
    """A request that was served. If it was tried several times, ``request`` is the last attempt.

    ``seconds`` is the time of all attempts, without that in which a streamed body is sent. ``waits`` says how much of
    it was spent on databases.
    """

    request: TenantRequest
    response: Response
    waits: Waits
    seconds: float


Observer = Callable[[Served], None]
Finish = Callable[[Served | None], None]
"""Is called when all of a request is over: with None, if there is no answer, as when its body has not arrived yet."""
Starter = Callable[[dict[str, Any]], Finish]
"""Is called with the environment of a request, before anything is done for it."""


def observe_requests(registry: Any) -> None:
    """Call the observers of ``registry.request_observers`` after each request. Without any, nothing changes.

    The functions of ``registry.request_starters`` are called before it, and what they return afterwards. All run in the
    request's thread, hold the answer up, and must not use the request's sessions.
    """
    observers: list[Observer] = registry.request_observers
    starters: list[Starter] = registry.request_starters
    if not is_observed(registry):
        return
    policy = registry.getUtility(IExecutionPolicy)

    def observed(environ: Any, router: Any) -> Any:
        started = perf_counter()
        served: Served | None = None
        finishes = [each for starter in starters if (each := _begun(starter, environ)) is not None]
        # A retry gets a copy of the environment, which has the same list.
        seen: list[tuple[TenantRequest, Waits]] = []
        environ[SEEN] = seen
        try:
            response = policy(environ, router)
            if seen:
                served = Served(seen[0][0], response, seen[0][1], perf_counter() - started)
                _tell(observers, served)
            return response
        finally:
            _tell(finishes, served)
            seen.clear()  # the request has the environment, which would have the request

    registry.registerUtility(observed, IExecutionPolicy)


def observing_tween(handler: Callable[[Any], Any], registry: Any) -> Callable[[Any], Any]:
    """Note the request and its waits, for the observers."""
    if not is_observed(registry):
        return handler

    def tween(request: TenantRequest) -> Any:
        waits, seen = present(), request.environ.get(SEEN)
        if waits is not None and seen is not None:
            seen[:] = [(request, waits)]
        return handler(request)

    return tween


def add_observing_tween(config: Configurator) -> None:
    """Add the tween, outside of all others."""
    config.add_tween("tenantapp.tenancy.observing.observing_tween", under=tweens.INGRESS, over=tweens.EXCVIEW)


def is_observed(registry: Any) -> bool:
    """Return whether somebody wants to know of requests."""
    return bool(registry.request_observers or registry.request_starters)


def _begun(starter: Starter, environ: dict[str, Any]) -> Finish | None:
    try:
        return starter(environ)
    except Exception:
        log.exception("The beginning of a request could not be noted.")
        return None


def _tell(observers: Sequence[Callable[[Any], None]], served: Served | None) -> None:
    for observer in observers:
        try:
            observer(served)
        except Exception:
            log.exception("A request could not be counted.")
