"""Indexes that a failed ``CREATE INDEX CONCURRENTLY`` leaves in a PostgreSQL database.

They are invalid: each write maintains them, and no query uses them. The statement fails when it is repeated, because
the name is taken; with IF NOT EXISTS it even succeeds and changes nothing.
https://www.postgresql.org/docs/current/sql-createindex.html#SQL-CREATEINDEX-CONCURRENTLY
"""

import re
from contextlib import closing
from typing import Any, Final

from sqlalchemy import event
from sqlalchemy.engine import Connection

NAME: Final = r'(?:"(?:[^"]|"")+"|[^\W\d][\w$]*)'
CREATE: Final = re.compile(
    rf"\s*CREATE\s+(?:UNIQUE\s+)?INDEX\s+CONCURRENTLY\s+(?:IF\s+NOT\s+EXISTS\s+)?(?P<name>{NAME})\s+"
    rf"ON\s+(?:ONLY\s+)?(?P<table>{NAME}(?:\.{NAME})?)",
    re.IGNORECASE,
)
INVALID: Final = """
SELECT indexrelid::regclass::text, relname FROM pg_index JOIN pg_class ON pg_class.oid = indexrelid
WHERE NOT indisvalid AND relkind = 'i' AND NOT EXISTS (SELECT FROM pg_constraint WHERE conindid = indexrelid)
"""
OF_TABLE: Final = f"{INVALID} AND relname = %s AND indrelid = to_regclass(%s)"


class ConcurrentIndexes:
    """Watches what a connection in autocommit mode executes, from its first statement on.

    Before a statement makes an index concurrently, an invalid index of the same name on the same table is removed: an
    earlier attempt has left it. One that belongs to a constraint stays.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._before: set[str] | None = None  # invalid indexes that were there
        self._made: set[str] = set()
        event.listen(connection, "before_cursor_execute", self._prepare)

    def left(self) -> str:
        """Return what is invalid now and was not before, as a part of a sentence, or an empty text."""
        invalid = sorted(tuple(row) for row in self._connection.exec_driver_sql(INVALID))
        found = [(index, name) for index, name in invalid if index not in (self._before or ())]
        again = [index for index, name in found if name in self._made]
        others = [index for index, name in found if name not in self._made]
        parts = [f"the invalid index {', '.join(again)}, which the next attempt removes"] if again else []
        return " and ".join([*parts, *([f"the invalid index {', '.join(others)}"] if others else [])])

    def _prepare(self, connection: Connection, cursor: Any, statement: str, *_: Any) -> None:
        with closing(connection.connection.cursor()) as own:
            if self._before is None:
                own.execute(INVALID)
                self._before = {index for index, _ in own.fetchall()}
            match = CREATE.match(statement)
            if match is not None:
                name = _plain(match["name"])
                self._made.add(name)
                own.execute(OF_TABLE, (name, match["table"]))
                for index, _ in own.fetchall():
                    own.execute(f"DROP INDEX CONCURRENTLY {index}")
                    self._before.discard(index)


def _plain(name: str) -> str:
    return name[1:-1].replace('""', '"') if name.startswith('"') else name.lower()
