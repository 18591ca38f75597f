"""The same list over 1, 10, 100 and 1000 tenants: within the budget of connections, and far beyond it."""

import random
from collections.abc import Sequence
from typing import Any

from benchmarks import bare
from benchmarks.bench import Bench, Loads, ratio
from benchmarks.cases.backends import Backends
from benchmarks.contenders.contender import Broken, fetch
from benchmarks.contenders.ours import NODES
from benchmarks.deployment import Deployment, EngineName
from benchmarks.load import Load, http_request, send
from benchmarks.orders import ORDERS, OrderName, order_of
from benchmarks.report import Column, Report, Target

COLUMNS = (
    Column("title", "tenantapp on"),
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
BEYOND = 100  # connections
# PostgreSQL comes last: what it does beyond its budget is compared with what it does within.
BUDGETS: dict[EngineName, dict[str, str]] = {"sqlite": {}, "postgresql": {"connections.budget": "1100"}}

Key = tuple[OrderName, int]
Measured = dict[Key, Loads]
ONE: Key = ("round robin", 1)
KEYS: tuple[Key, ...] = (ONE, *((order, count) for count in (10, 100, MANY) for order in ORDERS))


def tenants(bench: Bench) -> Report:
    """SQLite with the default budget; PostgreSQL with one that is enough for all, and with one that is not."""
    rows: list[dict[str, Any]] = []
    targets: list[Target] = []
    for engine, budget in BUDGETS.items():
        found, backends = _measured(bench, bench.tenants(engine, MANY), KEYS, budget)
        some = [_row(engine, budget, key, loads, found[ONE], backends) for key, loads in found.items()]
        rows += some
        targets += [
            Target(f"{engine}: {MANY} tenants against 1, {order}", 0.9, _to_one(some, order), "x") for order in ORDERS
        ]
    beyond = _beyond(bench, bench.tenants("postgresql", MANY), found)
    return Report(
        "List of 50 nodes, many tenants, 8 connections",
        COLUMNS,
        rows + beyond.rows,
        [*targets, *beyond.targets],
        beyond.notes,
    )


def _to_one(rows: list[dict[str, Any]], order: OrderName) -> float | None:
    to_one: float | None = next(row["to_one"] for row in rows if (row["order"], row["tenants"]) == (order, MANY))
    return to_one


def _beyond(bench: Bench, deployment: Deployment, within: Measured) -> Report:
    """More tenants than connections, held to what the misses cost at least."""
    title = f"PostgreSQL, a budget of {BEYOND}"
    budget = {"connections.budget": str(BEYOND)}
    found, backends = _measured(bench, deployment, [(order, MANY) for order in ORDERS], budget)
    connects = bare.run("connects", deployment.databases())
    rows = [_row("postgresql", budget, key, loads, within[ONE], backends) for key, loads in found.items()]
    notes = []
    for row in rows:
        row["limit"] = 1 / (1 / within[row["order"], MANY].rate + row["misses"] / connects)
        notes.append(
            f"{title}, {row['order']}: {row['misses']:.0%} of the requests needed a new connection; a bare one takes "
            f"{1000 / connects:.2f} ms of {bare.THREADS} threads; the limit is {row['limit']:,.0f} requests/s."
        )
    zipf = next(row for row in rows if row["order"] == "Zipf")
    targets = [
        Target(f"{title}, Zipf: of the limit", 0.8, ratio(zipf["rate"], zipf["limit"]), "x"),
        Target(f"{title}: errors", 0, float(sum(row["errors"] for row in rows)), at_most=True),
        Target(f"{title}: most open", BEYOND, float(max(row["most_open"] for row in rows)), at_most=True),
    ]
    return Report(title, COLUMNS, rows, targets, notes)


def _measured(
    bench: Bench, deployment: Deployment, keys: Sequence[Key], settings: dict[str, str]
) -> tuple[Measured, Backends]:
    """Every order over every number of tenants, all in one server; each tenant's answer is checked before."""
    backends = Backends(bench.postgres)
    slugs = list(deployment.places)
    requests = [http_request("GET", NODES, deployment.headers(slug)) for slug in slugs]
    with deployment.serving(bench.directory, settings) as server:
        _check_all(deployment, server.port, slugs[:MANY])

        def measure(key: Key) -> Load:
            order = order_of(*key)
            bench.warm_up(server.port, requests, order=order)
            with backends.watched(key):
                load = send(server.port, requests, seconds=bench.seconds, order=order)
            bench.say(f"{deployment.engine}, {key[0]} over {key[1]} tenants: {load.rate:,.0f} requests/s")
            return load

        return bench.interleaved(keys, measure), backends


def _check_all(deployment: Deployment, port: int, slugs: list[str]) -> None:
    """Ask every tenant once, in no order, and insist on its own nodes."""
    for slug in random.sample(slugs, len(slugs)):
        status, body = fetch(port, NODES, deployment.headers(slug))
        if status != 200 or f'"{slug} node 0000"'.encode() not in body:
            raise Broken(f"{slug} on {deployment.engine} answers {status}: {body[:200]!r}")


def _row(
    engine: EngineName, budget: dict[str, str], key: Key, loads: Loads, one: Loads, backends: Backends
) -> dict[str, Any]:
    order, count = key
    row = {
        "title": engine,
        "budget": budget.get("connections.budget", "default"),
        "order": order,
        "tenants": count,
        "rate": loads.rate,
        "rates": loads.rates,
        "median_ms": loads.median_ms,
        "p99_ms": loads.p99_ms,
        "to_one": ratio(loads.rate, one.rate),
        "errors": loads.errors,
    }
    if engine == "postgresql":
        watched = backends.seen[key]
        row["misses"] = watched.made / sum(load.requests for load in loads)
        row["most_open"] = watched.most_open
    return row
