"""The types that a bundle knows, which both engines have, and which of them a column is."""

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
    """The kind of what this type stores; None for one that has no portable form."""
    while isinstance(kind, TypeDecorator):
        kind = kind.load_dialect_impl(dialect)
    if isinstance(kind, sa.DateTime):
        return Kind.TIMESTAMPTZ if kind.timezone else Kind.TIMESTAMP
    if isinstance(kind, sa.Time):
        return None if kind.timezone else Kind.TIME
    return next((found for base, found in KINDS.items() if isinstance(kind, base)), None)


def declared_kind(column: sa.Column[Any] | None, reflected: TypeEngine[Any], dialect: Dialect) -> Kind | None:
    """The kind of a column of a SQLite file, which says of a UUID only that it is CHAR(32).

    ``column`` is the model's of that name, if there is one. It is believed as long as it would be declared in the very
    way that the file has it, so that a model that has moved on does not mislead about an older database.
    """
    if column is not None and _written(column.type, dialect) == _written(reflected, dialect):
        return kind_of(column.type, dialect)
    return kind_of(reflected, dialect)


def _written(kind: TypeEngine[Any], dialect: Dialect) -> str | None:
    try:
        return kind.compile(dialect=dialect)
    except CompileError:
        return None
