"""Starting with ten thousand tenants known and none open: time and memory."""

import statistics
import tempfile
from pathlib import Path
from typing import Any

from sqlalchemy import create_engine, insert
from tenantapp.identity.models import Tenant, TenantState
from tenantapp.settings import read_settings
from tenantapp.sql.ids import uuid7

from benchmarks.bench import Bench
from benchmarks.contenders.contender import Broken, fetch
from benchmarks.contenders.ours import SESSION
from benchmarks.deployment import ENGINES, Deployment, deploy
from benchmarks.processes import resident_bytes
from benchmarks.report import Column, Report, Target

COLUMNS = (
    Column("title", "tenantapp on"),
    Column("tenants", "tenants known", ",d"),
    Column("seconds", "ready after s", ".2f"),
    Column("mebibytes", "memory MiB", ".1f"),
)
KNOWN = (1, 10_000)
MIB = 2**20


def startup(bench: Bench) -> Report:
    """Ready: the first answered request of somebody signed in."""
    rows = [row for engine in ENGINES for row in _on(bench, engine)]
    many = [row for row in rows if row["tenants"] == KNOWN[-1]]
    targets = [
        Target(f"{row['title']}, {row['tenants']:,} tenants: ready", 2.0, row["seconds"], " s", True) for row in many
    ]
    targets += [
        Target(f"{row['title']}, {row['tenants']:,} tenants: memory", 150.0, row["mebibytes"], " MiB", True)
        for row in many
    ]
    return Report("Start-up, no tenant open", COLUMNS, rows, targets)


def _on(bench: Bench, engine: Any) -> list[dict[str, Any]]:
    directory = Path(tempfile.mkdtemp(dir=bench.directory))
    deployment = deploy(engine, directory, bench.postgres, ["t0"])
    rows = []
    for known in KNOWN:
        _add_rows(deployment, known - 1)
        starts = [_start(bench, deployment) for _ in range(bench.rounds)]
        seconds, memory = (statistics.median(values) for values in zip(*starts, strict=True))
        rows.append({"title": engine, "tenants": known, "seconds": seconds, "mebibytes": memory / MIB})
    return rows


def _add_rows(deployment: Deployment, count: int) -> None:
    """Tenants of whom nobody will ask: their rows only."""
    if not count:
        return
    engine = create_engine(read_settings(deployment.settings, {}).user_db_url)
    with engine.begin() as connection:
        connection.execute(insert(Tenant), [_row(number) for number in range(count)])
    engine.dispose()


def _row(number: int) -> dict[str, Any]:
    tenant_id = uuid7()
    names = {
        "slug": f"known-{number}",
        "name": f"Known {number}",
        "server": "main",
        "database": f"tenant_{tenant_id.hex}",
    }
    return names | {"id": tenant_id, "state": TenantState.ACTIVE}


def _start(bench: Bench, deployment: Deployment) -> tuple[float, int]:
    """Seconds until ready, and bytes then."""
    with deployment.serving(bench.directory) as server:
        status, _ = fetch(server.port, SESSION, deployment.headers("t0"))
        ready = server.elapsed()
        if status != 200:
            raise Broken(f"{SESSION} on {deployment.engine} answers {status}")
        return ready, resident_bytes(server.pid)
