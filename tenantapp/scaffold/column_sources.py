"""The source of the columns and constraints of a table that was found."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.engine import Dialect

from tenantapp.scaffold.type_sources import INTEGER_SOURCE, UUID_SOURCE, TypeSource, type_source

# A value that both engines write alike, and what PostgreSQL adds to it.
VALUE: Final = re.compile(r"\(*('(?:[^']|'')*'|-?\d+(?:\.\d+)?|NULL)\)*(?:::[\w \"\[\](),.]+)?\)*", re.IGNORECASE)
NOW: Final = re.compile(r"now\(\)|current_timestamp", re.IGNORECASE)
TRUTH: Final = {"true": "true", "1": "true", "false": "false", "0": "false"}
SEQUENCE: Final = "nextval("
HEX_DIGITS: Final = 32  # how SQLAlchemy and Django store a UUID on SQLite
ID: Final = "id"  # how the key of a resource is called in the model, whatever the column is called


def column_types(tables: tuple[sa.Table, ...], dialect: Dialect) -> dict[sa.Column[Any], TypeSource]:
    """Return the sources of the types of all columns."""
    return {column: _type_of(column, dialect) for table in tables for column in table.columns}


def _type_of(column: sa.Column[Any], dialect: Dialect) -> TypeSource:
    if _is_uuid(column, dialect):
        return UUID_SOURCE
    found = type_source(column.type, dialect)
    if _is_counted(column, dialect) and dialect.name == "postgresql" and found.sql != INTEGER_SOURCE:
        # SQLite counts no other integers.
        return found._replace(sql=f'{found.sql}.with_variant({INTEGER_SOURCE}, "sqlite")')
    return found


def _is_uuid(column: sa.Column[Any], dialect: Dialect) -> bool:
    """Return whether a column has UUIDs. On SQLite it is a key of 32 characters, or a reference to one."""
    if dialect.name != "sqlite":
        return isinstance(column.type, sa.Uuid)
    if not isinstance(column.type, sa.CHAR) or column.type.length != HEX_DIGITS:
        return False
    references = [key.column for key in column.foreign_keys]
    return _is_key(column) or any(_is_key(each) for each in references)


def _is_key(column: sa.Column[Any]) -> bool:
    """Return whether a column is the whole key of its table."""
    return list(column.table.primary_key.columns) == [column]


def _is_counted(column: sa.Column[Any], dialect: Dialect) -> bool:
    """Return whether the database gives a key its values, by counting."""
    if not _is_key(column) or not isinstance(column.type, sa.Integer):
        return False
    if dialect.name == "sqlite":
        return column.type.compile(dialect) == "INTEGER"  # https://sqlite.org/rowidtable.html
    default = column.server_default
    by_sequence = isinstance(default, sa.DefaultClause) and str(default.arg).startswith(SEQUENCE)
    return by_sequence or column.identity is not None


def is_resource_key(column: sa.Column[Any], dialect: Dialect) -> bool:
    """Return whether a column can be the key of a resource: a UUID, or a number that the database counts."""
    others = {other.name.lower() for other in column.table.columns if other is not column}
    is_free = not column.foreign_keys and ID not in others
    return is_free and _is_key(column) and (_is_uuid(column, dialect) or _is_counted(column, dialect))


def column_key(column: sa.Column[Any], dialect: Dialect) -> str:
    """Return what a column is called in the model."""
    return ID if is_resource_key(column, dialect) else column.name


def column_arguments(column: sa.Column[Any], type_: TypeSource, dialect: Dialect) -> Iterator[str]:
    """Yield the arguments of a column, without its name."""
    yield type_.sql
    for key in sorted(column.foreign_keys, key=lambda key: key.target_fullname):
        if key.constraint is not None and len(key.constraint.columns) == 1:
            yield f"sa.ForeignKey({', '.join([repr(_target(key, dialect)), *_options(key.constraint)])})"
    if column.computed is not None:
        yield f"sa.Computed({str(column.computed.sqltext)!r}, persisted={column.computed.persisted})"
    elif column.identity is not None:
        yield f"sa.Identity(always={bool(column.identity.always)})"
    if (called := column_key(column, dialect)) != column.name:
        yield f"key={called!r}"
    if column.primary_key:
        yield "primary_key=True"
        if isinstance(column.type, sa.Integer) and _is_key(column) and not _is_counted(column, dialect):
            yield "autoincrement=False"
    else:
        yield f"nullable={column.nullable}"
    if _is_key(column) and type_ == UUID_SOURCE and not column.foreign_keys:
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
            targets = [_target(element, dialect) for element in constraint.elements]
            names = [column_key(column, dialect) for column in constraint.columns]
            yield f"sa.ForeignKeyConstraint({', '.join([repr(names), repr(targets), *_options(constraint)])})"
        elif _is_named_unique(constraint):
            unique = ", ".join(repr(column_key(column, dialect)) for column in constraint.columns)
            yield f"sa.UniqueConstraint({unique}, name={str(constraint.name)!r})"
    named = [[column.name for column in each.columns] for each in constraints if _is_named_unique(each)]
    for columns in uniques:
        if list(columns) not in named:
            keys = (column_key(table.columns[name], dialect) for name in columns)
            yield f"sa.UniqueConstraint({', '.join(map(repr, keys))})"
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
        parts.append(repr(column_key(expression, dialect)) if plain else _text(_expression(expression, dialect)))
    if index.unique:
        parts.append("unique=True")
    options: Mapping[str, Any] = index.dialect_options[dialect.name]
    where = options.get("where")
    if where is not None:
        parts += [f"{engine}_where={_text(str(where))}" for engine in ("postgresql", "sqlite")]
    if options.get("using"):
        parts.append(f"postgresql_using={options['using']!r}")
    return f"sa.Index({', '.join(parts)})"


def _target(key: sa.ForeignKey, dialect: Dialect) -> str:
    """Return what a foreign key refers to, as the models call it."""
    return f"{key.column.table.name}.{column_key(key.column, dialect)}"


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
