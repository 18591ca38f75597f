"""The structure of a PostgreSQL database, read from the catalogue in one statement.

https://www.postgresql.org/docs/current/catalogs.html
"""

from collections.abc import Iterable
from typing import Final

from sqlalchemy import func, select
from sqlalchemy.engine import Connection

from tenantapp.databases.connections.maintenance_engines import PINNED
from tenantapp.databases.privileges.catalogue import read_privileges

# NOT NULL is a property of the column here. PostgreSQL 18 also has it as a constraint (contype n), whose name the
# server chooses. The index of a primary key, a unique or an exclusion constraint is left out, because the constraint
# describes it. Owners are compared with the owner of the database, since each tenant's role has a name of its own. An
# owner is a part by itself: a restored form, which comes from a dump, has none. An extension that the server's role has
# made is a part if something else uses what belongs to it: the setting of a server makes it for whoever needs it.
STATEMENT: Final = """
WITH schemas AS (
    SELECT oid, nspname, nspowner, CASE nspname WHEN 'public' THEN '' ELSE nspname || '.' END AS prefix
    FROM pg_namespace WHERE nspname !~ '^pg_' AND nspname <> 'information_schema'
), owner AS (
    SELECT datdba FROM pg_database WHERE datname = current_database()
), relations AS (
    SELECT c.*, CASE c.relkind
            WHEN 'v' THEN 'view' WHEN 'm' THEN 'materialized view' WHEN 'S' THEN 'sequence'
            WHEN 'f' THEN 'foreign table' WHEN 'c' THEN 'type' ELSE 'table' END
        || ' ' || s.prefix || c.relname AS thing
    FROM pg_class c JOIN schemas s ON s.oid = c.relnamespace
    WHERE c.relkind IN ('r', 'p', 'v', 'm', 'S', 'f', 'c') AND NOT EXISTS (
        SELECT FROM pg_depend WHERE classid = 'pg_class'::regclass AND objid = c.oid AND deptype = 'e')
), types AS (
    SELECT t.*, 'type ' || s.prefix || t.typname AS thing FROM pg_type t JOIN schemas s ON s.oid = t.typnamespace
    WHERE t.typtype IN ('e', 'd') AND NOT EXISTS (
        SELECT FROM pg_depend WHERE classid = 'pg_type'::regclass AND objid = t.oid AND deptype = 'e')
), routines AS (
    SELECT p.*, CASE p.prokind WHEN 'p' THEN 'procedure ' WHEN 'a' THEN 'aggregate ' ELSE 'function ' END
        || s.prefix || p.proname || '(' || pg_get_function_identity_arguments(p.oid) || ')' AS thing
    FROM pg_proc p JOIN schemas s ON s.oid = p.pronamespace
    WHERE NOT EXISTS (
        SELECT FROM pg_depend WHERE classid = 'pg_proc'::regclass AND objid = p.oid AND deptype = 'e')
)
SELECT 'schema ' || nspname, '', '' FROM schemas WHERE nspname <> 'public'
UNION ALL
SELECT 'extension ' || extname, '', '' FROM pg_extension e, owner WHERE extname <> 'plpgsql'
    AND (extowner = owner.datdba OR EXISTS (
        SELECT FROM pg_depend AS part JOIN pg_depend AS used
            ON used.refclassid = part.classid AND used.refobjid = part.objid AND used.deptype = 'n'
        WHERE part.refclassid = 'pg_extension'::regclass AND part.refobjid = e.oid AND part.deptype = 'e'
            AND NOT EXISTS (SELECT FROM pg_depend AS by
                WHERE by.classid = used.classid AND by.objid = used.objid AND (by.deptype = 'e'
                    OR by.deptype IN ('a', 'i') AND EXISTS (SELECT FROM pg_depend
                        WHERE classid = by.refclassid AND objid = by.refobjid AND deptype = 'e')))))
UNION ALL
SELECT r.thing, '', concat_ws(' ',
    CASE r.relpersistence WHEN 'u' THEN 'unlogged' END,
    'partition by ' || pg_get_partkeydef(r.oid),
    (SELECT 'child of ' || string_agg(inhparent::regclass::text, ', ' ORDER BY inhseqno)
     FROM pg_inherits WHERE inhrelid = r.oid),
    pg_get_expr(r.relpartbound, r.oid),
    CASE WHEN r.relrowsecurity THEN 'row level security' END,
    CASE WHEN r.relforcerowsecurity THEN 'forced' END,
    CASE WHEN r.relkind IN ('v', 'm') THEN pg_get_viewdef(r.oid) END)
FROM relations r
UNION ALL
SELECT o.thing, 'owner ' || pg_get_userbyid(o.owned_by), '' FROM owner JOIN (
    SELECT thing, relowner FROM relations
    UNION ALL SELECT thing, typowner FROM types
    UNION ALL SELECT thing, proowner FROM routines
    UNION ALL SELECT 'schema ' || nspname, nspowner FROM schemas WHERE nspname <> 'public'
) AS o (thing, owned_by) ON o.owned_by <> owner.datdba
UNION ALL
SELECT r.thing, 'values', concat_ws(' ', format_type(q.seqtypid, NULL), 'from', q.seqstart, 'by', q.seqincrement,
    'within', q.seqmin, 'to', q.seqmax, CASE WHEN q.seqcycle THEN 'cycle' END)
FROM relations r JOIN pg_sequence q ON q.seqrelid = r.oid
UNION ALL
SELECT r.thing, 'column ' || a.attname, concat_ws(' ', format_type(a.atttypid, a.atttypmod),
    CASE WHEN a.attcollation <> t.typcollation THEN 'collate ' || a.attcollation::regcollation END,
    CASE WHEN a.attnotnull THEN 'not null' END,
    CASE a.attidentity WHEN 'a' THEN 'identity always' WHEN 'd' THEN 'identity by default' END,
    CASE a.attgenerated WHEN 's' THEN 'generated stored' WHEN 'v' THEN 'generated virtual' ELSE NULL END,
    'default ' || pg_get_expr(d.adbin, d.adrelid))
FROM relations r
JOIN pg_attribute a ON a.attrelid = r.oid AND a.attnum > 0 AND NOT a.attisdropped
JOIN pg_type t ON t.oid = a.atttypid
LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
WHERE r.relkind <> 'S'
UNION ALL
SELECT r.thing, 'constraint ' || c.conname, pg_get_constraintdef(c.oid)
FROM relations r JOIN pg_constraint c ON c.conrelid = r.oid AND c.contype IN ('p', 'u', 'f', 'c', 'x')
UNION ALL
SELECT r.thing, 'index ' || i.relname,
    concat_ws(' ', pg_get_indexdef(x.indexrelid), CASE WHEN NOT x.indisvalid THEN 'invalid' END)
FROM relations r JOIN pg_index x ON x.indrelid = r.oid JOIN pg_class i ON i.oid = x.indexrelid
WHERE NOT EXISTS (SELECT FROM pg_constraint WHERE conindid = x.indexrelid AND contype IN ('p', 'u', 'x'))
UNION ALL
SELECT r.thing, 'trigger ' || t.tgname, concat_ws(' ', pg_get_triggerdef(t.oid),
    CASE t.tgenabled WHEN 'O' THEN NULL WHEN 'D' THEN 'disabled' ELSE 'enabled ' || t.tgenabled::text END)
FROM relations r JOIN pg_trigger t ON t.tgrelid = r.oid AND NOT t.tgisinternal
UNION ALL
SELECT r.thing, 'rule ' || w.rulename, pg_get_ruledef(w.oid)
FROM relations r JOIN pg_rewrite w ON w.ev_class = r.oid AND w.rulename <> '_RETURN'
UNION ALL
SELECT r.thing, 'policy ' || p.polname, concat_ws(' ', p.polcmd::text,
    CASE WHEN p.polpermissive THEN 'permissive' ELSE 'restrictive' END,
    'using ' || pg_get_expr(p.polqual, p.polrelid), 'check ' || pg_get_expr(p.polwithcheck, p.polrelid))
FROM relations r JOIN pg_policy p ON p.polrelid = r.oid
UNION ALL
SELECT t.thing, '', CASE t.typtype
    WHEN 'e' THEN (SELECT 'enum ' || string_agg(quote_literal(enumlabel), ', ' ORDER BY enumsortorder)
                   FROM pg_enum WHERE enumtypid = t.oid)
    ELSE concat_ws(' ', format_type(t.typbasetype, t.typtypmod), CASE WHEN t.typnotnull THEN 'not null' END,
                   'default ' || t.typdefault) END
FROM types t
UNION ALL
SELECT t.thing, 'constraint ' || c.conname, pg_get_constraintdef(c.oid)
FROM types t JOIN pg_constraint c ON c.contypid = t.oid AND c.contype = 'c'
UNION ALL
SELECT thing, '', CASE prokind WHEN 'a' THEN '' ELSE pg_get_functiondef(oid) END FROM routines
"""
# What definitions are printed with, whatever a database or a role has set, such as a time zone. With only pg_catalog on
# the path, the server writes every name in full.
PRINTED: Final = PINNED | {"search_path": "pg_catalog", "quote_all_identifiers": "off"}
PRIVILEGES: Final = "privileges"


def read_postgres(connection: Connection) -> list[tuple[str, str, str]]:
    """Return thing, part and definition of everything in the database that the server or an extension did not make."""
    before = connection.execute(select(*map(func.current_setting, PRINTED))).one()
    _set(connection, PRINTED.values())
    rows = [(thing, part, words) for thing, part, words in connection.exec_driver_sql(_statement())]
    rows += [(thing, PRIVILEGES, words) for thing, words in read_privileges(connection).items()]
    _set(connection, before)
    return rows


def _set(connection: Connection, values: Iterable[str]) -> None:
    """Set what definitions are printed with, in the order of ``PRINTED``, until the transaction ends."""
    pairs = zip(PRINTED, values, strict=True)
    connection.execute(select(*(func.set_config(name, value, True) for name, value in pairs)))


def _statement() -> str:
    return STATEMENT.replace("%", "%%")
