"""Read the privileges of a PostgreSQL database, and its settings, from the catalogue.

https://www.postgresql.org/docs/current/ddl-priv.html
"""

from collections.abc import Iterable
from typing import Final, NamedTuple

from sqlalchemy.engine import Connection

from tenantapp.databases.connections.postgres import DATABASE_SETTINGS, NAME_IN_WORDS

# Names of things. ``ROLE`` has the settings of the role that owns the database, wherever it connects.
DATABASE: Final = "database"
ROLE: Final = "role"
PUBLIC_SCHEMA: Final = "schema public"
DEFAULT: Final = "default privileges "
# The settings that tenantapp makes for each database.
OURS: Final = ", ".join(f"'{name}={value}'" for name, value in DATABASE_SETTINGS.items())
# A role that reads for a replication: a move that is under way has granted it something.
REPLICATES: Final = "^replication_[0-9a-f]{32}$"
# Everything that has privileges. ``words`` is its name in a statement, ``kind`` that of acldefault. What belongs to an
# extension is left out. What tenantapp does to the privileges of a database is in ``usual``; of the schema public it is
# what PostgreSQL does.
THINGS: Final = f"""
WITH owner AS (
    SELECT d.oid AS database, d.datname, d.datdba, d.datacl, r.oid AS role, r.rolname
    FROM pg_database d JOIN pg_roles r ON r.rolname = coalesce(%(role)s, pg_get_userbyid(d.datdba))
    WHERE d.datname = coalesce(%(database)s, current_database())
), schemas AS (
    SELECT oid, nspname, nspacl, nspowner,
        CASE nspname WHEN 'public' THEN '' ELSE {NAME_IN_WORDS.format("nspname")} || '.' END AS prefix
    FROM pg_namespace WHERE nspname !~ '^pg_' AND nspname <> 'information_schema'
), things AS (
    SELECT CASE c.relkind
            WHEN 'v' THEN 'view ' WHEN 'm' THEN 'materialized view ' WHEN 'S' THEN 'sequence '
            WHEN 'f' THEN 'foreign table ' ELSE 'table ' END
            || s.prefix || {NAME_IN_WORDS.format("c.relname")} AS thing,
        CASE c.relkind WHEN 'S' THEN 'SEQUENCE ' ELSE 'TABLE ' END || format('%%I.%%I', s.nspname, c.relname) AS words,
        c.oid AS relation,
        CASE c.relkind WHEN 'S' THEN 's' ELSE 'r' END AS kind, c.relacl AS acl, NULL::aclitem[] AS usual,
        c.relowner AS owned_by
    FROM pg_class c JOIN schemas s ON s.oid = c.relnamespace
    WHERE c.relkind IN ('r', 'p', 'v', 'm', 'S', 'f') AND NOT EXISTS (
        SELECT FROM pg_depend WHERE classid = 'pg_class'::regclass AND objid = c.oid AND deptype = 'e')
    UNION ALL
    SELECT 'type ' || s.prefix || {NAME_IN_WORDS.format("t.typname")}, format('TYPE %%I.%%I', s.nspname, t.typname),
        NULL, 'T', t.typacl, NULL, t.typowner
    FROM pg_type t JOIN schemas s ON s.oid = t.typnamespace LEFT JOIN pg_class c ON c.oid = t.typrelid
    WHERE (t.typtype IN ('e', 'd', 'r') OR c.relkind = 'c') AND NOT EXISTS (
        SELECT FROM pg_depend WHERE classid = 'pg_type'::regclass AND objid = t.oid AND deptype = 'e')
    UNION ALL
    SELECT CASE p.prokind WHEN 'p' THEN 'procedure ' WHEN 'a' THEN 'aggregate ' ELSE 'function ' END
            || s.prefix || {NAME_IN_WORDS.format("p.proname")}
            || '(' || pg_get_function_identity_arguments(p.oid) || ')',
        'ROUTINE ' || p.oid::regprocedure, NULL, 'f', p.proacl, NULL, p.proowner
    FROM pg_proc p JOIN schemas s ON s.oid = p.pronamespace
    WHERE NOT EXISTS (
        SELECT FROM pg_depend WHERE classid = 'pg_proc'::regclass AND objid = p.oid AND deptype = 'e')
    UNION ALL
    SELECT 'schema ' || nspname, 'SCHEMA ' || quote_ident(nspname), NULL, 'n', nspacl,
        CASE nspname WHEN 'public' THEN acldefault('n', nspowner) || makeaclitem(0, nspowner, 'USAGE', false) END,
        nspowner
    FROM schemas
    UNION ALL
    SELECT 'large object ' || oid, 'LARGE OBJECT ' || oid, NULL, 'L', lomacl, NULL, lomowner
    FROM pg_largeobject_metadata
    UNION ALL
    SELECT 'database', 'DATABASE ' || quote_ident(datname), NULL, 'd', datacl,
        ARRAY[makeaclitem(datdba, datdba, 'CREATE', false), makeaclitem(datdba, datdba, 'TEMPORARY', false),
              makeaclitem(datdba, datdba, 'CONNECT', false)], datdba
    FROM owner
), objects (code, kind, words) AS (
    VALUES ('r', 'r', 'TABLES'), ('S', 's', 'SEQUENCES'), ('f', 'f', 'FUNCTIONS'), ('T', 'T', 'TYPES'),
        ('n', 'n', 'SCHEMAS'), ('L', 'L', 'LARGE OBJECTS')
), defaults AS (
    SELECT 'default privileges of ' || lower(o.words) || coalesce(' in schema ' || s.nspname, '') AS thing,
        o.words, coalesce('IN SCHEMA ' || quote_ident(s.nspname), '') AS within, o.code, o.kind,
        coalesce(s.oid, 0) AS namespace
    FROM objects o CROSS JOIN (SELECT oid, nspname FROM schemas UNION ALL SELECT NULL, NULL) AS s
)
"""  # noqa: S608 - of constants
# In words what is not as PostgreSQL makes it, with OWNER for the role of the tenant. A list of all that there is to be
# granted is ALL: a later version of PostgreSQL may know more. What another role has granted is BY that role.
# Nothing is granted by itself on columns, nor by the default privileges of a schema, which only add.
PRIVILEGES: Final = f"""
{THINGS}
, acls AS (
    SELECT thing, NULL::name AS part, kind, acl, coalesce(usual, acldefault(kind::"char", owned_by)) AS usual, owned_by
    FROM things WHERE acl IS NOT NULL
    UNION ALL
    SELECT t.thing, a.attname, 'c', a.attacl, acldefault('c', t.owned_by), t.owned_by
    FROM things t JOIN pg_attribute a ON a.attrelid = t.relation AND a.attacl IS NOT NULL AND NOT a.attisdropped
    UNION ALL
    SELECT d.thing, NULL, d.kind, a.defaclacl,
        acldefault(CASE a.defaclnamespace WHEN 0 THEN d.kind ELSE 'c' END::"char", a.defaclrole), a.defaclrole
    FROM pg_default_acl a JOIN defaults d ON d.code = a.defaclobjtype::text AND d.namespace = a.defaclnamespace
), rights AS (
    SELECT a.thing, a.part, a.kind, each.granted, each.grantee, each.privilege_type, each.is_grantable,
        CASE WHEN each.grantor <> a.owned_by OR a.thing LIKE 'default %%' AND a.owned_by <> owner.role
             THEN each.grantor END AS grantor, a.owned_by
    FROM owner, acls a CROSS JOIN LATERAL (
        (SELECT true AS granted, grantee, privilege_type, is_grantable, grantor FROM aclexplode(a.acl)
         EXCEPT SELECT true, grantee, privilege_type, is_grantable, grantor FROM aclexplode(a.usual))
        UNION ALL
        SELECT false, grantee, privilege_type, false, grantor FROM aclexplode(a.usual)
        WHERE (grantee, privilege_type) NOT IN (SELECT grantee, privilege_type FROM aclexplode(a.acl))
    ) AS each
    WHERE NOT (a.kind = 'd' AND each.grantee = 0 AND each.privilege_type IN ('CONNECT', 'TEMPORARY'))
), names AS (
    SELECT 0::oid AS oid, 'PUBLIC' AS words
    UNION ALL
    SELECT r.oid, CASE r.oid WHEN owner.role THEN 'OWNER' ELSE '"' || replace(r.rolname, '"', '""') || '"' END
    FROM owner, pg_roles r WHERE r.rolname !~ '{REPLICATES}'
), statements AS (
    SELECT r.thing, CASE WHEN r.granted THEN 2 ELSE 1 END AS place, concat_ws(' ',
        CASE WHEN r.granted THEN 'GRANT' ELSE 'REVOKE' END,
        CASE WHEN count(*) > 1 AND count(*) = (
                SELECT count(*) FROM aclexplode(acldefault(r.kind::"char", r.owned_by)) WHERE grantee = r.owned_by)
             THEN 'ALL' ELSE string_agg(r.privilege_type, ', ' ORDER BY r.privilege_type) END,
        'ON COLUMN "' || replace(r.part, '"', '""') || '"',
        CASE WHEN r.granted THEN 'TO' ELSE 'FROM' END,
        CASE WHEN r.grantee = r.owned_by AND r.owned_by <> 'pg_database_owner'::regrole THEN 'OWNER' ELSE n.words END,
        CASE WHEN r.is_grantable THEN 'WITH GRANT OPTION' END,
        'BY "' || replace(pg_get_userbyid(r.grantor), '"', '""') || '"') AS words
    FROM rights r JOIN names n ON n.oid = r.grantee
    GROUP BY r.thing, r.part, r.kind, r.granted, r.grantee, n.words, r.is_grantable, r.grantor, r.owned_by
    UNION ALL
    SELECT t.thing, 3, 'POLICY "' || replace(p.polname, '"', '""') || '" TO '
        || (SELECT string_agg(n.words, ', ' ORDER BY array_position(p.polroles, n.oid))
            FROM names n WHERE n.oid = ANY (p.polroles))
    FROM things t JOIN pg_policy p ON p.polrelid = t.relation AND p.polroles <> '{{0}}'
    UNION ALL
    SELECT CASE s.setdatabase WHEN 0 THEN 'role' ELSE 'database' END, 4, concat_ws(' ',
        'SET "' || replace(split_part(item, '=', 1), '"', '""') || '" TO',
        '''' || replace(substr(item, strpos(item, '=') + 1), '''', '''''') || '''',
        CASE WHEN s.setdatabase <> 0 AND s.setrole <> 0 THEN 'FOR ' || n.words END)
    FROM owner, pg_db_role_setting s JOIN names n ON n.oid = s.setrole CROSS JOIN unnest(s.setconfig) AS item
    WHERE (s.setdatabase = owner.database OR s.setdatabase = 0 AND s.setrole = owner.role)
        AND NOT (s.setrole = 0 AND item IN ({OURS}))
)
SELECT thing, string_agg(words, '; ' ORDER BY place, words COLLATE "C") AS words FROM statements GROUP BY thing
"""  # noqa: S608 - of constants
TARGETS: Final = f"""
{THINGS}
SELECT thing, words, '' FROM things WHERE thing = ANY (%(things)s)
UNION ALL
SELECT d.thing, d.words, concat_ws(' ', 'ALTER DEFAULT PRIVILEGES FOR ROLE', quote_ident(owner.rolname), d.within)
FROM owner, defaults d WHERE d.thing = ANY (%(things)s)
"""  # noqa: S608


class Target(NamedTuple):
    """What a privilege is granted on, as ``exec_driver_sql`` takes it. ``before`` is what the statement begins with."""

    words: str
    before: str


def read_privileges(connection: Connection, *, role: str | None = None, database: str | None = None) -> dict[str, str]:
    """Return what is not as PostgreSQL makes it, in the words of ``statements``, by the name of the thing.

    It is that of the present database: the privileges on all objects, and on the database itself, default privileges,
    whom policies are for, and the settings of the database and of its role. ``role`` is the one called OWNER, by
    default the owner of the database. ``database`` is the one whose own privileges and settings are read. The names of
    functions are in full only if the search path is ``pg_catalog``.
    """
    given = {"role": role, "database": database}
    return {row.thing: row.words for row in connection.exec_driver_sql(PRIVILEGES, given)}


def find_targets(connection: Connection, things: Iterable[str], database: str | None = None) -> dict[str, Target]:
    """Return what these things of the present database are called in a statement. A thing that is missing is left out.

    ``database`` is the one that is meant by ``DATABASE``, by default the present one. The search path must be
    ``pg_catalog`` as long as the statements are made and executed.
    """
    given = {"role": None, "database": database, "things": list(things)}
    found = connection.exec_driver_sql(TARGETS, given)
    return {thing: Target(words.replace("%", "%%"), before.replace("%", "%%")) for thing, words, before in found}
