"""Mending what ``reconcile`` has found. Each finding is checked again first, since things may have changed."""

from typing import Final
from uuid import UUID

from sqlalchemy import select

from tenantapp.databases.models import WarmDatabase
from tenantapp.databases.servers.server_databases import databases_on
from tenantapp.databases.servers.snapshots import snapshot_of
from tenantapp.fleet.closing.discarding import remove_database
from tenantapp.fleet.creating.unfinished import discard_unfinished
from tenantapp.fleet.reconciling.reconcile import (
    Finding,
    Problem,
    copies_in_use,
    known_databases,
    stuck_operations,
)
from tenantapp.identity.audit import record
from tenantapp.identity.models import Tenant
from tenantapp.identity.tenants import place_of
from tenantapp.operations.fleet import Fleet
from tenantapp.operations.kinds import Kinds
from tenantapp.operations.leases import new_owner, take
from tenantapp.operations.models import FINISHED
from tenantapp.operations.queue import is_worked_on, retry_operation
from tenantapp.operations.runner import run_operation

# The problems whose objects may be removed even without our mark.
UNMARKED: Final = (Problem.DATABASE, Problem.ROLE, Problem.SCRATCH)


def mend(fleet: Fleet, kinds: Kinds, finding: Finding, *, unmarked: bool = False) -> bool:
    """Mend one finding, and return whether it was mended. The audit trail records what was removed.

    With ``unmarked``, databases and roles without the mark of this installation are removed too. Raises a
    ``FleetError``.
    """
    mended = _mend(fleet, kinds, finding, unmarked=unmarked)
    if mended and finding.problem != Problem.OPERATION:
        slug = finding.name if finding.problem in (Problem.TENANT, Problem.UNFINISHED) else None
        detail = {"problem": finding.problem, "name": finding.name, "server": finding.server}
        with fleet.user_db.begin() as session:
            record(session, "fleet.mend", tenant_id=finding.id if slug else None, slug=slug, detail=detail)
    return mended


def is_to_be_mended(finding: Finding, *, unmarked: bool = False) -> bool:
    """Return whether ``mend`` does anything about the finding."""
    return finding.note is None or (unmarked and finding.problem in UNMARKED)


def _mend(fleet: Fleet, kinds: Kinds, finding: Finding, *, unmarked: bool) -> bool:
    if not is_to_be_mended(finding, unmarked=unmarked):
        return False
    if finding.problem in UNMARKED:
        return _drop(fleet, finding)
    if finding.problem == Problem.COPY:
        return _drop_copy(fleet, finding)
    if finding.problem == Problem.TEMPLATE:
        databases_on(fleet.servers[finding.server]).drop_template(finding.name)
        return True
    if finding.id is None:
        return False
    if finding.problem == Problem.OPERATION:
        return _go_on(fleet, kinds, finding.id)
    if finding.problem == Problem.UNFINISHED:
        return _discard(fleet, finding.id)
    return _forget(fleet, finding.id)


def _drop(fleet: Fleet, finding: Finding) -> bool:
    with fleet.user_db.begin(read_only=True) as session:
        if finding.name in known_databases(session):
            return False
    remove_database(fleet.servers[finding.server], finding.name, f"the database {finding.name}")
    return True


def _drop_copy(fleet: Fleet, finding: Finding) -> bool:
    with fleet.user_db.begin(read_only=True) as session:
        if finding.name in copies_in_use(session):
            return False
    snapshot_of(fleet.servers[finding.server], finding.name, f"the database {finding.name}").drop()
    return True


def _go_on(fleet: Fleet, kinds: Kinds, operation_id: UUID) -> bool:
    """Finish the operation, or undo it, in this process."""
    with fleet.user_db.begin() as session:
        stuck = {operation.id: operation for operation in stuck_operations(session, kinds)}
        operation = stuck.get(operation_id)
        if operation is None:
            return False
        if operation.state in FINISHED:
            retry_operation(session, operation.id, kinds)
        claim = take(session, operation, new_owner(), kinds)
    run_operation(fleet, kinds, claim)
    with fleet.user_db.begin(read_only=True) as session:
        return operation_id not in {operation.id for operation in stuck_operations(session, kinds)}


def _discard(fleet: Fleet, tenant_id: UUID) -> bool:
    with fleet.user_db.begin(read_only=True) as session:
        tenant = session.get(Tenant, tenant_id)
        place = None if tenant is None else place_of(tenant)
    if place is not None:
        discard_unfinished(fleet, place)
    return place is not None


def _forget(fleet: Fleet, tenant_id: UUID) -> bool:
    """Delete the row of a tenant, or of a warm database, whose database is still missing."""
    with fleet.user_db.begin() as session:
        tenant = session.scalar(select(Tenant).where(Tenant.id == tenant_id).with_for_update())
        row = tenant or session.get(WarmDatabase, tenant_id, with_for_update=True)
        if row is None or is_worked_on(session, tenant_id):
            return False
        databases = databases_on(fleet.servers[row.server])
        if databases.exists(row.database):
            return False
        # In the transaction, so that the row stays if its role cannot be removed.
        databases.drop(row.database)
        session.delete(row)
    return True
