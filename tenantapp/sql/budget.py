"""Limit the connections of this process to one server, whatever the number of tenants.

The pools of all tenants on the server share one budget. When the budget is spent, the connection that has been idle
longest is closed to make room. If no connection is idle, the request waits in a queue for at most ``timeout`` seconds.
"""

import threading
from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

from sqlalchemy.pool import ConnectionPoolEntry

from tenantapp.sql.errors import ConnectionsSpent
from tenantapp.sql.waits import CONNECTING, watched

if TYPE_CHECKING:
    from tenantapp.sql.breaker import Health


class Share(Protocol):
    """One tenant's part of the budget: the number of connections in use, and its idle ones, the newest last."""

    in_use: int
    idle: list[ConnectionPoolEntry]


@dataclass(frozen=True, slots=True)
class BudgetNumbers:
    """The figures of one server in this process. The last three only grow.

    ``open`` is the number of places taken, ``idle`` the number of idle connections, ``waiting`` the number of requests
    that wait now. ``waited`` counts the requests that had to wait, ``evicted`` the connections that were closed for
    another tenant, ``refused`` the requests that waited and got no connection.
    """

    limit: int
    open: int
    idle: int
    waiting: int
    waited: int
    evicted: int
    refused: int


class _Waiter:
    """A request in the queue. ``entry`` is set if it gets a connection of its own tenant."""

    health: "Health | None" = None  # the request does not wait for a database
    spends_on: Final = CONNECTING

    def __init__(self, share: Share, give_up: Callable[["_Waiter"], None]) -> None:
        self.share = share
        self.granted = threading.Event()
        self.entry: ConnectionPoolEntry | None = None
        self.refused = False
        self._give_up = give_up

    def cut(self) -> None:
        """Make the request give up, from another thread, unless it has got a place."""
        self._give_up(self)


class ConnectionBudget:
    """The places for connections to one server: at most ``limit``. ``timeout`` is the longest wait, in seconds.

    A place is taken before a connection is made, and freed after it is closed. So there are never more connections than
    places.
    """

    def __init__(self, limit: int, timeout: float) -> None:
        self._limit = limit
        self._timeout = timeout
        self._open = 0
        self._lock = threading.Lock()
        self._waiters: deque[_Waiter] = deque()
        # The idle connections of all tenants, the one that has been idle longest first.
        self._idle: OrderedDict[ConnectionPoolEntry, Share] = OrderedDict()
        self._using = 0  # tenants with a connection in use
        self._waited = self._evicted = self._refused = 0

    def set_limit(self, limit: int) -> None:
        """Change the limit. Waiting requests get the new places. Connections beyond the limit are closed on return."""
        granted: list[_Waiter] = []
        with self._lock:
            self._limit = limit
            while self._open < limit and (waiter := self._next_waiter()) is not None:
                self._open += 1
                granted.append(waiter)
        for waiter in granted:
            waiter.granted.set()

    def numbers(self) -> BudgetNumbers:
        """Return the present figures."""
        with self._lock:
            return BudgetNumbers(
                limit=self._limit,
                open=self._open,
                idle=len(self._idle),
                waiting=len(self._waiters),
                waited=self._waited,
                evicted=self._evicted,
                refused=self._refused,
            )

    def take(self, share: Share) -> ConnectionPoolEntry | None:
        """Return an idle connection of this tenant, or None if the caller has got a place for a new one.

        Raises ``ConnectionsSpent`` if no place became free in time.
        """
        victim = None
        with self._lock:
            if share.idle:
                entry = share.idle.pop()
                del self._idle[entry]
                self._use(share)
                return entry
            if self._open >= self._limit and not self._idle:
                waiter = _Waiter(share, self._give_up)
                self._waiters.append(waiter)
                self._waited += 1
            else:
                waiter = None
                victim = self._make_room()
                self._use(share)
        if waiter is not None:
            return watched(waiter, self._wait, waiter)
        if victim is not None:
            victim.close()
        return None

    def give_back(self, share: Share, entry: ConnectionPoolEntry) -> None:
        """Return a connection. It is kept idle, or makes room for a request that waits."""
        if entry.dbapi_connection is None:
            self.free(share)
            return
        with self._lock:
            self._unuse(share)
            waiter = self._next_waiter()
            if waiter is None and self._open <= self._limit:
                share.idle.append(entry)
                self._idle[entry] = share
                return
            if waiter is None:
                self._open -= 1
            elif waiter.share is share:
                waiter.entry = entry
            else:
                self._evicted += 1
        if waiter is None or waiter.entry is None:
            entry.close()
        if waiter is not None:
            waiter.granted.set()

    def free(self, share: Share) -> None:
        """Free a place: its connection could not be made, or is closed."""
        with self._lock:
            self._unuse(share)
            waiter = self._next_waiter()
            if waiter is None:
                self._open -= 1
        if waiter is not None:
            waiter.granted.set()

    def close_idle(self, of: Share | None = None) -> bool:
        """Close the connection that has been idle longest, of this tenant or of any. Return whether there was one."""
        with self._lock:
            entry = next(iter(self._idle if of is None else of.idle), None)
            if entry is None:
                return False
            share = self._idle.pop(entry)
            share.idle.remove(entry)
            self._use(share)
            self._evicted += of is None
        entry.close()
        self.free(share)
        return True

    def hold(self) -> None:
        """Take one more place, for a connection that is still being made although its request has left."""
        with self._lock:
            self._open += 1

    def let_go(self) -> None:
        """Free a place that ``hold`` has taken."""
        with self._lock:
            self._open -= 1
            waiter = self._next_waiter() if self._open < self._limit else None
            if waiter is not None:
                self._open += 1
        if waiter is not None:
            waiter.granted.set()

    def _wait(self, waiter: _Waiter) -> ConnectionPoolEntry | None:
        if not waiter.granted.wait(self._timeout):
            self._give_up(waiter)
            # If the waiter was chosen at the last moment, its place arrives soon.
            waiter.granted.wait()
        if waiter.refused:
            raise ConnectionsSpent
        return waiter.entry

    def _give_up(self, waiter: _Waiter) -> None:
        """Leave the queue, unless the waiter has been chosen."""
        with self._lock:
            if waiter not in self._waiters:
                return
            self._waiters.remove(waiter)
            self._refused += 1
            waiter.refused = True
        waiter.granted.set()

    # Call the following methods only with the lock held.

    def _use(self, share: Share) -> None:
        share.in_use += 1
        self._using += share.in_use == 1

    def _unuse(self, share: Share) -> None:
        share.in_use -= 1
        self._using -= share.in_use == 0

    def _make_room(self) -> ConnectionPoolEntry | None:
        """Take a free place, or that of an idle connection. The caller must close the connection that is returned."""
        if self._open < self._limit:
            self._open += 1
            return None
        entry, share = self._idle.popitem(last=False)
        share.idle.remove(entry)
        self._evicted += 1
        return entry

    def _next_waiter(self) -> _Waiter | None:
        """Return who gets a free place: the first waiter whose tenant has less than its share, or the first of all.

        A tenant's share is the limit divided by the number of tenants that use or want connections now.
        """
        if not self._waiters or self._open > self._limit:
            return None
        wanting = {id(waiter.share) for waiter in self._waiters if waiter.share.in_use == 0}
        fair = max(1, self._limit // (self._using + len(wanting)))
        chosen = next((waiter for waiter in self._waiters if waiter.share.in_use < fair), self._waiters[0])
        self._waiters.remove(chosen)
        self._use(chosen.share)
        return chosen
