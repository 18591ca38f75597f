"""The structure of a SQLite file, read from the statements it keeps."""

from collections.abc import Iterator
from typing import Final

from sqlalchemy.engine import Connection

from tenantapp.databases.schemas.sqlite_definitions import table_parts, tokens_of

# The indexes that SQLite makes for constraints have no statement; its own tables begin with sqlite_.
STATEMENT: Final = r"""
SELECT type, name, tbl_name, sql FROM sqlite_master
WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite\_%' ESCAPE '\'
"""


def read_sqlite(connection: Connection) -> Iterator[tuple[str, str, str]]:
    """Thing, part and definition of everything in the file."""
    for kind, name, table, sql in connection.exec_driver_sql(STATEMENT):
        if kind == "table" and not sql.upper().startswith("CREATE VIRTUAL"):
            for part, definition in table_parts(sql):
                yield f"table {name}", part, definition
        elif kind in ("index", "trigger"):
            yield f"table {table}", f"{kind} {name}", " ".join(tokens_of(sql))
        else:
            yield f"{kind} {name}", "", " ".join(tokens_of(sql))
