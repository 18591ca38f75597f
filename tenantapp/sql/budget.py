"""Limit the connections of this process to one server, whatever the number of tenants.

The pools of all tenants on the server share one budget. When the budget is spent, the connection that has been idle
longest is closed to make room. If no connection is idle, the request waits in a queue for at most ``timeout`` seconds.
A request whose tenant uses as many connections as it may waits in the same queue, and the others pass it.
"""

import threading
from collections import OrderedDict, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

from sqlalchemy.pool import ConnectionPoolEntry

from tenantapp.sql.errors import ConnectionsSpent
from tenantapp.sql.failures import Cause, Failure
from tenantapp.sql.waits import CONNECTING, take_ended, watched

if TYPE_CHECKING:
    from tenantapp.sql.breaker import Health


class Share(Protocol):
    """One tenant's part of the budget: the number of connections in use, and its idle ones, the newest last.

    ``most`` is how many there may be; None: only the budget limits them. ``health`` is that of the tenant's database.
    """

    in_use: int
    most: int | None
    idle: list[ConnectionPoolEntry]
    health: "Health"


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
    """A request in the queue. ``entry`` is set if it gets a connection of its own tenant, and ``error`` if none.

    A request that waits for other requests of its own tenant waits for the tenant's database, as far as the bulkhead is
    concerned: a tenant that has reached its quota, and is slow, must not hold all threads.
    """

    spends_on: Final = CONNECTING

    def __init__(self, share: Share, give_up: Callable[["_Waiter"], None]) -> None:
        self.share = share
        self.health = None if _may_use_more(share) else share.health
        self.granted = threading.Event()
        self.entry: ConnectionPoolEntry | None = None
        self.error: Exception | None = None
        self._give_up = give_up

    def cut(self) -> None:
        """Make the request give up, from another thread, unless it has got a place."""
        self._give_up(self)


_Taken = tuple[ConnectionPoolEntry | None, ConnectionPoolEntry | None]
"""A place: the idle connection of the tenant that has it, and another tenant's that has to be closed before."""
_Served = tuple[_Waiter, ConnectionPoolEntry | None]
"""A waiter that has got a place, and the connection that has to be closed before."""


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
        with self._lock:
            self._limit = limit
            served = self._serve()
        _tell(served)

    def set_most(self, share: Share, most: int | None) -> None:
        """Change how many connections a tenant may have. Those in use beyond that are closed on return."""
        with self._lock:
            share.most = most
            served = self._serve()
        _tell(served)
        while not _has_room(share, beyond=1) and self.close_idle(share):
            pass

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

        Raises ``ConnectionsSpent`` if no place became free in time. If the tenant had reached its ``most``, it raises
        what its database raises for ``Cause.QUOTA``.
        """
        with self._lock:
            taken = self._take_place(share)
            if taken is None:
                waiter = _Waiter(share, self._give_up)
                self._waiters.append(waiter)
                self._waited += 1
        if taken is None:
            return watched(waiter, self._wait, waiter)
        entry, victim = taken
        if victim is not None:
            victim.close()
        return entry

    def give_back(self, share: Share, entry: ConnectionPoolEntry) -> None:
        """Return a connection. It is kept idle, or makes room for a request that waits."""
        if entry.dbapi_connection is None:
            self.free(share)
            return
        with self._lock:
            self._unuse(share)
            is_kept = self._open <= self._limit and _has_room(share)
            if is_kept:
                share.idle.append(entry)
                self._idle[entry] = share
            served = self._serve()
        _tell(served)
        if not is_kept:
            entry.close()
            self.let_go()

    def free(self, share: Share) -> None:
        """Free a place: its connection could not be made, or is closed."""
        with self._lock:
            self._unuse(share)
            self._open -= 1
            served = self._serve()
        _tell(served)

    def close_idle(self, of: Share | None = None) -> bool:
        """Close the connection that has been idle longest, of this tenant or of any. Return whether there was one."""
        with self._lock:
            entry = next(iter(self._idle if of is None else of.idle), None)
            if entry is None:
                return False
            self._idle.pop(entry).idle.remove(entry)
            self._evicted += of is None
        entry.close()
        self.let_go()
        return True

    def hold(self) -> None:
        """Take one more place, for a connection that is still being made although its request has left."""
        with self._lock:
            self._open += 1

    def let_go(self) -> None:
        """Free a place that ``hold`` has taken, or that of a connection that was not in use and is closed."""
        with self._lock:
            self._open -= 1
            served = self._serve()
        _tell(served)

    def _wait(self, waiter: _Waiter) -> ConnectionPoolEntry | None:
        if not waiter.granted.wait(self._timeout):
            self._give_up(waiter)
            # If the waiter was chosen at the last moment, its place arrives soon.
            waiter.granted.wait()
        if waiter.error is not None:
            take_ended()  # that its wait was cut short is said by the error
            raise waiter.error
        return waiter.entry

    def _give_up(self, waiter: _Waiter) -> None:
        """Leave the queue, unless the waiter has been chosen."""
        with self._lock:
            if waiter not in self._waiters:
                return
            self._waiters.remove(waiter)
            self._refused += 1
            waiter.error = _refusal(waiter.share)
        waiter.granted.set()

    # Call the following methods only with the lock held.

    def _unuse(self, share: Share) -> None:
        share.in_use -= 1
        self._using -= share.in_use == 0

    def _take_place(self, share: Share) -> _Taken | None:
        """Take a place for a request, or return None if it has to wait.

        That is the place of an idle connection of its tenant, a free one, or that of the longest idle connection.
        """
        if share.most is not None and share.in_use >= share.most:
            return None
        entry = victim = None
        if share.idle:
            entry = share.idle.pop()
            del self._idle[entry]
        elif self._open < self._limit:
            self._open += 1
        elif self._idle:
            victim, owner = self._idle.popitem(last=False)
            owner.idle.remove(victim)
            self._evicted += 1
        else:
            return None
        share.in_use += 1
        self._using += share.in_use == 1
        return entry, victim

    def _serve(self) -> Sequence[_Served]:
        """Give places to those who wait and may have one, until there is none left. The caller calls ``_tell``.

        This is called after each change by which a waiter may get a place. So nobody waits who may have one.
        """
        served: list[_Served] = []
        while self._waiters and (waiter := self._next_waiter()) is not None:
            taken = self._take_place(waiter.share)
            if taken is None:
                break
            self._waiters.remove(waiter)
            waiter.entry, victim = taken
            served.append((waiter, victim))
        return served

    def _next_waiter(self) -> _Waiter | None:
        """Return who gets a place: the first waiter whose tenant has less than its share, or the first of all.

        A tenant's share is the limit divided by the number of tenants that use or want connections now. Who waits for
        their own tenant is passed over.
        """
        waiters = [waiter for waiter in self._waiters if _may_use_more(waiter.share)]
        if not waiters:
            return None
        wanting = {id(waiter.share) for waiter in waiters if waiter.share.in_use == 0}
        fair = max(1, self._limit // (self._using + len(wanting)))
        return next((waiter for waiter in waiters if waiter.share.in_use < fair), waiters[0])


def _may_use_more(share: Share) -> bool:
    return share.most is None or share.in_use < share.most


def _has_room(share: Share, *, beyond: int = 0) -> bool:
    """Return whether a tenant may have another connection, or has none in excess if one is ``beyond``."""
    return share.most is None or share.in_use + len(share.idle) < share.most + beyond


def _refusal(share: Share) -> Exception:
    """Return the error of a request that has waited in vain."""
    if _may_use_more(share):
        return ConnectionsSpent()
    return share.health.unavailable(Failure(Cause.QUOTA, f"all {share.most} of this process are in use"))


def _tell(served: Sequence[_Served]) -> None:
    """Let those who have got a place go on, once the connections whose places they have are closed."""
    for waiter, victim in served:
        if victim is not None:
            victim.close()
        waiter.granted.set()
