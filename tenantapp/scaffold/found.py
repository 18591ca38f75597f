"""Read a database that a package is to be made of: its tables, and its structure in the engine's own words."""

import os
import re
import subprocess
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from sqlalchemy import MetaData, Table, inspect
from sqlalchemy.engine import URL, Connection, Dialect
from sqlalchemy.exc import SAWarning

from tenantapp.databases.connections.maintenance_engines import PUBLIC, reading_connection
from tenantapp.databases.histories.equal_structures import sqlite_uniques
from tenantapp.fleet.backups.postgres_dumps import address_of, environment_of
from tenantapp.fleet.backups.postgres_tools import choose_tools
from tenantapp.fleet.errors import BackupRefused
from tenantapp.operations.outcomes import first_line
from tenantapp.private_files import is_regular
from tenantapp.scaffold.errors import ScaffoldRefused
from tenantapp.setting_types import user_database_url
from tenantapp.sql.engines import server_version
from tenantapp.tenancy.models import CORE_TABLES
from tenantapp.tenancy.servers import sqlite_url

HISTORY: Final = "alembic_version"
# Whatever was made by a statement, in an order in which it can be made again.
SQLITE_WORDS: Final = r"""
SELECT sql FROM sqlite_master
WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite\_%' ESCAPE '\' AND name <> 'alembic_version'
    AND name NOT IN (SELECT name FROM pragma_table_list WHERE type = 'shadow')
ORDER BY CASE type WHEN 'table' THEN 1 WHEN 'index' THEN 2 WHEN 'view' THEN 3 ELSE 4 END, rowid
"""
SQLITE_OTHERS: Final = "SELECT name FROM pragma_table_list WHERE schema = 'main' AND type IN ('virtual', 'shadow')"
# Only the structure, and nothing of who owns it.
DUMP: Final = ("--schema-only", "--no-owner", "--no-privileges", "--no-publications", "--no-subscriptions")
TOOL_DIRECTORY: Final = "TENANTAPP_BACKUPS_POSTGRES_BIN"
# What pg_dump writes besides the statements that make something. A line of a function must not look like it.
SESSION: Final = (
    *("statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout", "transaction_timeout"),
    *("client_encoding", "standard_conforming_strings", "xmloption", "client_min_messages", "row_security"),
    *("default_tablespace", "default_table_access_method"),
)
DECORATION: Final = re.compile(
    r"^--\n-- .*\n--\n|^-- Dumped .*\n|^\\(un)?restrict .*\n|^SELECT pg_catalog\.set_config.*;\n"
    rf"|^SET ({'|'.join(SESSION)}) = .*;\n",
    re.MULTILINE,
)


@dataclass(frozen=True)
class FoundDatabase:
    """A database that was read. ``words`` has its structure as SQL of its engine.

    ``tables`` are as SQLAlchemy reflects them. ``uniques`` are the columns of SQLite's unique constraints, by table,
    as SQLAlchemy does not find all of them. ``notes`` are sentences for the builder.
    """

    tables: tuple[Table, ...]
    dialect: Dialect
    words: str
    uniques: Mapping[str, Sequence[Sequence[str]]]
    notes: tuple[str, ...]


def read_database(given: str) -> FoundDatabase:
    """Read the database at a URL, and change nothing in it.

    Raises ``ScaffoldRefused`` if it has nothing to make a package of, and what ``reading_connection`` raises.
    """
    try:
        url = user_database_url(given)
    except ValueError as error:
        raise ScaffoldRefused(f"--from-database {error}") from None
    name = f"the database {Path(str(url.database)).name}"
    with reading_connection(_read_only(url), name) as connection, connection.begin():
        if connection.dialect.name == "postgresql":
            # The models are of the tables in public. It is the builder's own database.
            connection.exec_driver_sql(f"SET LOCAL search_path = {PUBLIC}")
        tables, others = _tables(connection)
        _check(tables, name)
        words = _words(connection, url)
        uniques = sqlite_uniques(connection) if connection.dialect.name == "sqlite" else {}
        dialect = connection.dialect
    notes = [f"These tables are virtual and have no models: {', '.join(others)}"] if others else []
    return FoundDatabase(tuple(tables), dialect, words, uniques, tuple(notes))


def _read_only(url: URL) -> URL:
    if url.get_backend_name() != "sqlite":
        return url
    path = Path(str(url.database))
    if not path.exists() or not is_regular(path):
        raise ScaffoldRefused(f"There is no database {path}")
    return sqlite_url(path).update_query_dict({"mode": "ro"})


def _tables(connection: Connection) -> tuple[list[Table], list[str]]:
    """Return the tables in the order of their references, and the names of virtual ones."""
    others: list[str] = []
    if connection.dialect.name == "sqlite":
        others = list(connection.exec_driver_sql(SQLITE_OTHERS).scalars())
    names = [name for name in inspect(connection).get_table_names() if name not in (HISTORY, *others)]
    metadata = MetaData()
    with warnings.catch_warnings():
        # Of types that SQLAlchemy does not know: they are written in the engine's words.
        warnings.simplefilter("ignore", SAWarning)
        metadata.reflect(connection, only=names)
        return [table for table in metadata.sorted_tables if table.schema is None], others


def _check(tables: list[Table], name: str) -> None:
    ours = [table.name for table in tables if table.name in CORE_TABLES]
    if ours:
        raise ScaffoldRefused(f"{name[0].upper()}{name[1:]} is that of a tenant already: it has the table {ours[0]}")
    if not tables:
        raise ScaffoldRefused(f"{name[0].upper()}{name[1:]} has no tables")


def _words(connection: Connection, url: URL) -> str:
    """Return the structure in the engine's words. Raises ``ScaffoldRefused`` if no ``pg_dump`` can write it."""
    if url.get_backend_name() == "sqlite":
        return "".join(f"{sql};\n\n" for sql in connection.exec_driver_sql(SQLITE_WORDS).scalars())
    try:
        tools = choose_tools(os.environ.get(TOOL_DIRECTORY), server_version(connection))
    except BackupRefused as error:
        raise ScaffoldRefused(
            f"The structure cannot be written: {error.reason.partition(';')[0]}. Put the tools into the search path, "
            f"or name their directory in {TOOL_DIRECTORY}"
        ) from error
    command = [tools.path("pg_dump"), *DUMP, f"--exclude-table={HISTORY}", f"--dbname={address_of(url)}"]
    done = subprocess.run(command, env=environment_of(url), capture_output=True, text=True, check=False)  # noqa: S603
    if done.returncode:
        raise ScaffoldRefused(f"pg_dump cannot write the structure: {first_line(done.stderr)}")
    return re.sub(r"\n{3,}", "\n\n", DECORATION.sub("", done.stdout)).strip() + "\n"
