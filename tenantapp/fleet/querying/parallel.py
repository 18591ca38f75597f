"""The same work on many tenants at once, with limits on threads, connections and waiting results."""

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from math import inf
from typing import TypeVar

from sqlalchemy import select

from tenantapp.identity.local_access import LOCAL_PERSON
from tenantapp.identity.models import Tenant
from tenantapp.identity.tenants import get_tenant, place_of, refuse_unfinished
from tenantapp.sql.waits import Helpers
from tenantapp.tenancy.access import Access, TenantPlace
from tenantapp.tenancy.databases import TenantDatabases
from tenantapp.tenancy.dbfactory import DBFactory
from tenantapp.tenancy.server_engines import ServerEngines
from tenantapp.tenancy.servers import Servers

Item = TypeVar("Item")
Result = TypeVar("Result")

CONNECTION_WAIT = 60.0  # seconds; there are no more threads than connections, so no thread waits for long


def in_parallel(
    work: Callable[[Item], Result], items: Iterable[Item], jobs: int, *, patience: float = inf
) -> Generator[Result, None, None]:
    """Yield the results in the order of the items. At most ``2 * jobs`` items are under way or wait to be taken.

    An error of ``work`` is raised here. Items that have not begun by then are not begun. Within a request, a database
    has ``patience`` seconds for each of its answers.
    """
    helpers = Helpers(patience)

    def help(item: Item) -> Result:
        with helpers.helping():
            return work(item)

    waiting: deque[Future[Result]] = deque()
    with ThreadPoolExecutor(jobs) as threads:
        try:
            for item in items:
                waiting.append(threads.submit(help, item))
                if len(waiting) >= 2 * jobs:
                    yield helpers.result(waiting.popleft())
            while waiting:
                yield helpers.result(waiting.popleft())
        finally:
            for future in waiting:
                future.cancel()


@contextmanager
def databases_of_our_own(servers: Servers, jobs: int) -> Iterator[TenantDatabases]:
    """Yield the tenant databases for a command, with at most ``jobs`` connections to each server.

    All connections are closed when the block ends.
    """
    engines = {
        name: ServerEngines(server, limit=jobs, workers=1, timeout=CONNECTION_WAIT) for name, server in servers.items()
    }
    databases = TenantDatabases(servers, engines)
    try:
        yield databases
    finally:
        databases.dispose()


def places(user_db: DBFactory, slugs: Sequence[str] = ()) -> list[TenantPlace]:
    """Return the tenants with these slugs, in this order, or all active and suspended tenants by slug.

    Raises ``NotFound`` and ``TenantUnfinished``.
    """
    with user_db.begin(read_only=True) as session:
        if slugs:
            found = [get_tenant(session, slug) for slug in dict.fromkeys(slugs)]
        else:
            found = list(session.scalars(select(Tenant).where(Tenant.is_served).order_by(Tenant.slug)))
        for tenant in found:
            refuse_unfinished(tenant)
        return [place_of(tenant) for tenant in found]


def local_access_to(place: TenantPlace) -> Access:
    """Return the access of a program that works on the fleet.

    It has no permissions, so a domain's services do not accept it.
    """
    return Access(LOCAL_PERSON, place, operator=True)
