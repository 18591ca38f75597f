"""Complete names in the shell: those that the user database or the settings have.

A shell asks while somebody types. So nothing is printed but names, and there are none if the database does not answer
soon. The database is asked through its driver: to import SQLAlchemy takes longer than all the rest.
"""

import os
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from threading import Timer
from typing import Any, Final
from urllib.parse import quote
from uuid import UUID

import click

MOST: Final = 200  # names; nobody chooses from more
PATIENCE: Final = 3.0  # seconds
SQLITE: Final = "sqlite+pysqlite:///"
SERVER_PREFIX: Final = "servers."

Given = Mapping[str, str]  # the text of the settings
Find = Callable[[Given, str], list[str]]
Complete = Callable[[click.Context, click.Parameter, str], list[str]]


def _completing(find: Find) -> Complete:
    """Return the function that click calls to complete a name, for one that finds names by their beginning."""

    def complete(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[str]:
        warnings.simplefilter("ignore")
        try:
            from tenantapp.configuration import read_given_settings

            return find(read_given_settings(Path(context.find_root().params["ini"])), incomplete)
        except (Exception, SystemExit):
            return []

    return complete


def names_in(table: str, column: str) -> Find:
    """Return a function that finds names in a column of the user database."""
    # Not LIKE: names may have % and _.
    beginning = f"SELECT {column} FROM {table} WHERE substr({column}, 1, length(%s)) = %s ORDER BY 1 LIMIT {MOST}"  # noqa: S608
    return lambda given, incomplete: _rows(given, beginning, incomplete, incomplete)


def _rows(given: Given, statement: str, *values: str) -> list[Any]:
    """Return the first column of a SELECT on the user database. Its placeholder is ``%s``."""
    url = given["user_db.url"]
    with _given_up_after(PATIENCE):
        if url.startswith(SQLITE):
            return _from_sqlite(url.removeprefix(SQLITE).partition("?")[0], statement.replace("%s", "?"), values)
        return _from_postgres(url.replace("+psycopg2", "", 1), statement, values)


def _from_sqlite(path: str, statement: str, values: tuple[str, ...]) -> list[Any]:
    import sqlite3

    with closing(sqlite3.connect(f"file:{quote(path)}?mode=ro", uri=True)) as connection:
        return [value for (value,) in connection.execute(statement, values)]


def _from_postgres(url: str, statement: str, values: tuple[str, ...]) -> list[Any]:
    import psycopg2

    with closing(psycopg2.connect(url)) as connection:
        connection.set_session(readonly=True)
        with connection.cursor() as cursor:
            cursor.execute(statement, values)
            return [value for (value,) in cursor]


@contextmanager
def _given_up_after(seconds: float) -> Iterator[None]:
    """End the process if the block takes longer: a driver may wait in a call that nothing else ends."""
    timer = Timer(seconds, os._exit, (0,))
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


_logins: Final = names_in("users", "login")
_groups: Final = names_in("groups", "name")


def _grantees(given: Given, beginning: str) -> list[str]:
    if beginning.startswith("@"):
        return [f"@{name}" for name in _groups(given, beginning[1:])]
    return _logins(given, beginning)


def _servers(given: Given, beginning: str) -> list[str]:
    names = [name.removeprefix(SERVER_PREFIX) for name in given if name.startswith(SERVER_PREFIX)]
    return [name for name in names if name.startswith(beginning)]


def _operations(given: Given, beginning: str) -> list[str]:
    newest = _rows(given, f"SELECT id FROM operations ORDER BY id DESC LIMIT {MOST}")  # noqa: S608
    # SQLite has them without hyphens.
    return [name for name in (str(UUID(found)) for found in newest) if name.startswith(beginning)]


slugs: Final = _completing(names_in("tenants", "slug"))
logins: Final = _completing(_logins)
groups: Final = _completing(_groups)
grantees: Final = _completing(_grantees)
roles: Final = _completing(names_in("roles", "name"))
servers: Final = _completing(_servers)
operation_ids: Final = _completing(_operations)
