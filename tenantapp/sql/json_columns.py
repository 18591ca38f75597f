"""Let the database write JSON, so that the rows of a list arrive as the text that is sent.

    select(cast(json_object(id=Book.id, title=Book.title, added_at=Book.added_at), Text).label("book"))

Both engines write the same as the JSON renderer: ids with dashes, times in UTC with a Z (RFC 3339). Put the text into
an answer as an ``orjson.Fragment``: it is not parsed.
"""

from typing import Any, Final

from sqlalchemy import JSON, Boolean, ColumnElement, DateTime, LargeBinary, Numeric, Text, Time, Uuid, literal_column
from sqlalchemy.exc import CompileError
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement

from tenantapp.sql.times import UtcDateTime

# The parts of a UUID in the 32 digits that SQLite stores: first character and length.
_UUID_PARTS: Final = ((1, 8), (9, 4), (13, 4), (17, 4), (21, 12))
_POSTGRES_TIME: Final = 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'


class JsonObject(FunctionElement[Any]):
    """A JSON object; see ``json_object``."""

    type = JSON()
    inherit_cache = True


class JsonArray(FunctionElement[Any]):
    """An aggregate function; see ``json_array``."""

    type = JSON()
    inherit_cache = True


def json_object(**members: ColumnElement[Any] | Any) -> JsonObject:
    """Return an SQL expression for a JSON object with these members.

    A member may be a UUID, ``UtcDateTime``, a ``DateTime`` without a zone, date, time, JSON, a boolean, a number or a
    text. Decimals become text.
    Bytes raise ``CompileError``.
    """
    clauses: list[Any] = []
    for name, value in members.items():
        quoted = name.replace("'", "''")
        clauses += [literal_column(f"'{quoted}'", Text), value]
    return JsonObject(*clauses)


def json_array(values: ColumnElement[Any] | Any) -> JsonArray:
    """Return an SQL aggregate for a JSON array of a group's objects, in any order, or of its texts, by code points.

    SQLite keeps the order in which the values arrive. So texts must come from a subquery that is ordered by them.
    """
    return JsonArray(values)


@compiles(JsonObject, "postgresql")
def _object_on_postgres(element: JsonObject, compiler: Any, **options: Any) -> str:
    return f"json_build_object({_members(element, compiler, _on_postgres, options)})"


@compiles(JsonObject, "sqlite")
def _object_on_sqlite(element: JsonObject, compiler: Any, **options: Any) -> str:
    return f"json_object({_members(element, compiler, _on_sqlite, options)})"


@compiles(JsonArray, "postgresql")
def _array_on_postgres(element: JsonArray, compiler: Any, **options: Any) -> str:
    values = compiler.process(element.clauses, **options)
    (clause,) = element.clauses
    order = "" if isinstance(clause.type, JSON) else f' ORDER BY {values} COLLATE "C"'
    return f"json_agg({values}{order})"


@compiles(JsonArray, "sqlite")
def _array_on_sqlite(element: JsonArray, compiler: Any, **options: Any) -> str:
    return f"json_group_array({compiler.process(element.clauses, **options)})"


def _members(element: JsonObject, compiler: Any, convert: Any, options: dict[str, Any]) -> str:
    return ", ".join(convert(clause, compiler.process(clause, **options)) for clause in element.clauses)


def _on_postgres(clause: ColumnElement[Any], sql: str) -> str:
    _refuse_bytes(clause)
    if isinstance(clause.type, UtcDateTime):
        return f"to_char({sql} AT TIME ZONE 'UTC', '{_POSTGRES_TIME}')"
    if _is_decimal(clause):
        return f"CAST({sql} AS TEXT)"
    return sql


def _on_sqlite(clause: ColumnElement[Any], sql: str) -> str:
    _refuse_bytes(clause)
    if isinstance(clause.type, Uuid):
        return " || '-' || ".join(f"substr({sql}, {start}, {length})" for start, length in _UUID_PARTS)
    if isinstance(clause.type, UtcDateTime):
        return f"replace({sql}, ' ', 'T') || 'Z'"
    if isinstance(clause.type, DateTime):
        return f"replace(replace({sql}, ' ', 'T'), '.000000', '')"  # without a zone, as PostgreSQL writes it
    if isinstance(clause.type, Time):
        return f"replace({sql}, '.000000', '')"
    if _is_decimal(clause):
        # SQLite keeps decimals as floats, and SQLAlchemy rounds them to the scale.
        scale = getattr(clause.type, "scale", None)
        digits = f"CAST({sql} AS TEXT)" if scale is None else f"printf('%.{scale}f', {sql})"
        return f"CASE WHEN {sql} IS NOT NULL THEN {digits} END"
    if isinstance(clause.type, Boolean):
        return f"json(CASE {sql} WHEN 1 THEN 'true' WHEN 0 THEN 'false' END)"
    if isinstance(clause.type, JSON) and not isinstance(clause, JsonObject | JsonArray):
        return f"json({sql})"
    return sql


def _is_decimal(clause: ColumnElement[Any]) -> bool:
    """Return whether values are decimals, which JSON has as text: a number would lose digits."""
    return isinstance(clause.type, Numeric) and bool(clause.type.asdecimal)


def _refuse_bytes(clause: ColumnElement[Any]) -> None:
    if isinstance(clause.type, LargeBinary):
        raise CompileError("JSON has no bytes")
