"""Find what PostgreSQL could not compute again while it restores a dump.

A restore has nothing on its search path (CVE-2018-1058), and neither has the worker of a logical replication. There a
function of a generated column, a check or an index fails, if its body names something without its schema. Nobody
notices before, because the path of the database leads to it.
"""

from typing import Final

from psycopg2.errors import InvalidSchemaName, UndefinedColumn, UndefinedFunction, UndefinedObject, UndefinedTable
from sqlalchemy.engine import URL, Connection
from sqlalchemy.exc import DBAPIError

from tenantapp.databases.connections.maintenance_engines import reading_connection
from tenantapp.databases.errors import NotRestorable
from tenantapp.operations.outcomes import first_line

# Each expression that calls a function of the database's own, and the statement that computes it for one row. The
# first own oid is FirstNormalObjectId.
STATEMENT: Final = """
WITH calling AS (
    SELECT DISTINCT classid, objid FROM pg_depend WHERE refclassid = 'pg_proc'::regclass AND refobjid >= 16384
)
SELECT format('generated column %s of %s', a.attname, d.adrelid::regclass),
    format('SELECT %s FROM ONLY %s LIMIT 1', pg_get_expr(d.adbin, d.adrelid), d.adrelid::regclass)
FROM calling JOIN pg_attrdef d ON classid = 'pg_attrdef'::regclass AND d.oid = objid
JOIN pg_attribute a ON a.attrelid = d.adrelid AND a.attnum = d.adnum AND a.attgenerated = 's'
UNION ALL
SELECT format('constraint %s of %s', c.conname, c.conrelid::regclass),
    format('SELECT %s FROM ONLY %s LIMIT 1', pg_get_expr(c.conbin, c.conrelid), c.conrelid::regclass)
FROM calling JOIN pg_constraint c ON classid = 'pg_constraint'::regclass AND c.oid = objid AND c.contype = 'c'
WHERE c.conrelid <> 0
UNION ALL
SELECT format('constraint %s of the type %s', c.conname, c.contypid::regtype),
    format('SELECT %I::%s::%s FROM ONLY %s WHERE %I IS NOT NULL LIMIT 1', a.attname,
        format_type(t.typbasetype, t.typtypmod), c.contypid::regtype, a.attrelid::regclass, a.attname)
FROM calling JOIN pg_constraint c ON classid = 'pg_constraint'::regclass AND c.oid = objid AND c.contype = 'c'
JOIN pg_type t ON t.oid = c.contypid
JOIN pg_attribute a ON a.atttypid = c.contypid AND a.attnum > 0 AND NOT a.attisdropped
JOIN pg_class r ON r.oid = a.attrelid AND r.relkind = 'r'
UNION ALL
SELECT format('index %s', x.indexrelid::regclass),
    format('SELECT %s FROM ONLY %s WHERE %s LIMIT 1', coalesce(pg_get_expr(x.indexprs, x.indrelid), '1'),
        x.indrelid::regclass, coalesce(pg_get_expr(x.indpred, x.indrelid), 'true'))
FROM calling JOIN pg_index x ON classid = 'pg_class'::regclass AND x.indexrelid = objid
ORDER BY 1
"""
# As the tenant's role, whatever else the connection has been told; a row that a policy hides is not computed.
SETTINGS: Final = "SET LOCAL search_path = ''; SET LOCAL row_security = on; SET LOCAL statement_timeout = '5s'"
# What a name that is not found is called. Whatever else fails, fails for another reason.
NOT_FOUND: Final = (UndefinedFunction, UndefinedTable, UndefinedObject, UndefinedColumn, InvalidSchemaName)


def check_computable(url: URL, name: str) -> None:
    """Raise ``NotRestorable`` if an expression cannot be computed with nothing on the search path.

    One row of each table is computed. The functions are the tenant's, so ``url`` has to be that of the tenant's role:
    another one would let the tenant act as that. ``name`` is that of the database in messages. On SQLite there is
    nothing to look for. Raises what ``reading_connection`` raises.
    """
    if url.get_backend_name() != "postgresql":
        return
    with reading_connection(url, name) as connection, connection.begin():
        connection.exec_driver_sql(SETTINGS)
        for what, statement in connection.exec_driver_sql(STATEMENT.replace("%", "%%")).all():
            _compute(connection, name, what, statement)


def _compute(connection: Connection, name: str, what: str, statement: str) -> None:
    try:
        with connection.begin_nested():
            connection.exec_driver_sql(statement.replace("%", "%%")).all()
    except DBAPIError as error:
        if isinstance(error.orig, NOT_FOUND):
            raise NotRestorable(name, what, first_line(error.orig)) from error
