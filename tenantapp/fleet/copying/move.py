"""The kind of operation that moves a tenant to another server."""

import time
from typing import Any, Final

from sqlalchemy.orm import Session

from tenantapp.fleet.connections import reading_connection
from tenantapp.fleet.copying.checks import check_rows, check_structure, expected_of_copy, row_counts
from tenantapp.fleet.copying.copies import copy_database, unrecorded_target
from tenantapp.fleet.copying.errors import CopyFailed, CopyRefused
from tenantapp.fleet.copying.originals import Original, check_identity, heads_of, original_of, single_revision
from tenantapp.fleet.identity_rows import write_identity
from tenantapp.fleet.operations.kinds import Context, Kind, Step
from tenantapp.fleet.operations.models import Operation
from tenantapp.fleet.schemas.structure import fingerprint, read_structure
from tenantapp.fleet.server_databases import databases_on
from tenantapp.fleet.switching import let_back_in, new_place, nobody_writes, prepare_switch, present_place, switch
from tenantapp.fleet.targets import Target
from tenantapp.identity.models import Tenant
from tenantapp.tenancy.servers import Server


def _prepare(session: Session, operation: Operation) -> None:
    prepare_switch(session, operation)
    tenant = session.get_one(Tenant, operation.tenant_id)
    if tenant.server == operation.arguments["server"]:
        raise CopyRefused(f"The tenant {tenant.slug} is on the server {tenant.server} already.")


def _plan(context: Context) -> dict[str, Any]:
    """Before anything is made: what the copy is to be like."""
    place = present_place(context)
    original = original_of(context.fleet.servers, place)
    with original.reading() as connection:
        check_identity(connection, place)
        revision = single_revision(connection, original.name)
        expected = expected_of_copy(context.fleet, connection, _server(context), revision)
    return {"revision": revision, "fingerprint": fingerprint(expected)}


def _move(context: Context) -> dict[str, Any]:
    """Done once only: what an attempt that was cut short has left is refused here, and so it is undone."""
    fleet, given = context.fleet, context.arguments
    original, place = original_of(fleet.servers, present_place(context)), new_place(context)
    target = unrecorded_target(fleet.settings, fleet.servers, place)
    began = time.monotonic()
    with nobody_writes(context):
        copied = copy_database(fleet.settings, fleet.servers, original, place, given["mark"], context.progress)
        _check(context, original, target)
        context.check()
        write_identity(target.url, target.name, place.id, CopyFailed)
    return {"method": copied.method, "seconds_closed": round(time.monotonic() - began, 2)}


def _check(context: Context, original: Original, target: Target) -> None:
    """Compare revision, number of rows and structure with what they should be. Raises ``CopyFailed``."""
    revision = context.result["revision"]
    with original.reading() as connection, reading_connection(target.url, target.name) as copy, copy.begin():
        if heads_of(connection) != (revision,) or heads_of(copy) != (revision,):
            raise CopyFailed(original.name, "it was migrated meanwhile")
        check_rows(original.name, row_counts(connection), row_counts(copy))
        found = read_structure(copy)
        if fingerprint(found) != context.result["fingerprint"]:
            expected = expected_of_copy(context.fleet, connection, _server(context), revision)
            check_structure(found, expected, original.name)
            raise CopyFailed(original.name, "its structure was changed meanwhile")


def _server(context: Context) -> Server:
    return context.fleet.servers[context.arguments["server"]]


def _undo(context: Context) -> None:
    # First of all: that the new server does not answer must not keep anybody out.
    let_back_in(context)
    databases_on(_server(context)).drop(context.arguments["database"])


MOVE: Final = Kind(
    "move",
    (Step("plan", _plan), Step("switch", _move, _undo)),
    undoes=True,
    prepare=_prepare,
    complete=switch,
)
