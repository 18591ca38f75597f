"""Count requests: for the address before anything is done, for person, token and tenant when they are known."""

from collections.abc import Callable
from functools import lru_cache
from typing import Any, Final

from tenantapp.api.problems import AWAIT_BODY, exception_response
from tenantapp.credentials.throttling import network_of
from tenantapp.limiting.errors import TooManyRequests
from tenantapp.limiting.limiter import Limiter, Whose
from tenantapp.limiting.policies import ADDRESS, PERSON, TENANT, TOKEN, Standing, rate_limit, rate_limit_policy
from tenantapp.tenancy.access import Access
from tenantapp.tenancy.request import TenantRequest

COUNTED: Final = ("/api/", "/scim/")  # not the files of the page, and not what asks whether the process is well
RETRIED: Final = "retry.attempt"
ALREADY: Final = "tenantapp.counted"  # what was counted when the server asked about this request, without its body
_network = lru_cache(maxsize=4096)(network_of)


class _Count:
    """For whom a request was counted, and what was left of their limits."""

    __slots__ = ("of_access", "standings", "whose")

    def __init__(self) -> None:
        self.whose: list[Whose] = []
        self.standings: list[Standing] = []
        self.of_access = False


def counting_tween(handler: Callable[[Any], Any], registry: Any) -> Callable[[Any], Any]:
    """Count the request for its address, and tell in the answer what is left of the limits that it was counted for."""

    def tween(request: TenantRequest) -> Any:
        limiter: Limiter = registry.limiter
        if not limiter.policies:
            return handler(request)
        count = request.__dict__["limit_count"] = _Count()
        try:
            if ADDRESS in limiter.policies and is_counted(request):
                _charge(request, count, [(ADDRESS, _network(request.remote_addr))])
        except TooManyRequests as error:
            response = exception_response(error, request)
        else:
            response = handler(request)
        if count.standings:
            policies = [standing[0] for standing in count.standings]
            response.headerlist.append(("RateLimit", rate_limit(count.standings)))
            response.headerlist.append(("RateLimit-Policy", rate_limit_policy(*policies)))
        return response

    return tween


def is_counted(request: TenantRequest) -> bool:
    """Return whether a request counts for its address. A page cannot read why a preflight is refused, so none is."""
    environ = request.environ
    return (
        environ.get("PATH_INFO", "").startswith(COUNTED)
        and environ["REQUEST_METHOD"] != "OPTIONS"
        and bool(environ.get("REMOTE_ADDR"))
    )


def charge_access(request: TenantRequest, access: Access) -> None:
    """Count a request for its person, token and tenant, when its access has been read. Raises ``TooManyRequests``."""
    count: _Count | None = request.__dict__.get("limit_count")
    if count is None or count.of_access:
        return
    count.of_access = True
    whose = [(PERSON, access.person.id.hex)]
    if access.api_token_id is not None:
        whose.append((TOKEN, access.api_token_id.hex))
    if access.tenant is not None:
        whose.append((TENANT, access.tenant.id.hex))
    _charge(request, count, whose)


def charge_further(request: TenantRequest, amount: int) -> None:
    """Count ``amount`` further requests for those for whom this one was counted, such as the other parts of a batch.

    This one is not refused for it. The next ones may be.
    """
    count: _Count | None = request.__dict__.get("limit_count")
    if count is not None and amount and not request.environ.get(RETRIED):
        limiter: Limiter = request.registry.limiter
        count.standings = limiter.charge(count.whose, amount, refuse=False)


def _charge(request: TenantRequest, count: _Count, whose: list[Whose]) -> None:
    """Count the request, once: one that is tried again, or was asked about, only looks what is left."""
    limiter: Limiter = request.registry.limiter
    environ, kind = request.environ, whose[0][0]
    count.whose += whose
    again = bool(environ.get(RETRIED)) or kind in environ.get(ALREADY, ())
    if AWAIT_BODY in environ:
        environ[AWAIT_BODY].counted.add(kind)
    try:
        count.standings += limiter.charge(whose, 0 if again else 1, refuse=not again)
    except TooManyRequests as error:
        count.standings += error.standings
        raise
