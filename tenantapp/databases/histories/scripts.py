"""Run a file of SQL statements in a migration: a structure in an engine's own words."""

import sqlite3
from collections.abc import Iterator
from pathlib import Path

from alembic import op
from sqlalchemy import text


def run_script(path: Path) -> None:
    """Run the statements of an SQL file on the database that is being migrated. The file is in UTF-8."""
    script = path.read_text(encoding="utf-8")
    # psycopg2 takes any number of statements at once, and sqlite3 one.
    for statement in _statements(script) if op.get_context().dialect.name == "sqlite" else [script]:
        op.execute(text(statement.replace(":", "\\:")))


def _statements(script: str) -> Iterator[str]:
    statement = ""
    for line in script.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""
    if statement.strip():
        yield statement
