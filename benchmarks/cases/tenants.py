"""The same list over 1, 10, 100 and 1000 tenants: within the budget of connections, and far beyond it."""

import random
import statistics
from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any, NamedTuple

from benchmarks import bare
from benchmarks.bench import Bench, Loads, ratio, turns
from benchmarks.cases.backends import Backends
from benchmarks.contenders.contender import Broken, fetch
from benchmarks.contenders.ours import NODES
from benchmarks.deployment import Deployment, EngineName
from benchmarks.load import http_request, send
from benchmarks.orders import ORDERS, OrderName, order_of
from benchmarks.report import Column, Report, Target

COLUMNS = (
    Column("engine", "tenantapp on"),
    Column("budget", "budget"),
    Column("order", "order"),
    Column("tenants", "tenants", ",d"),
    Column("rate", "requests/s", ",.0f"),
    Column("median_ms", "median ms", ".1f"),
    Column("p99_ms", "p99 ms", ".1f"),
    Column("to_one", "it / 1 tenant", ".2f"),
    Column("misses", "connects / request", ".3f"),
    Column("most_open", "most open", "d"),
    Column("errors", "errors", ",d"),
)
MANY = 1000
DEFAULT, WITHIN, BEYOND = "default", "1100", "100"  # budgets of connections


class Key(NamedTuple):
    """What is measured: which server is asked, and for whom."""

    budget: str
    order: OrderName
    tenants: int

    @property
    def one(self) -> "Key":
        """The one that this is compared with."""
        return Key(WITHIN if self.budget == BEYOND else self.budget, "in turn", 1)


def keys(budget: str) -> list[Key]:
    """One tenant, then more of them in every order."""
    return [Key(budget, "in turn", 1), *(Key(budget, order, n) for n in (10, 100, MANY) for order in ORDERS)]


def tenants(bench: Bench) -> Report:
    """SQLite with the default budget; PostgreSQL with one that is enough for all, and with one that is not."""
    sqlite = Round(bench, "sqlite", keys(DEFAULT))
    sqlite.measure()
    postgres = Round(bench, "postgresql", keys(WITHIN) + [Key(BEYOND, order, MANY) for order in ORDERS])
    postgres.measure()
    targets = [
        Target(f"{some.engine}: {MANY} tenants against 1, {order}", 0.9, some.to_one(Key(budget, order, MANY)), "x")
        for some, budget in ((sqlite, DEFAULT), (postgres, WITHIN))
        for order in ORDERS
    ]
    rows = sqlite.rows() + postgres.rows()
    beyond = [_limited(row, postgres) for row in rows if row["budget"] == BEYOND]
    zipf = next(row for row in beyond if row["order"] == "Zipf")
    targets += [
        Target(f"a budget of {BEYOND}, Zipf: of the limit", 0.8, ratio(zipf["rate"], zipf["limit"]), "x"),
        Target(f"a budget of {BEYOND}: errors", 0, float(sum(row["errors"] for row in beyond)), at_most=True),
        Target(f"a budget of {BEYOND}: most open", 100, float(max(row["most_open"] for row in beyond)), at_most=True),
    ]
    title = "List of 50 nodes, many tenants, 8 connections"
    sentences = [some.driver_alone() for some in (sqlite, postgres)] + [_sentence(row) for row in beyond]
    return Report(title, COLUMNS, rows, targets, sentences)


class Round:
    """What is measured on one engine: a server for each budget, all of them up, taking turns."""

    def __init__(self, bench: Bench, engine: EngineName, keys: Sequence[Key]) -> None:
        self.engine = engine
        self.found = {key: Loads() for key in keys}
        self.connects: list[float] = []
        self.pages: list[float] = []
        self.reads: dict[int, list[float]] = {1: [], MANY: []}
        self._bench = bench
        self._deployment = bench.tenants(engine, MANY)
        self._backends = Backends(bench.postgres)
        self._requests = [http_request("GET", NODES, self._deployment.headers(slug)) for slug in self._slugs]

    @property
    def _slugs(self) -> list[str]:
        return list(self._deployment.places)[:MANY]

    def measure(self) -> None:
        """Measure everything in every round."""
        with ExitStack() as servers:
            ports = {budget: self._serve(servers, budget) for budget in dict.fromkeys(key.budget for key in self.found)}
            for number in range(self._bench.rounds):
                for key in turns(self.found, number):
                    self._measure(ports[key.budget], key)
                for count, found in self.reads.items():
                    found.append(bare.run("reads", self._deployment.databases()[:count]))
                if self.engine == "postgresql":
                    self.connects.append(bare.run("connects", self._deployment.databases()))
                    self.pages.append(bare.run("pages", self._deployment.databases()))

    def to_one(self, key: Key) -> float | None:
        """Its rate beside that of one tenant."""
        return ratio(self.found[key].rate, self.found[key.one].rate)

    def driver_alone(self) -> str:
        """What the engine itself makes of many databases."""
        one, many = (statistics.median(found) for found in self.reads.values())
        return (
            f"{self.engine}: {bare.THREADS} threads with the driver alone read {one:,.0f} pages/s of one database and "
            f"{many:,.0f} of {MANY}, on a connection each: {many / one:.2f}x."
        )

    def rows(self) -> list[dict[str, Any]]:
        """What was found."""
        return [self._row(key, loads) for key, loads in self.found.items()]

    def _serve(self, servers: ExitStack, budget: str) -> int:
        settings = {} if budget == DEFAULT else {"connections.budget": budget}
        port = servers.enter_context(self._deployment.serving(self._bench.directory, settings, _name(budget))).port
        _check_all(self._deployment, port, self._slugs)
        return port

    def _measure(self, port: int, key: Key) -> None:
        order = order_of(key.order, key.tenants)
        self._bench.warm_up(port, self._requests, order=order)
        with self._backends.watched(key, _name(key.budget)):
            load = send(port, self._requests, seconds=self._bench.seconds, order=order)
        self.found[key].append(load)
        self._bench.say(f"{self.engine}, budget {key.budget}, {key.tenants} tenants, {key.order}: {load.rate:,.0f}/s")

    def _row(self, key: Key, loads: Loads) -> dict[str, Any]:
        watched = self._backends.seen[key]
        counted = self.engine == "postgresql"
        return {
            "engine": self.engine,
            "budget": key.budget,
            "order": key.order,
            "tenants": key.tenants,
            "rate": loads.rate,
            "rates": loads.rates,
            "median_ms": loads.median_ms,
            "p99_ms": loads.p99_ms,
            "to_one": self.to_one(key),
            "misses": watched.made / sum(load.requests for load in loads) if counted else None,
            "most_open": watched.most_open if counted else None,
            "errors": loads.errors,
        }


def _limited(row: dict[str, Any], postgres: Round) -> dict[str, Any]:
    """Add the limit that the misses give: what a request takes within the budget, and a new connection for some."""
    row["connects"] = statistics.median(postgres.connects)
    row["pages"] = statistics.median(postgres.pages)
    within = postgres.found[Key(WITHIN, row["order"], MANY)].rate
    row["limit"] = 1 / (1 / within + row["misses"] / row["connects"])
    return row


def _sentence(row: dict[str, Any]) -> str:
    return (
        f"A budget of {row['budget']}, {row['order']}: {row['misses']:.0%} of the requests needed a new connection. "
        f"With {bare.THREADS} threads at it a bare one costs {1000 / row['connects']:.2f} ms, which makes "
        f"{row['limit']:,.0f} requests/s the limit. With a first page, that a new backend has yet to plan, it costs "
        f"{1000 / row['pages']:.2f} ms."
    )


def _name(budget: str) -> str:
    return f"budget-{budget}"


def _check_all(deployment: Deployment, port: int, slugs: list[str]) -> None:
    """Ask every tenant once, in no order, and insist on its own nodes."""
    for slug in random.sample(slugs, len(slugs)):
        status, body = fetch(port, NODES, deployment.headers(slug))
        if status != 200 or f'"{slug} node 0000"'.encode() not in body:
            raise Broken(f"{slug} on {deployment.engine} answers {status}: {body[:200]!r}")
