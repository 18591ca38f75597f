"""``python -m benchmarks.simulate``: what large installations need, printed, and written into docs/scale.md.

The times of a request are those that the case ``parts`` has measured. The same seed gives the same tables.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import cycle
from pathlib import Path
from typing import Any, Final
from zlib import crc32

from benchmarks.orders import OrderName, order_of
from benchmarks.report import Column, Report
from benchmarks.results import read_results
from benchmarks.simulation import (
    Installation,
    Parts,
    Server,
    Serving,
    Simulation,
    Station,
    arrivals,
    background,
    client,
    drawing,
    percentile,
)

PAGE: Final = Path(__file__).parents[1] / "docs" / "scale.md"
BEGIN: Final = "<!-- simulation: written by `python -m benchmarks.simulate` -->\n"
END: Final = "<!-- end of simulation -->"
SEED: Final = 20
HAND_OVER: Final = 0.000075  # seconds, fitted; see ``Measured.hand_over``
MANY: Final = 1.5  # fitted; see ``Measured.many``

CORES: Final = 8  # of a web machine, and of a server of tenants
THREADS: Final = 4
PROCESSES: Final = CORES  # on a web machine
UTILISATION: Final = 0.6  # at most, so that half of the machines carry a peak
ROUND_TRIP: Final = 0.0002  # seconds, between machines of one data centre
RELOADING: Final = PROCESSES + 1  # processes during a reload
USABLE: Final = 0.8  # of max_connections
SMALLEST_BUDGET: Final = 4
ANY, GROUPS, BY_TENANT = "any process", "any process of two machines", "the process of its tenant"
SEEN: Final = 60.0  # seconds between two writes of the last use of a session


@dataclass(frozen=True, slots=True)
class Measured:
    """What was measured, in seconds."""

    session: Parts
    list: Parts
    access: float
    """The access statement alone."""
    seen: float
    many: Parts
    """A list where many tenants are in use. The caches of processors and of PostgreSQL hold less of what it needs."""
    hand_over: float
    """From one thread's release of the interpreter's lock to the next one's first step: fitted to ``session``."""

    @classmethod
    def read(cls) -> "Measured":
        """Read the results of the benchmarks."""
        results = read_results()
        parts = {row["title"]: row for row in results["parts"]["rows"]}
        people = {row["title"]: row for row in results["people"]["rows"]}
        kept, new = parts["list"], parts["list, connecting"]
        serving, tenant = (
            max(0.0, new[key] - kept[key]) / new["connects"] / 1000 for key in ("serving_ms", "tenant_ms")
        )
        one = _parts(kept, serving, tenant)
        return cls(
            session=_parts(parts["session"]),
            list=one,
            many=one.times(MANY),
            access=people["access, prepared, everybody"]["server_us"] / 1e6,
            seen=people["the time of the last use, written"]["server_us"] / 1e6,
            hand_over=HAND_OVER,
        )


def _parts(row: dict[str, Any], connecting_serving: float = 0.0, connecting_tenant: float = 0.0) -> Parts:
    times = (row[key] / 1000 for key in ("serving_ms", "user_ms", "tenant_ms", "client_ms"))
    serving, user, tenant, client_time = times
    # What a session spends in tenant databases is PostgreSQL's work in the background.
    tenant = 0.0 if row["title"] == "session" else tenant
    return Parts(serving, user, tenant, client_time, connecting_serving, connecting_tenant)


# The machine of the benchmarks


@dataclass(frozen=True, slots=True)
class Small:
    """One process, PostgreSQL and eight clients on two cores, as the benchmarks have them."""

    title: str
    parts: Parts
    measured: dict[str, Any]
    tenants: int = 1
    order: OrderName = "in turn"
    budget: int = 1100

    def row(self, hand_over: float, *, warm_up: float = 1.0, seconds: float = 4.0) -> dict[str, Any]:
        """Simulate it for as long as it was measured, and compare."""
        simulation = Simulation(SEED)
        host = Station(simulation, 2)
        process = Serving(Station(simulation, THREADS), Station(simulation, 1), host, self.budget)
        installation = Installation(
            simulation, self.parts, [process], host, [Server(host)], lambda _: 0, 0.0, hand_over, Station(simulation, 1)
        )
        for tenant in range(self.tenants):
            process.to(0).take(tenant)
            process.to(0).give_back(tenant)
        steps = cycle(order_of(self.order, self.tenants))
        for _ in range(8):
            simulation.start(client(installation, lambda: (process, next(steps))))
        simulation.run(warm_up)
        installation.begin_count()
        simulation.run(warm_up + seconds)
        counts = installation.counts
        rate = len(counts.took) / seconds
        return {
            "title": self.title,
            "measured": self.measured["rate"],
            "simulated": rate,
            "ratio": rate / self.measured["rate"],
            "measured_ms": self.measured["median_ms"],
            "simulated_ms": percentile(counts.took, 0.5) * 1000,
            "measured_new": self.measured.get("misses"),
            "simulated_new": counts.connected / len(counts.took),
        }


SMALL_COLUMNS: Final = (
    Column("title", "eight clients, one process"),
    Column("measured", "requests/s measured", ",.0f"),
    Column("simulated", "simulated", ",.0f"),
    Column("ratio", "simulated / measured", ".2f"),
    Column("measured_ms", "median ms measured", ".1f"),
    Column("simulated_ms", "simulated", ".1f"),
    Column("measured_new", "connects / request measured", ".2f"),
    Column("simulated_new", "simulated", ".2f"),
)


def calibration(measured: Measured) -> Report:
    """Compare with the cases ``session``, ``contest`` and ``tenants``."""
    rows = [small.row(measured.hand_over) for small in small_ones(measured)]
    notes = [
        f"Two figures are fitted. To the first row: {measured.hand_over * 1e6:.0f} us pass between two threads that "
        f"hold the interpreter's lock one after the other. To the third row: everything takes {MANY:g} times as long "
        "where many tenants are in use. The other rows are predictions.",
    ]
    return Report("The simulation beside the measurements", SMALL_COLUMNS, rows, notes=notes)


def small_ones(measured: Measured) -> list[Small]:
    """Return what was measured of one process on PostgreSQL."""
    results = read_results()
    session = next(row for row in results["session"]["rows"] if row["title"] == "tenantapp, postgresql")
    contest = next(row for row in results["contest"]["rows"] if row["name"] == "tenantapp")
    many = {
        (row["budget"], row["order"], row["tenants"]): row
        for row in results["tenants"]["rows"]
        if row["engine"] == "postgresql"
    }
    return [
        Small("GET /session", measured.session, session),
        Small("list of 50, one tenant", measured.list, contest),
        Small("1000 tenants in turn, connections for all", measured.many, many["1100", "in turn", 1000], 1000),
        Small("1000 tenants by Zipf, budget 100", measured.many, many["100", "Zipf", 1000], 1000, "Zipf", 100),
        Small("1000 tenants in turn, budget 100", measured.many, many["100", "in turn", 1000], 1000, "in turn", 100),
    ]


# On paper


@dataclass(frozen=True, slots=True)
class Size:
    """An installation: requests a second, tenants, and servers of tenants."""

    rate: int
    tenants: int
    servers: int
    people: int

    def needs(self, measured: Measured) -> dict[str, Any]:
        """Return how much of everything it needs, on cores like those of the measurements."""
        processes = -(-self.rate // int(capacity(measured) * UTILISATION))
        machines = -(-processes // PROCESSES)
        sessions = self.people / 5
        user = self.rate * measured.many.user + sessions / SEEN * measured.seen
        tenant = self.rate * measured.many.tenant / self.servers
        return {
            "rate": self.rate,
            "tenants": self.tenants,
            "machines": machines,
            "processes": machines * PROCESSES,
            "access_cores": (self.rate * measured.access + sessions / SEEN * measured.seen) / UTILISATION,
            "user_cores": user / UTILISATION,
            "user_connections": machines * RELOADING * 2 * THREADS,
            "seen": sessions / SEEN,
            "servers": self.servers,
            "tenant_cores": tenant / UTILISATION,
        }


SIZES: Final = (
    Size(1_000, 1_000, 10, 10_000),
    Size(100_000, 100_000, 1_000, 1_000_000),
    Size(1_000_000, 1_000_000, 10_000, 10_000_000),
    Size(10_000_000, 10_000_000, 100_000, 100_000_000),
)


def capacity(measured: Measured) -> float:
    """Return how many lists a second one process serves at most: the interpreter's lock is held all the time."""
    return 1 / (measured.many.serving + 3 * measured.hand_over)


def paper(measured: Measured) -> Report:
    """Count what is needed, without a simulation."""
    columns = (
        Column("rate", "requests/s", ",d"),
        Column("tenants", "tenants", ",d"),
        Column("machines", "web machines", ",d"),
        Column("processes", "processes", ",d"),
        Column("access_cores", "cores of the user database, at least", ",.0f"),
        Column("user_cores", "at most", ",.0f"),
        Column("user_connections", "its connections", ",d"),
        Column("seen", "its writes/s", ",.0f"),
        Column("servers", "servers of tenants", ",d"),
        Column("tenant_cores", "cores, each", ",.2f"),
    )
    notes = [
        f"A web machine has {CORES} cores and {PROCESSES} processes of {THREADS} threads. A process serves at most "
        f"{capacity(measured):,.0f} lists a second; it and every core is used for {UTILISATION:.0%} at most.",
        "Cores of the user database, at least: by the time of the access statement alone, on a connection that does "
        "nothing else. At most: by the time that a request takes there where many tenants are in use.",
        "The writes are those of the time when a session was last used: a fifth of the people are at work, ten people "
        "for each tenant. Sign-ins and changes of members come on top.",
    ]
    rows = [size.needs(measured) for size in SIZES]
    return Report("What an installation needs", columns, rows, notes=notes)


# One web machine of the large installation


@dataclass(frozen=True, slots=True)
class Large:
    """One web machine in detail, with the servers that it asks. Other machines at most use the user database."""

    measured: Measured
    size: Size
    utilisation: float = UTILISATION
    budget: int = 8
    routing: str = BY_TENANT
    exponent: float = 0.8
    user_cores: int = 64
    number: int = 0
    """Which of the machines it is."""
    others: bool = False
    """Whether the other machines use the user database meanwhile."""
    silent: int | None = None
    """The server that stops answering when the count begins, by its number on this machine."""

    def run(self, *, warm_up: float = 4.0, seconds: float = 4.0) -> Installation:
        """Simulate it."""
        simulation = Simulation(SEED)
        machine = Station(simulation, CORES)
        processes = [
            Serving(Station(simulation, THREADS), Station(simulation, 1), machine, self.budget)
            for _ in range(PROCESSES)
        ]
        tenants, server_of = self.tenants(), self.server_of()
        servers = [Server(Station(simulation, CORES)) for _ in range(self.size.servers)]
        user = Station(simulation, self.user_cores)
        parts, hand_over = self.measured.many, self.measured.hand_over
        installation = Installation(simulation, parts, processes, user, servers, server_of, ROUND_TRIP, hand_over)
        draw = drawing([1 / (tenant + 1) ** self.exponent for tenant in tenants])
        self._open_connections(installation, tenants, draw)

        def route() -> tuple[Serving, int]:
            tenant = tenants[draw(simulation.chance)]
            return self.process_of(tenant, processes, simulation), tenant

        own = self.rate
        simulation.start(arrivals(installation, own, route))
        if self.others:
            simulation.start(background(simulation, user, self.size.rate - own, parts.user))
        simulation.run(warm_up)
        installation.begin_count()
        if self.silent is not None:
            servers[self.silent].silent = True
        simulation.run(warm_up + seconds)
        return installation

    @property
    def rate(self) -> float:
        """Requests a second that this machine gets."""
        return PROCESSES * capacity(self.measured) * self.utilisation

    @property
    def machines(self) -> int:
        """How many web machines there are."""
        return int(self.size.needs(self.measured)["machines"])

    def tenants(self) -> Sequence[int]:
        """Return the tenants that this machine serves: those of its servers, those that are its own, or all."""
        of_server = self.server_of()
        belongs: dict[str, Callable[[int], bool]] = {
            ANY: lambda tenant: True,
            GROUPS: lambda tenant: of_server(tenant) % max(1, self.machines // 2) == 0,
            BY_TENANT: lambda tenant: _hash(tenant) % self.machines == self.number,
        }
        return list(filter(belongs[self.routing], range(self.size.tenants)))

    def by_server(self) -> list[int]:
        """Return the servers that this machine asks, the one that is asked least first."""
        asked = Counter[int]()
        of_server = self.server_of()
        for tenant in self.tenants():
            asked[of_server(tenant)] += int(1e9 / (tenant + 1) ** self.exponent)
        return sorted(asked, key=lambda server: asked[server])

    def process_of(self, tenant: int, processes: Sequence[Serving], simulation: Simulation) -> Serving:
        """Return the process that a request goes to. One that has more requests than threads gives them to the next."""
        if self.routing != BY_TENANT:
            return simulation.chance.choice(processes)
        first = _hash(tenant) // self.machines % len(processes)
        turn = (*processes[first:], *processes[:first])
        return next((process for process in turn if process.threads.here <= THREADS), turn[0])

    def server_of(self) -> Callable[[int], int]:
        """Return the function that tells on which server a tenant is."""
        servers = self.size.servers
        return lambda tenant: tenant % servers

    def _open_connections(self, installation: Installation, tenants: Sequence[int], draw: Callable[..., int]) -> None:
        """Have the connections that there are after a long time, without simulating that time."""
        servers = {installation.server_of(tenant) for tenant in tenants}
        for _ in range(min(400_000, self.budget * len(servers) * 3 * PROCESSES)):
            tenant = tenants[draw(installation.simulation.chance)]
            process = self.process_of(tenant, installation.processes, installation.simulation)
            kept = process.to(installation.server_of(tenant))
            kept.take(tenant)
            kept.give_back(tenant)


def large(measured: Measured, **options: Any) -> Large:
    """Return a machine of the installation with 100,000 tenants."""
    return Large(measured, SIZES[1], **options)


def load(measured: Measured) -> Report:
    """Let more and more requests come."""
    rows = []
    for part in (0.5, 0.6, 0.7, 0.8, 0.9):
        machine = large(measured, utilisation=part, others=True)
        installation = machine.run(seconds=2.0)
        took = installation.counts.took
        rows.append(
            {
                "part": part,
                "rate": machine.rate,
                "median_ms": percentile(took, 0.5) * 1000,
                "p99_ms": percentile(took, 0.99) * 1000,
                "interpreter": _mean(process.interpreter.busy for process in installation.processes),
                "user": installation.user_database.busy,
            }
        )
    columns = (
        Column("part", "of what it can do", ".0%"),
        Column("rate", "requests/s of the machine", ",.0f"),
        Column("median_ms", "median ms", ".1f"),
        Column("p99_ms", "p99 ms", ".1f"),
        Column("interpreter", "interpreter held", ".0%"),
        Column("user", "user database busy", ".0%"),
    )
    notes = [
        "Each request goes to the process of its tenant, with a budget of 8. A process that has more requests than "
        "threads gives them to the next one, which then makes connections."
    ]
    return Report("One web machine of 100,000 tenants, by load", columns, rows, notes=notes)


def connections(measured: Measured) -> Report:
    """Route requests in several ways, with budgets of several sizes."""
    choices = [(ANY, 4), (GROUPS, 4), (GROUPS, 16), (GROUPS, 64), (BY_TENANT, 4), (BY_TENANT, 8), (BY_TENANT, 16)]
    rows = [_connections(large(measured, routing=routing, budget=budget)) for routing, budget in choices]
    columns = (
        Column("title", "a request goes to"),
        Column("budget", "budget", "d"),
        Column("to_server", "connections that a server must allow", ",.0f"),
        Column("new", "connects / request", ".2f"),
        Column("open", "connections of a process", ",.0f"),
        Column("interpreter", "interpreter held", ".0%"),
        Column("median_ms", "median ms", ".1f"),
        Column("p99_ms", "p99 ms", ".1f"),
    )
    notes = [
        f"The machine has {UTILISATION:.0%} of the load that it carries without making connections. Where the "
        "interpreter's lock is nearly always held, more comes than is served, and the times grow meanwhile."
    ]
    return Report("Connections to the servers of tenants, at the same load", columns, rows, notes=notes)


def _connections(machine: Large) -> dict[str, Any]:
    installation = machine.run(seconds=2.0)
    counts = installation.counts
    opened = [len(kept) for process in installation.processes for kept in process.kept.values()]
    sharing = {ANY: machine.machines, GROUPS: 2, BY_TENANT: None}[machine.routing]
    each = sum(opened) / machine.size.servers * machine.machines
    return {
        "title": machine.routing,
        "budget": machine.budget,
        "to_server": each / USABLE if sharing is None else sharing * RELOADING * machine.budget / USABLE,
        "new": counts.connected / max(1, counts.served),
        "open": sum(opened) / PROCESSES,
        "interpreter": _mean(process.interpreter.busy for process in installation.processes),
        "median_ms": percentile(counts.took, 0.5) * 1000,
        "p99_ms": percentile(counts.took, 0.99) * 1000,
    }


def silence(measured: Measured) -> Report:
    """Let a server fall silent."""
    usual, first = large(measured).by_server(), _hash(0) % large(measured).machines
    cases: dict[str, dict[str, Any]] = {
        "none": {},
        "one as most are": {"silent": usual[len(usual) // 2]},
        "none, on the machine of the largest tenant": {"number": first},
        "that of the largest tenant": {"number": first, "silent": large(measured, number=first).by_server()[-1]},
    }
    rows = []
    for title, options in cases.items():
        installation = large(measured, **options).run(seconds=12.0)
        counts = installation.counts
        rows.append(
            {
                "title": title,
                "served": counts.served,
                "waited": counts.timed_out,
                "refused": counts.refused,
                "threads": sum(process.threads.busy * THREADS for process in installation.processes),
                "median_ms": percentile(counts.took, 0.5) * 1000,
                "p99_ms": percentile(counts.took, 0.99) * 1000,
            }
        )
    columns = (
        Column("title", "silent server"),
        Column("served", "requests served", ",d"),
        Column("waited", "503 after 1 to 10 s", ",d"),
        Column("refused", "503 at once", ",d"),
        Column("threads", "threads busy, of 32", ".1f"),
        Column("median_ms", "median ms", ".1f"),
        Column("p99_ms", "p99 ms", ".1f"),
    )
    notes = [
        "The first 12 seconds on one web machine. Silent: the server neither answers nor refuses, as when its machine "
        "is without power. A server that refuses costs nobody a thread. The times are those of the requests that were "
        "served."
    ]
    return Report("A server of tenants falls silent", columns, rows, notes=notes)


def hot(measured: Measured) -> Report:
    """Count what the largest tenant asks, by how uneven tenants are."""
    size = SIZES[1]
    rows = []
    for exponent in (0.6, 0.8, 1.0, 1.1):
        weights = [1 / rank**exponent for rank in range(1, size.tenants + 1)]
        largest = weights[0] / sum(weights)
        rows.append(
            {
                "exponent": exponent,
                "share": largest,
                "rate": largest * size.rate,
                "cores": largest * size.rate * measured.list.tenant / UTILISATION,
                "top": sum(weights[:100]) / sum(weights),
            }
        )
    columns = (
        Column("exponent", "exponent", ".1f"),
        Column("share", "the largest tenant's part", ".1%"),
        Column("rate", "requests/s", ",.0f"),
        Column("cores", "cores of its server", ",.1f"),
        Column("top", "part of the 100 largest", ".0%"),
    )
    return Report("The largest of 100,000 tenants, by Zipf's law", columns, rows)


TABLES: Final = (calibration, paper, load, connections, silence, hot)


def text(measured: Measured) -> str:
    """Return all tables as the page has them."""
    return "\n".join(table(measured).markdown() for table in TABLES)


def main() -> None:
    """Print the tables, and write them into the page."""
    found = text(Measured.read())
    print(found)
    before, rest = PAGE.read_text().split(BEGIN)
    PAGE.write_text(f"{before}{BEGIN}\n{found}\n{END}{rest.split(END)[1]}")


@cache
def _hash(tenant: int) -> int:
    """Return the number by which a proxy chooses a process for a tenant."""
    return crc32(str(tenant).encode())


def _mean(values: Any) -> float:
    found = list(values)
    return float(sum(found) / len(found))


if __name__ == "__main__":
    main()
