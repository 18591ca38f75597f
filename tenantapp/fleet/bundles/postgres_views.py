"""Materialized views of a PostgreSQL database: a bundle says which hold rows, and a load computes these."""

from collections.abc import Collection
from typing import Final

from sqlalchemy.engine import Connection

# Those that others read come first. A view between two of them counts as well.
VIEWS: Final = """
WITH RECURSIVE views AS (
    SELECT c.oid, relkind, relispopulated, format('%I.%I', nspname, relname) AS name
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE relkind IN ('v', 'm') AND nspname !~ '^pg_' AND nspname <> 'information_schema'
), uses AS (
    SELECT DISTINCT r.ev_class AS reader, d.refobjid AS read FROM pg_rewrite r
    JOIN pg_depend d ON d.classid = 'pg_rewrite'::regclass AND d.objid = r.oid AND d.refclassid = 'pg_class'::regclass
    JOIN views ON views.oid = d.refobjid AND d.refobjid <> r.ev_class
), levels AS (
    SELECT oid, 0 AS level FROM views
    UNION
    SELECT uses.reader, level + 1 FROM uses JOIN levels ON levels.oid = uses.read
)
SELECT name, relispopulated FROM views JOIN levels USING (oid) WHERE relkind = 'm'
GROUP BY name, relispopulated ORDER BY max(level), name
"""


def filled_views(connection: Connection) -> tuple[str, ...]:
    """Return the names of the materialized views that hold rows, as the server quotes them."""
    return tuple(name for name, filled in _views(connection) if filled)


def refresh_views(connection: Connection, filled: Collection[str] | None) -> None:
    """Compute the materialized views that are to hold rows, and empty the others.

    Without ``filled``, compute those that the migrations have filled. Raises ``ValueError`` for one that is not there.
    """
    views = _views(connection)
    for name in sorted(set(filled or ()) - {name for name, _ in views}):
        raise ValueError(f"the materialized view {name} is not in the revision")
    for name, was_filled in views:
        if was_filled if filled is None else name in filled:
            _refresh(connection, name)
        elif was_filled:
            _refresh(connection, f"{name} WITH NO DATA")


def _views(connection: Connection) -> list[tuple[str, bool]]:
    return [(name, filled) for name, filled in connection.exec_driver_sql(VIEWS.replace("%", "%%"))]


def _refresh(connection: Connection, words: str) -> None:
    connection.exec_driver_sql(f"REFRESH MATERIALIZED VIEW {words}".replace("%", "%%"))
