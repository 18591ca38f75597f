"""Serving a tenant from another database.

The operations that do this make the new database, and keep everybody out during the last step. The transaction that
ends them changes the tenant's row. Their arguments are ``server`` and ``database`` (the new place), ``from_server`` and
``from_database`` (the present place), and ``keep`` (how many seconds to keep the present database). Their result holds
the ``revision`` of the new database.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, Final
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from tenantapp.databases.servers.server_databases import databases_on
from tenantapp.fleet.closing.discarding import request_discard
from tenantapp.fleet.closing.fence import fence_database, fence_kept, lower_fence, raise_fence
from tenantapp.identity.epochs import new_epoch
from tenantapp.identity.models import Tenant
from tenantapp.identity.tenants import database_name, place_of
from tenantapp.operations.checkpoints import checkpoint
from tenantapp.operations.errors import OperationRefused
from tenantapp.operations.fleet import Fleet, time_of_requests
from tenantapp.operations.kinds import Context
from tenantapp.operations.leases import database_time
from tenantapp.operations.models import ACTIVE, Operation
from tenantapp.sql.ids import uuid7
from tenantapp.tenancy.access import TenantPlace
from tenantapp.tenancy.servers import Server, SqliteServer

PRESENT: Final = ("from_server", "from_database")


def switch_arguments(fleet: Fleet, tenant: Tenant, server: Server) -> dict[str, Any]:
    """Return the arguments of an operation that gives a tenant a new database on a server.

    Raises ``OperationRefused`` if the tenant is being made or is deleted.
    """
    _check_served(tenant)
    return {
        "server": server.name,
        "database": database_name(uuid7()),
        "from_server": tenant.server,
        "from_database": tenant.database,
        "keep": timedelta(days=fleet.settings.fleet_delete_grace).total_seconds(),
    }


def prepare_switch(session: Session, operation: Operation) -> None:
    """Give each attempt a new database when the operation is requested or retried.

    So a worker that was paused in an earlier attempt cannot reach the database of a later one. Raises
    ``OperationRefused`` if the tenant is being made, or is deleted.
    """
    tenant = session.get(Tenant, operation.tenant_id)
    if tenant is None:
        raise OperationRefused(f"The tenant {operation.slug} does not exist any more.")
    _check_served(tenant)
    present = {"from_server": tenant.server, "from_database": tenant.database}
    operation.arguments = {**operation.arguments, **present, "database": database_name(uuid7())}


def check_present(context: Context) -> None:
    """Raise ``OperationRefused`` unless the tenant still has the database that it had when queued.

    For the first step of an operation.
    """
    with context.fleet.user_db.begin(read_only=True) as session:
        tenant = session.get(Tenant, _tenant_id(context))
        if tenant is None:
            raise OperationRefused(f"The tenant {context.slug} does not exist any more.")
        # A tenant deleted meanwhile will not be served again, so the work would be wasted.
        _check_served(tenant)
        if not _is_from(tenant.server, tenant.database, context.arguments):
            raise OperationRefused(_moved(context))


def present_place(context: Context) -> TenantPlace:
    """Return the tenant's place with the database that serves it until the switch."""
    return _place(context, context.arguments["from_server"], context.arguments["from_database"])


def new_place(context: Context) -> TenantPlace:
    """Return the tenant's place with the database that is to serve it."""
    return _place(context, context.arguments["server"], context.arguments["database"])


@checkpoint("switch.begin")
@contextmanager
def nobody_writes(context: Context) -> Iterator[None]:
    """Keep the tenant's people out, and end the requests that were let in before.

    People stay out when the block ends, because ``switch`` should follow at once. If it does not, call ``let_back_in``.
    Raises ``OperationRefused`` if the tenant is gone, and what ``ServerDatabases.close`` and the context's ``check``
    raise.
    """
    fleet, given, tenant_id = context.fleet, context.arguments, _tenant_id(context)
    user_db = fence_database(fleet.settings)
    try:
        with user_db.engine.connect() as connection:
            fenced = raise_fence(connection, tenant_id)
        if fenced is None:
            raise OperationRefused(f"The tenant {context.slug} does not exist any more.")
        if not _is_from(fenced.place.server, fenced.place.database, given):
            raise OperationRefused(_moved(context))
        # Check the claim: another worker may have taken over meanwhile, and may have let the tenant's people back in.
        context.check()
        with fence_kept(user_db, tenant_id):
            _close(context)
            yield
    finally:
        user_db.dispose()


def let_back_in(context: Context) -> None:
    """Serve the tenant from its present database again. A database that was replaced stays closed.

    The fence is lowered first. While it is up, a worker that closed the database too late leaves the reopening to us.
    """
    with context.fleet.user_db.begin() as session:
        lower_fence(session.connection(), _tenant_id(context))
        tenant = session.get(Tenant, context.tenant_id)
        present = tenant is not None and _is_from(tenant.server, tenant.database, context.arguments)
    if present:
        _reopen(context)


def switch(session: Session, operation: Operation) -> None:
    """Serve the tenant from the new database, and queue the removal of the present one.

    The tenant gets a new epoch, unless all content was compared and is the same.

    Raises ``OperationRefused`` if people were served meanwhile, because their changes would be lost. Also raises it if
    the tenant has changed since the operation was requested.
    """
    given = operation.arguments
    tenant = session.get_one(Tenant, operation.tenant_id, with_for_update=True)
    if not tenant.is_served or not _is_from(tenant.server, tenant.database, given):
        raise OperationRefused(f"The tenant {tenant.slug} was deleted or got another database meanwhile.")
    if tenant.migrating_until is None or tenant.migrating_until <= database_time(session):
        raise OperationRefused(f"People of the tenant {tenant.slug} were let in before its new database was ready.")
    tenant.server, tenant.database = given["server"], given["database"]
    tenant.revision, tenant.migrating_until = operation.result["revision"], None
    kept = timedelta(seconds=given["keep"])
    # What is restored is another state on purpose; what is moved has to be the same.
    compared = operation.result.get("compared", True)
    if not operation.result.get("compared", False):
        tenant.epoch = new_epoch()
    request_discard(
        session, given["from_server"], given["from_database"], replaced_of=tenant, compared=compared, after=kept
    )


def _check_served(tenant: Tenant) -> None:
    if not tenant.is_served:
        raise OperationRefused(f"The tenant {tenant.slug} is {tenant.state}.")


def _close(context: Context) -> None:
    """End the requests that were let in before.

    Raises what ``ServerDatabases.close`` and the context's ``check`` raise.
    """
    fleet, given = context.fleet, context.arguments
    server = fleet.servers[given["from_server"]]
    # PostgreSQL tells when the last request has ended. SQLite does not, so all of the time is waited out there.
    waits_it_out = isinstance(server, SqliteServer)
    patience = fleet.settings.fleet_patience if waits_it_out else time_of_requests(fleet.settings)
    try:
        databases_on(server).close(given["from_database"], patience)
        # Check the claim again: while this worker was paused, another may have let the tenant's people back in.
        context.check()
    except BaseException:
        _reopen_if_forgotten(context)
        raise


def _reopen_if_forgotten(context: Context) -> None:
    """Reopen the tenant's present database, unless an operation is about to replace it and will reopen it if it fails.

    Raising a fence changes the tenant's row, which is locked here. So nobody closes the database meanwhile.
    """
    with context.fleet.user_db.begin() as session:
        # FOR NO KEY UPDATE: people who sign in refer to the tenant.
        tenant = session.get(Tenant, context.tenant_id, with_for_update={"key_share": True})
        if tenant is None or not _is_from(tenant.server, tenant.database, context.arguments):
            return
        fenced = tenant.migrating_until is not None and tenant.migrating_until > database_time(session)
        at_work = select(Operation).where(Operation.tenant_id == tenant.id, Operation.state.in_(ACTIVE))
        found = session.scalars(at_work).one_or_none()
        if not fenced or found is None or any(found.arguments.get(key) != context.arguments[key] for key in PRESENT):
            _reopen(context)


def _reopen(context: Context) -> None:
    given = context.arguments
    databases_on(context.fleet.servers[given["from_server"]]).reopen(given["from_database"])


def _moved(context: Context) -> str:
    return f"The tenant {context.slug} got another database meanwhile."


def _is_from(server: str, database: str, arguments: Mapping[str, Any]) -> bool:
    return (server, database) == (arguments["from_server"], arguments["from_database"])


def _tenant_id(context: Context) -> UUID:
    if context.tenant_id is None:
        raise OperationRefused(f"The tenant {context.slug} does not exist any more.")
    return context.tenant_id


def _place(context: Context, server: str, database: str) -> TenantPlace:
    with context.fleet.user_db.begin(read_only=True) as session:
        tenant = place_of(session.get_one(Tenant, _tenant_id(context)))
    return TenantPlace(tenant.id, tenant.slug, tenant.name, server, database)
