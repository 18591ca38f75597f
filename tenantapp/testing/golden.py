"""Copy user databases and lend templates, instead of making them for each test.

Running every migration takes longer than most of what tests ask. What is golden is made once in each test process, by
the program itself, for each history that its tests use.
"""

import secrets
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import replace
from functools import cache
from itertools import chain
from pathlib import Path
from typing import Any
from uuid import uuid4

import psycopg2
from psycopg2.errors import DuplicateDatabase
from sqlalchemy import update
from sqlalchemy.engine import URL

from tenantapp.databases.connections.postgres import DATABASE_SETTINGS
from tenantapp.databases.histories.upgrading import upgrade_user_database
from tenantapp.databases.models import Installation
from tenantapp.databases.schemas.effects import Effects
from tenantapp.databases.servers.postgres_databases import PostgresDatabases
from tenantapp.databases.servers.sqlite_databases import MARK, SqliteDatabases
from tenantapp.databases.servers.templates import Template, current_template, installation_mark
from tenantapp.operations.fleet import Fleet
from tenantapp.settings import Settings
from tenantapp.tenancy.servers import PostgresServer, Server, SqliteServer

PREFIX = "golden_"  # of the databases and roles on a server that belong to no test


def make_user_database(fleet: Fleet) -> None:
    """Make the user database. It is a copy of the golden one, with a mark of its own, if its history is the bundled."""
    settings = fleet.settings
    if settings.migrations_user is not None or not _copy_user_database(settings):
        upgrade_user_database(settings)
        return
    with fleet.user_db.begin() as session:
        session.execute(update(Installation).values(id=uuid4()))


def lend_templates(fleet: Fleet, servers: Iterable[Server], until: ExitStack) -> None:
    """Let these servers have the template, as if a tenant had been made on each, until the stack is closed."""
    with fleet.user_db.begin(read_only=True) as session:
        mark = installation_mark(session)
    for server in {server.url: server for server in servers}.values():
        template = replace(current_template(fleet, mark, server), watch=Effects)
        if isinstance(server, SqliteServer):
            _copy_template(server, template)
        elif isinstance(server, PostgresServer) and server.url in _servers:
            until.enter_context(_servers[server.url].template_lent(server, template))


@contextmanager
def golden_on(admin: URL) -> Iterator[None]:
    """Keep golden databases on this PostgreSQL server, ``admin`` being its superuser's URL, until the block ends."""
    address = admin.set(database="")
    _servers[address] = _OnPostgres(admin.set(database="postgres"))
    try:
        yield
    finally:
        _servers.pop(address).remove()


def _copy_user_database(settings: Settings) -> bool:
    """Put a copy where the settings say. False if there is something already, or nothing to be copied."""
    url = settings.user_db_url
    if url.get_backend_name() == "sqlite":
        path = Path(str(url.database))
        if path.exists():
            return False
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(_sqlite_user_database(settings), path)
        return True
    kept = _servers.get(url.set(database=""))
    return kept is not None and kept.copy_user_database(settings)


_directory = cache(lambda: tempfile.TemporaryDirectory(prefix="tenantapp-golden-"))


def _sqlite_user_database(settings: Settings) -> Path:
    path = Path(_directory().name) / "user.sqlite"
    if not path.exists():
        url = URL.create("sqlite+pysqlite", database=str(path))
        upgrade_user_database(replace(settings, user_db_url=url))
    return path


def _copy_template(server: SqliteServer, template: Template) -> None:
    golden = SqliteServer("golden", URL.create("sqlite+pysqlite", database=f"{_directory().name}/templates/"))
    kept = replace(template, name=f"{PREFIX}{_history(template)}", known=())
    SqliteDatabases(golden).ensure_template(kept)
    server.directory.mkdir(parents=True, exist_ok=True)
    with suppress(FileExistsError), (server.directory / MARK).open("x") as file:
        file.write(template.mark)
    shutil.copy(golden.path(kept.name), server.path(template.name))


def _history(template: Template) -> str:
    """Return the name without the installation's mark: the revision and the digest of the template's history."""
    return template.name.partition("_")[2].partition("_")[2]


class _OnPostgres:
    """The golden databases of a PostgreSQL server."""

    def __init__(self, admin: URL) -> None:
        self._admin = admin
        self._user_database: str | None = None
        self._templates: dict[str, list[str]] = {}  # that are lent to nobody, by their histories

    def copy_user_database(self, settings: Settings) -> bool:
        """Make the user database of the settings. False if it is there."""
        url = settings.user_db_url
        if self._user_database is None:
            self._user_database = f"{PREFIX}{secrets.token_hex(4)}"
            upgrade_user_database(replace(settings, user_db_url=url.set(database=self._user_database)))
        with self._connection() as ask:
            try:
                # File by file: page by page, as is the default, takes three times as long.
                ask(f'CREATE DATABASE "{url.database}" TEMPLATE "{self._user_database}" STRATEGY FILE_COPY')
            except DuplicateDatabase:
                return False
            # What no copy has.
            timeouts = [f"ALTER DATABASE \"{url.database}\" SET {n} = '{v}'" for n, v in DATABASE_SETTINGS.items()]
            ask("; ".join([f'REVOKE CONNECT, TEMPORARY ON DATABASE "{url.database}" FROM PUBLIC', *timeouts]))
        return True

    @contextmanager
    def template_lent(self, server: PostgresServer, template: Template) -> Iterator[None]:
        """Let one have the name and the mark of this template meanwhile. If it is removed, so be it."""
        kept = self._templates.setdefault(_history(template), [])
        name = kept.pop() if kept else self._build(server, template)
        with self._connection() as ask:
            (was,) = ask(_renamed(name, template.name, template.mark) + self._oid_of(template.name))
        try:
            yield
        finally:
            with self._connection() as ask:
                # Another of the same name may have been built in its place, which is not known to be the same.
                if ask(self._oid_of(template.name)) == [was]:
                    ask(_renamed(template.name, name, PREFIX))
                    kept.append(name)

    def remove(self) -> None:
        """Remove them all."""
        with self._connection() as ask:
            for name in chain.from_iterable(self._templates.values()):
                ask(f'ALTER DATABASE "{name}" IS_TEMPLATE false')
                ask(f'DROP DATABASE "{name}"')
                ask(f'DROP ROLE "{name}"')
            if self._user_database is not None:
                ask(f'DROP DATABASE "{self._user_database}"')

    def _build(self, server: PostgresServer, template: Template) -> str:
        name = f"{PREFIX}{secrets.token_hex(4)}"
        PostgresDatabases(server).ensure_template(replace(template, name=name, known=()))
        return name

    @staticmethod
    def _oid_of(database: str) -> str:
        return f"SELECT oid FROM pg_database WHERE datname = '{database}'"

    @contextmanager
    def _connection(self) -> Iterator[Any]:
        """Asks the server, and returns rows, if there are any."""
        url = self._admin.set(drivername="postgresql")
        with closing(psycopg2.connect(url.render_as_string(hide_password=False))) as connection:
            connection.autocommit = True
            with connection.cursor() as cursor:

                def ask(statement: str) -> list[Any]:
                    cursor.execute(statement)
                    return cursor.fetchall() if cursor.description else []

                yield ask


def _renamed(old: str, new: str, mark: str) -> str:
    names = "; ".join(f'ALTER {what} "{old}" RENAME TO "{new}"' for what in ("DATABASE", "ROLE"))
    return f"{names}; COMMENT ON ROLE \"{new}\" IS '{mark}'; "


_servers: dict[URL, _OnPostgres] = {}
