"""The kind of operation that moves a tenant to another server."""

import time
from contextlib import suppress
from typing import Any, Final

from sqlalchemy.engine import Connection
from sqlalchemy.orm import Session

from tenantapp.databases.connections.extensions import check_copied
from tenantapp.databases.contents.postgres_contents import check_every_row_seen
from tenantapp.databases.errors import DatabaseUnreachable, ProvisioningFailed
from tenantapp.databases.histories.histories import heads_of
from tenantapp.databases.histories.targets import Target, tenant_target
from tenantapp.databases.privileges.giving import check_given_again
from tenantapp.databases.schemas.computed import check_computable
from tenantapp.databases.schemas.structure import fingerprint
from tenantapp.databases.servers.identity_rows import write_identity
from tenantapp.databases.servers.server_databases import databases_on
from tenantapp.fleet.backups.restored_forms import restored_form
from tenantapp.fleet.closing.switching import (
    check_present,
    let_back_in,
    new_place,
    nobody_writes,
    prepare_switch,
    present_place,
    switch,
)
from tenantapp.fleet.copying.checks import (
    ACCEPT,
    check_contents,
    check_portable_contents,
    check_same_drift,
    check_structure,
    expected_of_copy,
    found_on,
)
from tenantapp.fleet.copying.copies import check_drift_carried, copy_database
from tenantapp.fleet.copying.originals import Original, check_identity, original_of, single_revision
from tenantapp.fleet.copying.replicable import (
    fill_by_replication,
    follow_to_the_end,
    replication_between,
    why_not_replicated,
)
from tenantapp.fleet.copying.replication import Replication
from tenantapp.fleet.errors import CopyFailed, CopyRefused
from tenantapp.identity.models import Tenant
from tenantapp.operations.checkpoints import checkpoint
from tenantapp.operations.errors import FleetError
from tenantapp.operations.kinds import Context, Kind, Step
from tenantapp.operations.models import Operation
from tenantapp.tenancy.servers import PostgresServer, Server


def _prepare(session: Session, operation: Operation) -> None:
    prepare_switch(session, operation)
    tenant = session.get_one(Tenant, operation.tenant_id)
    if tenant.server == operation.arguments["server"]:
        raise CopyRefused(f"The tenant {tenant.slug} is on the server {tenant.server} already.")


def _plan(context: Context) -> dict[str, Any]:
    """Before anything is made, find out what the copy should be like, and whether it can be replicated."""
    check_present(context)
    fleet, place = context.fleet, present_place(context)
    original, server, source = original_of(fleet.servers, place), _server(context), fleet.servers[place.server]
    if isinstance(server, PostgresServer):
        check_computable(source.tenant_url(place.database), original.name)
    with original.reading() as connection:
        check_identity(connection, place)
        if connection.dialect.name == "postgresql":
            check_every_row_seen(connection, original.name)
        revision = single_revision(connection, original.name)
        found = found_on(source, connection, original.name)
        check_given_again(found.structure.privileges, server, original.name)
        check_copied(connection, server, original.name)
        # Moves that an earlier version has queued do not have the argument.
        if context.arguments.get("accept_drift"):
            check_drift_carried(fleet, connection, found, server, revision)
        reason = why_not_replicated(fleet, connection, found, server, revision)
    expected = expected_of_copy(fleet, found, server, revision)
    if reason is not None:
        # A dump may differ as printed. Find out now how to compare it, and not while people wait.
        with suppress(FleetError):
            restored_form(fleet, expected)
    return {"revision": revision, "fingerprint": fingerprint(found.structure), "not_replicated": reason}


def _replicate(context: Context) -> dict[str, Any]:
    """Replicate nearly all data while people go on writing, if possible. This runs once, like the next step."""
    if context.result["not_replicated"] is not None:
        return {}
    target = _target(context)
    if databases_on(_server(context)).exists(context.arguments["database"]):
        raise CopyFailed(target.name, "an earlier attempt was interrupted")
    databases_on(_server(context)).create(context.arguments["database"], context.arguments["mark"])
    replication = _replication(context)
    try:
        replication.begin()
    except (ProvisioningFailed, DatabaseUnreachable) as error:
        # The next step fills the empty database by a copy.
        replication.remove()
        return {"not_replicated": str(error), "database_made": True}
    fill_by_replication(context, replication, _original(context), target)
    with _original(context).reading() as connection, _new(context).reading() as copy:
        _check_structure(context, connection, copy)
    return {}


def _switch(context: Context) -> dict[str, Any]:
    """Switch to the new database. This runs once: after an interruption it fails on what is left, and is undone."""
    began = time.monotonic()
    original, target = _original(context), _target(context)
    with nobody_writes(context):
        replicated = context.result["not_replicated"] is None
        if replicated:
            follow_to_the_end(_replication(context), original, target)
        method = "replication" if replicated else _copy(context, original)
        compared = _check(context, original, method)
        context.check()
        write_identity(target.url, target.name, new_place(context).id, CopyFailed)
    closed = round(time.monotonic() - began, 2)
    return {"method": method, "seconds_closed": closed, "compared": compared}


def _copy(context: Context, original: Original) -> str:
    """Copy all data while nobody writes, and return the method."""
    mark, made = context.arguments["mark"], context.result.get("database_made", False)
    return copy_database(context.fleet, original, new_place(context), mark, context.progress, made=made).method


@checkpoint("move.compare")
def _check(context: Context, original: Original, method: str) -> bool:
    """Compare revision, structure and content with the original, and return whether all content was compared.

    After a replication, people wait, so the comparison takes ``fleet.compare_timeout`` seconds at most. Raises
    ``CopyFailed``.
    """
    revision, settings = context.result["revision"], context.fleet.settings
    with original.reading() as connection, _new(context).reading() as copy:
        if heads_of(connection) != (revision,) or heads_of(copy) != (revision,):
            raise CopyFailed(original.name, "it was migrated during the move")
        _check_structure(context, connection, copy)
        if method == "bundle":
            check_portable_contents(original.name, connection, copy, _target(context).metadata)
            return True
        patience = settings.fleet_compare_timeout if method == "replication" else None
        return check_contents(original.name, connection, copy, patience)


def _check_structure(context: Context, original: Connection, copy: Connection) -> None:
    fleet, server, name = context.fleet, _server(context), _original(context).name
    present = found_on(fleet.servers[context.arguments["from_server"]], original, name)
    if fingerprint(present.structure) != context.result["fingerprint"]:
        raise CopyFailed(name, "its structure was changed during the move")
    found, revision = found_on(server, copy, "the copy"), context.result["revision"]
    if context.arguments.get("accept_drift"):
        check_same_drift(fleet, present, found, revision, name)
    else:
        check_structure(fleet, found, expected_of_copy(fleet, present, server, revision), name, ACCEPT)


def _new(context: Context) -> Original:
    """Return the new database, for reading."""
    return original_of(context.fleet.servers, new_place(context))


def _original(context: Context) -> Original:
    return original_of(context.fleet.servers, present_place(context))


def _target(context: Context) -> Target:
    return tenant_target(context.fleet, new_place(context))


def _server(context: Context) -> Server:
    return context.fleet.servers[context.arguments["server"]]


def _replication(context: Context) -> Replication:
    given, source = context.arguments, context.fleet.servers[context.arguments["from_server"]]
    return replication_between(
        source,
        given["from_database"],
        _server(context),
        given["database"],
        mark=given["mark"],
        stalled=context.fleet.settings.fleet_stalled,
    )


def _remove(context: Context) -> None:
    given, server = context.arguments, _server(context)
    source = context.fleet.servers[given["from_server"]]
    if isinstance(source, PostgresServer) and isinstance(server, PostgresServer):
        _replication(context).remove()
    databases_on(server).drop(given["database"])


# Undoing lets people in first: a new server that does not answer must not keep them out.
STEPS: Final = (Step("plan", _plan), Step("database", _replicate, _remove), Step("switch", _switch, let_back_in))
MOVE: Final = Kind("move", STEPS, undoes=True, prepare=_prepare, complete=switch)
