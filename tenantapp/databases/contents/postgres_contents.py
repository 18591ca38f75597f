"""What a PostgreSQL database holds. The server adds up one hash for each row, so that nothing but sums is sent.

No code of the tenant's runs here, though the role may be a superuser: names are looked up in ``pg_catalog`` alone, and
values become text by the output functions of their types, of which no other than a superuser can make one.
"""

from collections.abc import Callable
from typing import Final

from sqlalchemy import func, select
from sqlalchemy.engine import Connection

from tenantapp.databases.connections.postgres import NAME_IN_WORDS
from tenantapp.databases.contents.rows import Rows
from tenantapp.databases.errors import RowsHidden

# How values are written: in the same way on every server, and each value in a way of its own.
PINNED: Final = {"search_path": "pg_catalog", "bytea_output": "hex", "lc_monetary": "C", "row_security": "off"}
SCHEMAS: Final = "n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'"
# What belongs to an extension comes with the extension.
OWN: Final = """NOT EXISTS (
    SELECT FROM pg_depend WHERE classid = 'pg_class'::regclass AND objid = c.oid AND deptype = 'e')"""
NAME: Final = (
    f"CASE n.nspname WHEN 'public' THEN '' ELSE {NAME_IN_WORDS.format('n.nspname')} || '.' END"
    f" || {NAME_IN_WORDS.format('c.relname')}"
)
# Columns by name: their order may be another where they were made one by one. A virtual one is not stored.
TABLES: Final = f"""
SELECT {NAME} AS name, format('%I.%I', n.nspname, c.relname) AS words, c.relispopulated AS populated,
    row_security_active(c.oid) AS hidden,
    (SELECT string_agg(quote_ident(a.attname), ', ' ORDER BY a.attname) FROM pg_attribute a
     WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated <> 'v') AS columns
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'm') AND {SCHEMAS} AND {OWN} ORDER BY name
"""  # noqa: S608
# ONLY: what inherits from a table is a table too. The sum of 64-bit hashes is a numeric, and cannot overflow.
ROWS: Final = """
SELECT count(*), coalesce(sum(hashtextextended((ROW({columns})::text) COLLATE "C", 0)), 0) FROM ONLY {words}
"""
SEQUENCES: Final = f"""
SELECT {NAME}, format('%I.%I', n.nspname, c.relname) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind = 'S' AND {SCHEMAS} AND {OWN} ORDER BY 1
"""  # noqa: S608
CHUNK: Final = 2**20  # bytes of a large object that are read at once
INV_READ: Final = 0x40000
# Their sizes are nowhere to be read: each is opened, and sought to its end. All get the same descriptor, so if nothing
# else went into a subquery, PostgreSQL 15 would keep the first size for all (Memoize).
LARGE_OBJECTS: Final = f"""
SELECT count(DISTINCT o.oid), coalesce(sum(hashtextextended(
    concat_ws(':', o.oid, size, start, sha256(lo_get(o.oid, start, {CHUNK}))) COLLATE "C", 0)), 0)
FROM pg_largeobject_metadata o
CROSS JOIN LATERAL (SELECT lo_open(o.oid, {INV_READ}) AS descriptor OFFSET 0) AS opened
CROSS JOIN LATERAL (SELECT lo_lseek64(descriptor, 0 * o.oid::bigint, 2) AS size OFFSET 0) AS sought
CROSS JOIN LATERAL (SELECT lo_close(descriptor) WHERE size >= 0 * o.oid::bigint OFFSET 0) AS closed
CROSS JOIN LATERAL generate_series(0, size, {CHUNK}) AS start
"""  # noqa: S608


def read_postgres(
    connection: Connection, name: str, progress: Callable[[int], None]
) -> tuple[dict[str, Rows], dict[str, str], Rows]:
    """Tables, sequences and large objects, within the transaction. Raises ``RowsHidden``."""
    check_every_row_seen(connection, name)
    for setting, value in PINNED.items():
        connection.execute(select(func.set_config(setting, value, True)))
    return _tables(connection, progress), _sequences(connection), Rows(*_sum(connection, LARGE_OBJECTS))


def check_every_row_seen(connection: Connection, name: str) -> None:
    """Raise ``RowsHidden`` if policies keep rows from the role of this connection.

    Those of a role with BYPASSRLS, of a superuser and, where row level security is not forced, of a table's owner do
    not. With ``row_security`` off the server refuses to read a table in part, and so this only says it sooner, and of
    all tables: https://www.postgresql.org/docs/current/ddl-rowsecurity.html
    """
    connection.execute(select(func.set_config("row_security", "off", True)))
    hidden = [found.name for found in connection.exec_driver_sql(_sent(TABLES)) if found.hidden]
    if hidden:
        role = connection.scalar(select(func.current_user()))
        raise RowsHidden(name, f"row level security hides rows of {', '.join(hidden)} from the role {role}")


def _tables(connection: Connection, progress: Callable[[int], None]) -> dict[str, Rows]:
    found = {}
    for table in connection.exec_driver_sql(_sent(TABLES)).all():
        if table.populated:
            rows = Rows(*_sum(connection, ROWS.format(columns=table.columns or "", words=table.words)))
        else:
            rows = Rows(0, "not populated")
        progress(rows.count)
        found[table.name] = rows
    return found


def _sequences(connection: Connection) -> dict[str, str]:
    """Return how far each sequence is, in words."""
    found = {}
    for name, words in connection.exec_driver_sql(_sent(SEQUENCES)).all():
        asked = f"SELECT last_value, is_called FROM {words}"  # noqa: S608 - as the server has written it
        last, called = connection.exec_driver_sql(_sent(asked)).one()
        found[name] = f"at {last}" if called else f"about to give {last}"
    return found


def _sum(connection: Connection, statement: str) -> tuple[int, str]:
    count, total = connection.exec_driver_sql(_sent(statement)).one()
    return count, str(total)


def _sent(statement: str) -> str:
    """Return the statement as the driver takes it."""
    return statement.replace("%", "%%")
