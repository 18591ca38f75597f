"""The statements that make a template database and hand over a copy, over a maintenance connection."""

from typing import Final
from uuid import UUID

from sqlalchemy.engine import Connection

from tenantapp.databases.connections import postgres
from tenantapp.databases.connections.postgres import quoted
from tenantapp.databases.servers.templates import Template
from tenantapp.operations.checkpoints import checkpoint
from tenantapp.tenancy.models import TenantIdentity

UNFINISHED: Final = "_new"


@checkpoint("template.begin")
def begin(connection: Connection, template: Template, password: str) -> str:
    """Make an empty database to build a template in, and return its name.

    The role that will own everything in the template owns the database.
    """
    new = template.name + UNFINISHED
    discard(connection, template, new)
    postgres.create_role(connection, template.name, password, comment=template.mark)
    postgres.create_database(connection, new, owner=template.name)
    postgres.open_to_owner(connection, new)
    return new


@checkpoint("template.finish")
def finish(connection: Connection, template: Template, new: str) -> None:
    """Give a built template its name, and let nobody connect to it any more.

    The database is given to our own role, and only its contents stay with the template's role. REASSIGN OWNED in a copy
    would otherwise give away the template database too.
    """
    role, database = quoted(connection, template.name), quoted(connection, new)
    connection.exec_driver_sql(
        f"ALTER DATABASE {database} OWNER TO CURRENT_USER; ALTER ROLE {role} NOLOGIN PASSWORD NULL"
    )
    connection.exec_driver_sql(f"ALTER DATABASE {database} WITH ALLOW_CONNECTIONS false IS_TEMPLATE true")
    connection.exec_driver_sql(f"ALTER DATABASE {database} RENAME TO {role}")


def discard(connection: Connection, template: Template, new: str) -> None:
    """Remove what an attempt has left."""
    if postgres.database_exists(connection, new):
        connection.exec_driver_sql(f"ALTER DATABASE {quoted(connection, new)} WITH IS_TEMPLATE false")
        postgres.drop_database(connection, new)
    postgres.drop_role(connection, template.name)


def drop(connection: Connection, name: str) -> None:
    """Remove a template and its role."""
    if postgres.database_exists(connection, name):
        connection.exec_driver_sql(f"ALTER DATABASE {quoted(connection, name)} WITH IS_TEMPLATE false")
        postgres.drop_database(connection, name)
    postgres.drop_role(connection, name)


@checkpoint("template.hand_over")
def hand_over(connection: Connection, template: str, owner: str, tenant_id: UUID) -> None:
    """Give the owner of a copy what the template's role owns, and write the tenant's identity, in one transaction."""
    table = quoted(connection, TenantIdentity.__tablename__)
    statements = (
        f"REASSIGN OWNED BY {quoted(connection, template)} TO {quoted(connection, owner)}",
        f"INSERT INTO {table} (tenant_id) VALUES (%s) ON CONFLICT DO NOTHING",  # noqa: S608
    )
    connection.exec_driver_sql("; ".join(("BEGIN", *statements, "COMMIT")), (str(tenant_id),))
