"""Compare what a bundle carries of two databases, which may be of different engines."""

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

import orjson
from sqlalchemy import MetaData
from sqlalchemy.engine import Connection

from tenantapp.databases.contents.contents import Contents, differences
from tenantapp.databases.contents.rows import Rows
from tenantapp.fleet.bundles.exporting import rows_of
from tenantapp.fleet.bundles.kinds import Kind
from tenantapp.fleet.bundles.tables import PortableTable, counters, portable_tables
from tenantapp.fleet.bundles.values import without_zeros

MODULUS: Final = 2**128
Form = Callable[[Any], Any]


def portable_differences(original: Connection, copy: Connection, metadata: MetaData) -> list[str]:
    """Return how a copy made with a bundle differs from the original, a phrase for each difference.

    Rows are compared value by value, in any order. Raises ``NotPortable`` for values that a bundle cannot express.
    """
    here, there = (_by_name(portable_tables(connection, metadata)) for connection in (original, copy))
    common = here.keys() & there.keys()
    forms = {name: _forms(here[name], there[name]) for name in common}
    lines = differences(_contents(original, here, forms), _contents(copy, there, forms))
    for name in sorted(common):
        given, known = counters(original, here[name]), counters(copy, there[name])
        # The copy may be ahead: a number in a row may be higher than the last one that the original issued.
        behind = [column for column, last in given.items() if known.get(column, 0) < last]
        lines += [f"the column {name}.{column} would issue some numbers twice" for column in behind]
    return lines


def _contents(
    connection: Connection, tables: Mapping[str, PortableTable], forms: Mapping[str, Mapping[str, Form]]
) -> Contents:
    return Contents({name: _rows(connection, table, forms.get(name, {})) for name, table in tables.items()})


def _rows(connection: Connection, table: PortableTable, forms: Mapping[str, Form]) -> Rows:
    columns = sorted(table.kinds())
    converted = [forms.get(name, _as_it_is) for name, _ in columns]
    count, total = 0, hashlib.sha256(orjson.dumps([name for name, _ in columns])).digest()
    added = int.from_bytes(total)
    for row in rows_of(connection, table, columns):
        count += 1
        added += _hash(form(value) for form, value in zip(converted, row, strict=True))
    return Rows(count, f"{added % MODULUS:x}")


def _hash(values: Iterable[Any]) -> int:
    return int.from_bytes(hashlib.sha256(orjson.dumps(list(values), option=orjson.OPT_SORT_KEYS)).digest())


def _by_name(tables: Iterable[PortableTable]) -> dict[str, PortableTable]:
    return {table.name: table for table in tables}


def _forms(here: PortableTable, there: PortableTable) -> dict[str, Form]:
    """Return for each column a function that makes values comparable if the databases write them differently."""
    kinds, others, padded = dict(here.kinds()), dict(there.kinds()), here.padded | there.padded
    return {name: _form({kind, others.get(name, kind)}, padded=name in padded) for name, kind in kinds.items()}


def _form(kinds: set[Kind], *, padded: bool) -> Form:
    if kinds == {Kind.JSON}:
        return _parsed
    if kinds == {Kind.DECIMAL}:
        return _without_zeros
    if kinds == {Kind.TEXT, Kind.UUID}:
        return _uuid
    if kinds == {Kind.TIMESTAMP, Kind.TIMESTAMPTZ}:
        return _without_zone
    return _without_padding if padded else _as_it_is


def _as_it_is(value: Any) -> Any:
    return value


def _without_padding(value: Any) -> Any:
    return value if value is None else value.rstrip(" ")


def _without_zone(value: Any) -> Any:
    return value if value is None else value.removesuffix("Z")


def _without_zeros(value: Any) -> Any:
    return value if value is None else without_zeros(value)


def _uuid(value: Any) -> Any:
    with suppress(ValueError, TypeError):
        return str(UUID(value))
    return value


def _parsed(value: Any) -> Any:
    """Return a parsed JSON document: PostgreSQL formats a ``jsonb`` in its own way."""
    with suppress(ValueError, TypeError, RecursionError):
        return json.loads(value, parse_int=_number, parse_float=_number)
    return value


def _number(digits: str) -> list[str]:
    """Return a number in one form. Arithmetic would round one of more than 28 digits."""
    sign, figures, exponent = Decimal(digits).as_tuple()
    whole = "".join(map(str, figures)).lstrip("0")
    short = whole.rstrip("0")
    # A list, so that the number 1 does not equal the string "1". Minus zero is zero.
    form = f"{'-' if sign else ''}{short}e{int(exponent) + len(whole) - len(short)}" if short else "0"
    return ["number", form]
