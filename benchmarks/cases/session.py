"""``GET /session``: what the access check costs, beside a view that asks nothing."""

from contextlib import ExitStack
from dataclasses import replace
from typing import Any

from sqlalchemy.engine import make_url

from benchmarks.bench import Bench, Loads, ratio
from benchmarks.contenders import ACCESS, PYRAMID
from benchmarks.contenders.contender import Broken, fetch
from benchmarks.contenders.ours import SESSION
from benchmarks.deployment import ENGINES, Deployment
from benchmarks.load import http_request
from benchmarks.report import Column, Report, Target

COLUMNS = (
    Column("title", "answer"),
    Column("rate", "requests/s", ",.0f"),
    Column("median_ms", "median ms", ".2f"),
    Column("p99_ms", "p99 ms", ".2f"),
    Column("to_bare", "it / bare view", ".2f"),
    Column("errors", "errors", ",d"),
)
BARE = "bare Pyramid view, no database"
Asked = dict[str, tuple[int, bytes]]
"""A port and a request, by what is asked."""


def session(bench: Bench) -> Report:
    """All servers run at once and take turns."""
    with ExitStack() as servers:
        bare = PYRAMID.prepare(bench.postgres, bench.directory)
        asked = {BARE: (servers.enter_context(bare.serving()).port, bare.request)}
        for engine in ENGINES:
            deployment = bench.tenants(engine, 8)
            if engine == "postgresql":
                asked |= _access_alone(bench, servers, deployment)
            port = servers.enter_context(deployment.serving(bench.directory)).port
            asked[f"tenantapp, {engine}"] = _request(port, SESSION, deployment)
        found = bench.interleaved(asked, lambda name: bench.measure(asked[name][0], [asked[name][1]]))
    rows = [_row(name, loads, found[BARE].rate) for name, loads in found.items()]
    targets = [
        Target(f"{row['title']} against the bare view", 0.5, row["to_bare"], "x")
        for row in rows
        if row["title"].startswith("tenantapp")
    ]
    return Report("GET /session", COLUMNS, rows, targets)


def _access_alone(bench: Bench, servers: ExitStack, deployment: Deployment) -> Asked:
    """A view that reads the access from the same user database with nothing in between: no more can be hoped for."""
    prepared = ACCESS.prepare(bench.postgres, bench.directory)
    environment = {**prepared.environment, "PGDATABASE": str(make_url(deployment.settings["user_db.url"]).database)}
    port = servers.enter_context(replace(prepared, environment=environment).serving()).port
    return {ACCESS.title: _request(port, prepared.path, deployment)}


def _request(port: int, path: str, deployment: Deployment) -> tuple[int, bytes]:
    headers = deployment.headers("t0")
    status, body = fetch(port, path, headers)
    if status != 200 or b'"t0"' not in body:
        raise Broken(f"{path} on {deployment.engine} answers {status}: {body[:200]!r}")
    return port, http_request("GET", path, headers)


def _row(title: str, loads: Loads, bare: float) -> dict[str, Any]:
    return {
        "title": title,
        "rate": loads.rate,
        "rates": loads.rates,
        "median_ms": loads.median_ms,
        "p99_ms": loads.p99_ms,
        "to_bare": ratio(loads.rate, bare),
        "errors": loads.errors,
    }
