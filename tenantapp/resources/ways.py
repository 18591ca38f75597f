"""Choose how a list of a large table is read: by which of its conditions, or in its order.

No index has both the rows of a rare tag and the order by title. So either all rows with the tag are found and sorted,
or the titles are read in their order, and each row is tested, until the page is full. The one takes long for a frequent
tag, the other for a rare one. How many rows have the tag is looked up first, up to a bound: the choice takes a part of
a millisecond. It decides about time only: each way finds the same rows. For small tables there is nothing to choose.
"""

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache, reduce
from itertools import chain, islice
from math import prod
from operator import itemgetter
from time import monotonic
from typing import Any, Final, NamedTuple

from sqlalchemy import ColumnClause, case, literal_column, select, true
from sqlalchemy.orm import Session

from tenantapp.resources.declaration import Resource
from tenantapp.resources.listings import Listing, Way
from tenantapp.resources.parts import ColumnPart, Seen
from tenantapp.resources.shapes import MOST_SHAPES, Shape, listing_of
from tenantapp.sql.look_ups import rough_size
from tenantapp.sql.prepared import DATABASE, LoneSelect

SMALL: Final = 2_000  # rows of a table
MOST_COUNTED: Final = 6_000  # rows
LOOKED_AT: Final = 200  # rows in the order of the list, before what each filter finds is counted
ENOUGH: Final = 10  # of them, from which on nothing is counted: the page is soon full
SIZE_KEPT: Final = 60.0  # seconds
# What reading takes, in microseconds. They are rough: only how they compare matters.
STEP: Final = 0.5  # to the next key of an index
PROBE: Final = 0.5  # of a key among others
TEST: Final = 4.0  # of a row that has to be looked up
GATHERED: Final = 10.0  # a row that is looked up and sorted
LISTED: Final = 0.7  # a key that is put among others


class Choice(NamedTuple):
    """What a choice depends on. It is the same for all lists of a shape."""

    listing: Listing
    anchors: tuple[int, ...]
    """The parts of which an index has the rows in the order of the list."""
    look: LoneSelect[Any] | None
    """The statement of the numbers that the choice depends on, or None if there is nothing to choose."""
    asked: tuple[int, ...]
    """How many of these numbers are about each part."""
    sampled: bool
    """Whether the last two numbers say how many of the next rows were looked at, and how many of them are wanted.

    What is frequent in a table may be rare in a part of it, such as archived rows among those that were changed last.
    """


def way_of(
    resource: Resource[Any], session: Session, shape: Shape, values: Mapping[str, Any], limit: int
) -> Way | None:
    """Return the way to read a list, or None to leave it to the engine."""
    wordless = shape.search and not shape.pieces
    if wordless or not (shape.where or shape.either or shape.search):
        return None
    size = size_of(session, resource.mapper.local_table)
    if size <= SMALL:
        return None
    choice = choice_of(resource, shape._replace(fields=None, limit=None))
    if choice.look is None:
        return Way("walk", choice.anchors[0]) if choice.anchors else None
    [counts] = choice.look.rows(session, values)
    return choose(choice, counts, size, limit)


@lru_cache(MOST_SHAPES)
def choice_of(resource: Resource[Any], shape: Shape) -> Choice:
    """Return what is needed to choose a way for lists of this shape."""
    listing = listing_of(resource, shape)
    anchors = tuple(listing.anchors())
    if anchors and len(listing.parts) == 1 and isinstance(listing.parts[0], ColumnPart):
        return Choice(listing, anchors, None, (), False)
    counts = [part.counts(MOST_COUNTED, listing.begin) for part in listing.parts]
    asked = tuple(map(len, counts))
    if not sum(asked):
        return Choice(listing, (), None, asked, False)
    numbers: list[Any] = list(chain.from_iterable(counts))
    samples: list[Any] = list(dict.fromkeys(each.table for each in numbers if isinstance(each, ColumnClause)))
    if not anchors:
        sample = listing.sample(LOOKED_AT)
        few = sample.c.hits < literal_column(str(ENOUGH))
        numbers = [*(case((few, each), else_=None) for each in numbers), sample.c.looked, sample.c.hits]
        samples.append(sample)
    statement = select(*(each.label(f"count_{number}") for number, each in enumerate(numbers)))
    if samples:
        # Each is a single row.
        statement = statement.select_from(reduce(lambda left, right: left.join(right, true()), samples))
    return Choice(listing, anchors, LoneSelect(statement), asked, not anchors)


def choose(choice: Choice, counts: Sequence[Any], size: int, limit: int) -> Way:
    """Return the way that is expected to take least, by what the statement ``look`` has counted."""
    listing, numbers, share = choice.listing, iter(counts), 1.0
    if choice.sampled:
        looked, hits = counts[-2:]
        if hits >= ENOUGH or looked < LOOKED_AT:
            return Way("walk")
        share = (hits + 1) / looked
    seen = [
        part.seen(list(islice(numbers, asked)), MOST_COUNTED, size)
        for part, asked in zip(listing.parts, choice.asked, strict=True)
    ]
    ways = [_gather(listing, seen, number) for number, each in enumerate(seen) if each.rows is not None]
    share = min(share, _share(seen, range(len(seen))))
    ways.append(_walk(listing, seen, None, size, limit / share))
    for by in choice.anchors:
        tested = [number for number in range(len(seen)) if number != by or listing.parts[by].tests_in_order]
        length = size if listing.parts[by].tests_in_order else min(size, seen[by].rows or size)
        ways.append(_walk(listing, seen, by, length, limit / _share(seen, tested)))
    return min(ways, key=itemgetter(0))[1]


def _gather(listing: Listing, seen: list[Seen], by: int) -> tuple[float, Way]:
    rows = seen[by].rows or 0
    sets = tuple(
        number
        for number, each in enumerate(seen)
        if number != by and each.rows is not None and _listed(listing, seen, (number,)) < rows * GATHERED
    )
    listed = _listed(listing, seen, (by, *sets))
    left = rows * _share(seen, sets)
    return listed + rows * PROBE * len(sets) + left * GATHERED, Way("gather", by, sets)


def _walk(listing: Listing, seen: list[Seen], by: int | None, length: int, steps: float) -> tuple[float, Way]:
    steps = min(steps, length)
    test = {n: TEST * part.test_weight for n, part in enumerate(listing.parts) if n != by}
    able = [number for number in test if seen[number].listed is not None]
    sets = tuple(number for number in able if _listed(listing, seen, (number,)) < steps * test[number])
    listed = _listed(listing, seen, sets)
    tested = steps * _share(seen, sets) * sum(each for number, each in test.items() if number not in sets)
    searching = by is not None and listing.parts[by].tests_in_order
    step = STEP + PROBE * (len(sets) + searching)
    return listed + steps * step + tested, Way("walk", by, sets)


def _listed(listing: Listing, seen: list[Seen], numbers: Iterable[int]) -> float:
    return sum((seen[number].listed or 0) * LISTED * listing.parts[number].weight for number in numbers)


def _share(seen: list[Seen], numbers: Iterable[int]) -> float:
    return prod(seen[number].share for number in numbers)


def size_of(session: Session, table: Any) -> int:
    """Return about how many rows a table has. It is asked once in a while."""
    database = session.info.get(DATABASE)
    sizes: dict[str, tuple[float, int]] = {} if database is None else database.known_sizes
    known = sizes.get(table.name)
    if known is None or known[0] + SIZE_KEPT < monotonic():
        asked: LoneSelect[Any] = LoneSelect(select(rough_size(table).label("size")))
        known = sizes[table.name] = (monotonic(), asked.rows(session, {})[0][0] or 0)
    return known[1]
