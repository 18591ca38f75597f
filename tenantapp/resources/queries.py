"""Read the rows of a resource: one statement for any number of rows. The database writes their JSON."""

import hashlib
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from functools import lru_cache
from operator import itemgetter
from typing import Any, Final

import orjson
from sqlalchemy import (
    ColumnElement,
    Integer,
    Select,
    Text,
    bindparam,
    cast,
    func,
    literal_column,
    select,
)
from sqlalchemy.orm import Session

from tenantapp.resources.declaration import Resource
from tenantapp.resources.errors import NotFound
from tenantapp.resources.keys import RowId
from tenantapp.resources.listings import conditions_on_the_way
from tenantapp.resources.shapes import (
    MOST_SHAPES,
    Shape,
    Sort,
    after_place,
    conditions,
    default_sort,
    listing_of,
    order_of,
    shape_of,
)
from tenantapp.resources.ways import way_of
from tenantapp.sql.json_columns import json_object
from tenantapp.sql.prepared import LoneSelect, PreparedSelect, postgres_text
from tenantapp.tenancy.searching import searching

USUAL_PAGE: Final = 50  # rows; most requests for a list ask for this many


class ShownRow(tuple[Any, ...]):
    """A row as the API shows it. ``text`` is its JSON, which goes into an answer unchanged."""

    key: str = property(itemgetter(0))  # type: ignore[assignment]
    version: int | None = property(itemgetter(1))  # type: ignore[assignment]
    text: str = property(itemgetter(2))  # type: ignore[assignment]

    @property
    def json(self) -> orjson.Fragment:
        """Return the row as JSON."""
        return orjson.Fragment(self.text)


def read_row(resource: Resource[Any], session: Session, row_id: RowId) -> ShownRow:
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
    shape, values = shape_of(resource, where, either or {}, search)
    usual = limit if not values and limit - USUAL_PAGE in (0, 1) else None
    shape = shape._replace(sort=sort or default_sort(resource), fields=fields, after=after is not None, limit=usual)
    values |= {f"after_{number}": value for number, value in enumerate(after or ())}
    with nullcontext() if search is None else searching(session, resource.model):
        way = way_of(resource, session, shape, values, limit)
        if way is not None:
            shape = shape._replace(way=way)
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
    shape, values = shape_of(resource, where, either or {}, search)
    with nullcontext() if search is None else searching(session, resource.model):
        return int(counting(resource, shape).rows(session, values)[0][0])


def place_of(resource: Resource[Any], sort: Sort, row: ShownRow) -> list[Any]:
    """Return the values by which a list is sorted: where the page after this row begins."""
    others = iter(row[3:])
    return [
        resource.key.read(row.key) if column.primary_key else next(others) for column, _ in order_of(resource, sort)
    ]


@lru_cache(MOST_SHAPES)
def statement(resource: Resource[Any], shape: Shape) -> LoneSelect[ShownRow]:
    """Return the statement of a list. That of the usual page is planned once per connection."""
    order = order_of(resource, shape.sort)
    limit: Any = bindparam("limit", type_=Integer()) if shape.limit is None else literal_column(str(shape.limit))
    if shape.way is not None:
        where = conditions_on_the_way(listing_of(resource, shape), shape.way, limit)
    else:
        where = conditions(resource, shape)
        if shape.after:
            where.append(after_place(order))
    found = shown(resource, where, order, limit, shape.fields)
    if shape.limit is None or shape.where or shape.either or shape.search or shape.fields is not None:
        return LoneSelect(found, ShownRow)
    return PreparedSelect(prepared_name(found), found, {}, ShownRow)


def prepared_name(statement: Select[*tuple[Any, ...]]) -> str:
    """Return a name for a prepared statement. Two statements never share one: PostgreSQL cuts a name at 63 bytes."""
    return f"resource_{hashlib.sha256(postgres_text(statement).encode()).hexdigest()[:32]}"


@lru_cache(MOST_SHAPES)
def one(resource: Resource[Any]) -> PreparedSelect[ShownRow]:
    """Return the statement of one row."""
    where = [(key := resource.key.column) == bindparam("row_id", type_=key.type)]
    found = shown(resource, where, [], None, None)
    return PreparedSelect(prepared_name(found), found, {}, ShownRow)


@lru_cache(MOST_SHAPES)
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
