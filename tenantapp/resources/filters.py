"""What a list can be filtered by.

A resource declares filters by name. Each has operators, which clients write before the name: ``price=5``,
``min_price=5``, ``in_status=draft,published``. The operators are those that Kinto made familiar
(https://docs.kinto-storage.org/en/stable/api/1.x/filtering.html).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time
from decimal import Decimal
from enum import Enum
from typing import Annotated, Any, Final, Literal
from uuid import UUID

from pydantic import AfterValidator, AwareDatetime, BeforeValidator, Field, NaiveDatetime
from sqlalchemy import (
    BigInteger,
    BindParameter,
    ColumnElement,
    Integer,
    Interval,
    SmallInteger,
    SQLColumnExpression,
    bindparam,
)
from sqlalchemy.sql.elements import Grouping
from sqlalchemy.types import TypeDecorator, TypeEngine

from tenantapp.content import Id
from tenantapp.sql.patterns import fits_pattern

MOST_VALUES: Final = 50  # of one ``in_``
MOST_CHARACTERS: Final = 1000  # of a text
Build = Callable[[list[BindParameter[Any]]], ColumnElement[bool]]


@dataclass(frozen=True, slots=True)
class Operator:
    """One way to use a filter: the type of its value, and the condition for it.

    ``build`` takes the bound parameters: one, or as many as the list has values. ``type_`` is their SQL type.
    ``constant`` returns the condition for a value that becomes part of the statement, or None if it is a parameter.
    ``indexed`` says that an index of the column finds the rows, so that they can be counted.
    """

    value: Any
    build: Build
    type_: TypeEngine[Any] | None = None
    many: bool = False
    constant: Callable[[Any], ColumnElement[bool] | None] = lambda value: None
    indexed: bool = True

    def parameters(self, name: str, values: int) -> list[BindParameter[Any]]:
        """Return the parameters of the statement: ``name_0``, ``name_1`` and so on."""
        return [bindparam(f"{name}_{number}", type_=self.type_) for number in range(values)]


class Filter:
    """Base of the filters."""

    def operators(self) -> dict[str, Operator]:
        """Return the operators by the prefix that clients write before the filter's name."""
        raise NotImplementedError

    def indexed(self) -> "SQLColumnExpression[Any] | None":
        """Return the column or condition that an index must begin with, or None if the filter needs no index."""
        raise NotImplementedError


@dataclass(frozen=True)
class Match(Filter):
    """Compares a column: ``{"price": Match(Product.price_cents)}``. A bare column means the same.

    ``value`` is the type of a value, if it is not that of the column. ``words`` are conditions for certain words:
    ``{"root": Node.parent_id.is_(None)}``. ``like`` permits ``like_``, where ``*`` stands for any characters.
    """

    column: Any
    value: Any = None
    words: Mapping[str, ColumnElement[bool]] = field(default_factory=dict)
    like: bool = False

    def operators(self) -> dict[str, Operator]:
        """Return equality for every type, order for types that have one, ``has_`` where there may be no value."""
        column, type_ = self.column, self.column.type
        value = self.value or value_type(type_)
        found = {
            "": Operator(value, lambda given: column == given[0], type_),
            "not_": Operator(value, lambda given: column.is_distinct_from(given[0]), type_, indexed=False),
            "in_": Operator(listed(value), lambda given: column.in_(given), type_, many=True),
        }
        if self.words:
            word = Literal[tuple(self.words)]  # type: ignore[valid-type]
            found[""] = Operator(value | word, found[""].build, type_, constant=self.words.get)
        if is_ordered(type_):
            found |= {
                "min_": Operator(value, lambda given: column >= given[0], type_),
                "max_": Operator(value, lambda given: column <= given[0], type_),
                "gt_": Operator(value, lambda given: column > given[0], type_),
                "lt_": Operator(value, lambda given: column < given[0], type_),
            }
        if self.like:
            found["like_"] = Operator(Pattern, lambda given: fits_pattern(column, given[0]), type_, indexed=False)
        if _nullable(column):
            found["has_"] = Operator(bool, never_built, constant=lambda has: has_value(column, has))
        return found

    def indexed(self) -> SQLColumnExpression[Any]:
        """Return the column."""
        return self.column  # type: ignore[no-any-return]


@dataclass(frozen=True)
class Flag(Filter):
    """A condition that holds or not: ``{"low_stock": Flag(Product.stock <= Product.reorder_level)}``."""

    condition: ColumnElement[bool]

    def operators(self) -> dict[str, Operator]:
        """Return the one operator: ``low_stock=true`` or ``low_stock=false``."""

        def constant(wanted: bool) -> ColumnElement[bool]:
            # SQLAlchemy does not put parentheses around the opposite of a column: NOT column IS NOT true.
            return self.condition if wanted else Grouping(self.condition).is_not(True)

        return {"": Operator(bool, never_built, constant=constant, indexed=False)}

    def indexed(self) -> SQLColumnExpression[Any]:
        """Return the condition: an index on the rows for which it holds has it."""
        return self.condition


@dataclass(frozen=True)
class Related(Filter):
    """Looks at rows of other tables, always by ``EXISTS`` or ``IN``: a join would repeat rows.

    ``value`` is the type of a value. ``condition`` takes it as a parameter: ``Related(TagName, carries_tag)``. If it
    returns ``Model.id.in_(SELECT of a foreign key)``, lists of a large table can begin with the rows that it finds.
    """

    value: Any
    condition: Callable[[BindParameter[Any]], ColumnElement[bool]]
    type_: TypeEngine[Any] | None = None

    def operators(self) -> dict[str, Operator]:
        """Return the one operator, equality."""
        return {"": Operator(self.value, lambda given: self.condition(given[0]), self.type_)}

    def indexed(self) -> None:
        """Return None: the indexes of the other tables matter."""
        return


def never_built(given: list[BindParameter[Any]]) -> ColumnElement[bool]:
    """Stand for the condition of an operator that has only constants."""
    raise TypeError("this operator takes no parameter")


def has_value(column: Any, has: bool) -> ColumnElement[bool]:
    """Return the condition that the column has a value, or has none."""
    return column.is_not(None) if has else column.is_(None)  # type: ignore[no-any-return]


def _nullable(column: Any) -> bool:
    return bool(getattr(column, "nullable", False) or getattr(getattr(column, "expression", None), "nullable", False))


def python_type(type_: TypeEngine[Any]) -> type[Any]:
    """Return the Python type of the values of a column: for a type built on another, that of the other."""
    # An interval is built on a time, on engines that have no intervals.
    if isinstance(type_, TypeDecorator) and not isinstance(type_, Interval):
        return python_type(type_.impl_instance)
    return type_.python_type


def is_ordered(type_: TypeEngine[Any]) -> bool:
    """Return whether values of a column of this type have an order that clients ask for."""
    python = python_type(type_)
    return issubclass(python, int | float | Decimal | date | time) and python is not bool


def value_type(type_: TypeEngine[Any]) -> Any:
    """Return the type of a value in a query, as pydantic takes it, for a column of this type."""
    python = python_type(type_)
    if issubclass(python, bool):
        return bool
    if issubclass(python, Enum):
        return python
    if issubclass(python, UUID):
        return Id
    if issubclass(python, int):
        least, most = integer_range(type_)
        return Annotated[int, Field(ge=least, le=most)]
    if issubclass(python, datetime):
        return Annotated[AwareDatetime, AfterValidator(in_utc)] if _has_zone(type_) else NaiveDatetime
    if issubclass(python, Decimal):
        return Annotated[Decimal, Field(allow_inf_nan=False, max_digits=40)]
    if issubclass(python, float):
        return Annotated[float, Field(allow_inf_nan=False)]
    if issubclass(python, date | time):
        return python
    if issubclass(python, str):
        return Annotated[str, Field(max_length=MOST_CHARACTERS)]
    raise TypeError(f"a column of type {type_!r} cannot be a filter or a sort")


def _has_zone(type_: TypeEngine[Any]) -> bool:
    if isinstance(type_, TypeDecorator):
        return _has_zone(type_.impl_instance)
    return bool(getattr(type_, "timezone", True))


def in_utc(moment: datetime) -> datetime:
    """Return a time in UTC, as columns have it. Raises ``ValueError`` if it would be in the year 0 or 10000."""
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        raise ValueError("In UTC this time is not between the years 1 and 9999.") from None


def integer_range(type_: TypeEngine[Any]) -> tuple[int, int]:
    """Return the least and the greatest integer of a column: PostgreSQL's, on SQLite too."""
    bits = 16 if isinstance(type_, SmallInteger) else 64 if isinstance(type_, BigInteger) else 32
    if not isinstance(type_, Integer):
        bits = 64
    return -(2 ** (bits - 1)), 2 ** (bits - 1) - 1


def listed(value: Any) -> Any:
    """Return the type of values that are separated by commas."""
    return Annotated[
        tuple[value, ...],
        BeforeValidator(lambda text: tuple(text.split(",")) if isinstance(text, str) else text),
        Field(min_length=1, max_length=MOST_VALUES),
    ]


def pattern(text: str) -> str:
    """Return the pattern that a client means: without a ``*``, the text may be anywhere."""
    return text if "*" in text else f"*{text}*"


Pattern = Annotated[str, Field(max_length=MOST_CHARACTERS), BeforeValidator(pattern)]
