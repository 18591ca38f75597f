"""Doing to the next databases what Alembic did to the first ones, word for word.

Adding a column takes PostgreSQL less time than Alembic and SQLAlchemy take to work out, for each database anew, that
it is to be added. So what they sent is listened to. If it was the same for two databases, changed nothing but the
structure and asked for nothing, then it does not depend on the database, and is sent to the others as it is: in one
transaction, under the same lock, and only where the revision is the one it started from.

All else is left to Alembic: migrations of data, ones that look before they do something, ones that commit in between,
revisions that import more than Alembic and SQLAlchemy and so might do more than talk to the database, databases at
another revision than it is said, SQLite, and all migrations of a history with an ``env.py`` of its own.
"""

import ast
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from alembic.script import ScriptDirectory
from sqlalchemy import event
from sqlalchemy.engine import URL, Engine

from tenantapp.fleet.connections import ADVISORY_LOCK
from tenantapp.fleet.histories import bundled
from tenantapp.fleet.migration_connections import Limits, driver_connection

REHEARSALS: Final = 2
READS_VERSION: Final = "SELECT alembic_version.version_num FROM alembic_version"
VERSION: Final = "UPDATE alembic_version SET "
STRUCTURE: Final = ("ALTER", "CREATE", "DROP", "COMMENT", VERSION)
# Nobody else migrates it, and it is where it is said to be: else no row is changed.
BEGINNING: Final = """
BEGIN; UPDATE alembic_version SET version_num = %s WHERE version_num = %s AND pg_try_advisory_xact_lock(%s)
"""
IMPORTS: Final = frozenset({"alembic", "sqlalchemy", "collections", "typing", "__future__"})
NAMES: Final = frozenset({"get_bind", "get_context", "open", "exec", "eval", "__import__", "print", "input"})
Way = tuple[str | None, str]
"""The revisions a migration leads from and to."""


@dataclass
class _Heard:
    """What went over a connection."""

    statements: list[str] = field(default_factory=list)
    transactions: int = 0
    is_plain: bool = True

    def statement(self, connection: Any, cursor: Any, statement: str, parameters: Any, *_: object) -> None:
        if " ".join(statement.split()) == READS_VERSION and not self.statements:
            return
        # A percent sign would be read in two ways, with parameters and without.
        structure = statement.lstrip().startswith(STRUCTURE) and "%" not in statement
        self.is_plain = self.is_plain and structure and not parameters and cursor.description is None
        self.statements.append(statement)

    def commit(self, connection: Any) -> None:
        self.transactions += 1

    def script(self) -> str | None:
        plain = self.is_plain and self.transactions == 1 and self.statements
        structure = [statement for statement in self.statements if not statement.startswith(VERSION)]
        return ";\n".join([*structure, "COMMIT"]) if plain else None


class Rehearsals:
    """What the migrations of this process turned out to consist of."""

    def __init__(self, script: ScriptDirectory) -> None:
        ours = bundled("tenant") / "env.py"
        self._script = script
        self._may_listen = Path(script.env_py_location).read_bytes() == ours.read_bytes()
        self._heard: dict[Way, list[str | None]] = {}

    def script(self, way: Way) -> str | None:
        """The statements that lead this way, once they are known."""
        heard = self._heard.get(way, [])
        return heard[0] if len(heard) == REHEARSALS and len(set(heard)) == 1 else None

    @contextmanager
    def listening(self, engine: Engine, way: Way) -> Iterator[None]:
        """Listen to a migration on this engine, if that is still of use. One that fails does not count."""
        if not self._may_listen or engine.dialect.name != "postgresql":
            yield
            return
        if way not in self._heard:
            self._heard[way] = [] if self._only_talks(way) else [None] * REHEARSALS
        heard = self._heard[way]
        if len(heard) == REHEARSALS:
            yield
            return
        ear = _Heard()
        listeners: dict[str, Any] = {"after_cursor_execute": ear.statement, "commit": ear.commit}
        for name, listener in listeners.items():
            event.listen(engine, name, listener)
        try:
            yield
            heard.append(ear.script())
        finally:
            for name, listener in listeners.items():
                event.remove(engine, name, listener)

    def _only_talks(self, way: Way) -> bool:
        """Whether no revision on the way can do anything but send statements."""
        before, after = (self._up_to(end) for end in way)
        return all(_is_harmless(path) for path in before ^ after)

    def _up_to(self, revision: str | None) -> set[Path]:
        found = () if revision is None else self._script.iterate_revisions(revision, "base")
        return {Path(each.path) for each in found}


def _is_harmless(path: Path) -> bool:
    for node in ast.walk(ast.parse(path.read_text())):
        imported = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom):
            imported = [node.module or ""]
        name = getattr(node, "id", None) or getattr(node, "attr", None)
        if name in NAMES or not {module.partition(".")[0] for module in imported} <= IMPORTS:
            return False
    return True


def perform(script: str, way: Way, url: URL, name: str, limits: Limits) -> bool:
    """Send the statements, if the database is at the revision they lead from and nobody else at it; says whether.

    Raises ``DatabaseUnreachable``, ``DatabaseBusy`` and ``MigrationFailed``.
    """
    with driver_connection(url, name, limits) as connection, connection.cursor() as cursor:
        cursor.execute(BEGINNING, (way[1], way[0], ADVISORY_LOCK))
        if cursor.rowcount != 1:
            return False
        cursor.execute(script)
    return True
