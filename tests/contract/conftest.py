"""A fleet that is not there yet: settings, servers, and nothing made."""

import secrets
import shutil
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from datetime import timedelta
from functools import lru_cache
from pathlib import Path
from threading import Event
from typing import Any

import pytest
from sqlalchemy import create_engine, update
from sqlalchemy.engine import URL, Engine
from sqlalchemy.pool import NullPool

from tenantapp.databases.histories.histories import History, head_revision, script_location
from tenantapp.databases.servers.sqlite_databases import MARK
from tenantapp.databases.servers.templates import installation_mark
from tenantapp.fleet.creating.create import create_tenant
from tenantapp.fleet.kinds import CHORES, KINDS
from tenantapp.operations.fleet import Fleet as Services
from tenantapp.operations.models import ACTIVE, Operation
from tenantapp.operations.worker import Worker
from tenantapp.settings import Settings, read_settings
from tenantapp.sql.times import utcnow
from tenantapp.tenancy.access import TenantPlace
from tenantapp.tenancy.servers import Servers, SqliteServer
from tenantapp.tenancy.user_database import user_database
from tests.golden import PREFIX as GOLDEN
from tests.golden import golden_on, lend_templates, make_user_database
from tests.installation import MEMORY, SECRET
from tests.postgres import own_postgres

# Before anything imports them: what these modules assert is explained as in a test.
pytest.register_assert_rewrite("tests.contract.health", "tests.contract.kept")

REVISION = """
import time

import sqlalchemy as sa
from alembic import op

revision = "feedc0de0001"
down_revision = "{head}"


def upgrade() -> None:
    {upgrade}


def downgrade() -> None:
    raise NotImplementedError
"""
NO_GOLD = [f"{name} NOT LIKE '{GOLDEN}%%'" for name in ("datname", "rolname")]


@dataclass
class Fleet:
    """What the services of the fleet are given. ``admin`` is a superuser's URL, None on SQLite."""

    values: dict[str, str]
    admin: URL | None
    directory: Path
    until: ExitStack = field(default_factory=ExitStack)

    def __post_init__(self) -> None:
        # Nobody is at work on a tenant's database, but in the tests that say so.
        self.values = {"fleet.patience": "0", "passwords.memory": str(MEMORY), **self.values}
        self.settings: Settings = read_settings(self.values, {})
        self.servers = Servers.of(self.settings)
        self.user_db = user_database(self.settings.user_db_url)
        self.services = self.under(self.settings)

    def change_settings(self, **values: str) -> None:
        """Change settings, which have underscores here in place of dots."""
        self.user_db.dispose()
        self.values |= {name.replace("_", ".", 1): value for name, value in values.items()}
        self.__post_init__()

    def under(self, settings: Settings) -> Services:
        """The same fleet under other settings."""
        return Services(self.user_db, settings, self.servers)

    def initialised(self) -> "Fleet":
        """With the tables of the user database, and with the template on its servers."""
        self.migrated()
        lend_templates(self.services, self.servers.values(), self.until)
        return self

    def migrated(self) -> "Fleet":
        """With the tables of the user database, and without any template."""
        make_user_database(self.services)
        return self

    def close(self) -> None:
        """Give back what is lent, and close all connections."""
        self.until.close()
        self.user_db.dispose()

    def create(self, slug: str) -> TenantPlace:
        """Make a tenant."""
        return create_tenant(self.under(self.settings), slug)

    def mark(self) -> str:
        """What is written on what this installation makes."""
        with self.user_db.begin(read_only=True) as session:
            return installation_mark(session)

    def lapse(self) -> None:
        """Let all leases run out."""
        lapsed = utcnow() - timedelta(hours=1)
        with self.user_db.begin() as session:
            session.execute(update(Operation).where(Operation.state.in_(ACTIVE)).values(lease_until=lapsed))

    def settle(self) -> None:
        """Be the worker that comes when all leases have run out."""
        self.lapse()
        Worker(self.services, KINDS).run(Event(), until_idle=True)

    def made(self) -> set[str]:
        """The databases, roles and files that exist, the user database and the templates apart."""
        names = {thing: thing.replace(" ", "/").rpartition("/")[2] for thing in self.everything()}
        return {thing for thing, name in names.items() if not name.startswith(("template_", MARK))}

    def everything(self) -> set[str]:
        """With the templates."""
        if self.admin is None:
            server = self.servers.default
            assert isinstance(server, SqliteServer)
            return {str(path) for path in server.directory.glob("*")}
        return {f"{kind} {name}" for kind, name in everything_on(self.admin)}

    def ask(self, statement: str, url: URL | None = None) -> list[Any]:
        """Rows of a statement, as the superuser or at this URL."""
        url = url or self.admin
        assert url is not None
        with asking_engine(url).connect() as connection:
            result = connection.exec_driver_sql(statement)
            return list(result) if result.returns_rows else []

    def with_revision(self, history: History, upgrade: str) -> Settings:
        """Settings under which a history has one more revision, with this body."""
        copy = self.copy_of(history)
        head = head_revision(self.settings, history)
        (copy / "versions" / "feedc0de0001_more.py").write_text(REVISION.format(head=head, upgrade=upgrade))
        return self.settings_with(history, copy)

    def copy_of(self, history: History) -> Path:
        """A copy of a bundled history."""
        copy = self.directory / f"history_{history}"
        ignored = shutil.ignore_patterns("__pycache__")
        return Path(shutil.copytree(script_location(self.settings, history), copy, ignore=ignored))

    def settings_with(self, history: History, location: Path) -> Settings:
        """Settings that say where a history is."""
        if history == "user":
            return replace(self.settings, migrations_user=str(location))
        return replace(self.settings, migrations_tenant=str(location))


def fleet_on(admin: URL, directory: Path) -> Fleet:
    """A fleet on a server of its own, of which nothing has to be removed."""
    values = {
        "user_db.url": admin.set(database="users").render_as_string(hide_password=False),
        "servers.main": admin.set(database="").render_as_string(hide_password=False),
        "tenancy.secret": secrets.token_hex(32),
    }
    return Fleet(values, admin, directory)


def work(services: Services) -> None:
    """Be a worker until nothing is waiting, with the chores."""
    Worker(services, KINDS, CHORES).run(Event(), until_idle=True)


@lru_cache(8)
def asking_engine(url: URL) -> Engine:
    """An engine that keeps no connection. It is kept itself, for it asks a server for four things at first."""
    return create_engine(url, poolclass=NullPool, isolation_level="AUTOCOMMIT")


def everything_on(url: URL) -> set[tuple[str, str]]:
    """The databases and roles of a PostgreSQL server, as ``("database", name)``; what is golden is no test's."""
    databases = f"SELECT 'database', datname FROM pg_database WHERE datname NOT LIKE 'template_' AND {NO_GOLD[0]}"
    roles = f"SELECT 'role', rolname FROM pg_roles WHERE rolname NOT LIKE 'pg\\_%%' AND {NO_GOLD[1]}"
    with asking_engine(url).connect() as connection:
        return {(kind, name) for kind, name in connection.exec_driver_sql(f"{databases} UNION {roles}")}


def remove_all_but(before: set[tuple[str, str]], url: URL) -> None:
    """Remove what a test has left on a server.

    Databases come before the roles that own them, and those (template_, tenant_) before one that has made them.
    """
    left = sorted(everything_on(url) - before, key=lambda thing: (thing[0] == "database", thing[1]), reverse=True)
    with asking_engine(url).connect() as connection:
        for kind, name in left:
            if kind == "database":
                connection.exec_driver_sql(f'ALTER DATABASE "{name}" IS_TEMPLATE false')
            else:
                connection.exec_driver_sql(f'DROP OWNED BY "{name}"')
            forced = " WITH (FORCE)" if kind == "database" else ""
            connection.exec_driver_sql(f'DROP {kind} IF EXISTS "{name}"{forced}')


@pytest.fixture(scope="session")
def logical_server() -> Iterator[URL]:
    """A second PostgreSQL server, from which databases can be replicated."""
    with own_postgres(wal_level="logical") as url, golden_on(url):
        yield url


@pytest.fixture
def fleet(engine_name: str, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Fleet]:
    """A fleet on the engine of this run. Everything it leaves is removed."""
    if engine_name == "sqlite":
        values = {
            "user_db.url": f"sqlite+pysqlite:///{tmp_path}/new/user.sqlite",
            "servers.main": f"sqlite+pysqlite:///{tmp_path}/tenants/",
        }
        fleet = Fleet(values, None, tmp_path)
        yield fleet
        fleet.close()
        return
    admin: URL = request.getfixturevalue("postgres_server")
    values = {
        "user_db.url": admin.set(database=f"users_{secrets.token_hex(4)}").render_as_string(hide_password=False),
        "servers.main": admin.set(database="").render_as_string(hide_password=False),
        "tenancy.secret": SECRET,
    }
    fleet = Fleet(values, admin, tmp_path)
    before = everything_on(admin)
    yield fleet
    fleet.close()
    remove_all_but(before, admin)
