"""Neighbours: what half of the tenants keep of their rate while nobody can work on the databases of the others."""

import json
import os
import signal
import sqlite3
import statistics
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager, nullcontext, suppress
from functools import partial
from typing import Any, Final

from tenantapp.settings import read_settings
from tenantapp.tenancy.servers import Servers, SqliteServer

from benchmarks.bench import WARM_UP, Bench, Loads, ratio
from benchmarks.contenders.contender import Broken, fetch
from benchmarks.contenders.ours import SESSION
from benchmarks.deployment import ENGINES, Deployment
from benchmarks.load import Load, http_request, send
from benchmarks.report import Column, Report, Target

WELL: Final = ("t0", "t1", "t2", "t3")
OTHERS: Final = ("t4", "t5", "t6", "t7")
CONNECTIONS: Final = 8  # for each half, two for each tenant
LOOK_EVERY: Final = 0.05  # seconds
WANTED: Final = 0.9
COLUMNS: Final = (
    Column("engine", "tenantapp on"),
    Column("state", "the other tenants"),
    Column("rate", "requests/s", ",.0f"),
    Column("median_ms", "median ms", ".1f"),
    Column("p99_ms", "p99 ms", ".1f"),
    Column("share", "it / others well", ".2f"),
    Column("errors", "errors", ",d"),
)
State = Callable[[], Any]


def neighbours(bench: Bench) -> Report:
    """Eight tenants, four threads. The clients of the others send their next request as soon as they are answered."""
    rows: list[dict[str, Any]] = []
    for engine in ENGINES:
        deployment = bench.tenants(engine, 8)
        with deployment.serving(bench.directory) as server:
            requests = [reading(deployment, slug) for slug in WELL]
            asking = troubled(deployment, server.port, OTHERS)
            states = _states(bench, deployment)
            measure = partial(_measure, bench, server.port, requests, asking, states)
            found = bench.interleaved(states, measure)
        rows += [_row(engine, state, loads, found["well"]) for state, loads in found.items()]
    held = [row for row in rows if row["state"] not in ("idle", "well")]
    targets = [Target(f"{row['engine']}, the others {row['state']}", WANTED, row["share"], "x") for row in held]
    return Report("One tenant's trouble stays there: 4 of 8 tenants, 4 threads", COLUMNS, rows, targets)


def _measure(
    bench: Bench, port: int, requests: list[bytes], asking: list[bytes], states: Mapping[str, State], state: str
) -> Load:
    with states[state](), ExitStack() as stack:
        if state != "idle":
            stack.enter_context(meanwhile(port, asking, bench.seconds + 2 * WARM_UP, CONNECTIONS))
        return bench.measure(port, requests, connections=CONNECTIONS)


@contextmanager
def meanwhile(port: int, requests: list[bytes], seconds: float, connections: int) -> Iterator[None]:
    """Send these requests in this block, whatever is answered."""
    sending = threading.Thread(
        target=lambda: send(port, requests, seconds=seconds, connections=connections), daemon=True
    )
    sending.start()
    yield
    sending.join()


def reading(deployment: Deployment, slug: str) -> bytes:
    """A read of a tenant's nodes."""
    return http_request("GET", "/api/v1/nodes", deployment.headers(slug))


def troubled(deployment: Deployment, port: int, slugs: Sequence[str]) -> list[bytes]:
    """A read of each of these tenants; on SQLite, where a lock keeps out those who write, a write."""
    if deployment.engine == "postgresql":
        return [reading(deployment, slug) for slug in slugs]
    return [_change(deployment, slug, port) for slug in slugs]


def _change(deployment: Deployment, slug: str, port: int) -> bytes:
    headers = deployment.headers(slug)
    session = json.loads(fetch(port, SESSION, headers)[1])
    status, body = fetch(port, "/api/v1/nodes?limit=1", headers)
    if status != 200:
        raise Broken(f"{slug} answers {status}")
    (node,) = json.loads(body)["items"]
    headers |= {"X-CSRF-Token": session["csrf_token"], "Content-Type": "application/json"}
    return http_request("PATCH", f"/api/v1/nodes/{node['id']}", headers, json.dumps({"body": "a note"}).encode())


def _states(bench: Bench, deployment: Deployment) -> dict[str, State]:
    states: dict[str, State] = {
        "idle": nullcontext,
        "well": nullcontext,
        "locked": partial(locked, bench, deployment, OTHERS),
    }
    if deployment.engine == "postgresql":
        states["stopped"] = partial(_stopped, bench, deployment)
    return states


@contextmanager
def locked(bench: Bench, deployment: Deployment, slugs: Sequence[str]) -> Iterator[None]:
    """Somebody holds a lock in each of these tenants' databases."""
    settings = read_settings(deployment.settings, {})
    server = Servers.of(settings)["main"]
    with ExitStack() as stack:
        for slug in slugs:
            database = deployment.places[slug].database
            if isinstance(server, SqliteServer):
                connection: Any = sqlite3.connect(server.path(database), isolation_level=None)
                stack.enter_context(closing(connection)).execute("BEGIN IMMEDIATE")
            else:
                connection = bench.postgres.connect(database)
                stack.enter_context(closing(connection)).autocommit = False
                connection.cursor().execute("LOCK TABLE nodes IN ACCESS EXCLUSIVE MODE")
        yield


@contextmanager
def _stopped(bench: Bench, deployment: Deployment) -> Iterator[None]:
    """The backends of the other tenants' databases are stopped, new ones as soon as they are seen."""
    names = [deployment.places[slug].database for slug in OTHERS]
    stopped: set[int] = set()
    over = threading.Event()

    def stop() -> None:
        with closing(bench.postgres.connect()) as connection, connection.cursor() as cursor:
            while not over.wait(LOOK_EVERY):
                cursor.execute("SELECT pid FROM pg_stat_activity WHERE datname = ANY(%s)", (names,))
                for (process,) in cursor.fetchall():
                    with suppress(ProcessLookupError):
                        os.kill(process, signal.SIGSTOP)
                        stopped.add(process)

    stopping = threading.Thread(target=stop, daemon=True)
    stopping.start()
    try:
        yield
    finally:
        over.set()
        stopping.join()
        for process in stopped:
            with suppress(ProcessLookupError):
                os.kill(process, signal.SIGCONT)


def _share(loads: Loads, well: Loads) -> float | None:
    """The median of what it is in each round: a slow minute of the machine is in both."""
    shares = [share for one, other in zip(loads, well, strict=True) if (share := ratio(one.rate, other.rate))]
    return statistics.median(shares) if shares else None


def _row(engine: str, state: str, loads: Loads, well: Loads) -> dict[str, Any]:
    return {
        "engine": engine,
        "state": state,
        "rate": loads.rate,
        "rates": loads.rates,
        "median_ms": loads.median_ms,
        "p99_ms": loads.p99_ms,
        "share": _share(loads, well),
        "errors": loads.errors,
    }
