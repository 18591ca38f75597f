"""What a request takes of the processors: in the process that serves it, in PostgreSQL, and in the client.

The figures are what the simulation is fed with, see ``benchmarks.simulate``. Time of a processor depends much less on
what else the machine does than time on the clock.
"""

import json
import os
import resource
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from operator import itemgetter
from pathlib import Path
from typing import Any, Final, NamedTuple

from sqlalchemy import make_url

from benchmarks.bench import Bench
from benchmarks.cases.backends import MADE
from benchmarks.contenders.contender import Broken, fetch
from benchmarks.contenders.ours import NODES, SESSION
from benchmarks.deployment import Deployment
from benchmarks.load import CONNECTIONS, http_request, send
from benchmarks.postgres import Postgres
from benchmarks.processes import Running
from benchmarks.report import Column, Report

COLUMNS: Final = (
    Column("title", "request"),
    Column("serving_ms", "serving process ms", ".3f"),
    Column("user_ms", "user database ms", ".3f"),
    Column("tenant_ms", "tenant database ms", ".3f"),
    Column("client_ms", "client ms", ".3f"),
    Column("connects", "connects / request", ".2f"),
    Column("rate", "requests/s", ",.0f"),
    Column("median_ms", "median ms", ".1f"),
)
TENANTS: Final = 100
KEPT, CLOSED = 110, 4  # budgets: one that is enough for all tenants, and one that never has the right connection
TICKS: Final = os.sysconf("SC_CLK_TCK")


class Times(NamedTuple):
    """Seconds of processor time since the processes began, and connections made."""

    serving: float
    user: float
    postgres: float
    client: float
    made: int


def parts(bench: Bench) -> Report:
    """Eight clients, one process with four threads, as in the contest."""
    deployment = bench.tenants("postgresql", TENANTS)
    rows = []
    with deployment.serving(bench.directory, {"connections.budget": str(KEPT)}, "kept") as server:
        kinds = {
            "session": [http_request("GET", SESSION, deployment.headers("t0"))],
            "list": [http_request("GET", NODES, deployment.headers("t0"))],
            "write": _changes(deployment, server.port),
        }
        rows += [_row(bench, deployment, server, kind, requests) for kind, requests in kinds.items()]
    with deployment.serving(bench.directory, {"connections.budget": str(CLOSED)}, "closed") as server:
        rows.append(_row(bench, deployment, server, "list, connecting", _lists(deployment)))
    notes = [
        "Processor time, the kernel's included, divided by the number of requests; of the fastest round, because other "
        "work makes it longer. A session asks no tenant database, a list is that of the contest, and a write changes a "
        f"node. With a budget of {CLOSED} for {TENANTS} tenants in turn, each list makes a connection.",
        "The time of the tenant database has what PostgreSQL does in the background too, such as its log.",
    ]
    return Report("Processor time of a request, PostgreSQL, one process", COLUMNS, rows, notes=notes)


def _row(bench: Bench, deployment: Deployment, server: Running, kind: str, requests: Sequence[bytes]) -> dict[str, Any]:
    bench.warm_up(server.port, requests)
    look = _looking(bench.postgres, deployment, server)
    found = [_measure(bench, server.port, requests, look) for _ in range(bench.rounds)]
    return {"title": kind} | max(filter(None, found), key=itemgetter("rate"))


def _measure(bench: Bench, port: int, requests: Sequence[bytes], look: Callable[[], Times]) -> dict[str, float]:
    before = look()
    load = send(port, requests, seconds=bench.seconds)
    after = look()
    if load.errors:
        raise Broken(f"{load.errors} errors")
    if not load.requests:
        return {}  # others have had all processors
    per_request = [(late - early) / load.requests for early, late in zip(before, after, strict=True)]
    serving, user, postgres, client, made = per_request
    return {
        "serving_ms": serving * 1000,
        "user_ms": user * 1000,
        "tenant_ms": (postgres - user) * 1000,
        "client_ms": client * 1000,
        "connects": made,
        "rate": load.rate,
        "median_ms": load.median_ms,
    }


def _looking(postgres: Postgres, deployment: Deployment, server: Running) -> Callable[[], Times]:
    """Return a function that reads the times. The backends of the user database are those that there are now."""
    user = make_url(deployment.settings["user_db.url"]).database
    users = [pid for (pid,) in postgres.execute(f"SELECT pid FROM pg_stat_activity WHERE datname = '{user}'")]
    postmaster = Process.of(users[0]).parent

    def look() -> Times:
        children = map(int, Path(f"/proc/{postmaster}/task/{postmaster}/children").read_text().split())
        client = resource.getrusage(resource.RUSAGE_CHILDREN)
        return Times(
            serving=Process.of(server.pid).own,
            user=sum(Process.of(pid).own for pid in users),
            # Those that have ended are counted by the one that has waited for them.
            postgres=Process.of(postmaster).with_ended + sum(Process.of(pid).own for pid in children),
            client=client.ru_utime + client.ru_stime,
            made=int(postgres.execute(MADE)[0][0]),
        )

    return look


@dataclass(frozen=True, slots=True)
class Process:
    """What proc_pid_stat(5) says of a process, in seconds. One that has ended has nothing of its own any more."""

    parent: int
    own: float
    with_ended: float

    @classmethod
    def of(cls, pid: int) -> "Process":
        try:
            fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
        except (FileNotFoundError, ProcessLookupError):
            return cls(0, 0.0, 0.0)
        user, system, ended_user, ended_system = (int(field) / TICKS for field in fields[11:15])
        return cls(int(fields[1]), user + system, user + system + ended_user + ended_system)


def _lists(deployment: Deployment) -> list[bytes]:
    return [http_request("GET", NODES, deployment.headers(slug)) for slug in list(deployment.places)[:TENANTS]]


def _changes(deployment: Deployment, port: int) -> list[bytes]:
    """A change of one node of each of some tenants, and back."""
    texts = ("a note on the order of the day", "a plan for the offer of the week")
    return [
        _change(deployment, port, slug, text) for text in texts for slug in list(deployment.places)[: CONNECTIONS * 2]
    ]


def _change(deployment: Deployment, port: int, slug: str, text: str) -> bytes:
    headers = deployment.headers(slug)
    session = json.loads(fetch(port, SESSION, headers)[1])
    (node,) = json.loads(fetch(port, "/api/v1/nodes?limit=1", headers)[1])["items"]
    headers |= {"X-CSRF-Token": session["csrf_token"], "Content-Type": "application/json"}
    return http_request("PATCH", f"/api/v1/nodes/{node['id']}", headers, json.dumps({"body": text}).encode())
