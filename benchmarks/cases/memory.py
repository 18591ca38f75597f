"""What an opened tenant costs in memory, with its connection and without."""

from collections.abc import Sequence
from typing import Any

from benchmarks import bare
from benchmarks.bench import Bench
from benchmarks.contenders.contender import Broken, fetch
from benchmarks.contenders.ours import NODES
from benchmarks.deployment import ENGINES, Deployment
from benchmarks.processes import resident_bytes
from benchmarks.report import Column, Report, Target

COLUMNS = (
    Column("title", "tenantapp on"),
    Column("open_kib", "KiB per tenant, connection kept", ".1f"),
    Column("bare_kib", "bare connection KiB", ".1f"),
    Column("beyond_kib", "beyond it KiB", ".1f"),
    Column("closed_kib", "KiB per tenant, connection closed again", ".1f"),
)
TENANTS = 500
WARM = 20  # opened before the first look, as what is made once is no tenant's
KEPT, CLOSED = 1000, 20  # budgets


def memory(bench: Bench) -> Report:
    """Two ways to see it: less a bare connection's memory, and with nearly all connections closed again."""
    rows = [_row(bench, bench.tenants(engine, TENANTS)) for engine in ENGINES]
    targets = [
        Target(f"{row['title']}: an opened tenant beyond its connection", 25.0, row["beyond_kib"], " KiB", at_most=True)
        for row in rows
    ]
    return Report(f"Memory per opened tenant, {TENANTS} of them", COLUMNS, rows, targets)


def _row(bench: Bench, deployment: Deployment) -> dict[str, Any]:
    kept = _grown(bench, deployment, KEPT)
    closed = _grown(bench, deployment, CLOSED)
    connection = bare.run("memory", deployment.databases()[:TENANTS]) / 1024
    return {
        "title": deployment.engine,
        "open_kib": kept,
        "bare_kib": connection,
        "beyond_kib": kept - connection,
        "closed_kib": closed,
    }


def _grown(bench: Bench, deployment: Deployment, budget: int) -> float:
    """KiB for each tenant that was asked once, one after the other."""
    slugs = list(deployment.places)[:TENANTS]
    with deployment.serving(bench.directory, {"connections.budget": str(budget)}) as server:
        _open(deployment, server.port, slugs[:WARM])
        before = resident_bytes(server.pid)
        _open(deployment, server.port, slugs[WARM:])
        return (resident_bytes(server.pid) - before) / (len(slugs) - WARM) / 1024


def _open(deployment: Deployment, port: int, slugs: Sequence[str]) -> None:
    for slug in slugs:
        if (status := fetch(port, NODES, deployment.headers(slug))[0]) != 200:
            raise Broken(f"{slug} on {deployment.engine} answers {status}")
