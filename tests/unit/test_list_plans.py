"""A page of nodes is read in the order of an index: nothing but the page is sorted.

SQLite plans without statistics, so the plans of an empty database are those of a large one. PostgreSQL plans by
statistics, so there the benchmark ``reach`` shows the plans.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest
from sqlalchemy import create_engine
from sqlalchemy.dialects import sqlite

from tenantapp.resources.listings import Way
from tenantapp.resources.queries import statement
from tenantapp.resources.shapes import Shape
from tenantapp.resources.ways import MOST_COUNTED, choice_of, choose
from tenantapp.tenancy.models import TenantBase
from tenantapp.workspace.nodes import nodes
from tests.shop import products


@pytest.fixture(scope="module")
def database() -> Iterator[sqlite3.Connection]:
    engine = create_engine("sqlite://")
    TenantBase.metadata.create_all(engine)
    with closing(engine.raw_connection()) as connection:
        assert isinstance(connection.driver_connection, sqlite3.Connection)
        yield connection.driver_connection
    engine.dispose()


def plan_of(database: sqlite3.Connection, shape: Shape) -> list[str]:
    compiled = statement(nodes, shape).statement.compile(dialect=sqlite.dialect(paramstyle="qmark"))  # type: ignore[no-untyped-call]
    values = [None] * len(compiled.positiontup or ())
    return [row[-1] for row in database.execute(f"EXPLAIN QUERY PLAN {compiled}", values)]


@pytest.mark.parametrize("name", ["status", "owner_id", "parent_id"])
def test_a_filtered_page_is_read_from_one_index_in_its_order(database: sqlite3.Connection, name: str) -> None:
    first = plan_of(database, Shape(where=((name, 1),), sort=(("id", False),)))
    later = plan_of(database, Shape(where=((name, 1),), sort=(("id", False),), after=True))
    assert f"SEARCH nodes USING INDEX ix_nodes_{name}_id ({name}=?)" in first
    assert f"SEARCH nodes USING INDEX ix_nodes_{name}_id ({name}=? AND id>?)" in later


def test_the_nodes_with_a_tag_are_found_in_an_index_alone(database: sqlite3.Connection) -> None:
    plan = plan_of(database, Shape(where=(("tag", 1),), sort=(("id", False),)))
    assert "SEARCH node_tags USING COVERING INDEX ix_node_tags_tag_id_node_id (tag_id=?)" in plan


@pytest.mark.parametrize(("down", "begin"), [(False, ">"), (True, "<")])
def test_the_page_after_a_place_in_two_directions_begins_in_the_index(
    database: sqlite3.Connection, down: bool, begin: str
) -> None:
    plan = plan_of(database, Shape(sort=(("title", down), ("updated_at", not down)), after=True))
    assert f"SEARCH nodes USING INDEX ix_nodes_title_id (title{begin}?)" in plan


@pytest.mark.parametrize(
    ("name", "given", "counted"),
    [
        ("supplier_id", 1, True),
        ("in_supplier_id", 2, True),
        ("has_supplier_id", ("constant", True), True),
        ("min_price", 1, True),
        ("supplier", 1, True),
        ("low_stock", ("constant", True), False),
        ("not_supplier_id", 1, False),
        ("like_name", 1, False),
    ],
)
def test_the_rows_of_a_filter_are_counted_only_where_an_index_has_them(name: str, given: Any, counted: bool) -> None:
    shape = Shape(where=((name, given),), sort=(("name", False),))
    assert (choice_of(products, shape).look is not None) == counted


@pytest.mark.parametrize(
    ("counted", "looked", "hits", "way"),
    [
        (None, 200, 20, Way("walk")),  # the page is soon full
        (None, 150, 0, Way("walk")),  # there are no more rows
        (50, 200, 0, Way("gather", 0)),
        (MOST_COUNTED, 200, 9, Way("walk")),
        (MOST_COUNTED, 200, 0, Way("walk", None, (0,))),  # many rows, and none of them here
    ],
)
def test_a_rare_value_is_gathered_and_a_frequent_one_looked_for(
    counted: int | None, looked: int, hits: int, way: Way
) -> None:
    choice = choice_of(nodes, Shape(where=(("status", 1),), sort=(("title", False),)))
    assert choose(choice, [counted, looked, hits], size=100_000, limit=51) == way


def test_an_index_on_filter_and_order_is_used_without_a_look() -> None:
    shape = Shape(where=(("status", 1),), sort=(("id", True),))
    assert (choice_of(nodes, shape).look, choice_of(nodes, shape).anchors) == (None, (0,))


def test_a_search_reads_only_the_rows_that_the_full_text_has_found(database: sqlite3.Connection) -> None:
    plan = plan_of(database, Shape(sort=(("id", False),), search=True))
    assert "SEARCH nodes_words USING INTEGER PRIMARY KEY (rowid=?)" in plan
