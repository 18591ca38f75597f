"""The statements that make a template database and hand over a copy, over a maintenance connection."""

from collections.abc import Callable, Mapping
from typing import Final
from uuid import UUID

from sqlalchemy.engine import Connection

from tenantapp.databases.connections import postgres
from tenantapp.databases.connections.maintenance_engines import PUBLIC
from tenantapp.databases.connections.postgres import quoted
from tenantapp.databases.privileges.catalogue import DATABASE, DEFAULT, PUBLIC_SCHEMA, ROLE, read_privileges
from tenantapp.databases.privileges.giving import give
from tenantapp.databases.privileges.statements import POLICY
from tenantapp.databases.servers.templates import Template
from tenantapp.operations.checkpoints import checkpoint
from tenantapp.tenancy.models import TenantIdentity

# Makes an empty database, with an owner.
Create = Callable[[Connection, str, str], None]
UNFINISHED: Final = "_new"
IDENTITY: Final = f"{PUBLIC}.{TenantIdentity.__tablename__}"
# The role does not own the schema public, and the rest is not in the database.
NOT_REASSIGNED: Final = frozenset({DATABASE, ROLE, PUBLIC_SCHEMA})


@checkpoint("template.begin")
def begin(connection: Connection, template: Template, password: str, create: Create) -> str:
    """Make an empty database to build a template in, by ``create``, and return its name.

    The role that will own everything in the template owns the database.
    """
    new = template.name + UNFINISHED
    discard(connection, template)
    postgres.create_role(connection, template.name, password, comment=template.mark)
    create(connection, new, template.name)
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


def discard(connection: Connection, template: Template) -> None:
    """Remove what an attempt has left."""
    drop(connection, template.name + UNFINISHED)
    postgres.drop_role(connection, template.name)


def drop(connection: Connection, name: str) -> None:
    """Remove a template. Its role is not removed."""
    if postgres.database_exists(connection, name):
        connection.exec_driver_sql(f"ALTER DATABASE {quoted(connection, name)} WITH IS_TEMPLATE false")
        postgres.drop_database(connection, name)


def is_handed_over(connection: Connection) -> bool:
    """Return whether a copy was handed over: its identity is written in the same transaction."""
    return bool(connection.exec_driver_sql(f"SELECT EXISTS (SELECT FROM {IDENTITY})").scalar())  # noqa: S608


def not_reassigned(connection: Connection, template: str) -> dict[str, str]:
    """Return the privileges and settings of a template that REASSIGN OWNED in a copy does not give to the copy's owner.

    They are not in the copy, or there for the role of the template only. ``connection`` leads to a copy that is not
    handed over yet.
    """
    return {
        thing: words
        for thing, words in read_privileges(connection, role=template, database=template).items()
        if thing in NOT_REASSIGNED or thing.startswith(DEFAULT) or POLICY in words
    }


@checkpoint("template.hand_over")
def hand_over(connection: Connection, template: str, owner: str, tenant_id: UUID, rest: Mapping[str, str]) -> None:
    """Give the owner of a copy what the template's role has there, and write the tenant's identity, in one transaction.

    REASSIGN OWNED gives away objects, with the privileges on them. ``rest`` is what ``not_reassigned`` returned.
    Raises ``PrivilegesNotCarried``.
    """
    old, new = quoted(connection, template), quoted(connection, owner)
    identity = f"INSERT INTO {IDENTITY} (tenant_id) VALUES (%s)"  # noqa: S608
    statements = ("BEGIN", f"REASSIGN OWNED BY {old} TO {new}", f"{identity} ON CONFLICT DO NOTHING")
    if not rest:
        connection.exec_driver_sql("; ".join((*statements, "COMMIT")), (str(tenant_id),))
        return
    connection.exec_driver_sql("; ".join(statements), (str(tenant_id),))
    give(connection, rest, owner, f"the template {template}")
    # The template's role owns nothing here any more. Its rights are left, which would keep it from being dropped.
    connection.exec_driver_sql(f"DROP OWNED BY {old}; COMMIT")
