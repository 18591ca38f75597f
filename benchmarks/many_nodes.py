"""A tenant with 100,000 nodes of uneven shares: what a list can be filtered by is rare, medium or frequent."""

import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import UUID

from sqlalchemy import URL, Connection, create_engine, delete, insert
from tenantapp.tenancy.models import Change, ChangeCounter
from tenantapp.tenancy.searching import fill_words
from tenantapp.workspace.models import Author, Node, Tag, node_tags

from benchmarks.nodes import key_at

MANY: Final = 100_000
BATCH: Final = 5_000
OWNERS: Final = 20  # each has a twentieth
PARENTS: Final = 20  # each has a share of the nodes below the first thousand
_FIRST: Final = datetime(2026, 1, 1, tzinfo=UTC)
_STATUSES: Final = {"draft": 60, "published": 30, "archived": 10}
_FILLERS: Final = ("letter", "meeting", "plan", "offer", "note", "order", "report", "list", "idea", "minutes")
# By chance in a thousand: words of titles and names of tags.
_WORDS: Final = {"invoice": 300, "budget": 100, "harbour": 30, "zeppelin": 1}
_TAGS: Final = {"common": 300, "usual": 100, "seldom": 30, "odd": 1}


def fill_tenant(url: URL) -> dict[str, str]:
    """Replace the nodes of a tenant. Returns the ids that filters are measured with: ``owner`` and ``parent``."""
    chance = random.Random("many nodes")
    owners = [key_at(_FIRST - timedelta(days=1), chance) for _ in range(OWNERS)]
    tags = {name: key_at(_FIRST, chance) for name in _TAGS}
    rows = _nodes(chance, owners)
    engine = create_engine(url)
    with engine.begin() as connection:
        _fill(connection, chance, owners, tags, rows)
        fill_words(connection, Node.__tablename__, Node.__search__)
    if engine.dialect.name == "postgresql":
        # As autovacuum does soon after so many new rows. SQLite has no such thing: it plans without statistics.
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.exec_driver_sql("VACUUM ANALYZE")
    engine.dispose()
    return {"owner": str(owners[0]), "parent": str(rows[0]["id"])}


def _fill(
    connection: Connection, chance: random.Random, owners: list[UUID], tags: dict[str, UUID], rows: list[dict[str, Any]]
) -> None:
    connection.execute(delete(node_tags))
    connection.execute(delete(Node))
    connection.execute(insert(Author), [{"id": owner, "name": f"Author {n}"} for n, owner in enumerate(owners)])
    connection.execute(insert(Tag), [{"id": key, "name": name} for name, key in tags.items()])
    for some in _batches(rows):
        connection.execute(insert(Node), some)
    carried = [
        {"node_id": row["id"], "tag_id": tags[name]}
        for row in rows
        for name, share in _TAGS.items()
        if chance.randrange(1000) < share
    ]
    for some in _batches(carried):
        connection.execute(insert(node_tags), some)
    for some in _batches([_change(number, row) for number, row in enumerate(rows, 1)]):
        connection.execute(insert(Change), some)
    connection.execute(delete(ChangeCounter))
    connection.execute(insert(ChangeCounter), [{"id": 1, "position": len(rows), "removed": 0}])


def _nodes(chance: random.Random, owners: list[UUID]) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    statuses, shares = list(_STATUSES), list(_STATUSES.values())
    for number in range(MANY):
        made = _FIRST + timedelta(seconds=number)
        words = [*chance.choices(_FILLERS, k=3), *(w for w, share in _WORDS.items() if chance.randrange(1000) < share)]
        chance.shuffle(words)
        rows.append(
            {
                "id": key_at(made, chance),
                "parent_id": None if number < 1000 else rows[number % PARENTS]["id"],
                "owner_id": chance.choice(owners),
                "title": f"{' '.join(words)} {chance.randrange(MANY)}",
                "body": " ".join(chance.choices(_FILLERS, k=7)),
                "status": chance.choices(statuses, shares)[0],
                "version": 1,
                "created_at": made,
                "updated_at": made + timedelta(seconds=chance.randrange(MANY)),
            }
        )
    return rows


def _change(position: int, row: dict[str, Any]) -> dict[str, Any]:
    return {
        "position": position,
        "table_name": Node.__tablename__,
        "row_id": row["id"],
        "kind": "created",
        "version": 1,
        "person_id": row["owner_id"],
        "login": "editor@t0",
        "at": row["created_at"],
    }


def _batches(rows: list[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    return (rows[start : start + BATCH] for start in range(0, len(rows), BATCH))
