"""Convert values between an engine and a bundle. In a bundle, each is a JSON string, number, boolean or null.

In SQLite, values get the form that SQLAlchemy's types store, so that the models can read them.
"""

import base64
import math
import re
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any, Final, TypeVar
from uuid import UUID

from tenantapp.fleet.bundles.kinds import Kind

Value = TypeVar("Value")
Converter = Callable[[Any], Any]

INTEGER: Final = re.compile("-?[0-9]{1,19}", re.ASCII)  # as long as those of SQLite
SPECIAL_FLOATS: Final = frozenset({"NaN", "Infinity", "-Infinity"})


def _is(expected: type[Value]) -> Callable[[Any], Value]:
    def check(value: Any) -> Value:
        if type(value) is not expected:
            raise ValueError(f"{type(value).__name__} where {expected.__name__} was expected")
        return value

    return check


def _float(value: Any) -> float | str:
    number = float(value)
    if math.isfinite(number):
        return number
    return "NaN" if math.isnan(number) else "Infinity" if number > 0 else "-Infinity"


def _decimal(value: Any) -> str:
    number = Decimal(repr(value) if isinstance(value, float) else value)
    if not number.is_finite():
        raise ValueError("a decimal that is infinite has no portable form")
    # 1.50 and 1.5 are the same number. Plain notation, and no negative zero.
    return without_zeros(exactly(number))


def _finite_or_not(value: Decimal) -> str:
    return _decimal(value) if value.is_finite() else exactly(value)


def without_zeros(digits: str) -> str:
    """Return a decimal without the zeros at its end. Arithmetic would round one of more than 28 digits."""
    short = digits.rstrip("0").rstrip(".") if "." in digits else digits
    return "0" if short == "-0" else short


def exactly(value: Decimal) -> str:
    """Return a decimal with the zeros at its end, or as PostgreSQL writes what is no number."""
    return format(value, "f")


def _timestamp(value: datetime) -> str:
    if value.tzinfo is not None:
        raise ValueError("a time zone where none was expected")
    return value.isoformat(timespec="microseconds")


def _timestamptz(value: datetime) -> str:
    aware = value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
    return aware.replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"


def _boolean(value: Any) -> bool:
    if value not in (0, 1):
        raise ValueError(f"{value!r} where 0 or 1 was expected")
    return bool(value)


def _base64(value: Any) -> str:
    return base64.b64encode(value).decode()


def _or_as_it_is(converter: Converter) -> Converter:
    """Return a converter that leaves what Python has no value for as PostgreSQL writes it, such as ``infinity``."""

    def convert_one(value: Any) -> Any:
        try:
            return converter(value)
        except ValueError:
            return value

    return convert_one


def _json(value: Any) -> str:
    """Return JSON of SQLite. A column of that type has the affinity NUMERIC, so a document that is a number is one."""
    if type(value) is int or (type(value) is float and math.isfinite(value)):
        return repr(value)
    return _is(str)(value)


# For types that both engines write as text in the same form.
FROM_TEXT: Final[Mapping[Kind, Converter]] = {
    Kind.TEXT: _is(str),
    Kind.UUID: lambda value: str(UUID(value)),
    # Infinity, years before 1 and years of five digits raise.
    Kind.TIMESTAMP: lambda value: _timestamp(datetime.fromisoformat(value)),
    Kind.TIMESTAMPTZ: lambda value: _timestamptz(datetime.fromisoformat(value)),
    Kind.DATE: lambda value: date.fromisoformat(value).isoformat(),
    Kind.TIME: lambda value: time.fromisoformat(value).isoformat(timespec="microseconds"),
    Kind.JSON: _is(str),
}
FROM_POSTGRES: Final[Mapping[Kind, Converter]] = {
    **FROM_TEXT,
    **{kind: _or_as_it_is(FROM_TEXT[kind]) for kind in (Kind.TIMESTAMP, Kind.TIMESTAMPTZ, Kind.DATE, Kind.TIME)},
    Kind.OTHER: _is(str),
    Kind.INTEGER: _is(int),
    Kind.FLOAT: _float,
    Kind.DECIMAL: _finite_or_not,
    Kind.BOOLEAN: _is(bool),
    Kind.BYTES: _base64,
}
FROM_SQLITE: Final[Mapping[Kind, Converter]] = {
    **FROM_TEXT,
    Kind.JSON: _json,
    Kind.INTEGER: _is(int),
    Kind.FLOAT: _float,
    Kind.DECIMAL: _decimal,
    Kind.BOOLEAN: _boolean,
    Kind.BYTES: lambda value: _base64(_is(bytes)(value)),
}


def _stored_timestamp(value: str) -> str:
    return datetime.fromisoformat(value).replace(tzinfo=None).isoformat(" ", timespec="microseconds")


def _stored_decimal(value: str) -> float | int:
    if INTEGER.fullmatch(_is(str)(value)) and -(2**63) <= int(value) < 2**63:
        return int(value)
    number = float(value)
    if not math.isfinite(number) or Decimal(repr(number)) != Decimal(value):
        raise ValueError(f"SQLite cannot keep the decimal {value} exactly")
    return number


def _stored_float(value: Any) -> float:
    number = _float_of(value)
    # SQLite stores NULL for the one and 0.0 for the other.
    if math.isnan(number) or (number == 0 and math.copysign(1, number) < 0):
        raise ValueError(f"SQLite cannot keep the number {value}")
    return number


def _float_of(value: Any) -> float:
    if isinstance(value, str) and value not in SPECIAL_FLOATS:
        raise ValueError(f"{value!r} is not a number")
    return float(value)


TO_SQLITE: Final[Mapping[Kind, Converter]] = {
    Kind.TEXT: _is(str),
    Kind.INTEGER: _is(int),
    Kind.FLOAT: _stored_float,
    Kind.DECIMAL: _stored_decimal,
    Kind.BOOLEAN: lambda value: int(_is(bool)(value)),
    Kind.UUID: lambda value: UUID(value).hex,
    Kind.BYTES: lambda value: base64.b64decode(value, validate=True),
    Kind.TIMESTAMP: _stored_timestamp,
    Kind.TIMESTAMPTZ: _stored_timestamp,
    Kind.DATE: lambda value: date.fromisoformat(value).isoformat(),
    Kind.TIME: lambda value: time.fromisoformat(value).isoformat(timespec="microseconds"),
    Kind.JSON: _is(str),
}
# Text for COPY. PostgreSQL parses it by the type of the column.
TO_POSTGRES: Final[Mapping[Kind, Converter]] = {
    Kind.TEXT: _is(str),
    Kind.INTEGER: lambda value: str(_is(int)(value)),
    Kind.FLOAT: lambda value: repr(_float_of(value)),
    Kind.DECIMAL: _is(str),
    Kind.BOOLEAN: lambda value: "t" if _is(bool)(value) else "f",
    Kind.UUID: _is(str),
    Kind.BYTES: lambda value: "\\x" + base64.b64decode(value, validate=True).hex(),
    Kind.TIMESTAMP: _is(str),
    Kind.TIMESTAMPTZ: _is(str),
    Kind.DATE: _is(str),
    Kind.TIME: _is(str),
    Kind.JSON: _is(str),
    Kind.OTHER: _is(str),
}


def convert(converters: list[Converter], values: Any) -> list[Any]:
    """Return a row with each value converted. Null stays null.

    Raises ``ValueError``, ``TypeError`` or ``ArithmeticError`` for a value that does not fit its column.
    """
    return [None if value is None else converter(value) for converter, value in zip(converters, values, strict=True)]
