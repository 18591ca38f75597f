"""The statements of a request and their plans, read on the connection that executed them."""

import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from typing import Any, Final

import psycopg2.extensions
from sqlalchemy import event
from sqlalchemy.pool import Pool

FEW: Final = 500  # rows: a page with all its tags has fewer
BOUNDED: Final = 10_000  # rows, where a LIMIT says how many are counted
INTERNAL: Final = re.compile(r"_fts_(?:data|idx|docsize|config|content)\b|^--")
SUBQUERY: Final = re.compile(r"page|words|names|CONSTANT|anon_\d+")
ACCESS: Final = re.compile(r"\bweb_sessions\b|EXECUTE (?!resource_)")  # who asks, in the user database
READS: Final = re.compile(r"\s*(?:SELECT|WITH|EXECUTE)\b", re.IGNORECASE)


@dataclass
class Plan:
    """What the plans of a request's statements have in common: the indexes, the full scans, the large sorts."""

    statements: int = 0
    indexes: set[str] = field(default_factory=set)
    scans: set[str] = field(default_factory=set)
    sorts: set[str] = field(default_factory=set)

    def text(self) -> str:
        """Return the plan in one line."""
        parts = [", ".join(sorted(self.indexes))]
        parts += [f"FULL SCAN {', '.join(sorted(self.scans))}"] * bool(self.scans)
        parts += [f"SORT {', '.join(sorted(self.sorts))}"] * bool(self.sorts)
        return "; ".join(parts)


class Statements:
    """The statements of all connections that are made while it listens, as they are sent, if it records."""

    def __init__(self) -> None:
        self._connections: list[Any] = []
        self._sent: list[tuple[Any, str]] = []

    @contextmanager
    def listening(self) -> Iterator["Statements"]:
        """Know each new connection of this process."""
        event.listen(Pool, "connect", self._connected)
        try:
            yield self
        finally:
            event.remove(Pool, "connect", self._connected)

    def _connected(self, connection: Any, record: Any) -> None:
        self._connections.append(connection)

    @contextmanager
    def recording(self) -> Iterator[list[tuple[Any, str]]]:
        """Yield a list, which gets the statements that are sent during the block, each with its connection."""
        self._sent = []
        for connection in self._connections:
            self._record_on(connection)
        try:
            yield self._sent
        finally:
            for connection in self._connections:
                _stop_recording_on(connection)

    def _record_on(self, connection: Any) -> None:
        sent = self._sent
        if isinstance(connection, sqlite3.Connection):
            connection.set_trace_callback(lambda sql: sent.append((connection, sql)))
            return

        class Recording(psycopg2.extensions.cursor):
            """A cursor that tells what it sends."""

            def execute(self, query: Any, vars: Any = None) -> None:
                sent.append((connection, self.mogrify(query, vars).decode()))
                super().execute(query, vars)

        connection.cursor_factory = Recording


def _stop_recording_on(connection: Any) -> None:
    if isinstance(connection, sqlite3.Connection):
        connection.set_trace_callback(None)
    else:
        connection.cursor_factory = psycopg2.extensions.cursor


def plan_of(sent: list[tuple[Any, str]]) -> Plan:
    """Return the plan of these statements. Those that begin and end transactions are not counted.

    The look-up of who asks is counted, but not explained.
    """
    plan = Plan()
    for connection, sql in sent:
        if READS.match(sql) and not INTERNAL.search(sql):
            plan.statements += 1
            if ACCESS.search(sql):
                continue
            if isinstance(connection, sqlite3.Connection):
                _add_sqlite(plan, connection, sql)
            else:
                _add_postgres(plan, connection, sql)
    return plan


def _add_sqlite(plan: Plan, connection: sqlite3.Connection, sql: str) -> None:
    sampled = "nodes_words" if " AS looked" in sql else None  # of the newest rows a few are read
    steps = {step: (parent, text) for step, parent, _, text in connection.execute(f"EXPLAIN QUERY PLAN {sql}")}
    for step, (parent, text) in steps.items():
        if used := re.search(r"USING (?:COVERING )?INDEX (\w+)|VIRTUAL TABLE|INTEGER PRIMARY KEY", text):
            plan.indexes.add(used[1] or ("full text" if "VIRTUAL" in text else "rowid"))
        elif (scan := re.match(r"SCAN (\w+)", text)) and not SUBQUERY.fullmatch(scan[1]) and scan[1] != sampled:
            plan.scans.add(scan[1])
        # The plan does not tell how many rows are sorted. Those of the page and of its tags are few, and so are those
        # of a list of keys, and those that are equal in what an index has the order of.
        alone = not any(above == parent and "LIST SUBQUERY" in each for above, each in steps.values())
        whole = text == "USE TEMP B-TREE FOR ORDER BY" and (alone or "LIST SUBQUERY" in steps[parent][1])
        if whole and _within(steps, step, "page"):
            plan.sorts.add("of what is found")


def _within(steps: dict[int, tuple[int, str]], step: int, name: str) -> bool:
    """Return whether a step is part of the subquery with this name."""
    while step in steps:
        if re.search(rf"(?:CO-ROUTINE|MATERIALIZE) {name}\b", steps[step][1]):
            return True
        step = steps[step][0]
    return False


def _add_postgres(plan: Plan, connection: Any, sql: str) -> None:
    with closing(connection.cursor()) as cursor:
        cursor.execute("EXPLAIN (ANALYZE, FORMAT JSON) " + sql.replace("%", "%%") % ())
        _add_node(plan, cursor.fetchone()[0][0]["Plan"])


def _add_node(plan: Plan, node: dict[str, Any], few: int = FEW) -> None:
    kind, rows = node["Node Type"], node["Actual Rows"] * node["Actual Loops"]
    below = node.get("Plans", ())
    if "Index Name" in node and node["Actual Loops"]:
        plan.indexes.add(node["Index Name"])
    if kind == "Seq Scan" and rows + node.get("Rows Removed by Filter", 0) > few:
        plan.scans.add(node["Relation Name"])
    sorted_rows = sum(each["Actual Rows"] * each["Actual Loops"] for each in below)
    if kind == "Sort" and sorted_rows > FEW:
        plan.sorts.add(f"of {sorted_rows:.0f} rows")
    for each in below:
        _add_node(plan, each, BOUNDED if kind == "Limit" else few)
