"""A process that commits to SQLite files until it is killed: ``python -m tests.transactions.counted_writer FILE``."""

import sys
from pathlib import Path

from sqlalchemy import text

from tenantapp.sql.engines import make_engine
from tenantapp.tenancy.errors import user_database_failed
from tenantapp.tenancy.servers import sqlite_url


def write(*paths: str) -> None:
    """Give all nodes of each file a new title, in a transaction for each title, and say so."""
    engines = [make_engine(sqlite_url(Path(path)), unavailable=user_database_failed, pool_timeout=2) for path in paths]
    for number in range(1_000_000):
        for engine in engines:
            with engine.begin() as connection:
                connection.execute(text("UPDATE nodes SET title = :title"), {"title": f"title {number}"})
        print(number, flush=True)


if __name__ == "__main__":
    write(*sys.argv[1:])
