"""Find the filters and sorts of a resource that stand on no index of its table."""

from collections.abc import Iterable, Iterator
from typing import Any, Final

from sqlalchemy import Column, Index, Table, UniqueConstraint
from sqlalchemy.engine import Dialect, make_url

from tenantapp.resources.declaration import Resource

ENGINES: Final = {"PostgreSQL": "postgresql+psycopg2", "SQLite": "sqlite+pysqlite"}


def missing_on_both(resources: Iterable[Resource[Any]]) -> list[str]:
    """Return a sentence for each filter and sort that has no index on one of the engines."""
    found: dict[str, list[str]] = {}
    for engine, name in ENGINES.items():
        dialect = make_url(f"{name}://").get_dialect()()
        for resource in resources:
            for sentence in missing_indexes(resource, dialect):
                found.setdefault(sentence, []).append(engine)
    return [
        sentence if len(engines) == len(ENGINES) else f"{sentence.rstrip('.')} on {engines[0]}."
        for sentence, engines in found.items()
    ]


def missing_indexes(resource: Resource[Any], dialect: Dialect) -> list[str]:
    """Return a sentence for each filter and sort that has no index on this engine.

    A filter and a sort need an index on their column and then the key, unless the column is unique: so a page begins in
    the index, and the index alone has the keys that a filter finds. A condition needs a partial index with the same
    condition, or an index on it.
    """
    table: Table = resource.mapper.local_table  # type: ignore[assignment]
    lists = list(_column_lists(table, dialect))
    conditions = {_text(each, dialect) for index in table.indexes for each in _conditions(index, dialect)}
    key = resource.mapper.primary_key[0]
    found: list[str] = []
    for name, each in resource.filters.items():
        needed = each.indexed()
        if needed is None:
            continue
        column = getattr(getattr(needed, "property", None), "columns", [needed])[0]
        if isinstance(column, Column):
            found += _missing(f"filter {name} of the resource {resource.name}", column, key, lists)
        elif _text(needed, dialect) not in conditions:
            found.append(f"The filter {name} of the resource {resource.name} has no index.")
    for name, column in resource.sorts.items():
        found += _missing(f"sort {name} of the resource {resource.name}", column, key, lists)
    return found


def _missing(what: str, column: Any, key: Any, lists: list[list[Any]]) -> list[str]:
    wanted = [column] if column.unique or column is key else [column, key]
    if any(columns[: len(wanted)] == wanted for columns in lists):
        return []
    return [f"The {what} has no index on {' and '.join(each.name for each in wanted)}."]


def _column_lists(table: Table, dialect: Dialect) -> Iterator[list[Any]]:
    yield list(table.primary_key.columns)
    for constraint in table.constraints:
        if isinstance(constraint, UniqueConstraint):
            yield list(constraint.columns)
    for index in table.indexes:
        if index.dialect_options[dialect.name].get("where") is None:
            yield list(index.expressions)


def _conditions(index: Index, dialect: Dialect) -> Iterator[Any]:
    where = index.dialect_options[dialect.name].get("where")
    if where is not None:
        yield where
    elif not isinstance(index.expressions[0], Column):
        yield index.expressions[0]


def _text(expression: Any, dialect: Dialect) -> str:
    """Return the SQL of an expression, without the table's name, as it stands in an index."""
    if isinstance(expression, str):
        return expression
    compiled = expression.compile(dialect=dialect, compile_kwargs={"literal_binds": True, "include_table": False})
    return str(compiled)
