"""Tell the meter of each request that is a tenant's, and of what is sent after it."""

from collections.abc import Callable, Iterable, Iterator
from typing import Final

from tenantapp.sql.waits import TENANT_DATABASES
from tenantapp.tenancy.access import TenantPlace
from tenantapp.tenancy.observing import Observer, Served
from tenantapp.usage.meter import Meter

AT_HAND: Final = (list, tuple)  # an answer that is not sent in pieces


def counting(meter: Meter) -> Observer:
    """Return the observer that adds each request to the meter.

    A request is a tenant's if its view asked for a permission in the tenant, and the tenant may be used now. Those to
    sign in, of accounts and of operators are not.
    """

    def count(served: Served) -> None:
        tenant = served.request.served_tenant
        if tenant is None:
            return
        response = served.response
        pieces, length, size = response.app_iter, response.content_length, 0
        if not isinstance(pieces, AT_HAND):
            response.app_iter = _Sent(pieces, tenant, meter)
            response.content_length = length  # which WebOb has forgotten with the pieces before
        elif served.request.method != "HEAD":
            size = sum(map(len, pieces))
        meter.add_request(tenant, served.seconds, served.waits.spent[TENANT_DATABASES], served.waits.rows, size)

    return count


class _Sent:
    """The pieces of an answer, which are counted as the server takes them.

    If reading them takes time in the tenant's database, they say how much so far: ``database_seconds``.
    """

    def __init__(self, pieces: Iterable[bytes], tenant: TenantPlace, meter: Meter) -> None:
        self._pieces, self._tenant, self._meter = pieces, tenant, meter

    def __iter__(self) -> Iterator[bytes]:
        known = 0.0
        for piece in self._pieces:
            so_far: float = getattr(self._pieces, "database_seconds", 0.0)
            self._meter.add_sent(self._tenant, len(piece), so_far - known)
            known = so_far
            yield piece

    def close(self) -> None:
        """Close the pieces, which the server does also if the client leaves (PEP 3333)."""
        close: Callable[[], None] | None = getattr(self._pieces, "close", None)
        if close is not None:
            close()
