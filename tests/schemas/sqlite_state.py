"""What a SQLite file is, read without the program."""

import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, Final

from sqlalchemy.engine import URL

OWN: Final = re.compile("tenant_identity|sqlite_stat.*|nodes_words_.*")  # each tenant has another
SETTINGS: Final = ("user_version", "application_id", "encoding", "auto_vacuum", "page_size")
CHECKS: Final = ("integrity_check", "foreign_key_check")


def is_sqlite(server: URL) -> bool:
    """Whether this is the URL of a directory of SQLite files."""
    return server.get_backend_name() == "sqlite"


def directories(parent: Path, *names: str) -> dict[str, URL]:
    """Servers with these names."""
    return {name: URL.create("sqlite+pysqlite", database=f"{parent}/{name}/") for name in names}


def read_sqlite(server: URL, database: str) -> dict[str, Any]:
    """Everything: definitions, rows with the types of their values, counters, settings, whether the file is sound."""
    with closing(_connect(server, database)) as connection:
        rows = connection.execute("SELECT type, name, tbl_name, sql FROM sqlite_master").fetchall()
        found: dict[str, Any] = {f"{kind} {name}": (of, sql) for kind, name, of, sql in rows}
        for kind, name, _, sql in rows:
            if kind == "table" and not OWN.fullmatch(name) and not sql.startswith("CREATE VIRTUAL"):
                found[f"rows of {name}"] = sorted(_rows(connection, name))
        for name in SETTINGS + CHECKS:
            found[name] = connection.execute(f"PRAGMA {name}").fetchall()
        return found


def _rows(connection: sqlite3.Connection, table: str) -> Iterator[str]:
    columns = [_quoted(row[1]) for row in connection.execute(f"PRAGMA table_xinfo({_quoted(table)})")]
    values = ", ".join(f"typeof({column}), {column}" for column in columns)
    connection.text_factory = bytes
    yield from map(repr, connection.execute(f"SELECT {values} FROM {_quoted(table)}").fetchall())
    connection.text_factory = str


def write_rows(server: URL, database: str, rows: str) -> None:
    """Execute statements in a tenant's database, in one transaction and with foreign keys, as the application does."""
    with closing(_connect(server, database)) as connection:
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute("BEGIN")
        for statement in statements_of(rows):
            connection.execute(statement)
        connection.execute("COMMIT")


def statements_of(text: str) -> list[str]:
    """The statements of a file, of which the driver takes one at a time."""
    found, begun = [], ""
    for piece in re.split(r"(?<=;)", text):
        begun += piece
        if sqlite3.complete_statement(begun):
            found.append(begun.strip())
            begun = ""
    assert not begun.strip(), begun
    return found


def _connect(server: URL, database: str) -> sqlite3.Connection:
    path = Path(str(server.database), f"{database}.sqlite")
    return sqlite3.connect(f"file:{path}?mode=rw", uri=True, isolation_level=None)


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
