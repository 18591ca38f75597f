"""Read the rows of a resource: one statement for any number of rows. The database writes their JSON."""

import hashlib
from collections.abc import Mapping, Sequence
from functools import lru_cache
from operator import itemgetter
from typing import Any, Final, NamedTuple
from uuid import UUID

import orjson
from sqlalchemy import (
    ColumnElement,
    Integer,
    Select,
    Text,
    Uuid,
    and_,
    bindparam,
    cast,
    func,
    literal_column,
    or_,
    select,
    tuple_,
)
from sqlalchemy.engine import make_url
from sqlalchemy.orm import Session

from tenantapp.resources.declaration import Resource
from tenantapp.resources.errors import NotFound
from tenantapp.sql.json_columns import json_object
from tenantapp.sql.prepared import LoneSelect, PreparedSelect
from tenantapp.tenancy.searching import check_searchable, matches

USUAL_PAGE: Final = 50  # rows; most requests for a list ask for this many
MOST_STATEMENTS: Final = 500  # kept; building one takes longer than executing it
_POSTGRES: Final = make_url("postgresql+psycopg2://").get_dialect()()
Sort = tuple[tuple[str, bool], ...]
"""The names of sorts, each with whether it is descending."""


class ShownRow(tuple[Any, ...]):
    """A row as the API shows it. ``text`` is its JSON, which goes into an answer unchanged."""

    key: str = property(itemgetter(0))  # type: ignore[assignment]
    version: int | None = property(itemgetter(1))  # type: ignore[assignment]
    text: str = property(itemgetter(2))  # type: ignore[assignment]

    @property
    def id(self) -> UUID:
        """Return the row's id."""
        return UUID(self.key)

    @property
    def json(self) -> orjson.Fragment:
        """Return the row as JSON."""
        return orjson.Fragment(self.text)


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


def read_row(resource: Resource[Any], session: Session, row_id: UUID) -> ShownRow:
    """Return one row. Raises ``NotFound``."""
    rows = one(resource).rows(session, {"row_id": row_id})
    if not rows:
        raise NotFound(resource.noun)
    return rows[0]


def text_of_others(resource: Resource[Any], row: ShownRow) -> str | None:
    """Return the text of a row if it shows what changes without the row's version, such as the name of its owner."""
    return None if resource.more is None else row.text


def find_rows(
    resource: Resource[Any],
    session: Session,
    where: Mapping[str, Any],
    *,
    either: Mapping[str, Any] | None = None,
    sort: Sort = (),
    fields: tuple[str, ...] | None = None,
    after: Sequence[Any] | None = None,
    limit: int = USUAL_PAGE,
    search: str | None = None,
) -> Sequence[ShownRow]:
    """Return the rows that meet every condition of ``where``, and one of ``either`` if there are any, in order.

    The conditions are by the names of the query parameters: ``{"min_price": 5}``. ``after`` is ``place_of`` the last
    row of the page before. ``search`` is the text of a search by words, see ``tenancy.searching.matches``.
    """
    if search is not None:
        check_searchable(session, resource.model)
    shape, values = shape_of(resource, where, either or {}, search)
    usual = limit if not values and limit - USUAL_PAGE in (0, 1) else None
    shape = shape._replace(sort=sort or default_sort(resource), fields=fields, after=after is not None, limit=usual)
    values |= {f"after_{number}": value for number, value in enumerate(after or ())}
    return statement(resource, shape).rows(session, values if usual else values | {"limit": limit})


def count_rows(
    resource: Resource[Any],
    session: Session,
    where: Mapping[str, Any],
    *,
    either: Mapping[str, Any] | None = None,
    search: str | None = None,
) -> int:
    """Return how many rows meet the conditions; see ``find_rows``."""
    if search is not None:
        check_searchable(session, resource.model)
    shape, values = shape_of(resource, where, either or {}, search)
    return int(counting(resource, shape).rows(session, values)[0][0])


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
    values: dict[str, Any] = {}
    parts = [
        tuple(_part(resource, kind, name, given, values) for name, given in sorted(wanted.items()))
        for kind, wanted in (("where", where), ("either", either))
    ]
    if search is not None:
        values["search"] = search
    return Shape(parts[0], parts[1], search=search is not None), values


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


def place_of(resource: Resource[Any], sort: Sort, row: ShownRow) -> list[Any]:
    """Return the values by which a list is sorted: where the page after this row begins."""
    others = iter(row[3:])
    return [row.id if column.primary_key else next(others) for column, _ in order_of(resource, sort)]


@lru_cache(MOST_STATEMENTS)
def default_sort(resource: Resource[Any]) -> Sort:
    """Return the order of a list that names none."""
    return ((next(iter(resource.sorts)), False),)


@lru_cache(MOST_STATEMENTS)
def order_of(resource: Resource[Any], sort: Sort) -> tuple[tuple[Any, bool], ...]:
    """Return the columns of an order, each with whether it is descending. The id comes last, unless it is there."""
    order = [(resource.sorts[name], descending) for name, descending in sort]
    if not order[-1][0].unique and all(not column.primary_key for column, _ in order):
        order.append((resource.mapper.primary_key[0], order[-1][1]))
    return tuple(order)


@lru_cache(MOST_STATEMENTS)
def statement(resource: Resource[Any], shape: Shape) -> LoneSelect[ShownRow]:
    """Return the statement of a list. That of the usual page is planned once per connection."""
    order = order_of(resource, shape.sort)
    where = conditions(resource, shape)
    if shape.after:
        where.append(_after(order))
    limit: Any = bindparam("limit", type_=Integer()) if shape.limit is None else literal_column(str(shape.limit))
    found = shown(resource, where, order, limit, shape.fields)
    if shape.limit is None or shape.where or shape.either or shape.search or shape.fields is not None:
        return LoneSelect(found, ShownRow)
    return PreparedSelect(prepared_name(found), found, {}, ShownRow)


def prepared_name(statement: Select[*tuple[Any, ...]]) -> str:
    """Return a name for a prepared statement. Two statements never share one: PostgreSQL cuts a name at 63 bytes."""
    text = str(statement.compile(dialect=_POSTGRES))
    return f"resource_{hashlib.sha256(text.encode()).hexdigest()[:32]}"


@lru_cache(MOST_STATEMENTS)
def one(resource: Resource[Any]) -> PreparedSelect[ShownRow]:
    """Return the statement of one row."""
    where = [resource.mapper.primary_key[0] == bindparam("row_id", type_=Uuid())]
    found = shown(resource, where, [], None, None)
    return PreparedSelect(prepared_name(found), found, {}, ShownRow)


@lru_cache(MOST_STATEMENTS)
def counting(resource: Resource[Any], shape: Shape) -> LoneSelect[Any]:
    """Return the statement that counts the rows of a shape."""
    return LoneSelect(
        select(func.count().label("rows")).select_from(resource.model).where(*conditions(resource, shape))
    )


def shown(
    resource: Resource[Any],
    where: Sequence[ColumnElement[bool]],
    order: Sequence[tuple[Any, bool]],
    limit: Any,
    fields: tuple[str, ...] | None,
) -> Select[*tuple[Any, ...]]:
    """Return the SELECT of the columns of ``ShownRow``."""
    table = resource.mapper.local_table
    if resource.more is None:
        return _limited(_columns(resource, table, order, fields, {}).where(*where), table, order, limit)
    # The page is found first, so that what is joined is joined to its rows alone.
    page = _limited(select(*table.columns).where(*where), table, order, limit).cte("page")
    more = resource.more(page)
    found = more.joined(_columns(resource, page, order, fields, more.members).select_from(page))
    return _limited(found, page, order, None)


def _columns(
    resource: Resource[Any],
    source: Any,
    order: Sequence[tuple[Any, bool]],
    fields: tuple[str, ...] | None,
    more: Mapping[str, ColumnElement[Any]],
) -> Select[*tuple[Any, ...]]:
    members = {name: _member(resource, source, name, more) for name in fields or resource.members}
    no_version: Any = literal_column("NULL")
    version = no_version if resource.version is None else source.c[resource.version.key]
    # Not the key: it is there as text, and an object for each row would cost more than the rest of the list.
    others = [column for column, _ in order if not column.primary_key]
    places = [source.c[column.key].label(f"place_{number}") for number, column in enumerate(others)]
    text = cast(json_object(**members), Text).label("text")
    return select(cast(source.c.id, Text).label("key"), version.label("version"), text, *places)


def _member(resource: Resource[Any], source: Any, name: str, more: Mapping[str, ColumnElement[Any]]) -> Any:
    return more[name] if name in more else source.c[resource.column(name).key]


def _limited(
    found: Select[*tuple[Any, ...]], source: Any, order: Sequence[tuple[Any, bool]], limit: Any
) -> Select[*tuple[Any, ...]]:
    columns = [(source.c[column.key], descending) for column, descending in order]
    return found.order_by(*(column.desc() if down else column.asc() for column, down in columns)).limit(limit)


def _after(order: Sequence[tuple[Any, bool]]) -> ColumnElement[bool]:
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


def _beyond(left: Any, right: Any, descending: bool) -> ColumnElement[bool]:
    return left < right if descending else left > right  # type: ignore[no-any-return]
