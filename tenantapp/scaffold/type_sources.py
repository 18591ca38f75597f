"""The source of a column's type, so that both engines have it, and the engine of the database has it as it is."""

import warnings
from collections.abc import Iterator
from contextlib import suppress
from typing import Any, Final, NamedTuple

import sqlalchemy as sa
from sqlalchemy.engine import Dialect, make_url
from sqlalchemy.exc import SAWarning
from sqlalchemy.types import TypeEngine

OTHER_ENGINE: Final = {"sqlite": "postgresql", "postgresql": "sqlite"}
PYTHON_TYPES: Final = {
    "date": "dt.date",
    "datetime": "dt.datetime",
    "time": "dt.time",
    "timedelta": "dt.timedelta",
    "Decimal": "decimal.Decimal",
    "UUID": "uuid.UUID",
    **{name: name for name in ("int", "str", "bool", "float", "bytes")},
}
ANYTHING: Final = "Any"
NATIONAL: Final = (sa.NVARCHAR, sa.NCHAR)  # PostgreSQL has no such types, and all its texts have all characters
# Words for one and the same type.
SAME: Final = (("DECIMAL", "NUMERIC"), ("BOOL", "BOOLEAN"))


class TypeSource(NamedTuple):
    """The source of a type, and that of the Python type of its values."""

    sql: str
    python: str


UUID_SOURCE: Final = TypeSource("sa.Uuid()", "uuid.UUID")
INTEGER_SOURCE: Final = "sa.Integer()"


def type_source(type_: TypeEngine[Any], dialect: Dialect) -> TypeSource:
    """Return the source of a reflected type."""
    if isinstance(type_, sa.DateTime) and type_.timezone:
        return TypeSource("UtcDateTime", "dt.datetime")
    if isinstance(type_, NATIONAL):
        return TypeSource(f'sa.{sa.String(type_.length)!r}.with_variant(sa.{type_!r}, "{dialect.name}")', "str")
    for candidate in _candidates(type_, dialect):
        if _words(candidate, dialect) == _words(type_, dialect):
            return TypeSource(f"sa.{candidate!r}", _python_type(candidate))
    # No type that both engines have: a text on the other one, and here whatever the engine calls it.
    return TypeSource(f'sa.Text().with_variant(Found({_ddl(type_, dialect)!r}), "{dialect.name}")', ANYTHING)


def _candidates(type_: TypeEngine[Any], dialect: Dialect) -> Iterator[TypeEngine[Any]]:
    """Yield the types of SQLAlchemy itself that may be the same, the plainest first."""
    if isinstance(type_, sa.Enum):
        type_ = sa.Enum(*type_.enums, name=type_.name)
    found: list[TypeEngine[Any]] = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SAWarning)
        with suppress(NotImplementedError):
            found.append(type_.as_generic())
    found.append(type_)
    other = make_url(f"{OTHER_ENGINE[dialect.name]}://").get_dialect()()
    for candidate in found:
        if getattr(sa, type(candidate).__name__, None) is type(candidate) and _ddl(candidate, other):
            yield candidate


def _ddl(type_: TypeEngine[Any], dialect: Dialect) -> str:
    try:
        return dialect.type_compiler_instance.process(type_)
    except (sa.exc.CompileError, AttributeError):
        return ""


def _words(type_: TypeEngine[Any], dialect: Dialect) -> str:
    words = _ddl(type_, dialect).upper().replace(" ", "")
    for one, other in SAME:
        if words.startswith(one):
            words = words.replace(one, other, 1)
    return words


def _python_type(type_: TypeEngine[Any]) -> str:
    try:
        return PYTHON_TYPES.get(type_.python_type.__name__, ANYTHING)
    except NotImplementedError:
        return ANYTHING
