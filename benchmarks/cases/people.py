"""The user database of 100,000 tenants and a million people: what the access statement costs, and how large it is."""

import os
import random
import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from sqlalchemy import make_url
from sqlalchemy.engine import URL
from tenantapp.databases.histories.upgrading import upgrade_user_database
from tenantapp.identity.access_reader import SEEN_INTERVAL
from tenantapp.identity.access_statements import prepared_session_statement
from tenantapp.settings import read_settings

from benchmarks.bench import Bench
from benchmarks.cases.parts import Process
from benchmarks.crowd import TABLES, fill, token_hash_of
from benchmarks.deployment import settings_on
from benchmarks.report import Column, Report

COLUMNS: Final = (
    Column("title", "statement"),
    Column("server_us", "server us", ".0f"),
    Column("rate", "a second, on one connection", ",.0f"),
)
PEOPLE: Final = int(os.environ.get("BENCHMARK_PEOPLE", "1000000"))
TENANTS: Final = PEOPLE // 10
SEEN: Final = (
    "UPDATE web_sessions SET last_seen_at = %(now)s WHERE token_hash = %(token_hash)s AND last_seen_at <= %(old)s"
)
Execute = Callable[[int], None]


def people(bench: Bench) -> Report:
    """Measure the statements that every request sends, on one connection."""
    settings = settings_on("postgresql", Path(tempfile.mkdtemp(dir=bench.directory)), bench.postgres)
    upgrade_user_database(read_settings(settings, {}))
    url = make_url(settings["user_db.url"])
    bench.say(f"making rows of {PEOPLE:,} people")
    fill(url, tenants=TENANTS, people=PEOPLE)
    return report_on(bench, url)


def report_on(bench: Bench, url: URL) -> Report:
    """Measure in a user database that has these people."""
    with closing(bench.postgres.connect(str(url.database))) as connection:
        connection.cursor().execute("SET TimeZone = 'UTC'")
        rows = [_row(bench, connection, title, execute) for title, execute in _statements(connection).items()]
        notes = [
            "Server us: processor time of PostgreSQL's process for a statement, the kernel's included. It and the rate "
            "are those of the fastest round. Everybody: each statement asks for another person.",
            _sizes(connection),
            _memory(connection),
        ]
    return Report(f"The user database of {PEOPLE:,} people in {TENANTS:,} tenants", COLUMNS, rows, notes=notes)


def _statements(connection: Any) -> Mapping[str, Execute]:
    plain = prepared_session_statement(named=False, tenants=False)
    cursor = connection.cursor()
    cursor.execute(plain._prepare_sql)

    def values(number: int) -> dict[str, Any]:
        now = datetime.now(UTC)
        return {"token_hash": token_hash_of(number), "now": now, "idle_since": now - timedelta(days=1)}

    def prepared(number: int) -> None:
        cursor.execute(plain._execute_sql, plain._prepared.bound(values(number)))
        assert len(cursor.fetchall()) == 1

    def unprepared(number: int) -> None:
        cursor.execute(plain._postgres.sql, plain._postgres.bound(values(number)))
        assert len(cursor.fetchall()) == 1

    def seen(number: int) -> None:
        now = datetime.now(UTC)
        cursor.execute(SEEN, {"token_hash": token_hash_of(number), "now": now + SEEN_INTERVAL, "old": now})

    def nothing(number: int) -> None:
        cursor.execute("SELECT 1")
        cursor.fetchall()

    return {
        "SELECT 1": nothing,
        "access, prepared, one person": lambda number: prepared(1),
        "access, prepared, everybody": prepared,
        "access, not prepared, as behind a PgBouncer": unprepared,
        "the time of the last use, written": seen,
    }


def _row(bench: Bench, connection: Any, title: str, execute: Execute) -> dict[str, Any]:
    found = [_measure(bench, connection, execute, seed) for seed in range(bench.rounds)]
    # The machine has other work too, which makes it slower and never faster.
    return {"title": title, "server_us": min(cpu for cpu, _ in found), "rate": max(rate for _, rate in found)}


def _measure(bench: Bench, connection: Any, execute: Execute, seed: int) -> tuple[float, float]:
    chance = random.Random(seed)
    pid = connection.info.backend_pid
    before, began, done = Process.of(pid).own, time.perf_counter(), 0
    while (passed := time.perf_counter() - began) < bench.seconds:
        execute(chance.randrange(PEOPLE))
        done += 1
    return (Process.of(pid).own - before) / done * 1e6, done / passed


def _sizes(connection: Any) -> str:
    cursor = connection.cursor()
    said = []
    for table in TABLES:
        cursor.execute(f"SELECT pg_total_relation_size('{table}') / greatest(count(*), 1) FROM {table}")
        said.append(f"{table} {cursor.fetchone()[0]:,}")
    cursor.execute("SELECT pg_database_size(current_database())")
    total = cursor.fetchone()[0] / 2**20
    return f"Bytes of a row with its indexes: {', '.join(said)}. The whole database: {total:,.0f} MiB."


def _memory(connection: Any) -> str:
    """Read what a process that has read accesses shares with nobody: proc_pid_smaps(5)."""
    private = []
    for line in Path(f"/proc/{connection.info.backend_pid}/smaps_rollup").read_text().splitlines():
        if line.startswith(("Private_Clean:", "Private_Dirty:")):
            private.append(int(line.split()[1]))
    return f"Memory that a connection's process of PostgreSQL has for itself: {sum(private) / 1024:.1f} MiB."
