"""Lists of a large table: each way to read one finds the same rows, and an index leads to them."""

import math
import random
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import product
from typing import Any, Final, NamedTuple
from uuid import UUID

import pytest
from sqlalchemy import Connection, bindparam, case, event, false, func, insert, null, or_, select, true
from sqlalchemy.orm import Session, aliased

from tenantapp.content import Content
from tenantapp.identity.local_access import local_access
from tenantapp.identity.permissions import Permission
from tenantapp.resources import Flag, Related, Resource
from tenantapp.resources.listings import Listing, Way
from tenantapp.resources.parts import part_of
from tenantapp.resources.queries import find_rows, statement
from tenantapp.resources.shapes import Sort, listing_of, order_of, shape_of
from tenantapp.sql.ids import uuid7
from tenantapp.sql.prepared import DATABASE
from tenantapp.tenancy.databases import TenantDatabases
from tenantapp.tenancy.searching import fill_words
from tenantapp.tenancy.server_engines import engines_of
from tenantapp.workspace.models import Author, Node, Tag, node_tags
from tenantapp.workspace.node_queries import carries
from tenantapp.workspace.nodes import nodes
from tests.contract.conftest import Fleet

FIRST: Final = datetime(2026, 1, 1, tzinfo=UTC)
STATUSES: Final = ("draft", "published", "archived")
WORDS: Final = ("invoice", "invoices", "in", "zeppelin", "zoo", "plan")
TAGS: Final = ("red", "blue", "seldom")
Row = dict[str, Any]


SORTS: Final[tuple[Sort, ...]] = ((("id", False),), (("title", True),), (("title", False), ("updated_at", True)))


class Titled(Content):
    title: str


class Asked(NamedTuple):
    """A list that a client may ask for, and the condition that says in Python which rows it has."""

    where: dict[str, Any]
    either: dict[str, Any]
    search: str | None
    sort: Sort
    holds: Callable[[Row], bool]


class Table:
    """A tenant's nodes, in the database and in Python."""

    def __init__(self, session: Session, count: int, seed: int) -> None:
        self.session, self.chance = session, random.Random(seed)
        self.owners = [uuid7() for _ in range(3)]
        self.tags = {name: uuid7() for name in TAGS}
        self.rows = [self._row(number) for number in range(count)]
        for number, row in enumerate(self.rows):
            row["parent_id"] = self.rows[number % 4]["id"] if number > 9 else None
        session.execute(insert(Author), [{"id": each, "name": "Ada"} for each in self.owners])
        session.execute(insert(Tag), [{"id": each, "name": name} for name, each in self.tags.items()])
        session.execute(insert(Node), [{k: v for k, v in row.items() if k != "tags"} for row in self.rows])
        carried = [{"node_id": row["id"], "tag_id": self.tags[name]} for row in self.rows for name in row["tags"]]
        session.execute(insert(node_tags), carried)
        fill_words(session.connection(), "nodes", Node.__search__)
        # The table counts as a large one.
        session.info[DATABASE].known_sizes["nodes"] = (math.inf, 100_000)

    def _row(self, number: int) -> Row:
        chance, made = self.chance, FIRST + timedelta(seconds=number)
        return {
            "id": UUID(int=chance.getrandbits(128)),
            "owner_id": chance.choice(self.owners),
            "title": chance.choice(("a", "b", "c", "d")),
            "body": " ".join(chance.sample(WORDS, 2)),
            "status": chance.choice(STATUSES),
            "version": 1,
            "created_at": made,
            "updated_at": FIRST + timedelta(hours=chance.randrange(5)),
            "tags": [name for name, share in zip(TAGS, (0.5, 0.3, 0.02), strict=True) if chance.random() < share],
        }

    def conditions(self) -> dict[str, tuple[Any, Callable[[Row], bool]]]:
        chance = self.chance
        owner, parent = chance.choice(self.owners), self.rows[chance.randrange(5)]["id"]
        status, tag, moment = chance.choice(STATUSES), chance.choice((*TAGS, "none")), FIRST + timedelta(hours=2)
        return {
            "status": (status, lambda row: row["status"] == status),
            "not_status": (status, lambda row: row["status"] != status),
            "in_status": (("draft", status), lambda row: row["status"] in ("draft", status)),
            "owner_id": (owner, lambda row: row["owner_id"] == owner),
            "parent_id": ("root", lambda row: row["parent_id"] is None),
            "in_parent_id": ((parent,), lambda row: row["parent_id"] == parent),
            "has_parent_id": (True, lambda row: row["parent_id"] is not None),
            "min_updated_at": (moment, lambda row: row["updated_at"] >= moment),
            "lt_updated_at": (moment, lambda row: row["updated_at"] < moment),
            "tag": (tag, lambda row: tag in row["tags"]),
        }

    def asked(self) -> Asked:
        chance, conditions = self.chance, self.conditions()
        names = chance.sample(list(conditions), chance.choice((1, 1, 2, 3)))
        either = chance.sample(list(conditions), chance.choice((0, 0, 2, 3)))
        search = chance.choice((None, None, "in", "invoice", "zoo inv", "plan zeppelin", "nothing"))
        searched = [] if search is None else search.split()

        def holds(row: Row) -> bool:
            words = row["body"].split()
            return (
                all(conditions[name][1](row) for name in names)
                and (not either or any(conditions[name][1](row) for name in either))
                and (not searched or {*searched[:-1]} <= {*words})
                and (not searched or any(word.startswith(searched[-1]) for word in words))
            )

        sorts = chance.sample(["id", "title", "updated_at"], chance.choice((1, 1, 2)))
        sort = tuple((name, chance.random() < 0.5) for name in sorts)
        values = {name: conditions[name][0] for name in {*names, *either}}
        return Asked({n: values[n] for n in names}, {n: values[n] for n in either}, search, sort, holds)

    def sorted_rows(self, sort: Sort) -> list[Row]:
        rows = sorted(self.rows, key=lambda row: row["id"].bytes, reverse=sort[-1][1])
        for name, descending in reversed(sort):
            rows.sort(key=lambda row: row["id"].bytes if name == "id" else row[name], reverse=descending)
        return rows


def ways(listing: Listing) -> Iterator[Way]:
    """Yield the ways to read a list, with all keys listed that can be, and with none."""
    found = [number for number, part in enumerate(listing.parts) if part.keys(None) is not None]
    for sets in ((), tuple(found)):
        for by in found:
            yield Way("gather", by, tuple(number for number in sets if number != by))
        for anchor in (None, *listing.anchors()):
            yield Way("walk", anchor, tuple(number for number in sets if number != anchor))


@pytest.fixture
def session(fleet: Fleet) -> Iterator[Session]:
    """A session of a new tenant, whose rows are not kept."""
    fleet.initialised().create("acme")
    databases = TenantDatabases(fleet.servers, engines_of(fleet.servers, fleet.settings))
    with fleet.user_db.begin(read_only=True) as user_session:
        access = local_access(user_session, "acme")
    with databases.begin(access) as session:
        yield session
        session.rollback()
    databases.dispose()


def test_each_way_has_the_same_rows(session: Session) -> None:
    table = Table(session, 120, seed=11)
    kinds = set()
    for _ in range(12):
        asked = table.asked()
        rows = table.sorted_rows(asked.sort)
        place = table.chance.choice((None, *range(0, len(rows), 7)))
        later = rows if place is None else rows[place + 1 :]
        limit = table.chance.choice((1, 7, 30))
        expected = [row["id"] for row in later if asked.holds(row)][:limit]
        shape, values = shape_of(nodes, asked.where, asked.either, asked.search)
        order = order_of(nodes, asked.sort)
        after = None if place is None else [rows[place][column.key] for column, _ in order]
        values |= {"limit": limit} | {f"after_{number}": value for number, value in enumerate(after or ())}
        shape = shape._replace(sort=asked.sort, after=after is not None)
        possible = list(ways(listing_of(nodes, shape)))
        for way in (None, *table.chance.sample(possible, min(len(possible), 4))):
            found = statement(nodes, shape._replace(way=way)).rows(session, values)
            assert [UUID(row.key) for row in found] == expected, (asked, place, way)
            kinds.add(way and way.kind)
        chosen = find_rows(
            nodes,
            session,
            asked.where,
            either=asked.either,
            sort=asked.sort,
            after=after,
            limit=limit,
            search=asked.search,
        )
        assert [UUID(row.key) for row in chosen] == expected, (asked, place)
    assert kinds == {None, "gather", "walk"}


def folded(name: Any) -> Any:
    return func.lower(Tag.name) == func.lower(name)


def tagged(name: Any) -> Any:
    return select(node_tags.c.node_id).join(Tag).where(Tag.name == name)


def combined(name: Any) -> Any:
    one = node_tags.c.node_id
    return select(func.coalesce(one, one)).select_from(node_tags).join(Tag).where(Tag.name == name)


def of_another(name: Any) -> Any:
    other = aliased(Node)
    return select(other.id).where(other.id.in_(tagged(name)))


RELATED: Final[dict[str, Callable[[Any], Any]]] = {
    "labelled": lambda name: Node.id.in_(select(node_tags.c.node_id.label("found")).join(Tag).where(Tag.name == name)),
    "combined": lambda name: Node.id.in_(combined(name)),
    "of_no_type": lambda name: Node.id.in_(select(node_tags.c.node_id).join(Tag).where(folded(name))),
    "that_exists": lambda name: tagged(name).where(node_tags.c.node_id == Node.id).exists(),
    "twice": lambda name: Node.id.in_(tagged(name).union_all(tagged(name))),
    "or_alone": lambda name: or_(Node.id.in_(tagged(name)), Node.title == name),
    "of_an_alias": lambda name: Node.id.in_(of_another(name)),
}


def test_other_tables_may_be_looked_at_in_any_way(session: Session) -> None:
    table = Table(session, 60, seed=5)
    for name, condition in RELATED.items():
        declared = filtered(**{name: Related(str, condition)})
        for more, sort in (({}, SORTS[0]), ({"status": "draft"}, SORTS[1])):
            found = find_rows(declared, session, {name: "red"} | more, sort=sort)
            carrying = [row for row in table.sorted_rows(sort) if "red" in row["tags"]]
            expected = [row["id"] for row in carrying if not more or row["status"] == "draft"]
            assert [UUID(row.key) for row in found] == expected, (name, more)


def test_a_related_row_may_be_compared_with_the_row_itself(session: Session) -> None:
    table = Table(session, 60, seed=5)
    declared = filtered(of_drafts=Related(str, lambda name: Node.id.in_(tagged(name).where(Node.status == "draft"))))
    for more, sort in product(({}, {"has_parent_id": True}), SORTS):
        found = find_rows(declared, session, {"of_drafts": "red"} | more, sort=sort)
        drafts = [row for row in table.sorted_rows(sort) if row["status"] == "draft" and "red" in row["tags"]]
        expected = [row["id"] for row in drafts if not more or row["parent_id"] is not None]
        assert [UUID(row.key) for row in found] == expected


def test_a_flag_may_be_the_opposite_of_what_may_be_unknown(session: Session) -> None:
    table = Table(session, 60, seed=5)
    known = case((Node.status == "draft", true()), (Node.status == "archived", false()), else_=null())
    declared = filtered(opposite=Flag(~known))
    for wanted, parents in product((True, False), ({}, {"has_parent_id": True})):
        statuses = ("archived",) if wanted else ("draft", "published")
        expected = [row["id"] for row in table.sorted_rows((("title", True),)) if row["status"] in statuses]
        roots = {row["id"] for row in table.rows if row["parent_id"] is None} if parents else ()
        for size in (0, 100_000):
            session.info[DATABASE].known_sizes["nodes"] = (math.inf, size)
            found = find_rows(declared, session, {"opposite": wanted} | parents, sort=(("title", True),), limit=100)
            assert [UUID(row.key) for row in found] == [each for each in expected if each not in roots], (wanted, size)


def test_keys_are_looked_up_only_in_an_index_of_them_and_of_what_is_asked() -> None:
    key, name, child = Node.__table__.c.id, bindparam("name", "red"), aliased(Node)
    indexed = (carries(name), Node.id.in_(select(child.id).where(child.title == name)))
    without = (Node.id.in_(select(child.parent_id).where(child.title == name)), RELATED["labelled"](name))
    assert [part_of(key, each, True).keys() is not None for each in (*indexed, *without)] == [True, True, False, False]


def filtered(**filters: Any) -> Resource[Node]:
    """A resource of nodes with these filters besides."""
    filters = {"status": Node.status, "parent_id": Node.parent_id, **filters}
    sorts = {"id": Node.id, "title": Node.title, "updated_at": Node.updated_at}
    permissions = {"read": Permission.CONTENT_READ, "write": Permission.CONTENT_CREATE}
    return Resource("notes", Node, body=Titled, filters=filters, sorts=sorts, **permissions)


LISTS: Final[tuple[dict[str, Any], ...]] = (
    {},
    {"where": {"status": "draft"}},
    {"where": {"tag": "red"}},
    {"where": {"tag": "seldom"}},
    {"where": {"tag": "blue", "status": "draft"}},
    {"where": {"not_status": "draft"}},
    {"where": {"in_status": ("draft", "archived")}},
    {"where": {"parent_id": "root"}},
    {"where": {"min_updated_at": FIRST + timedelta(hours=4)}},
    {"either": {"status": "draft", "tag": "blue"}},
    {"either": {"tag": "seldom", "parent_id": "root"}},
    {"search": "zoo"},
    {"search": "zepp"},
    {"search": "plan in"},
    {"search": "invoice", "where": {"status": "archived"}},
)
MANY: Final = 500  # rows; a page has fewer, and so has what is gathered


def test_no_list_scans_the_table_or_sorts_many_rows(session: Session) -> None:
    table = Table(session, 3000, seed=2)
    connection = session.connection()
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql("ANALYZE")
        # Of so small a table PostgreSQL would rather read all. So it does only where no index leads to the rows.
        connection.exec_driver_sql("SET LOCAL enable_seqscan = off")
    session.info[DATABASE].known_sizes["nodes"] = (math.inf, len(table.rows))
    sent: list[tuple[str, Any]] = []
    event.listen(connection, "before_cursor_execute", lambda c, cursor, sql, values, *rest: sent.append((sql, values)))
    wrong = []
    for asked, sort in product(LISTS, SORTS):
        place = table.sorted_rows(sort)[1500]
        after = [place[column.key] for column, _ in order_of(nodes, sort)]
        sent.clear()
        find_rows(nodes, session, **{"where": {}} | asked, sort=sort, after=after, limit=51)
        for sql, values in list(sent):
            wrong += [(asked, sort, slip) for slip in slips(connection, sql, values)]
    assert not wrong, "\n".join(map(str, wrong))


def slips(connection: Connection, sql: str, values: Any) -> list[str]:
    """Return the steps of a statement's plan that read or sort more than they should."""
    if connection.dialect.name == "sqlite":
        rows = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {sql}", values).all()
        steps = {step: (parent, text) for step, parent, _, text in rows}
        return [text for parent, text in steps.values() if is_slip(text, steps.get(parent, (0, ""))[1])]
    plan = connection.exec_driver_sql(f"EXPLAIN (ANALYZE, FORMAT JSON) {sql}", values).scalar_one()
    return list(slips_of(plan[0]["Plan"]))


def is_slip(step: str, above: str) -> bool:
    # What is above is a list of keys; a page may be sorted, and what has the same title.
    sorts = step == "USE TEMP B-TREE FOR ORDER BY" and "LIST" in above
    return sorts or step in ("SCAN nodes", "SCAN node_tags")


def slips_of(node: dict[str, Any]) -> Iterator[str]:
    below = node.get("Plans", ())
    rows = node["Actual Rows"] + node.get("Rows Removed by Filter", 0)
    if node["Node Type"] == "Seq Scan" and rows > MANY:
        yield f"Seq Scan of {rows:.0f} rows of {node['Relation Name']}"
    if node["Node Type"] == "Sort" and below[0]["Actual Rows"] > MANY:
        yield f"Sort of {below[0]['Actual Rows']:.0f} rows"
    for each in below:
        yield from slips_of(each)
