"""A discrete-event simulation of an installation: web machines, the user database and the servers of tenants.

A request is a generator that waits for places at stations and for time to pass. ``benchmarks.simulate`` builds
installations of them and says what came out.
"""

import random
from bisect import bisect
from collections import OrderedDict, deque
from collections.abc import Callable, Generator, Sequence
from dataclasses import asdict, dataclass, field
from heapq import heappop, heappush
from itertools import accumulate, count
from typing import Final

SHAPE: Final = 4.0  # of the gamma distribution of service times: their standard deviation is half of their mean
CONNECT_TIMEOUT: Final = 3.0  # seconds, as ``sql.engines`` has it
SLOW, DEADLINE = 1.0, 10.0  # seconds, the defaults of connections.slow and connections.deadline
PROBE: Final = 2.0  # seconds, the default of connections.probe
SILENT_DATABASES: Final = 2  # as ``tenancy.server_engines`` has it

Process = Generator["Station | float", None, None]
"""Something that happens: it yields a station to wait for a place there, or seconds to let pass."""


class Simulation:
    """The clock, in seconds, and what happens next. The same ``seed`` gives the same run."""

    def __init__(self, seed: int) -> None:
        self.now = 0.0
        self.chance = random.Random(seed)
        self._next: list[tuple[float, int, Process]] = []
        self._number = count()

    def start(self, process: Process, after: float = 0.0) -> None:
        """Let a process begin, now or later."""
        heappush(self._next, (self.now + after, next(self._number), process))

    def run(self, until: float) -> None:
        """Let things happen until this time."""
        while self._next and self._next[0][0] <= until:
            self.now, _, process = heappop(self._next)
            self._go_on(process)
        self.now = until

    def takes(self, mean: float) -> float:
        """Return a service time around this mean."""
        return self.chance.gammavariate(SHAPE, mean / SHAPE) if mean else 0.0

    def _go_on(self, process: Process) -> None:
        for wanted in process:
            if isinstance(wanted, Station):
                if not wanted.has_let_in(process):
                    return
            else:
                heappush(self._next, (self.now + wanted, next(self._number), process))
                return


class Station:
    """Places that processes hold for a while, and a queue before them: cores, threads, an interpreter's lock."""

    def __init__(self, simulation: Simulation, places: int) -> None:
        self.places = places
        self._simulation = simulation
        self._taken = 0
        self._queue: deque[Process] = deque()
        self._since = simulation.now
        self._held = self._present = 0.0
        self._came = 0
        self._began = simulation.now

    def has_let_in(self, process: Process) -> bool:
        """Take a place for a process if there is one. Else the process waits for it in the queue."""
        self._count()
        self._came += 1
        if self._taken < self.places:
            self._taken += 1
            return True
        self._queue.append(process)
        return False

    def leave(self) -> None:
        """Give a place to whoever has waited longest, or have it free."""
        self._count()
        if self._queue:
            self._simulation.start(self._queue.popleft())
        else:
            self._taken -= 1

    def begin_count(self) -> None:
        """Forget what was counted so far."""
        self._count()
        self._held = self._present = 0.0
        self._came = 0
        self._began = self._simulation.now

    @property
    def busy(self) -> float:
        """The part of the places that was taken, on average."""
        self._count()
        return self._held / self.places / max(self._simulation.now - self._began, 1e-9)

    @property
    def present(self) -> float:
        """How many were there on average, in the queue and at the places."""
        self._count()
        return self._present / max(self._simulation.now - self._began, 1e-9)

    @property
    def came(self) -> int:
        """How many have come."""
        return self._came

    @property
    def here(self) -> int:
        """How many are there now."""
        return self._taken + len(self._queue)

    def _count(self) -> None:
        passed = self._simulation.now - self._since
        self._since = self._simulation.now
        self._held += passed * self._taken
        self._present += passed * (self._taken + len(self._queue))


@dataclass(frozen=True, slots=True)
class Parts:
    """The processor time of a request, in seconds. ``connecting_`` is what it takes more with a new connection."""

    serving: float
    user: float
    tenant: float
    client: float
    connecting_serving: float = 0.0
    connecting_tenant: float = 0.0

    def times(self, factor: float) -> "Parts":
        """Return parts that each take so many times as long."""
        return Parts(**{name: value * factor for name, value in asdict(self).items()})


class Kept:
    """The connections that a process keeps to one server: at most ``budget``, the longest unused is closed first.

    A tenant may have several of them. Those that are in use count too.
    """

    def __init__(self, budget: int) -> None:
        self._budget = budget
        self._idle: OrderedDict[tuple[int, int], None] = OrderedDict()
        self._of: dict[int, list[int]] = {}
        self._open = 0
        self._number = count()

    def __len__(self) -> int:
        return self._open

    def take(self, tenant: int) -> bool:
        """Take a connection of this tenant. Return whether it was kept; else it has to be made."""
        if numbers := self._of.get(tenant):
            del self._idle[tenant, numbers.pop()]
            return True
        if self._open >= self._budget and self._idle:
            (other, number), _ = self._idle.popitem(last=False)
            self._of[other].remove(number)
            self._open -= 1
        # With as many threads as connections, or fewer, there is always one to close.
        self._open += 1
        return False

    def close(self) -> None:
        """Close a connection that was in use."""
        self._open -= 1

    def give_back(self, tenant: int) -> None:
        """Keep a connection that was in use."""
        number = next(self._number)
        self._idle[tenant, number] = None
        self._of.setdefault(tenant, []).append(number)


@dataclass
class Server:
    """A server of tenants: its cores, and whether it answers."""

    cores: Station
    silent: bool = False


@dataclass
class Breaker:
    """What one process knows of a silent server, see ``tenantapp.sql.breaker``."""

    silent: set[int] = field(default_factory=set)
    next_probe: float = 0.0

    def lets_through(self, now: float) -> bool:
        """Return whether a request may try to connect."""
        if len(self.silent) < SILENT_DATABASES:
            return True
        if now < self.next_probe:
            return False
        self.next_probe = now + CONNECT_TIMEOUT + PROBE
        return True


@dataclass
class Serving:
    """A process that serves: its threads, its interpreter's lock, and its connections."""

    threads: Station
    interpreter: Station
    machine: Station
    budget: int
    kept: dict[int, Kept] = field(default_factory=dict)
    breakers: dict[int, Breaker] = field(default_factory=dict)
    slow: int = 0
    """Requests that have waited for a database for longer than ``SLOW``."""
    slow_tenants: set[int] = field(default_factory=set)

    @property
    def may_be_slow(self) -> bool:
        """Whether one more request may wait long: all threads but one, see ``tenantapp.sql.bulkhead``."""
        return self.slow < self.threads.places - 1

    def to(self, server: int) -> Kept:
        """Return the connections to a server."""
        if server not in self.kept:
            self.kept[server] = Kept(self.budget)
        return self.kept[server]


@dataclass
class Counts:
    """What requests were told, since the count began. ``took`` has the seconds of those that were served."""

    took: list[float] = field(default_factory=list)
    served: int = 0
    connected: int = 0
    refused: int = 0
    timed_out: int = 0


@dataclass
class Installation:
    """Everything that a request passes through. ``server_of`` tells where a tenant's database is."""

    simulation: Simulation
    parts: Parts
    processes: list[Serving]
    user_database: Station
    servers: Sequence[Server]
    server_of: Callable[[int], int]
    round_trip: float = 0.0
    hand_over: float = 0.0
    client: Station | None = None
    counts: Counts = field(default_factory=Counts)

    def request(self, process: Serving, tenant: int) -> Process:
        """Serve a request of this tenant in this process."""
        began = self.simulation.now
        yield process.threads
        served = yield from self._served(process, tenant)
        process.threads.leave()
        if self.client is not None:
            yield from self._work(self.parts.client, process.machine, self.client)
        if served:
            self.counts.took.append(self.simulation.now - began)

    def begin_count(self) -> None:
        """Forget what was counted so far, at all stations too."""
        self.counts = Counts()
        stations = [self.user_database, *(server.cores for server in self.servers)]
        for process in self.processes:
            stations += [process.threads, process.interpreter, process.machine]
        for station in stations:
            station.begin_count()

    def _served(self, process: Serving, tenant: int) -> Generator["Station | float", None, bool]:
        """Let a thread work on it. Return whether the tenant's database has answered."""
        python = self.parts.serving / 3  # before, between and after the two databases
        yield from self._python(process, python)
        yield self.round_trip
        yield from self._work(self.parts.user, self.user_database)
        yield from self._python(process, python)
        if self.parts.tenant:
            number = self.server_of(tenant)
            if self.servers[number].silent:
                yield from self._in_vain(process, number, tenant)
                yield from self._python(process, python)
                return False
            yield from self._read(process, number, tenant)
        yield from self._python(process, python)
        self.counts.served += 1
        return True

    def _read(self, process: Serving, number: int, tenant: int) -> Process:
        kept, cores = process.to(number), self.servers[number].cores
        if not kept.take(tenant):
            self.counts.connected += 1
            yield from self._python(process, self.parts.connecting_serving)
            yield 2 * self.round_trip
            yield from self._work(self.parts.connecting_tenant, cores)
        yield self.round_trip
        yield from self._work(self.parts.tenant, cores)
        kept.give_back(tenant)

    def _in_vain(self, process: Serving, number: int, tenant: int) -> Process:
        breaker = process.breakers.setdefault(number, Breaker())
        let_in = process.may_be_slow or tenant not in process.slow_tenants
        if not (breaker.lets_through(self.simulation.now) and let_in):
            self.counts.refused += 1
            return
        kept = process.to(number)
        was_kept = kept.take(tenant)
        yield SLOW
        process.slow_tenants.add(tenant)
        if process.may_be_slow:
            process.slow += 1
            yield (DEADLINE if was_kept else CONNECT_TIMEOUT) - SLOW
            process.slow -= 1
        kept.close()
        if not was_kept:
            breaker.silent.add(tenant)
            breaker.next_probe = self.simulation.now + PROBE
        self.counts.timed_out += 1

    def _python(self, process: Serving, mean: float) -> Process:
        yield process.interpreter
        yield self.hand_over
        yield from self._work(mean, process.machine)
        process.interpreter.leave()

    def _work(self, mean: float, *stations: Station) -> Process:
        for station in reversed(stations):
            yield station
        yield self.simulation.takes(mean)
        for station in stations:
            station.leave()


def drawing(weights: Sequence[float]) -> Callable[[random.Random], int]:
    """Return what draws an index in proportion to these weights."""
    sums = list(accumulate(weights))

    def draw(chance: random.Random) -> int:
        return bisect(sums, chance.random() * sums[-1])

    return draw


def arrivals(installation: Installation, rate: float, route: Callable[[], tuple[Serving, int]]) -> Process:
    """Let requests come, ``rate`` a second, each at a time of its own."""
    simulation = installation.simulation
    while True:
        yield simulation.chance.expovariate(rate)
        simulation.start(installation.request(*route()))


def client(installation: Installation, route: Callable[[], tuple[Serving, int]]) -> Process:
    """Send one request after the other, each when the one before is answered."""
    while True:
        yield from installation.request(*route())


def background(simulation: Simulation, station: Station, rate: float, mean: float) -> Process:
    """Let others use a station, ``rate`` times a second: machines that are not simulated one by one."""

    def use() -> Process:
        yield station
        yield simulation.takes(mean)
        station.leave()

    while True:
        yield simulation.chance.expovariate(rate)
        simulation.start(use())


def percentile(values: Sequence[float], part: float) -> float:
    """Return the value that this part of the values does not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * part))] if ordered else 0.0
