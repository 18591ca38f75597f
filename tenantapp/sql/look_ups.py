"""Conditions that say how rows are looked up, where the engines cannot know it, and the size of a table.

An engine plans by how many rows it expects. SQLite has no statistics here. Those of PostgreSQL say nothing of which tag
a name stands for, nor of two words together.
"""

from typing import Any

from sqlalchemy import Boolean, ColumnElement, Integer, ScalarSelect, Table, Text
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement


class among(FunctionElement[bool]):
    """The condition that a key is among those of a SELECT. Each of them is looked up: ``among(key, select)``."""

    name = "among"
    type = Boolean()
    inherit_cache = True

    def __init__(self, key: ColumnElement[Any], keys: ScalarSelect[Any]) -> None:
        super().__init__(key, keys)

    def self_group(self, against: Any = None) -> Any:
        """Return this condition. SQLAlchemy would write ``= 1`` after it, and SQLite would then look at every row."""
        return self


class one_of(among):
    """The same condition, for rows that are read in another way: each is looked up among the keys of the SELECT."""

    name = "one_of"
    inherit_cache = True


@compiles(among)
def _among(element: Any, compiler: Any, **options: Any) -> str:
    key, keys = (compiler.process(clause, **options) for clause in element.clauses)
    return f"({key} IN {keys})"


@compiles(among, "postgresql")
def _among_on_postgres(element: Any, compiler: Any, **options: Any) -> str:
    # An array, because for IN the planner may read the whole table if it expects many keys.
    key, keys = (compiler.process(clause, **options) for clause in element.clauses)
    return f"({key} = ANY (ARRAY{keys}))"


@compiles(one_of)
def _one_of(element: Any, compiler: Any, **options: Any) -> str:
    # No index is used for the truth of a condition.
    key, keys = (compiler.process(clause, **options) for clause in element.clauses)
    return f"(({key} IN {keys}) IS TRUE)"


@compiles(one_of, "postgresql")
def _one_of_on_postgres(element: Any, compiler: Any, **options: Any) -> str:
    # Not a top-level IN, which would become a join. Of an array the planner expects few keys, so it hashes them.
    key, keys = (compiler.process(clause, **options) for clause in element.clauses)
    return f"(({key} IN (SELECT unnest(ARRAY{keys}))) IS TRUE)"


class rough_size(FunctionElement[int]):
    """About how many rows a table has: a number that costs nothing to read."""

    name = "rough_size"
    type = Integer()
    inherit_cache = False

    def __init__(self, table: Table) -> None:
        super().__init__()
        self.table = table


@compiles(rough_size)
def _rough_size(element: Any, compiler: Any, **options: Any) -> str:
    name = compiler.preparer.format_table(element.table)
    if element.table.dialect_options["sqlite"]["with_rowid"]:
        return f"(SELECT coalesce(max(rowid), 0) FROM {name})"  # noqa: S608
    return f"(SELECT count(*) FROM {name})"  # noqa: S608


@compiles(rough_size, "postgresql")
def _rough_size_on_postgres(element: Any, compiler: Any, **options: Any) -> str:
    # Before the first ANALYZE there is no number of rows, but a size in bytes.
    name = compiler.render_literal_value(compiler.preparer.format_table(element.table), Text())
    counted = "CASE WHEN reltuples > 0 THEN reltuples ELSE pg_relation_size(oid) / 200 END"
    return f"(SELECT CAST({counted} AS bigint) FROM pg_class WHERE oid = CAST({name} AS regclass))"  # noqa: S608
