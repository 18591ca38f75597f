"""How values that JSON does not have are written in it: read them from bodies, and write them into answers.

A strict model takes a date only as a Python ``date``, and from JSON only as long as no validator of ours has seen it.
So ``reading_json`` adds to the schema of a model how each such type is read from JSON. What a client would be surprised
by is refused: a number for a date, a time without a time zone, a decimal that has lost digits on its way as a float.
"""

import re
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from typing import Any, Final

import orjson
from pydantic import BaseModel, GetCoreSchemaHandler, TypeAdapter
from pydantic_core import core_schema

from tenantapp.sql.ids import parse_id

Schema = dict[str, Any]
Read = Callable[[Any], Any]

DATE: Final = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
TIME: Final = re.compile(r"\d\d:\d\d(:\d\d(\.\d{1,9})?)?", re.ASCII)
# RFC 3339, section 5.6.
LOCAL_TIME: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?", re.ASCII | re.IGNORECASE)
MOMENT: Final = re.compile(rf"{LOCAL_TIME.pattern}(Z|[+-]\d\d:\d\d)", re.ASCII | re.IGNORECASE)
# ISO 8601 without years and months, which have no fixed length.
DURATION: Final = re.compile(
    r"[+-]?P(?=.)((?P<weeks>\d{1,9})W)?((?P<days>\d{1,9})D)?"
    r"(T(?=.)((?P<hours>\d{1,9})H)?((?P<minutes>\d{1,9})M)?((?P<seconds>\d{1,9}(\.\d{1,6})?)S)?)?",
    re.ASCII | re.IGNORECASE,
)
DECIMAL: Final = re.compile(r"-?(0|[1-9]\d*)(\.\d+)?", re.ASCII)
LONGEST: Final = 1000  # characters of a value
MARK: Final = "tenantapp_reads_json"
# What a schema has besides schemas.
VALUES: Final = frozenset(
    {"metadata", "serialization", "config", "cls", "ref", "type", "members", "expected", "default", "function"}
)


def _parsed(form: re.Pattern[str], expected: type, sentence: str, parse: Callable[[re.Match[str]], Any]) -> Read:
    """Return a function that reads text in this form. What a validator has read already is taken as it is."""

    def read(value: Any) -> Any:
        if isinstance(value, expected):
            return value
        found = form.fullmatch(value) if isinstance(value, str) and len(value) <= LONGEST else None
        if found is None:
            raise ValueError(sentence)
        try:
            return parse(found)
        except (ValueError, OverflowError):
            raise ValueError(f"There is no such value. {sentence}") from None

    return read


def _duration(found: re.Match[str]) -> timedelta:
    parts = {name: Decimal(text) for name, text in found.groupdict().items() if text}
    seconds = parts.pop("seconds", Decimal(0))
    whole = {name: int(part) for name, part in parts.items()}
    duration = timedelta(**whole, seconds=int(seconds), microseconds=int(seconds % 1 * 1_000_000))
    return -duration if found[0].startswith("-") else duration


_date: Final = _parsed(DATE, date, "Write the date like 2026-01-31.", lambda found: date.fromisoformat(found[0]))
_time: Final = _parsed(
    TIME, time, "Write the time of day like 09:30 or 09:30:00.", lambda found: time.fromisoformat(found[0])
)
_moment: Final = _parsed(
    MOMENT,
    datetime,
    "Write the time with its time zone, as in RFC 3339: 2026-01-31T09:30:00Z or 2026-01-31T09:30:00+02:00.",
    lambda found: datetime.fromisoformat(found[0].upper()).astimezone(UTC),
)
_local_time: Final = _parsed(
    LOCAL_TIME,
    datetime,
    "Write the time without a time zone: 2026-01-31T09:30:00.",
    lambda found: datetime.fromisoformat(found[0].upper()),
)
_period: Final = _parsed(
    DURATION, timedelta, "Write the duration like P1DT2H30M, without years and months (ISO 8601).", _duration
)
_text_of_decimal: Final = _parsed(
    DECIMAL,
    Decimal,
    'Write the number as text in plain digits, like "9.90". A JSON number must be an integer.',
    lambda found: Decimal(found[0]),
)


def _decimal(value: Any) -> Any:
    is_integer = isinstance(value, int) and not isinstance(value, bool)
    return Decimal(value) if is_integer else _text_of_decimal(value)


def _uuid(value: Any) -> Any:
    return parse_id(value) if isinstance(value, str) else value


def _array(value: Any) -> Any:
    if not isinstance(value, list | tuple | set | frozenset):
        raise ValueError("Write an array.")
    return value


def _tuple(value: Any) -> Any:
    return tuple(_array(value))


def _bytes(value: Any) -> Any:
    return value.encode() if isinstance(value, str) else value


def _member(schema: Schema) -> Read:
    """Return the check of a member of an enumeration: 1 is neither true nor 1.0."""
    kinds = {type(member.value) for member in schema["cls"]}

    def read(value: Any) -> Any:
        if isinstance(value, bool | float) and type(value) not in kinds:
            raise ValueError("The value has another type than those that are allowed.")
        return value

    return read


READERS: Final[Mapping[str, Read]] = {
    "date": _date,
    "datetime": _moment,
    "time": _time,
    "timedelta": _period,
    "decimal": _decimal,
    "uuid": _uuid,
    "set": _array,
    "frozenset": _array,
    "tuple": _tuple,
    "bytes": _bytes,
}


def _reader(schema: Schema) -> Read | None:
    """Return how values of a schema's type are read from JSON, or None if JSON has the type."""
    if schema["type"] == "enum":
        return _member(schema)
    if schema["type"] == "datetime" and schema.get("tz_constraint") == "naive":
        return _local_time
    return READERS.get(schema["type"])


def reading_json(schema: Any, handler: GetCoreSchemaHandler) -> Any:
    """Return the schema of a model whose fields are also read from JSON. In Python the types stay as strict as before.

    https://docs.pydantic.dev/latest/api/pydantic_core_schema/
    """
    return _extended(schema, handler, set())


def _extended(part: Any, handler: GetCoreSchemaHandler, seen: set[str]) -> Any:
    if isinstance(part, list | tuple):
        return type(part)(_extended(each, handler, seen) for each in part)
    if not isinstance(part, dict):
        return part
    if not isinstance(part.get("type"), str):
        # Schemas by the names of fields or choices, which are any names.
        return {name: _extended(each, handler, seen) for name, each in part.items()}
    if part.get("metadata", {}).get(MARK):
        return part
    if part["type"] == "definition-ref":
        _extend_definition(part, handler, seen)
        return part
    made = {name: each if name in VALUES else _extended(each, handler, seen) for name, each in part.items()}
    read = _reader(made)
    return made if read is None else _of_both(made, read)


def _extend_definition(reference: Any, handler: GetCoreSchemaHandler, seen: set[str]) -> None:
    """Extend the schema that a reference leads to, in its place."""
    name = reference["schema_ref"]
    if name in seen:
        return
    seen.add(name)
    try:
        found: Any = handler.resolve_ref_schema(reference)
    except LookupError:
        return  # a model that refers to itself, and is being made
    made = _extended({**found}, handler, seen)
    found.clear()
    found.update(made)


def _of_both(schema: Schema, read: Read) -> Any:
    """Return a schema that reads JSON by ``read``, and Python as before."""
    in_python: Any = {name: each for name, each in schema.items() if name != "ref"}
    # JSON has no sets. Lax, they take an array, whose items keep their numbers.
    inner: Any = {**in_python, "strict": False} if schema["type"] in ("set", "frozenset") else in_python
    from_json = core_schema.no_info_before_validator_function(read, inner)
    return core_schema.json_or_python_schema(from_json, in_python, ref=schema.get("ref"), metadata={MARK: True})


DURATIONS: Final = TypeAdapter(timedelta)


def written(value: Any) -> Any:
    """Return a value as something that JSON has, for the ``default`` of orjson, which asks about each value in turn.

    Decimals are text without an exponent, durations are ISO 8601, sets are sorted arrays, models are objects. Raises
    ``TypeError``.
    """
    match value:
        case Decimal():
            return f"{value:f}" if value.is_finite() and abs(value.adjusted()) < LONGEST else str(value)
        case BaseModel():
            # Without warnings: a value may have been stored under other rules.
            return orjson.Fragment(dumps(value.model_dump(by_alias=True, warnings=False)))
        case timedelta():
            return DURATIONS.dump_python(value, mode="json")
        case set() | frozenset():
            return sorted(value, key=_order)
        case bytes():
            return value.decode()
        case Mapping():
            return dict(value)
        case Enum():
            return value.value
    raise TypeError(f"JSON has no {type(value).__name__}")


def dumps(value: Any) -> bytes:
    """Return any value as JSON. Keys of objects may be dates and ids as well, which takes orjson twice the time."""
    return orjson.dumps(value, written, orjson.OPT_UTC_Z | orjson.OPT_NON_STR_KEYS)


def _order(value: Any) -> tuple[str, Any]:
    return type(value).__name__, value if isinstance(value, str | int | float) else str(value)
