"""A database that is not of this installation, to be adopted."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import create_engine
from sqlalchemy.engine import URL
from sqlalchemy.pool import NullPool

from tenantapp.databases.histories.histories import head_revision
from tenantapp.databases.histories.targets import Target
from tenantapp.databases.histories.upgrading import upgrade_to
from tenantapp.databases.schemas.structure import read_structure
from tenantapp.sql.ids import uuid7
from tenantapp.tenancy.access import TenantPlace
from tenantapp.tenancy.servers import sqlite_url
from tests.contract.conftest import Fleet
from tests.contract.rows import content, fill

ROWS = "SELECT xmin::text, t::text FROM {} t ORDER BY 2"


class Foreign:
    """A database of somebody else, of the right structure, with some rows."""

    def __init__(self, fleet: Fleet, server: str) -> None:
        self.fleet, self.server = fleet, server
        if server == "files":
            self.path = fleet.directory / "bought in" / "their %20 data.db"
            self.path.parent.mkdir(exist_ok=True)
            self.name, self.url = str(self.path), sqlite_url(self.path, create=True)
        else:
            self.name = f"their_{uuid7().hex}"
            self.url = fleet.servers[server].url.set(database=self.name)
            fleet.ask(f'CREATE DATABASE "{self.name}"')
        settings = fleet.settings
        target = Target(settings, "tenant", "their database", self.url)
        upgrade_to(target, head_revision(settings, "tenant"))
        fill(self, TenantPlace(uuid7(), "their", "their", "their", "their"))  # type: ignore[arg-type]

    @property
    def servers(self) -> Any:
        """For ``connected`` and ``content``."""
        return {"their": self}

    def tenant_url(self, database: str) -> URL:
        return self.url

    @contextmanager
    def connected(self) -> Iterator[Any]:
        engine = create_engine(self.url, poolclass=NullPool)
        with engine.begin() as connection:
            yield connection

    def do(self, *statements: str) -> None:
        with self.connected() as connection:
            for statement in statements:
                connection.exec_driver_sql(statement)

    def content(self) -> dict[str, Any]:
        return content(self, TenantPlace(uuid7(), "their", "their", "their", "their"))  # type: ignore[arg-type]

    def everything(self) -> Any:
        """What would tell that it was touched."""
        if self.server == "files":
            return hashlib.sha256(self.path.read_bytes()).hexdigest()
        with self.connected() as connection:
            structure = read_structure(connection)
            tables = {
                part.thing.rpartition(" ")[2]
                for part in structure.parts
                if not part.part and not part.thing.startswith("sequence")
            }
            rows = {table: connection.exec_driver_sql(ROWS.format(table)).all() for table in sorted(tables)}
        return structure, rows
