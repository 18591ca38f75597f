"""Writing: changes of nodes per second, by one client of a tenant and by eight."""

import json
from functools import partial
from itertools import product
from typing import Any

from benchmarks.bench import Bench, Loads
from benchmarks.contenders.contender import Broken, fetch
from benchmarks.contenders.ours import SESSION
from benchmarks.deployment import ENGINES, Deployment
from benchmarks.load import Load, http_request
from benchmarks.report import Column, Report

COLUMNS = (
    Column("title", "PATCH /nodes/{id}"),
    Column("clients", "clients", "d"),
    Column("rate", "writes/s", ",.0f"),
    Column("median_ms", "median ms", ".1f"),
    Column("p99_ms", "p99 ms", ".1f"),
    Column("errors", "errors", ",d"),
)
NODES = 500
CLIENTS = (1, 8)


def writes(bench: Bench) -> Report:
    """Each change is of another node than those under way, and is one: a node that stays as it is is not written."""
    rows = []
    for engine in ENGINES:
        deployment = bench.tenants(engine, 8)
        with deployment.serving(bench.directory) as server:
            measure = partial(_measure, bench, server.port, _changes(deployment, server.port))
            found = bench.interleaved(CLIENTS, measure)
            _check(deployment, server.port)
        rows += [_row(f"tenantapp, {engine}", clients, loads) for clients, loads in found.items()]
    return Report("Writes to one tenant", COLUMNS, rows)


def _measure(bench: Bench, port: int, requests: list[bytes], clients: int) -> Load:
    return bench.measure(port, requests, connections=clients)


def _changes(deployment: Deployment, port: int) -> list[bytes]:
    """Every node is given one text, then every node another one, and so on."""
    headers = deployment.headers("t0")
    session = json.loads(fetch(port, SESSION, headers)[1])
    headers |= {"X-CSRF-Token": session["csrf_token"], "Content-Type": "application/json"}
    nodes = json.loads(fetch(port, f"/api/v1/nodes?limit={NODES}", headers)[1])["items"]
    texts = ("a note on the order of the day", "a plan for the offer of the week")
    return [
        http_request("PATCH", f"/api/v1/nodes/{node['id']}", headers, json.dumps({"body": text}).encode())
        for text, node in product(texts, nodes)
    ]


def _check(deployment: Deployment, port: int) -> None:
    """Whether anything was written. Raises ``Broken``."""
    items = json.loads(fetch(port, "/api/v1/nodes", deployment.headers("t0"))[1])["items"]
    if any(item["version"] < 2 for item in items):
        raise Broken(f"nodes on {deployment.engine} were answered as changed and are not")


def _row(title: str, clients: int, loads: Loads) -> dict[str, Any]:
    return {
        "title": title,
        "clients": clients,
        "rate": loads.rate,
        "rates": loads.rates,
        "median_ms": loads.median_ms,
        "p99_ms": loads.p99_ms,
        "errors": loads.errors,
    }
