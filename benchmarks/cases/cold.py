"""The first request to a tenant that nobody has asked yet, beside what the driver alone needs for it."""

import statistics
import time
from typing import Any

from benchmarks import bare
from benchmarks.bench import Bench, ratio
from benchmarks.contenders.contender import Broken
from benchmarks.contenders.ours import NODES
from benchmarks.deployment import ENGINES, Deployment
from benchmarks.load import http_request
from benchmarks.load.generator import Connection
from benchmarks.report import Column, Report, Target

COLUMNS = (
    Column("title", "tenantapp on"),
    Column("cold_ms", "first request ms", ".2f"),
    Column("warm_ms", "second request ms", ".2f"),
    Column("bare_ms", "bare connect + 2 statements ms", ".2f"),
    Column("to_bare", "first / bare", ".2f"),
)
TENANTS = 100  # each way, in each round


def cold(bench: Bench) -> Report:
    """The two take turns, every tenant being cold only once."""
    rows = [_row(bench, bench.tenants(engine, 2 * TENANTS)) for engine in ENGINES]
    ours = next(row for row in rows if row["title"] == "postgresql")
    target = Target("first request on PostgreSQL against bare", 1.5, ours["to_bare"], "x", at_most=True)
    return Report("The first request to a cold tenant, medians", COLUMNS, rows, [target])


def _row(bench: Bench, deployment: Deployment) -> dict[str, Any]:
    rounds = [_round(bench, deployment) for _ in range(bench.rounds)]
    cold_ms, warm_ms, bare_ms = (statistics.median(values) * 1000 for values in zip(*rounds, strict=True))
    return {
        "title": deployment.engine,
        "cold_ms": cold_ms,
        "warm_ms": warm_ms,
        "bare_ms": bare_ms,
        "to_bare": ratio(cold_ms, bare_ms),
    }


def _round(bench: Bench, deployment: Deployment) -> tuple[float, float, float]:
    """Medians in seconds: of first requests, of second ones, and of the driver alone."""
    slugs, databases = list(deployment.places), deployment.databases()
    first, second, alone = [], [], []
    with deployment.serving(bench.directory) as server:
        connection = Connection(server.port)
        _timed(connection, deployment, slugs[-1])  # what is made once is no tenant's
        for number in range(TENANTS):
            first.append(_timed(connection, deployment, slugs[number]))
            second.append(_timed(connection, deployment, slugs[number]))
            alone.append(_bare(databases[TENANTS + number]))
        connection.socket.close()
    return statistics.median(first), statistics.median(second), statistics.median(alone)


def _timed(connection: Connection, deployment: Deployment, slug: str) -> float:
    connection.send(http_request("GET", NODES, deployment.headers(slug)))
    while (answer := connection.read()) is None:
        pass
    took = time.perf_counter() - connection.sent_at
    if b" 200 " not in answer[:16] or f'"{slug} node 0000"'.encode() not in answer:
        raise Broken(f"{slug} on {deployment.engine} answers {answer[:200]!r}")
    return took


def _bare(database: bare.Database) -> float:
    started = time.perf_counter()
    connection = bare.connect(database)
    bare.read_page(connection)
    took = time.perf_counter() - started
    connection.close()
    return took
