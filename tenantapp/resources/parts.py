"""The parts of a list's condition: each filter, the alternatives of ``_or`` together, and the search.

A row can be found by a part, through an index of the part's own; or it is read in the order of the list, and the part
is tested. Where both ways are possible, ``ways`` chooses.
"""

from collections.abc import Callable, Sequence
from itertools import chain
from math import sqrt
from typing import Any, Final, NamedTuple

from sqlalchemy import (
    BinaryExpression,
    BindParameter,
    Column,
    ColumnElement,
    Null,
    PrimaryKeyConstraint,
    ScalarSelect,
    Select,
    Subquery,
    Table,
    UniqueConstraint,
    and_,
    bindparam,
    case,
    func,
    literal_column,
    or_,
    select,
    union_all,
)
from sqlalchemy.sql import operators, visitors
from sqlalchemy.sql.elements import Grouping

from tenantapp.sql.word_conditions import SearchText, holds_word, matches_counted
from tenantapp.tenancy.searching import matching_rows, words_of_model

Begin = Callable[[ColumnElement[Any]], ColumnElement[bool]]
"""Takes a column with keys, and returns the condition that a key comes after the place where a page begins."""
ONE: Final[Any] = literal_column("1")
SAMPLE: Final = 200  # rows whose words are looked at, before the matches of a search are counted
UNKNOWN: Final = 0.5  # the share of rows that are not counted
HITS: Final = 3  # among them, from which on the matches are not counted


class Seen(NamedTuple):
    """How many rows a part holds for, or None for many; and their share of all rows, perhaps a guess.

    ``listed`` is about how many keys there are to list, or None if that takes too long.
    """

    share: float
    rows: int | None
    listed: int | None = None


class Part:
    """One part. This is a condition that no index finds rows by."""

    key: Any
    """The column of the key of the list's table."""

    tests_in_order = False
    """Whether ``in_order`` reads all rows and tests each."""
    weight, test_weight = 1.0, 1.0
    """How long it takes to list a key and to test a row, compared with keys of an index and rows that are looked up."""

    def __init__(self, key: Any, condition: ColumnElement[bool]) -> None:
        self.key, self.condition = key, condition

    def keys(self, begin: Begin | None = None) -> Select[Any] | None:
        """Return the SELECT of the keys of the rows that it holds for, by its index; None if there is no index."""
        return None

    def test(self, key: ColumnElement[Any]) -> ColumnElement[bool]:
        """Return the condition that it holds for the row with this key. No row is looked for by it."""
        if key is self.key:
            return Grouping(self.condition).is_(True)
        return _exists(select(ONE).where(self.key == key, self.condition), key)

    def in_order(self) -> Select[Any] | None:
        """Return a SELECT of the same keys that an index has in their own order, or None if there is none."""
        return None

    def counts(self, most: int, begin: Begin | None) -> Sequence[ColumnElement[Any]]:
        """Return what tells how many rows it holds for, but at most this number. See ``ways``."""
        keys = self.keys(begin)
        if keys is None:
            return ()
        some = keys.limit(literal_column(str(most))).subquery()
        return (select(func.count()).select_from(some).scalar_subquery(),)

    def seen(self, counts: Sequence[Any], most: int, size: int) -> Seen:
        """Return what the numbers that ``counts`` has asked for say."""
        if not counts:
            return Seen(UNKNOWN, None)
        rows: int = counts[0]
        share = max(rows, 1) / max(size, rows, 1)
        if rows < most:
            return Seen(share, rows, rows)
        # Of many rows it is known that they are more than were counted: the share is in between, on a scale of ratios.
        return Seen(sqrt(share), None, int(sqrt(share) * size))


class ColumnPart(Part):
    """A condition on columns of the list's table."""

    def keys(self, begin: Begin | None = None) -> Select[Any]:
        """Return the keys: an index on the column and the key has both."""
        where = [self.condition] if begin is None else [self.condition, begin(self.key)]
        return select(self.key).where(*where).correlate(None)

    @property
    def equal(self) -> Any:
        """Return the column that has one value in all rows that it holds for, or None."""
        return column_of_one_value(self.condition)


class RelatedPart(Part):
    """A condition that the key is among those that a SELECT on other tables finds."""

    def __init__(self, key: Any, condition: ColumnElement[bool], others: Select[Any]) -> None:
        super().__init__(key, condition)
        self._others: Subquery = others.subquery()
        found: Any = others.selected_columns[0]
        self._refers = isinstance(found, Column) and found.references(key)

    def keys(self, begin: Begin | None = None) -> Select[Any]:
        """Return the keys that the SELECT finds."""
        found = self._others.c[0]
        return select(found) if begin is None else select(found).where(begin(found))

    def test(self, key: ColumnElement[Any]) -> ColumnElement[bool]:
        """Return whether the SELECT finds this key."""
        return _exists(select(ONE).where(self._others.c[0] == key), key)

    def in_order(self) -> Select[Any] | None:
        """Return the keys. Where the database does not hold that each is that of a row, too few might be read."""
        return self.keys() if self._refers else None


class SearchPart(Part):
    """The search by words. ``pieces`` are what the words of a row hold."""

    tests_in_order = True
    # The index knows rows by number, and the key is in the table of words, where the words to test are.
    weight, test_weight = 3.0, 1.5

    def __init__(
        self, model: Any, condition: ColumnElement[bool], query: BindParameter[Any], pieces: Sequence[Any]
    ) -> None:
        super().__init__(model.__table__.c.id, condition)
        self._words = words_of_model(model)
        self._found = matching_rows(model, query)
        self._query = bindparam(query.key, type_=SearchText())
        self._holds = and_(*(holds_word(self._words.c.words, piece) for piece in pieces))

    def keys(self, begin: Begin | None = None) -> Select[Any]:
        """Return the keys that the index of the words finds."""
        return self._found if begin is None else self._found.where(begin(self._words.c.row_id))

    def test(self, key: ColumnElement[Any]) -> ColumnElement[bool]:
        """Return whether the words of a row hold those of the query."""
        return _exists(select(ONE).where(self._words.c.row_id == key, self._holds), key)

    def in_order(self) -> Select[Any]:
        """Return the keys of all rows with such words, in the order of the unique index on the key."""
        return select(self._words.c.row_id).where(self._holds)

    def counts(self, most: int, begin: Begin | None) -> Sequence[ColumnElement[Any]]:
        """Return how many rows were looked at, how many of them match, and, if these are few, how many do in all.

        The index would gather all rows with a frequent word, or with a frequent beginning of words.
        """
        some = select(self._holds.label("holds")).limit(literal_column(str(SAMPLE)))
        if begin is None:
            some = some.order_by(self._words.c.id.desc())
        else:
            some = some.where(begin(self._words.c.row_id)).order_by(self._words.c.row_id)
        rows = some.subquery()
        looked_at = select(func.count().label("looked"), func.count(case((rows.c.holds, ONE))).label("hits"))
        sample = looked_at.select_from(rows).subquery()
        counted: Any = matches_counted(self._words, self._query, most)
        few = and_(sample.c.hits < literal_column(str(HITS)), sample.c.looked == literal_column(str(SAMPLE)))
        return sample.c.looked, sample.c.hits, case((few, counted), else_=None)

    def seen(self, counts: Sequence[Any], most: int, size: int) -> Seen:
        """Return how many rows match, by the share of those that were looked at unless they were counted."""
        looked, hits, counted = counts
        if counted is not None:
            return super().seen([counted], most, size)
        share = max(hits, 1) / max(looked, 1)
        rows = int(share * size)
        return Seen(share, rows, rows) if rows < most else Seen(share, None)


class EitherPart(Part):
    """The alternatives of ``_or``: one of them holds."""

    def __init__(self, key: Any, condition: ColumnElement[bool], parts: Sequence[Part]) -> None:
        super().__init__(key, condition)
        self._parts = parts

    def keys(self, begin: Begin | None = None) -> Select[Any] | None:
        """Return the keys that any of them finds, perhaps more than once."""
        found = [each for part in self._parts if (each := part.keys(begin)) is not None]
        if len(found) < len(self._parts):
            return None
        return found[0] if len(found) == 1 else select(union_all(*found).subquery().c[0])

    def test(self, key: ColumnElement[Any]) -> ColumnElement[bool]:
        """Return whether one of them holds."""
        return or_(*(part.test(key) for part in self._parts))


def part_of(key: Any, condition: ColumnElement[bool], indexed: bool) -> Part:
    """Return the part of a filter. ``indexed`` says that an index finds the rows that the condition holds for."""
    if any(isinstance(each, Select) and _mentions(each, key.table) for each in visitors.iterate(condition)):
        # What such a SELECT finds depends on the row. It finds nothing by itself, and neither does an index.
        return Part(key, condition)
    others = _keys_in(key, condition)
    if others is not None:
        return RelatedPart(key, condition, others) if _is_looked_up(others) else Part(key, condition)
    of_column = isinstance(condition, BinaryExpression) and isinstance(condition.left, Column)
    return ColumnPart(key, condition) if indexed and of_column else Part(key, condition)


def _is_looked_up(others: Select[Any]) -> bool:
    """Return whether an index has the found column, and then another one that the SELECT asks for, or is unique.

    Without it SQLite, which has no statistics, may read all that the SELECT finds in order to test one key.
    """
    found: Any = others.selected_columns[0]
    base = next(iter(found.base_columns)) if isinstance(found, Column) else None
    table = getattr(base, "table", None)
    if base is None or not isinstance(table, Table):
        return False
    clauses = chain.from_iterable(map(visitors.iterate, (others, *others.get_final_froms())))
    asked = {each.key for each in clauses if isinstance(each, Column) and each.table is found.table}
    indexes = [(list(index.columns.keys()), bool(index.unique)) for index in table.indexes]
    keys = [each for each in table.constraints if isinstance(each, UniqueConstraint | PrimaryKeyConstraint)]
    indexes += [(list(each.columns.keys()), True) for each in keys]
    return any(
        names[0] == base.key and (names[1] in asked if len(names) > 1 else unique) for names, unique in indexes if names
    )


def _mentions(found: Select[Any], table: Any) -> bool:
    """Return whether a SELECT has a column of this table. That of an alias is another column."""
    return any(isinstance(each, Column) and table.c.contains_column(each) for each in visitors.iterate(found))


def _keys_in(key: Any, condition: ColumnElement[bool]) -> Select[Any] | None:
    """Return the SELECT of a condition ``key IN (SELECT ...)``, or None for another condition."""
    if not isinstance(condition, BinaryExpression) or condition.operator is not operators.in_op:
        return None
    others = condition.right.element if isinstance(condition.right, ScalarSelect) else None
    is_key = isinstance(condition.left, Column) and condition.left.shares_lineage(key)
    return others if is_key and isinstance(others, Select) else None


def column_of_one_value(condition: ColumnElement[bool]) -> Any:
    """Return the column of ``column = value`` or ``column IS NULL``, or None for another condition."""
    if not isinstance(condition, BinaryExpression) or not isinstance(condition.left, Column):
        return None
    given = condition.right
    equal = condition.operator is operators.eq and isinstance(given, BindParameter)
    return condition.left if equal or (condition.operator is operators.is_ and isinstance(given, Null)) else None


def _exists(found: Select[Any], key: ColumnElement[Any]) -> ColumnElement[bool]:
    # Not EXISTS, which PostgreSQL turns into a join, or into a list of all rows that there are.
    one = found.limit(ONE).correlate(key.table).scalar_subquery()
    return one.is_not(None)
