"""Read the query string of a list: filters, order, fields, search, count and the place to begin."""

import re
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Annotated, Any, Final, Literal, NamedTuple
from urllib.parse import unquote_plus

from pydantic import AfterValidator, Field, TypeAdapter, ValidationError, create_model
from sqlalchemy.orm import Session
from sqlalchemy.types import TypeEngine

from tenantapp.api.query import NoQuery, PageQuery, bad_query, nearest, validate_query
from tenantapp.resources import queries
from tenantapp.resources.cursors import NotACursor, decode_cursor
from tenantapp.resources.declaration import NAME, DeclarationError, Resource
from tenantapp.resources.filters import value_type
from tenantapp.resources.shapes import Sort, default_sort, order_of
from tenantapp.sql.full_text import searched_words
from tenantapp.tenancy.access import Access

MOST_ALTERNATIVES: Final = 5
MOST_SORTS: Final = 3
MOST_SEARCH: Final = 500  # characters
MOST_LISTS: Final = 500  # remembered; clients ask for few different ones, except for their pages
# The parameters of every list, and the names of their fields: those of pydantic cannot begin with an underscore.
OWN: Final = {"_sort": "sort_by", "_fields": "only_fields", "_count": "count_rows", "_or": "one_of", "q": "search_text"}


class ExportQuery(NoQuery):
    """The query parameters of every export. ``_bom=true``: a byte order mark comes first, which spreadsheets need."""

    byte_order_mark: bool = Field(False, alias="_bom")


class ListRequest(NamedTuple):
    """What a client asks a list for."""

    where: Mapping[str, Any]
    either: Mapping[str, Any]
    sort: Sort
    fields: tuple[str, ...] | None
    count_rows: Literal["exact", "estimated"] | None
    search: str | None
    after: list[Any] | None
    limit: int
    context: str
    """Names the list for its cursors: its tenant, name, order and filters."""


def list_query(resource: Resource[Any]) -> type[PageQuery]:
    """Return the model of the query string of a resource's list."""
    count = Annotated[Literal["exact", "estimated"] | None, Field(alias="_count")]
    fields = {**_selecting(resource), OWN["_count"]: (count, None)}
    return create_model(_class_name(resource, "Query"), __base__=PageQuery, **fields)


def export_query(resource: Resource[Any]) -> type[ExportQuery]:
    """Return the model of the query string of a resource's export: that of its list, without what is about pages."""
    return create_model(_class_name(resource, "Export"), __base__=ExportQuery, **_selecting(resource))


def _selecting(resource: Resource[Any]) -> dict[str, Any]:
    """Return the parameters that say which rows are wanted, in which order and with which members."""
    names = _parameters(resource)
    fields: dict[str, Any] = {name: (type_ | None, None) for name, type_ in names.items()}
    fields[OWN["_sort"]] = (_text(_sorts(resource), "_sort", f"by {', '.join(resource.sorts)}; - for descending"), None)
    fields[OWN["_fields"]] = (_text(_names(resource), "_fields", f"of {', '.join(resource.members)}"), None)
    if names:
        one_of = Annotated[str | None, Field(alias="_or", max_length=5000, description="one of these: a=1,min_b=2")]
        fields[OWN["_or"]] = (one_of, None)
    if resource.search:
        description = "words that a row has, the last perhaps only its beginning"
        fields[OWN["q"]] = (_text(_words, "q", description, MOST_SEARCH), None)
    return fields


def filter_query(resource: Resource[Any]) -> type[NoQuery]:
    """Return the model of the query string of a change by filter. At least one filter is needed."""
    fields: dict[str, Any] = {name: (type_ | None, None) for name, type_ in _parameters(resource).items()}
    return create_model(_class_name(resource, "Filter"), __base__=NoQuery, **fields)


def read_list(resource: Resource[Any], query: PageQuery, access: Access) -> ListRequest:
    """Return what a checked query string asks for. Raises ``ApiError`` 400 for a cursor of another list."""
    asked = read_asked(resource, query) if query.cursor is not None else _asked(resource, query)
    context = f"{access.require_tenant().id} {asked.context}"
    after = None if query.cursor is None else _place(resource, asked.sort, context, query.cursor)
    return asked._replace(after=after, context=context)


def read_asked(resource: Resource[Any], query: PageQuery | ExportQuery) -> ListRequest:
    """Return what a query string asks for in any tenant, without the place where the page begins.

    An export has no ``limit``: it is 0.
    """
    where = filters_of(resource, query)
    given: dict[str, Any] = {name: getattr(query, field, None) for name, field in OWN.items()}
    either = _alternatives(type(query), resource, given["_or"]) if given["_or"] is not None else {}
    sort = parse_sort(resource, given["_sort"]) if given["_sort"] else default_sort(resource)
    fields = _fields_of(resource, given["_fields"]) if given["_fields"] else None
    context = repr((resource.name, sort, sorted(where.items()), sorted(either.items()), given["q"]))
    limit = query.limit if isinstance(query, PageQuery) else 0
    return ListRequest(where, either, sort, fields, given["_count"], given["q"], None, limit, context)


_asked = lru_cache(MOST_LISTS)(read_asked)


def find_asked(resource: Resource[Any], session: Session, asked: ListRequest, limit: int) -> Sequence[queries.ShownRow]:
    """Return the rows that a client asks for, at most ``limit``."""
    return queries.find_rows(
        resource,
        session,
        asked.where,
        either=asked.either,
        sort=asked.sort,
        fields=asked.fields,
        after=asked.after,
        limit=limit,
        search=asked.search,
    )


def _fields_of(resource: Resource[Any], text: str) -> tuple[str, ...]:
    """Return the named members in the resource's own order, so that each choice of members is one statement."""
    named = text.split(",")
    return tuple(name for name in resource.members if name in named)


def filters_of(resource: Resource[Any], query: NoQuery) -> dict[str, Any]:
    """Return the filters that a checked query string gives, by the names of their parameters."""
    given = query.model_fields_set & resource.parameters.keys()
    return {name: getattr(query, name) for name in given}


def parse_sort(resource: Resource[Any], text: str) -> Sort:
    """Read ``name,-price``. Raises ``ValueError``."""
    sort = tuple((part.removeprefix("-"), part.startswith("-")) for part in text.split(","))
    if unknown := [name for name, _ in sort if name not in resource.sorts]:
        meant = nearest(unknown[0], resource.sorts)
        raise ValueError(f"There is no order by {unknown[0][:50]}. {meant}There is {', '.join(resource.sorts)}.")
    if len({name for name, _ in sort}) != len(sort) or len(sort) > MOST_SORTS:
        raise ValueError(f"Name each order once, and at most {MOST_SORTS}.")
    return sort


def _sorts(resource: Resource[Any]) -> Callable[[str], str]:
    def check(text: str) -> str:
        parse_sort(resource, text)
        return text

    return check


def _names(resource: Resource[Any]) -> Callable[[str], str]:
    def check(text: str) -> str:
        if unknown := [name for name in text.split(",") if name not in resource.members]:
            raise ValueError(f"There is no field {unknown[0][:50]}. {nearest(unknown[0], resource.members)}".rstrip())
        return text

    return check


def _text(check: Callable[[str], str], alias: str, description: str, most: int = 1000) -> Any:
    # The length is measured first: a check of a long text takes long.
    measured = Annotated[str, Field(max_length=most), AfterValidator(check)]
    return Annotated[measured | None, Field(alias=alias, description=description)]


def _words(text: str) -> str:
    searched_words(text)
    return text


def _parameters(resource: Resource[Any]) -> dict[str, Any]:
    """Return the types of the filters' parameters. Raises ``DeclarationError`` for a name that is taken or odd."""
    taken = {*PageQuery.model_fields, *ExportQuery.model_fields, *OWN.values(), *OWN}
    names: dict[str, Any] = {}
    for name, operator in resource.parameters.items():
        if name in taken or not NAME.fullmatch(name):
            raise DeclarationError(f"A filter of the resource {resource.name} cannot be called {name}")
        names[name] = operator.value
    return names


def _alternatives(model: type[NoQuery], resource: Resource[Any], text: str) -> dict[str, Any]:
    """Read ``_or=status=draft,min_price=5``: the filters of which one has to hold. Raises ``ApiError`` 400."""
    found: dict[str, Any] = {}
    parts = text.split(",")
    if len(parts) > MOST_ALTERNATIVES:
        raise bad_query("_or", f"There are at most {MOST_ALTERNATIVES} alternatives")
    for part in parts:
        name, _, value = part.partition("=")
        if name not in resource.parameters or name in found:
            meant = "" if name in found else nearest(name, resource.parameters)
            raise bad_query(
                "_or", f"Each alternative is another filter with its value, not {part[:50]}. {meant}".rstrip()
            )
        found |= filters_of(resource, validate_query(model, {name: unquote_plus(value)}))
    return found


def _place(resource: Resource[Any], sort: Sort, context: str, cursor: str) -> list[Any]:
    order = order_of(resource, sort)
    try:
        values = decode_cursor(context, cursor)
        return [_adapter(column.type).validate_python(value) for (column, _), value in zip(order, values, strict=True)]
    except (NotACursor, ValidationError, ValueError, TypeError, OverflowError):
        raise bad_query("cursor", "This is not a cursor of this list.") from None


@lru_cache
def _adapter(type_: TypeEngine[Any]) -> TypeAdapter[Any]:
    """Return what checks a value of a cursor. Making one takes longer than reading the rest of the query string."""
    return TypeAdapter(value_type(type_))


def _class_name(resource: Resource[Any], suffix: str) -> str:
    return "".join(word.title() for word in re.split(r"\W|_", resource.name)) + suffix
