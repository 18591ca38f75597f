"""Migrating a thousand tenants: with nothing to do, and adding a column, beside a loop that does no more than that."""

import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Final

from sqlalchemy import update
from tenantapp.databases.histories.histories import bundled
from tenantapp.identity.models import Tenant, TenantState
from tenantapp.settings import read_settings
from tenantapp.tenancy.user_database import user_database

from benchmarks import bare
from benchmarks.bench import Bench, ratio, turns
from benchmarks.contenders.contender import Broken
from benchmarks.deployment import ENGINES, INI, TEMPLATE, Deployment, EngineName
from benchmarks.report import Column, Report, Target

COLUMNS = (
    Column("title", "tenantapp on"),
    Column("tenants", "tenants", ",d"),
    Column("idle_s", "nothing to do s", ".2f"),
    Column("python_s", "Python alone s", ".2f"),
    Column("rate", "migrated/s", ".0f"),
    Column("bare_rate", "bare loop/s", ".0f"),
    Column("to_bare", "it / bare", ".2f"),
    Column("verified_rate", "migrated and verified/s", ".0f"),
)
TENANTS: Final = int(os.environ.get("BENCHMARK_MIGRATED_TENANTS", "1000"))
JOBS: Final = bare.JOBS
REVISION: Final = """
import sqlalchemy as sa
from alembic import op

revision = "{revision}"
down_revision = "{before}"


def upgrade():
    op.add_column("nodes", sa.Column("added_{number}", sa.Integer))
"""


def migrate(bench: Bench) -> Report:
    """The two take turns, each adding a column of its own to every database in every round."""
    rows = [_row(bench, engine) for engine in ENGINES]
    ours = next(row for row in rows if row["title"] == "postgresql")
    beyond = Target(
        f"nothing to do, {TENANTS} tenants: beyond Python's start",
        1.0,
        max(row["idle_s"] - row["python_s"] for row in rows),
        " s",
        at_most=True,
    )
    rate = Target(f"a column for {TENANTS} tenants on PostgreSQL against bare", 0.7, ours["to_bare"], "x")
    return Report(f"Migrating a fleet, {JOBS} at once", COLUMNS, rows, [beyond, rate])


def _row(bench: Bench, engine: EngineName) -> dict[str, Any]:
    fleet = _Fleet(bench.tenants(engine, TENANTS), bench)
    rates: list[tuple[float, float, float]] = []
    for number in range(bench.rounds):
        measured = {name: fleet.measure(name, number) for name in turns(("ours", "bare"), number)}
        rates.append((*measured["ours"], *measured["bare"]))
        bench.say(
            f"{engine}: {rates[-1][0]:.0f}/s, with a look at each {rates[-1][1]:.0f}/s, bare {rates[-1][2]:.0f}/s"
        )
    rate, verified_rate, bare_rate = (statistics.median(values) for values in zip(*rates, strict=True))
    return {
        "title": engine,
        "tenants": len(fleet.deployment.places),
        "idle_s": statistics.median(fleet.idle() for _ in range(bench.rounds)),
        "python_s": statistics.median(_timed([sys.executable, "-c", "pass"]) for _ in range(bench.rounds)),
        "rate": rate,
        "bare_rate": bare_rate,
        "to_bare": ratio(rate, bare_rate),
        "verified_rate": verified_rate,
        "rates": rates,
    }


class _Fleet:
    """A deployment with a history that has one more revision for each round."""

    def __init__(self, deployment: Deployment, bench: Bench) -> None:
        self.deployment = deployment
        settings = read_settings(deployment.settings, {})
        user_db = user_database(settings.user_db_url)
        with user_db.begin() as session:
            # Its database belongs to nobody any more.
            session.execute(update(Tenant).where(Tenant.slug == TEMPLATE).values(state=TenantState.CREATING))
            before = session.query(Tenant).filter(Tenant.slug != TEMPLATE).limit(1).one().revision
        user_db.dispose()
        self._history = Path(tempfile.mkdtemp(dir=bench.directory)) / "history"
        shutil.copytree(bundled("tenant"), self._history, ignore=shutil.ignore_patterns("__pycache__"))
        self._revisions = [f"be9c{number:08x}" for number in range(bench.rounds)]
        for number, revision in enumerate(self._revisions):
            text = REVISION.format(revision=revision, before=before, number=number)
            (self._history / "versions" / f"{revision}.py").write_text(text)
            before = revision

    def measure(self, name: str, number: int) -> tuple[float, ...]:
        """Tenants per second, without the start of the program; of ours, also with the structures compared."""
        if name == "bare":
            return (bare.run("columns", self.deployment.databases()),)
        out = self._migrate("--to", self._revisions[number], "--jobs", str(JOBS), "--json").stdout
        summary = json.loads(out.splitlines()[-1])["summary"]
        count = summary["migrated"]
        if not count == summary["verified"] == len(self.deployment.places):
            raise Broken(f"not all were migrated, and right: {summary}")
        return count / summary["seconds"], count / (summary["seconds"] + summary["verify_seconds"])

    def idle(self) -> float:
        """Seconds of a command that finds nothing to do, with its start."""
        started = time.perf_counter()
        self._migrate()
        return time.perf_counter() - started

    def _migrate(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        tenantapp = str(Path(sys.executable).with_name("tenantapp"))
        environment = os.environ | self.deployment.environment | {"TENANTAPP_MIGRATIONS_TENANT": str(self._history)}
        command = [tenantapp, "--ini", str(INI), "migrate", *arguments]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        if done.returncode:
            raise Broken(f"tenantapp migrate: {done.stderr[-500:]}")
        return done


def _timed(command: list[str]) -> float:
    started = time.perf_counter()
    subprocess.run(command, check=True)
    return time.perf_counter() - started
