"""When does a worker look into which tenant? The rows are in the user database, so an idle worker opens no other one.

One worker visits a tenant at a time. It has a lease, by the clock of the user database, which it renews while its jobs
may run. A visit whose lease has run out is due: its worker is dead, or its job takes too long.
"""

import hashlib
import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final, NamedTuple
from uuid import UUID

from sqlalchemy import ColumnElement, Select, Uuid, and_, bindparam, case, exists, func, or_, select, update
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from tenantapp.identity.models import Tenant, TenantState, UserBase
from tenantapp.identity.tenants import place_of
from tenantapp.operations.leases import database_time, new_owner
from tenantapp.sql.errors import SqlError
from tenantapp.sql.prepared import LoneSelect
from tenantapp.sql.times import UtcDateTime, utcnow
from tenantapp.sql.upsert import insert_for, insert_ignoring_conflicts
from tenantapp.tenancy.access import TenantPlace
from tenantapp.tenancy.dbfactory import DBFactory
from tenantapp.tenancy.errors import TenancyError
from tenantapp.trace_context import present_traceparent, read_traceparent
from tenantapp.work.models import TenantVisit

log = logging.getLogger(__name__)
LEASE: Final = timedelta(seconds=30)
AT_ONCE: Final = 1000  # tenants whose visits are added in one transaction
VISITS: Final = UserBase.metadata.tables[TenantVisit.__tablename__]
_NOW: Final = bindparam("now", type_=UtcDateTime)
_SERVED: Final = (
    Tenant.state == TenantState.ACTIVE,
    or_(Tenant.migrating_until.is_(None), Tenant.migrating_until <= _NOW),
)


@dataclass(frozen=True, slots=True)
class Visit:
    """A worker's visit to a tenant. ``owner`` is the name of this visit alone. ``seen`` is that of ``TenantVisit``.

    ``cause`` is the ``traceparent`` of what has made it due.
    """

    place: TenantPlace
    owner: str = field(default_factory=new_owner)
    seen: str | None = None
    cause: str | None = None


class Renewed(NamedTuple):
    """What the renewal of a lease has told.

    ``cancel_id`` is the job that is to be cancelled. ``served`` is false if the tenant is suspended or being migrated.
    """

    cancel_id: UUID | None
    served: bool


class _Due(NamedTuple):
    tenant_id: UUID


def incarnation(place: TenantPlace) -> str:
    """Return a text that changes whenever a tenant gets another database or another epoch."""
    return f"{place.database} {place.epoch}"


def note_visit(session: Session, tenant_id: UUID, due_at: datetime) -> None:
    """Have the tenant visited at this time, if it would be visited later. If this thread is traced, note that too."""
    traceparent = present_traceparent()
    insert = insert_for(session, TenantVisit).values(
        tenant_id=tenant_id, progress=0.0, due_at=due_at, traceparent=traceparent
    )
    new, later = insert.excluded, TenantVisit.due_at > insert.excluded.due_at
    changed: dict[str, ColumnElement[Any]] = {"due_at": case((later, new.due_at), else_=TenantVisit.due_at)}
    if traceparent is not None:
        changed["traceparent"] = func.coalesce(TenantVisit.traceparent, new.traceparent)
    wanted = later if traceparent is None else or_(later, TenantVisit.traceparent.is_(None))
    session.execute(insert.on_conflict_do_update(index_elements=[TenantVisit.tenant_id], set_=changed, where=wanted))


def note_after_commit(user_db: DBFactory, tenant_id: UUID, due_at: datetime) -> None:
    """Note a visit as well as possible: without the note, the job is found later, when all tenants are visited."""
    try:
        noted = {"tenant_id": tenant_id, "due_at": due_at}
        if present_traceparent() is not None or not user_db.fetch(_NOTED, noted):
            with user_db.begin() as session:
                note_visit(session, tenant_id, due_at)
    except (SqlError, TenancyError, DBAPIError) as error:
        log.warning("A job of the tenant %s waits until all tenants are visited: %s", tenant_id, error)


def is_visit_due(user_db: DBFactory, outdated: frozenset[str | None]) -> bool:
    """Return whether ``claim_visits`` would find one. It sends one statement, alone."""
    return bool(user_db.fetch(_is_due(outdated), {"now": utcnow()}))


def claim_visits(
    session: Session, most: int, outdated: frozenset[str | None], now: datetime | None = None
) -> list[Visit]:
    """Claim the visits that have been due for longest. Tenants at an ``outdated`` revision are left out.

    ``now`` is the time by the clock of the user database, if no other is given.
    """
    now = now or database_time(session)
    due = _due(outdated).with_only_columns(TenantVisit, Tenant).order_by(TenantVisit.due_at).limit(most)
    claimed = []
    for row, tenant in session.execute(due.with_for_update(of=TenantVisit, skip_locked=True), {"now": now}).all():
        visit = Visit(place_of(tenant), seen=row.seen, cause=read_traceparent(row.traceparent))
        row.owner, row.lease_until, row.due_at = visit.owner, now + LEASE, now + LEASE
        row.job_id = row.cancel_id = row.progress_text = row.traceparent = None
        row.progress = 0.0
        claimed.append(visit)
    return claimed


def renew_visit(
    session: Session, visit: Visit, job_id: UUID | None, progress: float, text: str | None
) -> Renewed | None:
    """Renew the lease of a visit, and record the job that runs. Return None if the visit is another worker's by now."""
    until = database_time(session) + LEASE
    changed = (
        update(VISITS)
        .where(*_is(visit))
        .values(
            lease_until=until,
            due_at=case((VISITS.c.due_at == VISITS.c.lease_until, until), else_=VISITS.c.due_at),
            job_id=job_id,
            progress=progress,
            progress_text=text,
        )
    )
    row = session.execute(changed.returning(VISITS.c.cancel_id)).one_or_none()
    if row is None:
        return None
    served = select(Tenant.id).where(Tenant.id == visit.place.id, *_SERVED)
    return Renewed(row.cancel_id, session.scalar(served, {"now": database_time(session)}) is not None)


def end_visit(session: Session, visit: Visit, due_at: datetime, *, seen: bool) -> None:
    """End a visit. The next one is at ``due_at``, or earlier if new jobs were noted meanwhile.

    ``seen`` says that the visit came to the tenant's database. Nothing happens if the visit is another worker's by now.
    """
    noted = and_(VISITS.c.due_at != VISITS.c.lease_until, VISITS.c.due_at < due_at)
    changed = {"seen": incarnation(visit.place)} if seen else {}
    session.execute(
        update(VISITS)
        .where(*_is(visit))
        .values(
            due_at=case((noted, VISITS.c.due_at), else_=due_at),
            owner=None,
            lease_until=None,
            job_id=None,
            cancel_id=None,
            progress=0.0,
            progress_text=None,
            **changed,
        )
    )


def add_missing_visits(user_db: DBFactory, every: timedelta) -> int:
    """Have all tenants visited that never were. Return how many.

    New tenants are visited at once, the others within ``every``, not all at the same time.
    """
    with user_db.begin(read_only=True) as session:
        found = session.execute(_unvisited(Tenant.id, Tenant.created_at).order_by(Tenant.id)).all()
    now = utcnow()
    rows = [
        {"tenant_id": tenant_id, "due_at": now if created_at > now - every else now + every * _share(tenant_id)}
        for tenant_id, created_at in found
    ]
    for first in range(0, len(rows), AT_ONCE):
        with user_db.begin() as session:
            insert_ignoring_conflicts(session, TenantVisit, rows[first : first + AT_ONCE])
    return len(rows)


def get_visit(session: Session, tenant_id: UUID) -> TenantVisit | None:
    """Return the row of a tenant's visits, or None if there is none yet."""
    return session.get(TenantVisit, tenant_id)


def _unvisited(*columns: Any) -> Select[*tuple[Any, ...]]:
    known = exists().where(TenantVisit.tenant_id == Tenant.id)
    return select(*columns).where(Tenant.state == TenantState.ACTIVE, ~known)


def _is(visit: Visit) -> Sequence[ColumnElement[bool]]:
    return VISITS.c.tenant_id == visit.place.id, VISITS.c.owner == visit.owner


def _due(outdated: frozenset[str | None]) -> Select[*tuple[Any, ...]]:
    """Return a SELECT of the visits that are due at the parameter ``now``, of tenants that are served now."""
    due = (
        select(TenantVisit.tenant_id)
        .join(Tenant, Tenant.id == TenantVisit.tenant_id)
        .where(TenantVisit.due_at <= _NOW, or_(TenantVisit.lease_until.is_(None), TenantVisit.lease_until <= _NOW))
        .where(*_SERVED)
    )
    if not outdated:
        return due
    served = Tenant.revision.not_in(sorted(revision for revision in outdated if revision is not None))
    return due.where(served if None in outdated else or_(Tenant.revision.is_(None), served))


# One statement, alone: of many jobs only the first has its visit noted.
_NOTED: Final[LoneSelect[_Due]] = LoneSelect(
    select(TenantVisit.tenant_id).where(
        TenantVisit.tenant_id == bindparam("tenant_id", type_=Uuid),
        TenantVisit.due_at <= bindparam("due_at", type_=UtcDateTime),
    ),
    _Due,
)
_lone: dict[frozenset[str | None], LoneSelect[_Due]] = {}


def _is_due(outdated: frozenset[str | None]) -> LoneSelect[_Due]:
    """Return the statement of ``is_visit_due``, which is compiled once."""
    if outdated not in _lone:
        _lone[outdated] = LoneSelect(_due(outdated).limit(1), _Due)
    return _lone[outdated]


def _share(tenant_id: UUID) -> float:
    """Return a fraction, from 0 to 1, that differs between tenants and stays the same."""
    return int.from_bytes(hashlib.sha256(tenant_id.bytes).digest()[:6]) / 2**48
