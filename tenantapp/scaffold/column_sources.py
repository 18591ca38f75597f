"""The source of the columns and constraints of a table that was found."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.engine import Dialect

from tenantapp.scaffold.type_sources import UUID_SOURCE, TypeSource, type_source

# A value that both engines write alike, and what PostgreSQL adds to it.
VALUE: Final = re.compile(r"\(*('(?:[^']|'')*'|-?\d+(?:\.\d+)?|NULL)\)*(?:::[\w \"\[\](),.]+)?\)*", re.IGNORECASE)
NOW: Final = re.compile(r"now\(\)|current_timestamp", re.IGNORECASE)
TRUTH: Final = {"true": "true", "1": "true", "false": "false", "0": "false"}
SEQUENCE: Final = "nextval("
HEX_DIGITS: Final = 32  # how SQLAlchemy and Django store a UUID on SQLite


def column_types(tables: tuple[sa.Table, ...], dialect: Dialect) -> dict[sa.Column[Any], TypeSource]:
    """Return the sources of the types of all columns."""
    return {
        column: UUID_SOURCE if _is_uuid(column, dialect) else type_source(column.type, dialect)
        for table in tables
        for column in table.columns
    }


def _is_uuid(column: sa.Column[Any], dialect: Dialect) -> bool:
    """Return whether a column of SQLite has UUIDs: a key ``id`` of 32 characters, or a reference to one."""
    if dialect.name != "sqlite" or not isinstance(column.type, sa.CHAR) or column.type.length != HEX_DIGITS:
        return False
    references = [key.column for key in column.foreign_keys]
    return is_id(column) or any(is_id(each) for each in references)


def is_id(column: sa.Column[Any]) -> bool:
    """Return whether a column is the whole key of its table, and is called ``id``."""
    return column.name == "id" and list(column.table.primary_key.columns) == [column]


def column_arguments(column: sa.Column[Any], type_: TypeSource) -> Iterator[str]:
    """Yield the arguments of a column, without its name."""
    yield type_.sql
    for key in sorted(column.foreign_keys, key=lambda key: key.target_fullname):
        if key.constraint is not None and len(key.constraint.columns) == 1:
            yield f"sa.ForeignKey({', '.join([repr(key.target_fullname), *_options(key.constraint)])})"
    if column.computed is not None:
        yield f"sa.Computed({str(column.computed.sqltext)!r}, persisted={column.computed.persisted})"
    elif column.identity is not None:
        yield f"sa.Identity(always={bool(column.identity.always)})"
    if column.primary_key:
        yield "primary_key=True"
    else:
        yield f"nullable={column.nullable}"
    if is_id(column) and type_ == UUID_SOURCE:
        yield "default=uuid7"
    default = _default(column, type_)
    if default:
        yield f"server_default={default}"
    if column.comment is not None:
        yield f"comment={column.comment!r}"


def table_arguments(table: sa.Table, dialect: Dialect, uniques: Sequence[Sequence[str]]) -> Iterator[str]:
    """Yield what belongs to several columns, or has a name of its own."""
    constraints: list[Any] = sorted(table.constraints, key=lambda each: (type(each).__name__, str(each.name)))
    for constraint in constraints:
        if isinstance(constraint, sa.ForeignKeyConstraint) and len(constraint.columns) > 1:
            targets = [element.target_fullname for element in constraint.elements]
            names = [column.name for column in constraint.columns]
            yield f"sa.ForeignKeyConstraint({', '.join([repr(names), repr(targets), *_options(constraint)])})"
        elif _is_named_unique(constraint):
            unique = ", ".join(repr(column.name) for column in constraint.columns)
            yield f"sa.UniqueConstraint({unique}, name={str(constraint.name)!r})"
    named = [[column.name for column in each.columns] for each in constraints if _is_named_unique(each)]
    for columns in uniques:
        if list(columns) not in named:
            yield f"sa.UniqueConstraint({', '.join(map(repr, columns))})"
    for index in sorted(table.indexes, key=lambda index: str(index.name)):
        yield _index(index, dialect)
    if table.comment is not None:
        yield f"{{'comment': {table.comment!r}}}"


def _is_named_unique(constraint: Any) -> bool:
    return isinstance(constraint, sa.UniqueConstraint) and constraint.name is not None


def _index(index: sa.Index, dialect: Dialect) -> str:
    parts = [repr(index.name)]
    for each in index.expressions:
        expression: Any = each
        plain = isinstance(expression, sa.Column)
        parts.append(repr(expression.name) if plain else _text(_expression(expression, dialect)))
    if index.unique:
        parts.append("unique=True")
    options: Mapping[str, Any] = index.dialect_options[dialect.name]
    where = options.get("where")
    if where is not None:
        parts += [f"{engine}_where={_text(str(where))}" for engine in ("postgresql", "sqlite")]
    if options.get("using"):
        parts.append(f"postgresql_using={options['using']!r}")
    return f"sa.Index({', '.join(parts)})"


def _expression(expression: Any, dialect: Dialect) -> str:
    return str(expression.compile(dialect=dialect, compile_kwargs={"include_table": False}))


def _options(key: sa.ForeignKeyConstraint) -> Iterator[str]:
    for name in ("ondelete", "onupdate", "deferrable", "initially"):
        value = getattr(key, name)
        if value is not None:
            yield f"{name}={value!r}"


def _default(column: sa.Column[Any], type_: TypeSource) -> str:
    """Return the source of a default of the database. One that only its engine understands is not repeated."""
    default = column.server_default
    if not isinstance(default, sa.DefaultClause):
        return ""
    words = str(default.arg)
    if words.startswith(SEQUENCE) and column.primary_key:
        return ""
    value = VALUE.fullmatch(words.strip())
    if type_.python == "bool":
        truth = TRUTH.get(words.strip("()'").lower())
        return _text(truth) if truth else "sa.FetchedValue()"
    if NOW.fullmatch(words.strip()):
        return "sa.func.now()"
    return _text(value.group(1)) if value else "sa.FetchedValue()"


def _text(words: str) -> str:
    return f"sa.text({words.replace(':', chr(92) + ':')!r})"
