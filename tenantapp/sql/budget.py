"""How many connections to one server this process may hold, whatever the number of tenants.

The pools of all tenants on the server draw on one budget. When it is spent, the connection that has been idle longest
is closed to make room; when none is idle, whoever asks waits, in turn, for at most ``timeout`` seconds.
"""

import threading
from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from sqlalchemy.pool import ConnectionPoolEntry

from tenantapp.sql.errors import ConnectionsSpent
from tenantapp.sql.waits import watched

if TYPE_CHECKING:
    from tenantapp.sql.breaker import Health


class Share(Protocol):
    """One tenant's part of the budget: the connections it uses right now, and those it has idle, newest last."""

    in_use: int
    idle: list[ConnectionPoolEntry]


@dataclass(frozen=True, slots=True)
class BudgetNumbers:
    """The figures of one server in this process; the last three only grow.

    ``open`` counts the places taken, ``idle`` those of them that nobody uses, ``waiting`` who waits now; ``waited`` who
    ever had to, ``evicted`` the connections closed for another tenant's sake, ``refused`` who waited in vain.
    """

    limit: int
    open: int
    idle: int
    waiting: int
    waited: int
    evicted: int
    refused: int


class _Waiter:
    """Somebody in the queue. ``entry`` is set if a connection of their own tenant was handed over."""

    health: "Health | None" = None  # no database keeps them waiting

    def __init__(self, share: Share, give_up: Callable[["_Waiter"], None]) -> None:
        self.share = share
        self.granted = threading.Event()
        self.entry: ConnectionPoolEntry | None = None
        self.refused = False
        self._give_up = give_up

    def cut(self) -> None:
        """Give up from another thread, unless the turn has come."""
        self._give_up(self)


class ConnectionBudget:
    """The places for connections to one server.

    A place is taken from before a connection is made until after it is closed, so there are never more.
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
        """Set another limit: who waits gets what is free now; beyond it, connections are closed as they come back."""
        granted: list[_Waiter] = []
        with self._lock:
            self._limit = limit
            while self._open < limit and (waiter := self._next_waiter()) is not None:
                self._open += 1
                granted.append(waiter)
        for waiter in granted:
            waiter.granted.set()

    def numbers(self) -> BudgetNumbers:
        """The figures of this moment."""
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
        """An idle connection of this tenant; or None, and there is a place for a new one.

        Raises ``ConnectionsSpent`` when the wait was in vain.
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
        """A connection is not used any more: it is kept idle, or makes room for whoever waits."""
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
        """A place is not needed any more: its connection could not be made, or is closed."""
        with self._lock:
            self._unuse(share)
            waiter = self._next_waiter()
            if waiter is None:
                self._open -= 1
        if waiter is not None:
            waiter.granted.set()

    def close_idle(self, of: Share | None = None) -> bool:
        """Close the connection that has been idle longest, of this tenant or of any. Whether there was one."""
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
        """Count one more place as taken: a connection is still being made that nobody waits for any more."""
        with self._lock:
            self._open += 1

    def let_go(self) -> None:
        """Count such a place no longer."""
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
            # If it was chosen at the last moment, its place is on the way.
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

    # What follows is called with the lock held.

    def _use(self, share: Share) -> None:
        share.in_use += 1
        self._using += share.in_use == 1

    def _unuse(self, share: Share) -> None:
        share.in_use -= 1
        self._using -= share.in_use == 0

    def _make_room(self) -> ConnectionPoolEntry | None:
        """Take a place; or hand one on, of the connection that is returned and has to be closed first."""
        if self._open < self._limit:
            self._open += 1
            return None
        entry, share = self._idle.popitem(last=False)
        share.idle.remove(entry)
        self._evicted += 1
        return entry

    def _next_waiter(self) -> _Waiter | None:
        """Who gets a place that became free: the first in the queue whose tenant holds less than its share.

        A tenant's share is the limit parted among the tenants that use or want connections right now.
        """
        if not self._waiters or self._open > self._limit:
            return None
        wanting = {id(waiter.share) for waiter in self._waiters if waiter.share.in_use == 0}
        fair = max(1, self._limit // (self._using + len(wanting)))
        chosen = next((waiter for waiter in self._waiters if waiter.share.in_use < fair), self._waiters[0])
        self._waiters.remove(chosen)
        self._use(chosen.share)
        return chosen
