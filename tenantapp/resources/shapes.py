"""The shape of a list: all that decides the text of its statement, without the values of its parameters."""

from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache, partial
from typing import Any, Final, NamedTuple

from sqlalchemy import ColumnElement, Text, and_, bindparam, or_, tuple_

from tenantapp.resources.declaration import Resource
from tenantapp.resources.listings import Listing, Way
from tenantapp.resources.parts import EitherPart, Part, SearchPart, part_of
from tenantapp.sql.word_conditions import pieces
from tenantapp.tenancy.searching import matches

MOST_SHAPES: Final = 500  # kept; to build a statement takes longer than to execute it
Sort = tuple[tuple[str, bool], ...]
"""The names of sorts, each with whether it is descending."""


class Shape(NamedTuple):
    """All that decides the text of a statement, without the values of its parameters."""

    where: tuple[tuple[str, Any], ...] = ()
    """The query parameters. Each has the number of its values, or the constant that is part of the statement."""
    either: tuple[tuple[str, Any], ...] = ()
    sort: Sort = ()
    fields: tuple[str, ...] | None = None
    after: bool = False
    search: bool = False
    limit: int | None = None
    """The limit of a usual page, as a literal: for a parameter, PostgreSQL plans for a tenth of the table."""
    pieces: int = 0
    """How many words are searched for."""
    way: Way | None = None
    """How the rows of a large table are found; None leaves it to the engine."""


ALL_ROWS: Final = Shape()


def conditions(resource: Resource[Any], shape: Shape) -> list[ColumnElement[bool]]:
    """Return the conditions of a shape. Their parameters are named ``PARAMETER_NUMBER``."""
    found = [_condition(resource, "where", *each) for each in shape.where]
    if shape.either:
        found.append(or_(*(_condition(resource, "either", *each) for each in shape.either)))
    if shape.search:
        found.append(matches(resource.model, bindparam("search", type_=Text())))
    return found


def shape_of(
    resource: Resource[Any], where: Mapping[str, Any], either: Mapping[str, Any], search: str | None
) -> tuple[Shape, dict[str, Any]]:
    """Return the shape of these conditions, and the values of their parameters."""
    if not where and not either and search is None:
        return ALL_ROWS, {}
    values: dict[str, Any] = {}
    parts = [
        tuple(_part(resource, kind, name, given, values) for name, given in sorted(wanted.items()))
        for kind, wanted in (("where", where), ("either", either))
    ]
    sought = [] if search is None else pieces(search)
    if search is not None:
        values |= {"search": search} | {f"piece_{number}": piece for number, piece in enumerate(sought)}
    return Shape(parts[0], parts[1], search=search is not None, pieces=len(sought)), values


def _part(resource: Resource[Any], kind: str, name: str, given: Any, values: dict[str, Any]) -> tuple[str, Any]:
    operator = resource.parameters[name]
    if operator.constant(given) is not None:
        return name, ("constant", given)
    listed = list(given) if operator.many else [given]
    # A list is filled up to a power of two, so that there are few statements.
    listed += [listed[-1]] * ((1 << (len(listed) - 1).bit_length()) - len(listed))
    values |= {f"{kind}_{name}_{number}": value for number, value in enumerate(listed)}
    return name, len(listed)


def _condition(resource: Resource[Any], kind: str, name: str, given: Any) -> ColumnElement[bool]:
    operator = resource.parameters[name]
    constant = operator.constant(given[1]) if isinstance(given, tuple) else None
    return constant if constant is not None else operator.build(operator.parameters(f"{kind}_{name}", given))


@lru_cache(MOST_SHAPES)
def default_sort(resource: Resource[Any]) -> Sort:
    """Return the order of a list that names none."""
    return ((next(iter(resource.sorts)), False),)


@lru_cache(MOST_SHAPES)
def order_of(resource: Resource[Any], sort: Sort) -> tuple[tuple[Any, bool], ...]:
    """Return the columns of an order, each with whether it is descending. The id comes last, unless it is there."""
    order = [(resource.sorts[name], descending) for name, descending in sort]
    if not order[-1][0].unique and all(not column.primary_key for column, _ in order):
        order.append((resource.mapper.primary_key[0], order[-1][1]))
    return tuple(order)


def listing_of(resource: Resource[Any], shape: Shape) -> Listing:
    order = order_of(resource, shape.sort)
    key = resource.mapper.primary_key[0]
    after = after_place(order) if shape.after else None
    begin = partial(_beyond_first, order) if shape.after and order[0][0] is key else None
    return Listing(key, tuple(_parts(resource, shape)), order, after, begin)


def _parts(resource: Resource[Any], shape: Shape) -> Iterator[Part]:
    key = resource.mapper.primary_key[0]
    for name, given in shape.where:
        yield part_of(key, _condition(resource, "where", name, given), resource.parameters[name].indexed)
    if shape.either:
        found = [(name, _condition(resource, "either", name, given)) for name, given in shape.either]
        parts = [part_of(key, condition, resource.parameters[name].indexed) for name, condition in found]
        yield EitherPart(key, or_(*(condition for _, condition in found)), parts)
    if shape.search:
        query = bindparam("search", type_=Text())
        words = [bindparam(f"piece_{number}", type_=Text()) for number in range(shape.pieces)]
        yield SearchPart(resource.model, matches(resource.model, query), query, words)


def after_place(order: Sequence[tuple[Any, bool]]) -> ColumnElement[bool]:
    """Return the condition that a row comes after the place in the parameters ``after_0``, ``after_1`` ..."""
    places = [bindparam(f"after_{number}", type_=column.type) for number, (column, _) in enumerate(order)]
    columns = [column for column, _ in order]
    if len(order) == 1:
        return _beyond(columns[0], places[0], order[0][1])
    if len({descending for _, descending in order}) == 1:
        # Both engines find the beginning of a row comparison in an index.
        return _beyond(tuple_(*columns), tuple_(*places), order[0][1])
    beyond = or_(
        *(
            and_(
                *(columns[before] == places[before] for before in range(number)),
                _beyond(column, places[number], down),
            )
            for number, (column, down) in enumerate(order)
        )
    )
    # It follows from the rest, but PostgreSQL does not find the beginning of alternatives in an index.
    begins = columns[0] <= places[0] if order[0][1] else columns[0] >= places[0]
    return and_(begins, beyond)


def _beyond_first(order: Sequence[tuple[Any, bool]], column: ColumnElement[Any]) -> ColumnElement[bool]:
    """Return the condition that a value comes after the first one of the place."""
    return _beyond(column, bindparam("after_0", type_=order[0][0].type), order[0][1])


def _beyond(left: Any, right: Any, descending: bool) -> ColumnElement[bool]:
    return left < right if descending else left > right  # type: ignore[no-any-return]
