"""What a database holds, as a plain value: read from the database itself, compared, put into words."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from sqlalchemy.engine import Connection

from tenantapp.databases.contents.postgres_contents import read_postgres
from tenantapp.databases.contents.rows import Rows
from tenantapp.databases.contents.sqlite_contents import read_sqlite
from tenantapp.operations.checkpoints import checkpoint

NOTHING: Final = Rows(0, "0")
Progress = Callable[[int], None]
"""Is told of each so many rows."""


def nobody(rows: int) -> None:
    """Tell nobody."""


@dataclass(frozen=True, slots=True)
class Contents:
    """The rows of each table, by name, how far each sequence is, and the large objects.

    A table is what holds rows itself: the partitions of one that is partitioned, a materialized view, the tables behind
    a virtual one. What is in a schema other than ``public`` bears its name: ``archive.nodes``. Two contents are equal
    if, and only if, the same values are in the same tables; only contents of one engine can be compared.
    """

    tables: Mapping[str, Rows]
    sequences: Mapping[str, str] = field(default_factory=dict)
    large_objects: Rows = NOTHING

    @property
    def rows(self) -> int:
        """Return the number of rows in all tables."""
        return sum(rows.count for rows in self.tables.values())

    def without(self, tables: frozenset[str]) -> "Contents":
        """Return the contents without some tables."""
        kept = {name: rows for name, rows in self.tables.items() if name not in tables}
        return Contents(kept, self.sequences, self.large_objects)


@checkpoint("contents.read")
def read_contents(connection: Connection, name: str, progress: Progress = nobody) -> Contents:
    """Read all that a database holds, within the transaction of a ``reading_connection``.

    ``name`` is what it is called in messages. Raises ``ReadingFailed``: ``RowsHidden`` if the connection may not see
    every row.
    """
    if connection.dialect.name == "sqlite":
        return Contents(read_sqlite(connection, name, progress))
    return Contents(*read_postgres(connection, name, progress))


def differences(original: Contents, copy: Contents) -> list[str]:
    """Return what a copy lacks or has otherwise, a part of a sentence each; nothing if it holds the same."""
    lines = []
    for name in sorted(original.tables.keys() | copy.tables.keys()):
        lines += _between(f"the table {name}", original.tables.get(name), copy.tables.get(name))
    for name in sorted(original.sequences.keys() | copy.sequences.keys()):
        here, there = original.sequences.get(name, "missing"), copy.sequences.get(name, "missing")
        if here != there:
            lines.append(f"the sequence {name} is {there} and not {here}")
    if original.large_objects.count != copy.large_objects.count:
        lines.append(f"there are {copy.large_objects.count} large objects and not {original.large_objects.count}")
    elif original.large_objects != copy.large_objects:
        lines.append("the large objects are not the same")
    return lines


def _between(name: str, original: Rows | None, copy: Rows | None) -> list[str]:
    if original == copy:
        return []
    if copy is None:
        return [f"{name} is missing"]
    if original is None:
        return [f"{name} should not be there"]
    if copy.count != original.count:
        return [f"{name} has {copy.count} rows and not {original.count}"]
    return [f"the rows of {name} are not the same"]
