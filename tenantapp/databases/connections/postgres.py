"""The statements that make and remove databases and roles on a PostgreSQL server, over a maintenance connection."""

from collections.abc import Sequence
from typing import Final, NamedTuple

from psycopg2.extensions import encrypt_password
from sqlalchemy import func, select
from sqlalchemy.engine import Connection

from tenantapp.operations.checkpoints import checkpoint
from tenantapp.sql.engines import server_version

# These timeouts bound what one request can do to others. No web server ends a thread that hangs.
DATABASE_SETTINGS: Final = {
    "statement_timeout": "30s",
    "lock_timeout": "5s",
    "idle_in_transaction_session_timeout": "60s",
}
# https://www.postgresql.org/docs/current/catalog-pg-shdepend.html
TIES: Final = """
SELECT DISTINCT coalesce(d.datname, current_database()) FROM pg_shdepend s LEFT JOIN pg_database d ON d.oid = s.dbid
WHERE s.refclassid = 'pg_authid'::regclass AND s.refobjid = (SELECT oid FROM pg_roles WHERE rolname = %s)
    AND d.datdba IS DISTINCT FROM s.refobjid AND NOT (s.classid = 'pg_database'::regclass AND s.deptype = 'o')
"""
OPEN_DATABASES: Final = """
SELECT DISTINCT datname, CASE WHEN granted.grantee <> 0 THEN rolname END AS role FROM pg_database
    CROSS JOIN LATERAL aclexplode(coalesce(datacl, acldefault('d', datdba))) AS granted
    LEFT JOIN pg_roles ON pg_roles.oid = granted.grantee
WHERE datallowconn AND granted.privilege_type IN ('CONNECT', 'CREATE', 'TEMPORARY')
    AND granted.grantee <> datdba AND (granted.grantee = 0 OR rolname IS NOT NULL)
ORDER BY datname, role
"""
# Objects in the present database. What is of pg_default_acl belongs to no object, and policies name roles.
OWNS: Final = """
SELECT EXISTS (SELECT FROM pg_shdepend WHERE refclassid = 'pg_authid'::regclass
    AND refobjid = (SELECT oid FROM pg_roles WHERE rolname = %s)
    AND dbid = (SELECT oid FROM pg_database WHERE datname = current_database())
    AND (deptype = 'r' OR deptype = 'o' AND classid <> 'pg_default_acl'::regclass))
"""
# A name among words, quoted if it has a dot: the table a.b is not the table b of the schema a.
NAME_IN_WORDS: Final = """CASE WHEN {0} ~ '^"|[.]' THEN '"' || replace({0}, '"', '""') || '"' ELSE {0} END"""
LIMITS: Final = "SELECT rolname, shobj_description(oid, 'pg_authid'), rolconnlimit FROM pg_roles ORDER BY rolname"
SCRAM_ITERATIONS_SETTABLE: Final = (16, 0)
COPY_METHOD: Final = "SELECT current_setting('file_copy_method', true)"  # a setting since PostgreSQL 18


@checkpoint("database.create")
def create_database(
    connection: Connection, database: str, *, owner: str | None = None, template: str = "template0"
) -> None:
    """Make a database as a copy of ``template``, empty by default, owned by ``owner`` if one is given.

    Nobody can connect to it before ``open_to_owner``, because PostgreSQL lets everybody connect to a new database.
    It is copied file by file where the server clones files (``file_copy_method``), and page by page elsewhere.
    """
    owned = f" OWNER {quoted(connection, owner)}" if owner else ""
    # template0 holds nothing that somebody may have left in template1.
    encoded = " ENCODING 'UTF8'" if template == "template0" else ""
    connection.exec_driver_sql(
        f"CREATE DATABASE {quoted(connection, database)}{owned} TEMPLATE {quoted(connection, template)}"
        f"{encoded}{strategy(connection)} ALLOW_CONNECTIONS false"
    )


def strategy(connection: Connection) -> str:
    """Return the clause of ``CREATE DATABASE`` that makes use of a server's cloning of files.

    https://www.postgresql.org/docs/18/runtime-config-resource.html#GUC-FILE-COPY-METHOD
    """
    return " STRATEGY FILE_COPY" if connection.exec_driver_sql(COPY_METHOD).scalar() == "clone" else ""


@checkpoint("database.give")
def give_database(connection: Connection, database: str, owner: str) -> None:
    """Give a database of our own to another role."""
    connection.exec_driver_sql(f"ALTER DATABASE {quoted(connection, database)} OWNER TO {quoted(connection, owner)}")


def is_ours(connection: Connection, database: str) -> bool:
    """Return whether the role of this connection itself owns a database."""
    ours = "SELECT pg_get_userbyid(datdba) = current_user FROM pg_database WHERE datname = %s"
    return bool(connection.exec_driver_sql(ours, (database,)).scalar())


@checkpoint("database.open_to_owner")
def open_to_owner(connection: Connection, database: str) -> None:
    """Let only the owner, and roles that it grants this, connect to a database, and set the default timeouts."""
    connection.exec_driver_sql(opening(connection, database))


def opening(connection: Connection, database: str) -> str:
    """Return the statements of ``open_to_owner``. Sent together, they are one transaction."""
    admitted = f"ALTER DATABASE {quoted(connection, database)} ALLOW_CONNECTIONS true"
    return "; ".join((closing(connection, database), *limiting(connection, database), admitted))


def closing(connection: Connection, database: str) -> str:
    """Return the statement that takes the right to connect to a database from PUBLIC, to which every role belongs."""
    return f"REVOKE CONNECT, TEMPORARY ON DATABASE {quoted(connection, database)} FROM PUBLIC"


def close_to_public(connection: Connection) -> None:
    """Take the right to connect to the present database from PUBLIC, as its owner. On SQLite there is nothing to do."""
    if connection.dialect.name == "postgresql":
        database = str(connection.scalar(select(func.current_database())))
        connection.exec_driver_sql(closing(connection, database).replace("%", "%%"))


def limiting(connection: Connection, database: str) -> list[str]:
    """Return the statements that set the default timeouts for all connections to a database."""
    altered = f"ALTER DATABASE {quoted(connection, database)} SET"
    return [f"{altered} {name} = '{value}'" for name, value in DATABASE_SETTINGS.items()]


@checkpoint("database.drop")
def drop_database(connection: Connection, database: str) -> None:
    """Drop a database, if it exists, and end the connections to it."""
    connection.exec_driver_sql(f"DROP DATABASE IF EXISTS {quoted(connection, database)} WITH (FORCE)")


@checkpoint("database.end_connections")
def end_connections(connection: Connection, database: str, *, role: str | None = None) -> None:
    """End all connections to a database except this one, or only those of ``role``.

    Clients that may still log in can come back at once.
    """
    others = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s AND pid <> pg_backend_pid()"
    connection.exec_driver_sql(f"{others} AND coalesce(usename = %s, true)", (database, role))


def is_at_work(connection: Connection, role: str) -> bool:
    """Return whether this role has an open transaction or a running statement."""
    working = (
        "SELECT 1 FROM pg_stat_activity WHERE usename = %s AND state <> 'idle' AND backend_type = 'client backend'"
    )
    return connection.exec_driver_sql(working, (role,)).first() is not None


def is_connected(connection: Connection, role: str) -> bool:
    """Return whether there is a connection of this role."""
    connected = "SELECT 1 FROM pg_stat_activity WHERE usename = %s"
    return connection.exec_driver_sql(connected, (role,)).first() is not None


@checkpoint("role.allow_login")
def allow_login(connection: Connection, role: str, *, allowed: bool) -> None:
    """Allow or forbid new connections of a role. Existing connections stay open."""
    connection.exec_driver_sql(f"ALTER ROLE {quoted(connection, role)} {'LOGIN' if allowed else 'NOLOGIN'}")


@checkpoint("role.create")
def create_role(
    connection: Connection,
    role: str,
    password: str,
    *,
    comment: str = "",
    limit: int | None = None,
    replicates: bool = False,
) -> None:
    """Make a role that may log in with this password, with at most ``limit`` connections at a time.

    The role has the comment from the first moment on. With ``replicates`` it may read the server's write-ahead log. For
    the password see ``verifier``.
    """
    name, attributes = quoted(connection, role), " REPLICATION" if replicates else ""
    # A user that is not a superuser must be a member of a role to make a database that the role owns.
    connection.exec_driver_sql(
        f"CREATE ROLE {name} LOGIN{attributes} CONNECTION LIMIT {_limit(limit)} PASSWORD %s; "
        f"GRANT {name} TO CURRENT_USER; COMMENT ON ROLE {name} IS %s",
        (verifier(connection, role, password), comment or None),
    )


def verifier(connection: Connection, role: str, password: str) -> str:
    """Return the SCRAM verifier (RFC 5803) of a role's password, so that the server and its log never get the password.

    ``password`` must be a secret of 256 bits: it cannot be guessed, so one iteration is enough.
    """
    if server_version(connection) >= SCRAM_ITERATIONS_SETTABLE:
        connection.exec_driver_sql("SET scram_iterations = 1")
    raw = connection.connection.dbapi_connection
    made: str = encrypt_password(password, role, scope=raw, algorithm="scram-sha-256")
    return made


def set_password(connection: Connection, role: str, password: str) -> None:
    """Give a role another password, for which see ``verifier``. Connections that are open stay open."""
    made = verifier(connection, role, password)
    connection.exec_driver_sql(f"ALTER ROLE {quoted(connection, role)} PASSWORD %s", (made,))


def limit_role(connection: Connection, role: str, limit: int | None) -> None:
    """Bound how many connections a role may have at a time. None takes the bound away."""
    # Of the role and not of the database, because its owner may alter a database.
    connection.exec_driver_sql(f"ALTER ROLE {quoted(connection, role)} CONNECTION LIMIT {_limit(limit)}")


def _limit(limit: int | None) -> int:
    return -1 if limit is None else limit


@checkpoint("role.drop")
def drop_role(connection: Connection, role: str) -> None:
    """Drop a role, if it exists."""
    # A user without the right to drop roles gets an error even from DROP ROLE IF EXISTS of a missing role.
    if role_exists(connection, role):
        connection.exec_driver_sql(f"DROP ROLE IF EXISTS {quoted(connection, role)}")


def ties_of(connection: Connection, role: str) -> list[str]:
    """Return the databases that keep a role from being dropped, because it owns or may use something in them.

    Databases that the role owns are left out. The server's shared objects count as the database that is connected to.
    """
    return list(connection.exec_driver_sql(TIES, (role,)).scalars())


def owns_objects(connection: Connection, role: str) -> bool:
    """Return whether a role owns an object of the database that is connected to, or a policy there is for it."""
    return bool(connection.exec_driver_sql(OWNS, (role,)).scalar())


def drop_owned(connection: Connection, role: str) -> None:
    """Drop what a role owns in the database that is connected to, and take its rights there away."""
    connection.exec_driver_sql(f"DROP OWNED BY {quoted(connection, role)} CASCADE")


def end_connections_of(connection: Connection, role: str) -> None:
    """End all connections of a role, to whichever database."""
    connection.exec_driver_sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = %s", (role,))


def open_databases(connection: Connection, *prefixes: str) -> list[tuple[str, str | None]]:
    """Return the databases that roles with these prefixes may use, although they are not the owners.

    With each comes the role that has been granted this, or None if PUBLIC has, to which every role belongs.
    """
    rows = connection.exec_driver_sql(OPEN_DATABASES)
    return [(database, role) for database, role in rows if role is None or role.startswith(prefixes)]


def other_limits(connection: Connection, comment: str, limit: int | None, *prefixes: str) -> list[str]:
    """Return the roles with these prefixes and this comment that have another limit of connections."""
    return [
        name
        for name, found, present in connection.exec_driver_sql(LIMITS)
        if name.startswith(prefixes) and found == comment and present != _limit(limit)
    ]


def database_exists(connection: Connection, database: str) -> bool:
    """Return whether the server has this database."""
    return connection.exec_driver_sql("SELECT 1 FROM pg_database WHERE datname = %s", (database,)).first() is not None


def admits(connection: Connection, database: str) -> bool:
    """Return whether the server lets anybody connect to this database."""
    return bool(
        connection.exec_driver_sql("SELECT datallowconn FROM pg_database WHERE datname = %s", (database,)).scalar()
    )


def role_exists(connection: Connection, role: str) -> bool:
    """Return whether the server has this role."""
    return connection.exec_driver_sql("SELECT 1 FROM pg_roles WHERE rolname = %s", (role,)).first() is not None


class Present(NamedTuple):
    """Whether a server has a role, and a database, of one name."""

    role: bool
    database: bool


@checkpoint("database.look_up")
def present(connection: Connection, name: str) -> Present:
    """Return whether the server has this database and its role, in one round trip."""
    roles, databases = "SELECT FROM pg_roles WHERE rolname = %s", "SELECT FROM pg_database WHERE datname = %s"
    return Present(*connection.exec_driver_sql(f"SELECT EXISTS ({roles}), EXISTS ({databases})", (name, name)).one())


def database_id(connection: Connection, database: str) -> int | None:
    """Return the object id of a database, or None if it does not exist."""
    found: int | None = connection.exec_driver_sql(
        "SELECT oid::bigint FROM pg_database WHERE datname = %s", (database,)
    ).scalar()
    return found


def database_size(connection: Connection, database: str) -> int | None:
    """Return the bytes that a database takes on the disk, or None if it does not exist."""
    statement = "SELECT pg_database_size(oid) FROM pg_database WHERE datname = %s"
    size: int | None = connection.exec_driver_sql(statement, (database,)).scalar()
    return size


def database_sizes(connection: Connection, databases: Sequence[str]) -> dict[str, int]:
    """Return the bytes that each of these databases takes on the disk. Those that do not exist are left out."""
    statement = "SELECT datname, pg_database_size(oid) FROM pg_database WHERE datname = ANY (%s)"
    return dict(connection.exec_driver_sql(statement, (list(databases),)).all())


def database_names(connection: Connection, *prefixes: str) -> set[str]:
    """Return the names of the databases that begin with one of the prefixes."""
    names = connection.exec_driver_sql("SELECT datname FROM pg_database").scalars()
    return {name for name in names if name.startswith(prefixes)}


def role_comments(connection: Connection, *prefixes: str) -> dict[str, str | None]:
    """Return the roles whose names begin with one of the prefixes, with the comment on each."""
    rows = connection.exec_driver_sql("SELECT rolname, shobj_description(oid, 'pg_authid') FROM pg_roles")
    return {name: comment for name, comment in rows if name.startswith(prefixes)}


def quoted(connection: Connection, identifier: str) -> str:
    """Return an identifier, quoted for use in a statement."""
    return connection.dialect.identifier_preparer.quote_identifier(identifier)
