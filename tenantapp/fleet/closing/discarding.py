"""Removing databases that no tenant has any more, at once or after a while."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Final
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from tenantapp.databases.models import WarmDatabase
from tenantapp.databases.servers.server_databases import databases_on
from tenantapp.databases.servers.snapshots import snapshot_of
from tenantapp.identity.models import Tenant
from tenantapp.operations.checkpoints import checkpoint
from tenantapp.operations.errors import OperationRefused
from tenantapp.operations.kinds import Context, Kind, Step
from tenantapp.operations.models import Operation, OperationState
from tenantapp.operations.queue import local_requester, request_operation
from tenantapp.tenancy.servers import Server

COMPARED: Final = "compared"
NO_TIME: Final = timedelta(0)


@checkpoint("database.remove")
def remove_database(server: Server, database: str, name: str) -> None:
    """Remove a database, its copy, and its role. Raises what ``Snapshot.drop`` and ``ServerDatabases.drop`` raise."""
    # The copy goes first: dropping the database also drops the role, which owns both.
    snapshot_of(server, database, name).drop()
    databases_on(server).drop(database)


@checkpoint("discard.request")
def request_discard(
    session: Session,
    server: str,
    database: str,
    *,
    replaced_of: Tenant | None = None,
    compared: bool = True,
    after: timedelta = NO_TIME,
) -> Operation:
    """Queue the removal of a database from which no tenant is served. A worker may begin when ``after`` has passed.

    ``replaced_of`` is the tenant that had the database before. A database that was not ``compared`` with the copy that
    took its place is not removed before somebody says so.
    """
    arguments: dict[str, Any] = {"server": server, "database": database}
    if not compared:
        arguments[COMPARED] = False
    if replaced_of is not None:
        arguments["replaced_of"] = str(replaced_of.id)
    # The operation belongs to no tenant, so other operations on the tenant need not wait for it.
    slug = None if replaced_of is None else replaced_of.slug
    return request_operation(session, DISCARD, None, arguments, local_requester(), slug=slug, after=after)


def replaced_databases(session: Session, tenant_id: UUID) -> list[Operation]:
    """Return the unfinished removals of databases that the tenant had before."""
    to_do = select(Operation).where(Operation.kind == DISCARD.name, Operation.state != OperationState.SUCCEEDED)
    return [found for found in session.scalars(to_do) if found.arguments.get("replaced_of") == str(tenant_id)]


def is_kept(operation: Operation) -> bool:
    """Return whether a removal waits until an operator allows it, because no copy of the database is proved."""
    return _is_kept(operation.arguments)


def _is_kept(arguments: Mapping[str, Any]) -> bool:
    return not arguments.get(COMPARED, True) and bool(arguments.get("copy", True))


def _remove(context: Context) -> None:
    given = context.arguments
    if _is_kept(given):
        raise OperationRefused(
            f"The database {given['database']} is kept: it was not compared with the copy that took its place. "
            f"`tenantapp operations retry {context.operation_id} --without-copy` removes it."
        )
    with context.fleet.user_db.begin(read_only=True) as session:
        for known in (Tenant, WarmDatabase):
            if session.scalar(select(known.database).filter_by(server=given["server"], database=given["database"])):
                raise OperationRefused(f"The database {given['database']} is in use.")
    remove_database(context.fleet.servers[given["server"]], given["database"], f"the database {given['database']}")


DISCARD: Final = Kind("discard", (Step("database", _remove),), removes="database", keeps=True)
