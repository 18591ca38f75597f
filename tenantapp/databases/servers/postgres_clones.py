"""The statements that copy a tenant's database on its PostgreSQL server, which clones the files.

The two share their blocks on the disk until one of them writes, so it takes little time and space, whatever the size.
Nothing of what a tenant has made is called: contents are left to the tenant's own role.
"""

import time
from collections.abc import Callable
from typing import Final

from psycopg2.errors import ObjectInUse
from sqlalchemy.engine import Connection
from sqlalchemy.exc import DBAPIError

from tenantapp.databases.connections import postgres
from tenantapp.databases.connections.postgres import quoted
from tenantapp.operations.checkpoints import checkpoint

LOOK_EVERY: Final = 0.02  # seconds
ATTEMPTS: Final = 2  # attempts; before each fails, PostgreSQL waits for five seconds
# What a dump leaves out, or gives to the role that restores it: publications, and what other roles own. What belongs to
# an extension is as the extension has made it. Objects with a smaller id are there from initdb.
OTHERS: Final = """
WITH things AS (
    SELECT 'pg_class'::regclass AS classid, oid, relowner AS owner FROM pg_class
    UNION ALL SELECT 'pg_proc'::regclass, oid, proowner FROM pg_proc
    UNION ALL SELECT 'pg_type'::regclass, oid, typowner FROM pg_type
    UNION ALL SELECT 'pg_namespace'::regclass, oid, nspowner FROM pg_namespace WHERE nspname !~ '^pg_'
    UNION ALL SELECT 'pg_largeobject'::regclass, oid, lomowner FROM pg_largeobject_metadata
    UNION ALL SELECT 'pg_publication'::regclass, oid, 0 FROM pg_publication
)
SELECT EXISTS (
    SELECT FROM things JOIN pg_database ON datname = current_database()
    WHERE things.oid >= 16384 AND owner <> datdba AND NOT EXISTS (
        SELECT FROM pg_depend WHERE classid = things.classid AND objid = things.oid AND deptype = 'e')
)
"""
# Who is connected to a database, and whether for requests. What holds a lock of ours migrates the database, or reads it
# as of one moment.
CONNECTED: Final = """
WITH connected AS (
    SELECT pid, usename IS NOT DISTINCT FROM %(role)s AND NOT EXISTS (
        SELECT FROM pg_locks WHERE locktype = 'advisory' AND pg_locks.pid = pg_stat_activity.pid) AS is_request
    FROM pg_stat_activity WHERE datname = %(role)s AND backend_type IN ('client backend', 'walsender')
)
"""
OTHERS_CONNECTED: Final = f"{CONNECTED} SELECT EXISTS (SELECT FROM connected WHERE NOT is_request)"  # noqa: S608
END_REQUESTS: Final = f"{CONNECTED} SELECT pg_terminate_backend(pid) FROM connected WHERE is_request"  # noqa: S608
OWNED: Final = "SELECT datname FROM pg_database WHERE pg_get_userbyid(datdba) = %s AND datname <> %s"


def has_others(connection: Connection) -> bool:
    """Return whether the present database has what a copy of its files would have otherwise than a dump."""
    return bool(connection.exec_driver_sql(OTHERS).scalar())


@checkpoint("clone.copy")
def copy_files(
    connection: Connection, original: str, copy: str, patience: float, holds_fence: Callable[[], bool]
) -> bool:
    """Copy a database whose fence is up, for the role of the copy's name. Nobody can connect to the copy yet.

    Requests that were let in before have ``patience`` seconds to end. Return False, with nothing made, if others than
    requests are connected to the original, or if the fence has fallen: then requests are served again.
    """
    role = {"role": original}
    until = time.monotonic() + patience
    while time.monotonic() < until and postgres.is_at_work(connection, original):
        time.sleep(LOOK_EVERY)
    for _ in range(ATTEMPTS):
        if not holds_fence() or connection.exec_driver_sql(OTHERS_CONNECTED, role).scalar():
            break
        connection.exec_driver_sql(END_REQUESTS, role)
        try:
            postgres.create_database(connection, copy, owner=copy, template=original)
        except DBAPIError as error:
            if not isinstance(error.orig, ObjectInUse):
                raise
        else:
            return True
    return False


@checkpoint("clone.hand_over")
def hand_over(connection: Connection, original: str, copy: str) -> None:
    """Give the role of the copy what the role of the original owns in it. ``connection`` leads to the copy.

    REASSIGN OWNED gives away the databases of a role too. The same transaction gives them back: the role of a new copy
    owns no other. https://www.postgresql.org/docs/current/sql-reassign-owned.html
    """
    old, new = quoted(connection, original), quoted(connection, copy)
    connection.exec_driver_sql(f"BEGIN; REASSIGN OWNED BY {old} TO {new}")
    for name in connection.exec_driver_sql(OWNED, (copy, copy)).scalars().all():
        connection.exec_driver_sql(f"ALTER DATABASE {quoted(connection, name)} OWNER TO {old}")
    connection.exec_driver_sql("COMMIT")
