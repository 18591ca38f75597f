"""Check the declaration of a resource when it is added, so that a slip ends the start with one sentence."""

from collections.abc import Iterator
from datetime import date, datetime, time
from decimal import Decimal
from enum import Enum
from types import NoneType
from typing import Any, Final, Literal, get_args, get_origin
from uuid import UUID

from sqlalchemy import Column, Interval, LargeBinary
from sqlalchemy.engine import make_url
from sqlalchemy.orm import InstrumentedAttribute
from sqlalchemy.types import TypeDecorator

from tenantapp.resources.answers import plain
from tenantapp.resources.declaration import NAME, DeclarationError, Owned, Resource
from tenantapp.resources.describing import slips_in_display
from tenantapp.resources.filters import Match, python_type
from tenantapp.resources.keys import KEY_TYPES
from tenantapp.tenancy.searching import Searched

NOT_IN_JSON: Final = (Interval, LargeBinary)
SQLITE: Final = make_url("sqlite://").get_dialect()()
SIMPLE: Final = (bool, int, str, UUID, float, Decimal, datetime, date, time)
# What a column of the first type also takes.
ALSO: Final[dict[type, tuple[type, ...]]] = {float: (int, Decimal), Decimal: (int, float), int: (bool,)}


def check_declaration(resource: Resource[Any]) -> None:
    """Raise ``DeclarationError`` for the first slip in a declaration."""
    for slip in _slips(resource):
        raise DeclarationError(f"The resource {resource.name!r} is declared wrongly: {slip}")


def _slips(resource: Resource[Any]) -> Iterator[str]:
    if not NAME.fullmatch(resource.name):
        yield "its name has to be of small letters, digits and underscores, and begin with a letter"
    if resource.noun.replace(" ", "_") == resource.name:
        yield "its name is also the word for one row: give it a noun"
    if resource.owner is not None and not isinstance(resource.owner, Owned):
        yield "its owner has to be Owned(COLUMN, over=PERMISSION)"
    if resource.most < 1:
        yield "most has to be 1 or more"
    if python_type(resource.key.column.type) not in KEY_TYPES:
        yield "the id of its model has to be a UUID or a whole number"
    elif not resource.key.is_uuid and resource.key.column.type.compile(SQLITE) != "INTEGER":
        yield 'SQLite counts no numbers of the type of its id: give the type .with_variant(Integer(), "sqlite")'
    if resource.search and not (issubclass(resource.model, Searched) and resource.key.is_uuid):
        yield "search needs a model that is Searched, and whose id is a UUID"
    yield from _of_body(resource)
    yield from _of_filters(resource)
    yield from _of_sorts(resource)
    yield from slips_in_display(resource)
    for attribute in resource.touches:
        column = _column_of(attribute)
        if column is None or column.table is not resource.mapper.local_table or len(column.foreign_keys) != 1:
            yield f"touches has to name foreign keys of its model, and not {attribute}"


def _of_body(resource: Resource[Any]) -> Iterator[str]:
    version = resource.version_attribute
    for alias, name in resource.fields.items():
        if name in ("id", version) or alias in ("id", version):
            yield f"the field {alias} of its body is not for clients to write"
        elif name not in resource.values:
            column = resource.column(alias)
            if not _agree(plain(resource.body.model_fields[name].annotation), column):
                yield f"the field {alias} of its body has another type than the column {column.name}"
    for member in resource.members:
        if member not in resource.member_types and resource.fields.get(member) not in resource.values:
            column = resource.column(member)
            if isinstance(column.type, NOT_IN_JSON):
                yield (
                    f"the database cannot write the column {column.name} as JSON, as it is of {column.type!r}: store a "
                    "number or a text, or show it with `more`"
                )
    written = {resource.column(alias) for alias, name in resource.fields.items() if name not in resource.values}
    written |= {resource.mapper.columns[resource.owner.column.key]} if resource.owner is not None else set()
    if not resource.hooks("create"):
        for column in resource.mapper.local_table.columns:
            if _is_needed(column) and column is not resource.version and column not in written:
                advice = "put it into the body, give it a default, or set it in a hook"
                yield f"nothing gives the column {column.name} a value when a row is added: {advice}"


def _is_needed(column: Any) -> bool:
    given = column.default is not None or column.server_default is not None or column.identity is not None
    return not (column.nullable or given or column.primary_key or column.computed is not None)


def _of_filters(resource: Resource[Any]) -> Iterator[str]:
    names: dict[str, str] = {}
    for name, each in resource.filters.items():
        if isinstance(each, Match):
            column = _column_of(each.column)
            if not hasattr(each.column, "type") or hasattr(getattr(each.column, "property", None), "mapper"):
                yield f"the filter {name} is no column"
                return
            if column is not None and column.table is not resource.mapper.local_table:
                yield f"the filter {name} is a column of another table: use Related"
        for prefix in each.operators():
            if (other := names.setdefault(f"{prefix}{name}", name)) != name:
                yield f"the filters {other} and {name} both answer to {prefix}{name}"


def _of_sorts(resource: Resource[Any]) -> Iterator[str]:
    for name, column in resource.sorts.items():
        if not NAME.fullmatch(name):
            yield f"a sort cannot be called {name!r}"
        if column.table is not resource.mapper.local_table:
            yield f"the sort {name} is a column of another table"


def _column_of(declared: Any) -> Column[Any] | None:
    """Return the column of an attribute, or None if it is none."""
    if isinstance(declared, Column):
        return declared
    columns = getattr(declared.property, "columns", None) if isinstance(declared, InstrumentedAttribute) else None
    return columns[0] if columns and isinstance(columns[0], Column) else None


def _agree(annotation: Any, column: Column[Any]) -> bool:
    """Return whether values of a body's field can be stored in a column, as far as the types tell."""
    if isinstance(column.type, TypeDecorator):
        return True
    expected = python_type(column.type)
    if expected not in SIMPLE:
        return True
    return all(_fits(kind, expected) for kind in _kinds(annotation))


def _fits(kind: type, expected: type) -> bool:
    if kind not in SIMPLE:
        return issubclass(kind, expected) if issubclass(kind, Enum) else True
    return kind is expected or kind in ALSO.get(expected, ()) or (kind is bool and expected is int)


def _kinds(annotation: Any) -> Iterator[type]:
    """Yield the classes of the values of a type, without None."""
    if get_origin(annotation) is Literal:
        yield from {type(value) for value in get_args(annotation)}
    elif get_args(annotation):
        if get_origin(annotation) not in (list, dict, set, tuple, frozenset):
            for each in get_args(annotation):
                yield from _kinds(each)
    elif isinstance(annotation, type) and annotation is not NoneType:
        yield annotation
