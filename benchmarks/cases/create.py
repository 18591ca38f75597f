"""Making a tenant: from the template and from those kept ready, beside what a copy alone takes."""

import shutil
import statistics
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from threading import Event
from typing import Any, Final

from tenantapp.databases.connections.maintenance_engines import maintenance_kept
from tenantapp.databases.histories.upgrading import upgrade_user_database
from tenantapp.fleet.creating.create import create_tenant
from tenantapp.fleet.kinds import CHORES, KINDS
from tenantapp.operations.fleet import fleet_of
from tenantapp.operations.worker import Worker
from tenantapp.settings import read_settings
from tenantapp.tenancy.servers import SqliteServer

from benchmarks.bench import Bench, ratio, turns
from benchmarks.deployment import ENGINES, EngineName, settings_on
from benchmarks.report import Column, Report, Target

COLUMNS = (
    Column("title", "tenantapp on"),
    Column("create_ms", "from the template ms", ".1f"),
    Column("bare_ms", "bare copy ms", ".1f"),
    Column("to_bare", "it / bare", ".2f"),
    Column("warm_ms", "of those kept ready ms", ".1f"),
)
PER_ROUND: Final = 15  # tenants of each kind
NOTE: Final = (
    "The bare copy is CREATE DATABASE ... TEMPLATE on a kept connection of psycopg2, and shutil.copyfile: with no "
    "role, no rights, no identity, no row that says whose it is, and on SQLite without a sync."
)


def create(bench: Bench) -> Report:
    """Medians. The two take turns; the pool is filled before it is measured."""
    rows = [_row(bench, engine) for engine in ENGINES]
    postgres = next(row for row in rows if row["title"] == "postgresql")
    targets = [
        Target("a tenant on PostgreSQL against a bare copy", 1.3, postgres["to_bare"], "x", at_most=True),
        Target("a tenant of those kept ready", 10.0, max(row["warm_ms"] for row in rows), " ms", at_most=True),
    ]
    return Report("Making a tenant, medians", COLUMNS, rows, targets, [NOTE])


def _row(bench: Bench, engine: EngineName) -> dict[str, Any]:
    maker = _Maker(bench, engine)
    try:
        with maintenance_kept():
            return {"title": engine, **_measured(bench, maker)}
    finally:
        maker.fleet.user_db.dispose()


def _measured(bench: Bench, maker: "_Maker") -> dict[str, Any]:
    maker.create()  # makes the template
    maker.copy()
    times: dict[str, list[float]] = {"create": [], "bare": [], "warm": []}
    for number in range(bench.rounds * PER_ROUND):
        for name in turns(("create", "bare"), number):
            times[name].append(_milliseconds(maker.create if name == "create" else maker.copy))
    maker.fill_pool(bench.rounds * PER_ROUND)
    times["warm"] = [_milliseconds(maker.create) for _ in range(bench.rounds * PER_ROUND)]
    created, bare, warm = (statistics.median(times[name]) for name in ("create", "bare", "warm"))
    return {"create_ms": created, "bare_ms": bare, "to_bare": ratio(created, bare), "warm_ms": warm}


def _milliseconds(action: Callable[[], None]) -> float:
    started = time.perf_counter()
    action()
    return 1000 * (time.perf_counter() - started)


class _Maker:
    """A new installation, tenants of it, and copies of its template that are nobody's."""

    def __init__(self, bench: Bench, engine: EngineName) -> None:
        directory = Path(tempfile.mkdtemp(dir=bench.directory))
        settings = read_settings(settings_on(engine, directory, bench.postgres), {})
        upgrade_user_database(settings)
        self.fleet = fleet_of(settings)
        self._made = 0
        server = self.fleet.servers.default
        self._directory = server.directory if isinstance(server, SqliteServer) else None
        self._cursor = bench.kept.enter_context(closing(bench.postgres.connect())).cursor()
        self._before = self._templates()

    def create(self) -> None:
        """A tenant."""
        self._made += 1
        create_tenant(self.fleet, f"t{self._made}")

    def copy(self) -> None:
        """A copy of the template, and no more."""
        self._made += 1
        if self._directory is None:
            self._cursor.execute(f'CREATE DATABASE "copy_{self._made}" TEMPLATE "{self._template}"')
        else:
            copy = self._directory / f"copy_{self._made}.sqlite"
            shutil.copyfile(self._directory / f"{self._template}.sqlite", copy)

    def fill_pool(self, count: int) -> None:
        """Have a worker make so many databases in advance."""
        settings = replace(self.fleet.settings, fleet_warm_databases=count)
        self.fleet = replace(self.fleet, settings=settings)
        Worker(self.fleet, KINDS, CHORES).run(Event(), until_idle=True)

    @cached_property
    def _template(self) -> str:
        """Its name; others may have left theirs on the server."""
        (template,) = self._templates() - self._before
        return template

    def _templates(self) -> set[str]:
        if self._directory is not None:
            return {path.stem for path in self._directory.glob("template_*.sqlite")}
        self._cursor.execute("SELECT datname FROM pg_database WHERE datname LIKE 'template\\_%'")
        return {name for (name,) in self._cursor.fetchall()}
