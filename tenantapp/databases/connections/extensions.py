"""The extensions of PostgreSQL databases that the role of a server makes, because a tenant's role may not.

The script of an extension runs with the rights of who makes it, often a superuser's, and calls by name what is on its
search path. A tenant owns the schema public of its database, and could have put a function there that the script then
calls. So an extension is made while nothing of a tenant's is in the database, or else in a schema that is the server's
role's own, from where it is moved.
https://www.postgresql.org/docs/current/extend-extensions.html#EXTEND-EXTENSIONS-SECURITY
"""

import secrets
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from sqlalchemy.engine import Connection

from tenantapp.databases.connections.maintenance_engines import (
    PUBLIC,
    maintenance_connection,
    maintenance_engine,
    translated,
)
from tenantapp.databases.connections.postgres import quoted
from tenantapp.databases.errors import (
    ExtensionElsewhere,
    ExtensionRowsNotCarried,
    ExtensionsMissing,
    MigrationFailed,
    ProvisioningFailed,
)
from tenantapp.operations.checkpoints import checkpoint
from tenantapp.tenancy.servers import PostgresServer, Server

EVERYWHERE: Final = "plpgsql"  # every database has it
CATALOG: Final = "pg_catalog"
# https://www.postgresql.org/docs/current/view-pg-available-extension-versions.html
AVAILABLE: Final = """
SELECT v.name, v.schema, v.relocatable, coalesce(v.requires, '{}') AS requires, NOT v.superuser OR v.trusted AS anybody,
    rolname AS role, rolsuper AS superuser
FROM pg_available_extensions a
JOIN pg_available_extension_versions v ON v.name = a.name AND v.version = a.default_version
JOIN pg_roles ON rolname = current_user WHERE a.name = ANY (%s)
"""
FOUND: Final = f"SELECT extname FROM pg_extension WHERE extname <> '{EVERYWHERE}' ORDER BY 1"  # noqa: S608
GIVEN: Final = f"""
SELECT extname FROM pg_extension JOIN pg_database ON datname = current_database()
WHERE extname <> '{EVERYWHERE}' AND extowner <> datdba ORDER BY 1
"""  # noqa: S608
# Their owners may move extensions, and the owner of a database may make trusted ones in any schema of its own.
ELSEWHERE: Final = f"""
SELECT extname, nspname FROM pg_extension JOIN pg_namespace n ON n.oid = extnamespace
WHERE extname <> '{EVERYWHERE}' AND nspname <> '{PUBLIC}' ORDER BY 1
"""  # noqa: S608
# What a dump would have of the tables and sequences of an extension that the owner of the database does not own.
CONFIGURED: Final = """
SELECT extname, nspname, relname, relkind, condition
FROM pg_extension CROSS JOIN LATERAL unnest(extconfig, extcondition) AS dumped (relation, condition)
JOIN pg_class c ON c.oid = relation JOIN pg_namespace n ON n.oid = relnamespace
WHERE extowner <> (SELECT datdba FROM pg_database WHERE datname = current_database()) ORDER BY 1, 2, 3
"""


@dataclass(frozen=True, slots=True)
class Available:
    """An extension that a server has, in its default version.

    ``schema`` is the only one in which it can be made. ``anybody`` says whether the owner of a database may make it.
    ``role`` is that of the connection, and ``superuser`` says whether it is one.
    """

    name: str
    schema: str | None
    relocatable: bool
    requires: tuple[str, ...]
    anybody: bool
    role: str
    superuser: bool


def available(connection: Connection, names: Iterable[str]) -> Mapping[str, Available]:
    """Return those of these extensions that the server has, by name."""
    rows = connection.exec_driver_sql(AVAILABLE, (list(names),))
    return {row.name: Available(**(dict(row._mapping) | {"requires": tuple(row.requires)})) for row in rows}


def faults(connection: Connection, names: Sequence[str]) -> Iterator[str]:
    """Yield why the role of this connection cannot make these extensions in this order, as parts of sentences."""
    found = available(connection, names)
    for position, name in enumerate(names):
        extension = found.get(name)
        if extension is None:
            yield f"the server does not have the extension {name}"
            continue
        if not (extension.anybody or extension.superuser):
            yield f"the role {extension.role} may not make the extension {name}, because it is not a superuser"
        if extension.schema not in (None, CATALOG, PUBLIC):
            yield f"the extension {name} is made in a schema of its own, {extension.schema}, which no restore can fill"
        for other in sorted(set(extension.requires) - {EVERYWHERE, *names[:position]}):
            yield f"the extension {name} requires {other}, which is not named before it"


@checkpoint("database.make_extensions")
def make_extensions(connection: Connection, names: Sequence[str], name: str) -> None:
    """Make these extensions in the present database, which must be empty and belong to nobody but us.

    ``name`` is for the messages. Raises ``ProvisioningFailed``.
    """
    if fault := next(faults(connection, names), None):
        raise ProvisioningFailed(name, fault)
    found = available(connection, names)
    for each in names:
        schema = f" SCHEMA {PUBLIC}" if found[each].schema is None else ""
        connection.exec_driver_sql(f"CREATE EXTENSION IF NOT EXISTS {quoted(connection, each)}{schema}")


@checkpoint("extensions.make_missing")
def make_missing(server: Server, database: str, name: str) -> None:
    """Make those extensions of a server's setting that the database of a tenant lacks, all or none.

    The database is called ``name`` in messages. Raises ``MigrationFailed``, also if one cannot be made safely where a
    tenant owns something, ``DatabaseUnreachable`` and ``DatabaseBusy``.
    """
    if not isinstance(server, PostgresServer) or not server.extensions:
        return
    engine = maintenance_engine(server.own_url(database))
    with translated(name, MigrationFailed), engine.connect() as connection:
        present = set(connection.exec_driver_sql(FOUND).scalars())
        missing = [each for each in server.extensions if each not in present]
        if missing:
            _check_can_be_moved(connection, missing, name)
            # Sent together, the statements are one transaction.
            connection.exec_driver_sql("; ".join(_statements(connection, missing)))


def _check_can_be_moved(connection: Connection, names: Sequence[str], name: str) -> None:
    """Raise ``MigrationFailed`` unless these extensions can be made in a schema of ours and moved to public."""
    found = available(connection, names)
    for each in names:
        if (extension := found.get(each)) is None:
            raise MigrationFailed(name, f"the server does not have the extension {each}")
        # The schemas of what it requires are on the search path of its script.
        if not extension.relocatable or set(extension.requires) - {EVERYWHERE}:
            raise MigrationFailed(
                name,
                f"the extension {each} cannot be made where a tenant has something already; a restored backup, or a "
                "move to another server, is a new database that has it",
            )


def _statements(connection: Connection, names: Iterable[str]) -> Iterator[str]:
    for each in names:
        # Only our role may put anything into this schema, and the script finds nothing of the tenant's.
        extension, schema = quoted(connection, each), quoted(connection, f"making_{secrets.token_hex(16)}")
        yield f"CREATE SCHEMA {schema}"
        yield f"CREATE EXTENSION {extension} SCHEMA {schema}"
        yield f"ALTER EXTENSION {extension} SET SCHEMA {PUBLIC}"
        yield f"DROP SCHEMA {schema}"


def extensions_of(connection: Connection) -> list[str]:
    """Return the names of the extensions of a database, apart from the one that every PostgreSQL database has."""
    return [] if connection.dialect.name == "sqlite" else list(connection.exec_driver_sql(FOUND).scalars())


def given_extensions(connection: Connection) -> list[str]:
    """Return the names of those that another role than the owner of the database has made."""
    return [] if connection.dialect.name == "sqlite" else list(connection.exec_driver_sql(GIVEN).scalars())


def extensions_elsewhere(connection: Connection) -> dict[str, str]:
    """Return the schemas of those extensions of a database that are not in ``public``, by their names."""
    if connection.dialect.name == "sqlite":
        return {}
    return {row.extname: row.nspname for row in connection.exec_driver_sql(ELSEWHERE)}


def misplaced(connection: Connection, elsewhere: Mapping[str, str], server: Server) -> list[str]:
    """Return the names of those extensions that a new database on a server would have in another schema.

    A restore finds them there already, and what names the schema of the original fails. ``elsewhere`` is what
    ``extensions_elsewhere`` returns, and the connection leads to any database of the server.
    """
    named = sorted(set(elsewhere) & set(server.extensions)) if isinstance(server, PostgresServer) else []
    found = available(connection, named) if named else {}
    return [each for each in named if each in found and elsewhere[each] != (found[each].schema or PUBLIC)]


def check_misplaced(connection: Connection, elsewhere: Mapping[str, str], server: Server, name: str) -> None:
    """Raise ``ExtensionElsewhere`` if one is misplaced. ``name`` is what the database is called that has them."""
    for each in misplaced(connection, elsewhere, server):
        raise ExtensionElsewhere(server.name, each, elsewhere[each], name)


def check_copied(connection: Connection, server: Server, name: str) -> None:
    """Raise if a copy of the present database on this server would lack extensions, or rows in their tables.

    Raises what ``check_extensions`` and ``check_rows_carried`` raise.
    """
    check_extensions(extensions_of(connection), server, name, extensions_elsewhere(connection))
    check_rows_carried(connection, name)


def check_extensions(
    names: Iterable[str], server: Server, name: str, elsewhere: Mapping[str, str] = MappingProxyType({})
) -> None:
    """Raise ``ExtensionsMissing`` if a new database on a PostgreSQL server would lack some of these extensions.

    Either the setting of the server names an extension, or its owner may make it. ``name`` is what the database is
    called that has them. Also raises what ``check_misplaced`` raises for those ``elsewhere`` than in ``public``, and
    what ``maintenance_connection`` raises.
    """
    wanted = set(names)
    if not wanted or not isinstance(server, PostgresServer):
        return
    with maintenance_connection(server.url, f"server {server.name}") as connection:
        found = available(connection, wanted)
        check_misplaced(connection, elsewhere, server, name)
    named = {each for each in wanted if each in found and (found[each].anybody or each in server.extensions)}
    if missing := sorted(wanted - named):
        raise ExtensionsMissing(server.name, missing, name)


def configured(connection: Connection) -> list[tuple[str, str]]:
    """Return the schema and the name of each table or sequence of which a dump has rows, and no tenant may write them.

    They belong to extensions that the owner of the database does not own.
    """
    return [(row.nspname, row.relname) for row in connection.exec_driver_sql(CONFIGURED)]


def check_rows_carried(connection: Connection, name: str) -> None:
    """Raise ``ExtensionRowsNotCarried`` if a table of an extension has rows of the database's own.

    An extension says which rows these are: https://www.postgresql.org/docs/current/extend-extensions.html
    A dump would have them, and a tenant's role may not restore them. ``name`` is what the database is called.
    """
    if connection.dialect.name != "postgresql":
        return
    for row in connection.exec_driver_sql(CONFIGURED).all():
        table = f"{quoted(connection, row.nspname)}.{quoted(connection, row.relname)}"
        condition = "WHERE is_called" if row.relkind == "S" else str(row.condition).replace("%", "%%")
        if connection.exec_driver_sql(f"SELECT EXISTS (SELECT FROM {table} {condition})").scalar():  # noqa: S608
            raise ExtensionRowsNotCarried(name, f"{row.relname} of the extension {row.extname}")
