"""The types of columns in a bundle, which both engines have."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.engine import Dialect
from sqlalchemy.exc import CompileError
from sqlalchemy.types import TypeDecorator, TypeEngine


class Kind(StrEnum):
    """The type of a column, whatever the engine."""

    TEXT = "text"
    INTEGER = "integer"
    FLOAT = "float"
    DECIMAL = "decimal"
    BOOLEAN = "boolean"
    UUID = "uuid"
    BYTES = "bytes"
    TIMESTAMP = "timestamp"
    TIMESTAMPTZ = "timestamptz"
    DATE = "date"
    TIME = "time"
    JSON = "json"
    OTHER = "other"  # of PostgreSQL alone, as text


# In this order: some are subclasses of others.
KINDS: Final[Mapping[type[TypeEngine[Any]], Kind]] = {
    sa.Boolean: Kind.BOOLEAN,
    sa.Uuid: Kind.UUID,
    sa.JSON: Kind.JSON,
    sa.LargeBinary: Kind.BYTES,
    sa.Date: Kind.DATE,
    sa.Float: Kind.FLOAT,
    sa.Numeric: Kind.DECIMAL,
    sa.Integer: Kind.INTEGER,
    sa.String: Kind.TEXT,
}


def kind_of(kind: TypeEngine[Any], dialect: Dialect) -> Kind | None:
    """Return the kind of a type, or None if its values have no portable form."""
    while isinstance(kind, TypeDecorator):
        kind = kind.load_dialect_impl(dialect)
    if isinstance(kind, sa.DateTime):
        return Kind.TIMESTAMPTZ if kind.timezone else Kind.TIMESTAMP
    if isinstance(kind, sa.Time):
        return None if kind.timezone else Kind.TIME
    return next((found for base, found in KINDS.items() if isinstance(kind, base)), None)


def declared_kind(column: sa.Column[Any] | None, reflected: TypeEngine[Any], dialect: Dialect) -> Kind | None:
    """Return the kind of a column in a SQLite file, where a UUID is just CHAR(32).

    ``column`` is the model's column of that name, or None. The model decides only if it would declare the column
    exactly as the file has it: a newer model says nothing about an older database.
    """
    if column is not None and _written(column.type, dialect) == _written(reflected, dialect):
        return kind_of(column.type, dialect)
    return kind_of(reflected, dialect)


def _written(kind: TypeEngine[Any], dialect: Dialect) -> str | None:
    try:
        return kind.compile(dialect=dialect)
    except CompileError:
        return None
