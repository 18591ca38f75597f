"""What the databases cost with the driver alone, for comparison: in a process of its own, so that nothing else counts.

Run as a program: a command, then the databases as JSON on standard input; prints JSON.
"""

import json
import random
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Final

import psycopg2
from sqlalchemy.dialects.postgresql.psycopg2 import PGDialect_psycopg2
from sqlalchemy.dialects.sqlite.pysqlite import SQLiteDialect_pysqlite
from tenantapp.resources.queries import USUAL_PAGE, statement
from tenantapp.resources.shapes import Shape, default_sort
from tenantapp.workspace.nodes import nodes

from benchmarks.processes import resident_bytes_of_self

THREADS: Final = 4
JOBS: Final = 2  # processes that migrate
IDENTITY: Final = "SELECT tenant_id FROM tenant_identity"
# The statement that tenantapp sends, as text.
FIRST_PAGE: Final = statement(
    nodes, Shape(sort=default_sort(nodes), limit=USUAL_PAGE + 1)
)  # and one more, which tells whether there are others
POSTGRES_PAGE: Final = str(FIRST_PAGE.statement.compile(dialect=PGDialect_psycopg2()))
SQLITE_PAGE: Final = str(FIRST_PAGE.statement.compile(dialect=SQLiteDialect_pysqlite()))
NO_OFFSET: Final = (0,)

Database = dict[str, Any]
"""Keyword arguments for ``psycopg2.connect``, or ``{"path": ...}`` of a SQLite file."""


def connect(database: Database) -> Any:
    """A connection, set up as tenantapp does it."""
    if "path" not in database:
        return psycopg2.connect(**database)
    connection = sqlite3.connect(database["path"], isolation_level=None, check_same_thread=False)
    for pragma in ("foreign_keys = ON", "busy_timeout = 5000", "journal_mode = WAL", "synchronous = FULL"):
        connection.execute(f"PRAGMA {pragma}")
    return connection


def read_page(connection: Any) -> None:
    """The two statements of a first request: whose database is it, and the first page of nodes."""
    sqlite = isinstance(connection, sqlite3.Connection)
    if not sqlite:
        connection.autocommit = True
    cursor = connection.cursor()
    cursor.execute(IDENTITY)
    cursor.fetchall()
    if sqlite:
        cursor.execute(SQLITE_PAGE, NO_OFFSET)
    else:
        cursor.execute(POSTGRES_PAGE)
    cursor.fetchall()
    cursor.close()


def memory(databases: Sequence[Database]) -> float:
    """Bytes of this process for each connection that has read a page and stays open."""
    warm, rest = databases[:20], databases[20:]
    kept = [_opened(database) for database in warm]
    before = resident_bytes_of_self()
    kept += [_opened(database) for database in rest]
    return (resident_bytes_of_self() - before) / len(rest)


def connects(databases: Sequence[Database]) -> float:
    """Connections made and closed per second, by as many threads as a server has."""
    return _per_second(lambda database: connect(database).close(), databases)


def pages(databases: Sequence[Database]) -> float:
    """The same with the first page read: a new backend has yet to read the catalog and to plan."""
    return _per_second(lambda database: _opened(database).close(), databases)


def reads(databases: Sequence[Database]) -> float:
    """Pages read per second, prepared, on kept connections: one to each database, and no fewer than threads."""
    number = max(THREADS, len(databases))
    connections = [_opened(databases[place % len(databases)]) for place in range(number)]
    for connection in connections:
        if not isinstance(connection, sqlite3.Connection):
            connection.cursor().execute(f"PREPARE page AS {POSTGRES_PAGE}")
    return _per_second(_read_again, connections)


def _read_again(connection: Any) -> None:
    cursor = connection.cursor()
    if isinstance(connection, sqlite3.Connection):
        cursor.execute(SQLITE_PAGE, NO_OFFSET)
    else:
        cursor.execute("EXECUTE page")
    cursor.fetchall()
    cursor.close()


def columns(databases: Sequence[Database]) -> float:
    """Databases per second that get a column, and a new revision in the table that names it: all of a migration.

    The column is removed afterwards: no revision makes it.
    """
    name = f"bare_{time.time_ns()}"
    seconds = _change(databases, f"ALTER TABLE nodes ADD COLUMN {name} INTEGER")
    _change(databases, f"ALTER TABLE nodes DROP COLUMN {name}")
    return len(databases) / seconds


def _change(databases: Sequence[Database], statement: str) -> float:
    """The seconds it takes to change all of them."""
    started = time.perf_counter()
    workers = [
        get_context("fork").Process(target=_change_each, args=(databases[n::JOBS], statement)) for n in range(JOBS)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    if any(worker.exitcode for worker in workers):
        raise RuntimeError("not every database was changed")
    return time.perf_counter() - started


def _change_each(databases: Sequence[Database], statement: str) -> None:
    for database in databases:
        connection = connect(database)
        cursor = connection.cursor()
        if isinstance(connection, sqlite3.Connection):
            cursor.execute("BEGIN IMMEDIATE")
        cursor.execute(statement)
        cursor.execute("UPDATE alembic_version SET version_num = version_num")
        connection.commit()
        connection.close()


def _per_second(action: Callable[[Any], None], databases: Sequence[Any], seconds: float = 3.0) -> float:
    until = time.perf_counter() + seconds

    def go_on(seed: int) -> int:
        chance, done = random.Random(seed), 0
        while time.perf_counter() < until:
            action(chance.choice(databases))
            done += 1
        return done

    with ThreadPoolExecutor(THREADS) as threads:
        return sum(threads.map(go_on, range(THREADS))) / seconds


def run(command: str, databases: Sequence[Database]) -> float:
    """The figure ``memory``, ``connects``, ``pages``, ``reads`` or ``columns``, found in a new process."""
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.bare", command],
        input=json.dumps(databases),
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parents[1],
    )
    return float(done.stdout)


def _opened(database: Database) -> Any:
    connection = connect(database)
    read_page(connection)
    return connection


if __name__ == "__main__":
    commands = {"memory": memory, "connects": connects, "pages": pages, "reads": reads, "columns": columns}
    print(commands[sys.argv[1]](json.load(sys.stdin)))
