"""The kind of operation that makes a tenant of another one's data."""

from typing import Any, Final
from uuid import UUID

from sqlalchemy.orm import Session

from tenantapp.databases.schemas.expected import structure_at
from tenantapp.databases.servers.identity_rows import write_identity
from tenantapp.fleet.copying.checks import check_structure, expected_on
from tenantapp.fleet.copying.copies import copy_database, unrecorded_target
from tenantapp.fleet.copying.originals import check_identity, original_of
from tenantapp.fleet.copying.private_data import remove_private_data
from tenantapp.fleet.creating.creation import activate, register, withdraw
from tenantapp.fleet.creating.from_template import drop_database
from tenantapp.fleet.errors import CopyFailed, CopyRefused
from tenantapp.identity.models import Tenant
from tenantapp.identity.tenants import place_of
from tenantapp.operations.kinds import Context, Kind, Step
from tenantapp.operations.models import Operation
from tenantapp.sql.ids import uuid7
from tenantapp.tenancy.access import TenantPlace


def prepare_new_tenant(session: Session, operation: Operation) -> None:
    """Each attempt makes a tenant, and so a database, of its own."""
    register(session, operation, uuid7())


def place_to_fill(context: Context) -> TenantPlace:
    """The tenant that is being made."""
    with context.fleet.user_db.begin(read_only=True) as session:
        return place_of(session.get_one(Tenant, context.tenant_id))


def finish_copy(context: Context, place: TenantPlace, revision: str) -> None:
    """Compare a copy's structure with that of its revision, and make it the tenant's. May be done again.

    Raises ``CopyFailed``, and what ``expected_on`` and ``write_identity`` raise.
    """
    fleet = context.fleet
    target = unrecorded_target(fleet, place)
    expected = expected_on(fleet, fleet.servers[place.server], revision)
    check_structure(structure_at(target.url, target.name), expected, target.name)
    context.check()
    write_identity(target.url, target.name, place.id, CopyFailed)


def _copy(context: Context) -> dict[str, Any]:
    """Done once only: what an attempt that was cut short has left is refused here, and so it is undone."""
    fleet, place = context.fleet, place_to_fill(context)
    with fleet.user_db.begin(read_only=True) as session:
        source = session.get(Tenant, UUID(context.arguments["source"]))
        if source is None:
            raise CopyRefused("The tenant that was to be copied is not there any more.")
        source_place = place_of(source)
    original = original_of(fleet.servers, source_place)
    with original.reading() as connection:
        check_identity(connection, source_place)
    mark = context.arguments["mark"]
    copied = copy_database(fleet, original, place, mark, context.progress)
    return {"method": copied.method, "revision": copied.revision}


def _finish(context: Context) -> None:
    place = place_to_fill(context)
    if context.arguments["without_people"]:
        remove_private_data(context.fleet.settings, unrecorded_target(context.fleet, place))
    finish_copy(context, place, context.result["revision"])


CLONE: Final = Kind(
    "clone",
    (Step("database", _copy, drop_database), Step("identity", _finish)),
    undoes=True,
    prepare=prepare_new_tenant,
    complete=activate,
    withdraw=withdraw,
)
