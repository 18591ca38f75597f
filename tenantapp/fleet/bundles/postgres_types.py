"""Types that PostgreSQL alone has, and whose values a bundle carries as text.

The text is that of the type's output function under pinned settings, and its input function reads it back as the same
value. A type that is not listed is refused: an ``oid`` or a ``regclass`` refers to something of its own database.
"""

from collections import defaultdict
from collections.abc import Mapping
from typing import Final

from sqlalchemy import text
from sqlalchemy.engine import Connection

from tenantapp.databases.connections.maintenance_engines import PUBLIC

OF_SERVER: Final = (
    *("bool", "int2", "int4", "int8", "float4", "float8", "numeric", "money"),
    *("text", "varchar", "bpchar", "char", "name", "bytea", "uuid", "json", "jsonb", "jsonpath", "xml"),
    *("date", "time", "timetz", "timestamp", "timestamptz", "interval"),
    *("inet", "cidr", "macaddr", "macaddr8", "bit", "varbit", "tsvector", "tsquery", "pg_lsn"),
    *("point", "line", "lseg", "box", "path", "polygon", "circle"),
)
OF_EXTENSIONS: Final = ("citext", "hstore", "ltree", "vector", "halfvec", "sparsevec", "cube", "geometry", "geography")
# A type is carried if all that it is made of is: elements, what a domain or a range is over, fields of a composite.
COLUMNS: Final = """
WITH RECURSIVE parts AS (
    SELECT attrelid, attnum, atttypid AS type FROM pg_attribute JOIN pg_class c ON c.oid = attrelid
    WHERE attnum > 0 AND NOT attisdropped AND c.relkind IN ('r', 'p') AND c.relnamespace <> 'pg_catalog'::regnamespace
    UNION
    SELECT attrelid, attnum, part FROM parts JOIN pg_type t ON t.oid = type CROSS JOIN LATERAL (
        SELECT typelem WHERE typcategory = 'A' AND typelem <> 0
        UNION ALL SELECT typbasetype WHERE typtype = 'd'
        UNION ALL SELECT rngsubtype FROM pg_range WHERE rngtypid = t.oid
        UNION ALL SELECT rngtypid FROM pg_range WHERE rngmultitypid = t.oid
        UNION ALL SELECT a.atttypid FROM pg_attribute a
            WHERE typtype = 'c' AND a.attrelid = typrelid AND attnum > 0 AND NOT attisdropped
    ) AS found(part)
), carried AS (
    SELECT attrelid, attnum, bool_and(typcategory = 'A' AND typelem <> 0 OR typtype IN ('d', 'e', 'r', 'm', 'c')
        OR typname = ANY (:of_server) AND typnamespace = 'pg_catalog'::regnamespace
        OR typname = ANY (:of_extensions) AND EXISTS (
            SELECT FROM pg_depend WHERE classid = 'pg_type'::regclass AND objid = t.oid AND deptype = 'e')) AS whole
    FROM parts JOIN pg_type t ON t.oid = type GROUP BY attrelid, attnum
)
SELECT n.nspname, c.relname, a.attname, format_type(a.atttypid, a.atttypmod)
FROM carried JOIN pg_attribute a USING (attrelid, attnum) JOIN pg_class c ON c.oid = attrelid
JOIN pg_namespace n ON n.oid = c.relnamespace WHERE whole
"""


def carried_types(connection: Connection) -> Mapping[tuple[str, str], dict[str, str]]:
    """Return the columns whose values have such a text, with their types, by the schema and the name of the table."""
    found: dict[tuple[str, str], dict[str, str]] = defaultdict(dict)
    given = {"of_server": list(OF_SERVER), "of_extensions": list(OF_EXTENSIONS)}
    for schema, table, column, type_ in connection.execute(text(COLUMNS), given):
        # As it is written where public is on the path.
        found[schema, table][column] = type_.removeprefix(f"{PUBLIC}.")
    return found
