"""Find where the user database and the servers do not agree."""

from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Final, cast
from uuid import UUID

from sqlalchemy import and_, or_, select
from sqlalchemy.orm import Session

from tenantapp.databases.models import WarmDatabase
from tenantapp.databases.servers.base import SCRATCH_PREFIX, FoundDatabase, replication_role
from tenantapp.databases.servers.scratch import made_at
from tenantapp.databases.servers.server_databases import databases_on
from tenantapp.databases.servers.snapshots import databases_with_copies
from tenantapp.databases.servers.templates import MARK_PREFIX, Template, current_template, installation_mark
from tenantapp.databases.servers.templates import PREFIX as TEMPLATE_PREFIX
from tenantapp.fleet.closing.discarding import DISCARD, is_kept
from tenantapp.fleet.migrating.status import latest_migrations
from tenantapp.fleet.removing.deletion import DELETE, KEEPING
from tenantapp.identity.models import Tenant, TenantState
from tenantapp.identity.tenants import database_name
from tenantapp.operations.errors import FleetError
from tenantapp.operations.fleet import Fleet
from tenantapp.operations.kinds import Kinds, is_half_done
from tenantapp.operations.leases import database_time
from tenantapp.operations.models import ACTIVE, FINISHED, UNFINISHED, Operation, OperationState
from tenantapp.operations.queue import is_worked_on
from tenantapp.sql.times import utcnow

FORGOTTEN: Final = timedelta(days=1)  # older scratch databases are not in use any more


class Problem(StrEnum):
    """The problems that ``find`` looks for."""

    OPERATION = "stuck operation"
    UNFINISHED = "tenant that no operation makes"
    TENANT = "tenant without a database"
    WARM = "warm database that is not there"
    DATABASE = "database without a tenant"
    ROLE = "role without a tenant"
    TEMPLATE = "old template"
    SCRATCH = "forgotten scratch database"
    COPY = "forgotten copy of a database"
    SERVER = "server that does not answer"


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that is wrong. If it should not be mended, ``note`` says why."""

    problem: Problem
    name: str
    server: str
    id: UUID | None = None
    note: str | None = None


def find(fleet: Fleet, kinds: Kinds) -> list[Finding]:
    """Compare the servers with the user database, and return the findings.

    A server that does not answer is a finding, and does not hide those of other servers.
    """
    with fleet.user_db.begin(read_only=True) as session:
        mark = installation_mark(session)
    # Read the servers first: a database gets a row in the user database before it is made on a server.
    present, copied, findings = {}, {}, []
    for name, place in fleet.servers.items():
        try:
            present[name], copied[name] = databases_on(place).found(), databases_with_copies(place)
        except FleetError as error:
            findings.append(Finding(Problem.SERVER, name, name, note=str(error)))
    with fleet.user_db.begin(read_only=True) as session:
        findings += [_stuck(operation, kinds) for operation in stuck_operations(session, kinds)]
        for server, databases in present.items():
            databases = [found for found in databases if not _is_of_another(found, mark)]
            findings += _lost(session, server, databases, mark, kinds)
            template = current_template(fleet, mark, fleet.servers[server])
            findings += _superfluous(session, server, databases, template)
            findings += _forgotten(server, databases, mark)
            ours = {found.name for found in databases if found.mark == mark}
            findings += _copies(session, server, copied[server] & ours)
        findings += _not_removed(session)
    return findings


def stuck_operations(session: Session, kinds: Kinds) -> list[Operation]:
    """Return the active operations whose lease has run out, and the half-done ones."""
    now = database_time(session)
    lapsed = and_(Operation.state.in_(ACTIVE), or_(Operation.lease_until.is_(None), Operation.lease_until <= now))
    return list(session.scalars(select(Operation).where(or_(lapsed, is_half_done(kinds))).order_by(Operation.id)))


def _not_removed(session: Session) -> list[Finding]:
    """Return deleted tenants whose time is over, but whose removal failed before it removed anything."""
    failed = select(Operation).join(Tenant, Tenant.id == Operation.tenant_id).order_by(Operation.id)
    failed = failed.where(Operation.kind == DELETE.name, Operation.state == OperationState.FAILED)
    failed = failed.where(Operation.step.in_(KEEPING), Tenant.state == TenantState.DELETED)
    due = session.scalars(failed.where(Tenant.purge_after <= database_time(session))).all()
    note = (
        "nothing has been removed yet: mend what its error says, then `tenantapp operations retry`, "
        "or remove it by `tenantapp tenants delete --now --without-copy`"
    )
    return [
        Finding(Problem.OPERATION, f"{found.kind} {found.slug}", found.arguments["server"], found.id, note)
        for found in due
        if not is_worked_on(session, cast("UUID", found.tenant_id))
    ]


def _copies(session: Session, server: str, databases: set[str]) -> list[Finding]:
    """Return copies that migrations have left. After a failed migration, the copy may be the only way back."""
    needed = latest_migrations().where(Operation.state != OperationState.SUCCEEDED).subquery()
    failed = select(Tenant.database).join(needed, needed.c.tenant_id == Tenant.id)
    needed_databases = set(session.scalars(failed))
    note = "the tenant's last migration did not succeed: the next one that does makes it superfluous"
    return [
        Finding(Problem.COPY, database, server, note=note if database in needed_databases else None)
        for database in sorted(databases - copies_in_use(session))
    ]


def copies_in_use(session: Session) -> set[str]:
    """Return the databases whose copies a migration may still put back."""
    migrating = select(Operation.tenant_id).where(Operation.state.in_(UNFINISHED), Operation.tenant_id.is_not(None))
    fenced = Tenant.migrating_until > database_time(session)
    return set(session.scalars(select(Tenant.database).where(or_(fenced, Tenant.id.in_(migrating)))))


def known_databases(session: Session) -> set[str]:
    """Return the names of databases that the user database knows, on all servers.

    The server does not count, because two server names may stand for the same server.
    """
    names = set(session.scalars(select(Tenant.database)))
    names |= set(session.scalars(select(WarmDatabase.database)))
    # One that failed, and is about a database that is to stay until somebody says otherwise, is named by itself.
    not_done = or_(Operation.state.in_(UNFINISHED), Operation.kind == DISCARD.name)
    for operation in session.scalars(select(Operation).where(not_done)):
        if operation.state in FINISHED and (operation.state == OperationState.SUCCEEDED or not is_kept(operation)):
            continue
        given = operation.arguments
        if "tenant_id" in given:
            names.add(database_name(UUID(given["tenant_id"])))
        names |= {given[key] for key in ("database", "from_database") if key in given}
    return names | {replication_role(name) for name in names}


def _stuck(operation: Operation, kinds: Kinds) -> Finding:
    name = f"{operation.kind} {operation.slug or ''}".strip()
    note = None if operation.kind in kinds else "this version knows no such kind"
    return Finding(Problem.OPERATION, name, operation.arguments.get("server", ""), operation.id, note)


def _is_of_another(found: FoundDatabase, mark: str) -> bool:
    """Return whether another installation made the database. It must be left alone."""
    return found.mark is not None and found.mark != mark and found.mark.startswith(MARK_PREFIX)


def _lost(session: Session, server: str, databases: list[FoundDatabase], mark: str, kinds: Kinds) -> list[Finding]:
    """Return the tenants and warm databases whose databases are missing on the server."""
    whole = {found.name for found in databases if found.whole}
    note = _why_not_forgotten(session, server, databases, mark)
    findings = []
    for tenant in _idle_tenants(session, server, kinds):
        if tenant.state == TenantState.CREATING:
            findings.append(Finding(Problem.UNFINISHED, tenant.slug, server, tenant.id))
        elif tenant.database not in whole:
            findings.append(Finding(Problem.TENANT, tenant.slug, server, tenant.id, note))
    warm = session.scalars(select(WarmDatabase).where(WarmDatabase.server == server))
    missing = [found for found in warm if found.database not in whole]
    return findings + [Finding(Problem.WARM, found.database, server, found.tenant_id) for found in missing]


def _why_not_forgotten(session: Session, server: str, databases: list[FoundDatabase], mark: str) -> str | None:
    """Return why the rows of missing databases should not be deleted, or None.

    A server that holds few of our databases is more likely the wrong place than an emptied one.
    """
    if not any(found.mark == mark for found in databases):
        return "the server holds nothing of this installation"
    there = {found.name for found in databases if found.whole}
    tenants = select(Tenant.database).where(Tenant.server == server, Tenant.state != TenantState.CREATING)
    missing = [database not in there for database in session.scalars(tenants)]
    if 2 * sum(missing) < len(missing):
        return None
    return f"{sum(missing)} of the server's {len(missing)} tenants are missing: is this the right place?"


def _superfluous(session: Session, server: str, databases: list[FoundDatabase], template: Template) -> list[Finding]:
    """Return databases and roles that the user database does not know, and templates that have been replaced."""
    known = known_databases(session)
    findings = []
    for found in databases:
        if found.name.startswith(TEMPLATE_PREFIX):
            if found.mark == template.mark and template.is_old(found.name):
                findings.append(Finding(Problem.TEMPLATE, found.name, server))
        elif found.name not in known and not found.name.startswith(SCRATCH_PREFIX):
            problem = Problem.DATABASE if found.whole else Problem.ROLE
            findings.append(Finding(problem, found.name, server, note=_unmarked(found, template.mark)))
    return findings


def _unmarked(found: FoundDatabase, mark: str) -> str | None:
    return None if found.mark == mark else "not marked as one of this installation"


def _forgotten(server: str, databases: list[FoundDatabase], mark: str) -> list[Finding]:
    """Return scratch databases that are too old to be in use."""
    findings = []
    for found in databases:
        if found.name.startswith(SCRATCH_PREFIX):
            with suppress(ValueError):  # not a name that we make
                if made_at(found.name) < utcnow() - FORGOTTEN:
                    findings.append(Finding(Problem.SCRATCH, found.name, server, note=_unmarked(found, mark)))
    return findings


def _idle_tenants(session: Session, server: str, kinds: Kinds) -> list[Tenant]:
    """Return the tenants of a server that have no unfinished and no half-done operation."""
    unfinished = or_(Operation.state.in_(UNFINISHED), is_half_done(kinds))
    busy = select(Operation.tenant_id).where(unfinished, Operation.tenant_id.is_not(None))
    statement = select(Tenant).where(Tenant.server == server, Tenant.id.not_in(busy)).order_by(Tenant.slug)
    return list(session.scalars(statement))
