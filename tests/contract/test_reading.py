"""Connections for reading share what is known of a server, and nothing else."""

import threading
from concurrent.futures import ThreadPoolExecutor

from sqlalchemy import select, text
from sqlalchemy.engine import URL

from tenantapp.databases.connections import maintenance_engines

THREADS = 8


def test_the_first_to_read_on_a_server_may_be_many_at_once(postgres_server: URL) -> None:
    """Each has been told the server's version, and is where it wants to be."""
    maintenance_engines._reading_engines.cache_clear()
    together = threading.Barrier(THREADS)

    def read(url: URL) -> tuple[str, bool]:
        together.wait()
        with maintenance_engines._reading_engine(url).connect() as connection:
            is_known = connection.dialect.server_version_info is not None
            return str(connection.scalar(select(text("current_database()")))), is_known

    databases = ["postgres", "template1"] * (THREADS // 2)
    with ThreadPoolExecutor(THREADS) as threads:
        found = list(threads.map(read, [postgres_server.set(database=database) for database in databases]))
    assert found == [(database, True) for database in databases]
