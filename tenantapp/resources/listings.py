"""How the rows of a list are found: through an index of one part of its condition, or in its order."""

from collections.abc import Iterable, Iterator
from typing import Any, Literal, NamedTuple

from sqlalchemy import Select, Subquery, and_, case, func, literal_column, select

from tenantapp.resources.parts import Begin, ColumnPart, Part
from tenantapp.sql.look_ups import among, one_of


class Way(NamedTuple):
    """How a list is read. Parts are named by their position.

    ``gather``: the rows that the part ``by`` finds are sorted. ``walk``: rows are read in the order of an index; if
    there is a part ``by``, it is an index of its rows alone. ``sets`` are the parts whose keys are listed first, so
    that each row is looked up among them. The other parts are tested for each row that is left.
    """

    kind: Literal["gather", "walk"]
    by: int | None = None
    sets: tuple[int, ...] = ()


class Listing(NamedTuple):
    """What is to be listed: the rows of a table that all parts hold for, in an order, perhaps after a place."""

    key: Any
    parts: tuple[Part, ...]
    order: tuple[tuple[Any, bool], ...]
    after: Any = None
    """The condition that a row comes after the place, or None."""
    begin: Begin | None = None
    """The same of a key, if the list is in the order of the keys."""

    @property
    def by_key(self) -> bool:
        """Return whether the list is in the order of the keys."""
        return self.order[0][0] is self.key

    def anchors(self) -> list[int]:
        """Return the parts of which an index has the rows in the order of the list."""
        found = [number for number, part in enumerate(self.parts) if self.by_key and part.in_order() is not None]
        one_way = len({descending for _, descending in self.order}) == 1
        for number, part in enumerate(self.parts):
            if one_way and isinstance(part, ColumnPart) and self._has_index(part.equal):
                found.append(number)
        return found

    def sample(self, most: int) -> Subquery:
        """Return how many rows there are after the place, up to this number, and how many of them are wanted."""
        where = [] if self.after is None else [self.after]
        holds = case((and_(*(part.test(self.key) for part in self.parts)), literal_column("1")), else_=None)
        rows = select(holds.label("holds")).select_from(self.key.table).where(*where)
        some = rows.order_by(*_directed(self.order)).limit(literal_column(str(most))).subquery()
        return select(func.count().label("looked"), func.count(some.c.holds).label("hits")).select_from(some).subquery()

    def _has_index(self, column: Any) -> bool:
        if column is None:
            return False
        wanted = [column.key]
        for each, _ in self.order:
            wanted.append(each.key)
            if each.unique or each.primary_key:
                break
        lists = [[getattr(each, "key", None) for each in index.expressions] for index in self.key.table.indexes]
        return any(names[: len(wanted)] == wanted for names in lists)


def conditions_on_the_way(listing: Listing, way: Way, limit: Any) -> list[Any]:
    """Return conditions that hold for the rows of the page, or for all rows if ``gather``, found in this way."""
    if way.kind == "gather":
        return _gathering(listing, way)
    if way.by is not None and not isinstance(listing.parts[way.by], ColumnPart):
        found = _along(listing, way, limit)
    else:
        found = _walking(listing, way, limit)
    return [among(listing.key, found.correlate(None).scalar_subquery())]


def _gathering(listing: Listing, way: Way) -> list[Any]:
    key = _subquery(listing.parts[way.by or 0].keys(listing.begin))
    keys = select(key).where(*_sets(listing, way, key))
    after = [] if listing.after is None else [listing.after]
    return [among(listing.key, keys.scalar_subquery()), *after, *_tests(listing, way, listing.key)]


def _along(listing: Listing, way: Way, limit: Any) -> Select[Any]:
    key = _subquery(listing.parts[way.by or 0].in_order())
    begin = key.is_not(None) if listing.begin is None else listing.begin(key)
    found = select(key).distinct().where(begin, *_sets(listing, way, key), *_tests(listing, way, key))
    return found.order_by(key.desc() if listing.order[0][1] else key.asc()).limit(limit)


def _subquery(keys: Select[Any] | None) -> Any:
    if keys is None:
        raise TypeError("no index finds rows by this part of the condition")
    return keys.subquery().c[0]


def _walking(listing: Listing, way: Way, limit: Any) -> Select[Any]:
    columns = dict(listing.order)
    where = [] if listing.after is None else [listing.after]
    if way.by is not None:
        where.append(listing.parts[way.by].condition)
    found = select(listing.key).where(*where, *_sets(listing, way, listing.key))
    tests, names = list(_tests(listing, way, listing.key)), columns
    if way.sets and tests:
        # The index alone tells which rows may be wanted, and only these are looked up.
        rows = found.with_only_columns(listing.key, *(each for each in columns if each is not listing.key)).subquery()
        key = rows.c[listing.key.key]
        names = {rows.c[each.key]: descending for each, descending in columns.items()}
        found, tests = select(key), list(_tests(listing, way, key))
    return found.where(*tests).order_by(*_directed(names.items())).limit(limit)


def _directed(order: Iterable[tuple[Any, bool]]) -> list[Any]:
    return [column.desc() if descending else column.asc() for column, descending in order]


def _sets(listing: Listing, way: Way, key: Any) -> Iterator[Any]:
    for number in way.sets:
        keys = listing.parts[number].keys(listing.begin)
        if keys is not None:
            yield one_of(key, keys.correlate(None).scalar_subquery())


def _tests(listing: Listing, way: Way, key: Any) -> Iterator[Any]:
    for number, part in enumerate(listing.parts):
        if number not in (way.by, *way.sets):
            yield part.test(key)
