"""Keeping a tenant's people out while its database is moved: a time in the tenant's row, which every request reads.

It is moved on while somebody is at work, so that the tenant of one that was killed is served again soon.
"""

from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Any, Final, NamedTuple
from uuid import UUID

from sqlalchemy import ColumnElement, Interval, func, literal, select, update
from sqlalchemy.engine import Connection

from tenantapp.fleet.operations.leases import LEASE
from tenantapp.identity.models import Tenant, TenantState
from tenantapp.tenancy.access import TenantPlace
from tenantapp.tenancy.times import UtcDateTime, utcnow

FENCE: Final = LEASE
# Longer where a copy may have to be put back: that would undo what people have done meanwhile.
SNAPSHOT_FENCE: Final = timedelta(minutes=15)
SERVED: Final = (TenantState.ACTIVE, TenantState.SUSPENDED)


class Fenced(NamedTuple):
    """The tenant as it was when the fence went up. ``was_up``: nobody was served since it went up before."""

    place: TenantPlace
    revision: str | None
    was_up: bool


def database_now(connection: Connection) -> ColumnElement[datetime]:
    """The time by the clock of the user database, see ``operations.leases``, as a part of a statement."""
    if connection.dialect.name == "postgresql":
        return func.clock_timestamp(type_=UtcDateTime)
    return literal(utcnow(), UtcDateTime)


def later(connection: Connection, wait: timedelta) -> Any:
    """That time and a while."""
    if connection.dialect.name == "postgresql":
        return database_now(connection) + literal(wait, Interval)
    return literal(utcnow() + wait, UtcDateTime)


def raise_fence(connection: Connection, tenant_id: UUID, *, snapshot: bool = False) -> Fenced | None:
    """Let no request begin from now on. None if there is no such tenant, or it is still being made."""
    was_up = snapshot and _is_up(connection, tenant_id)
    statement = (
        update(Tenant)
        .where(Tenant.id == tenant_id, Tenant.state.in_(SERVED))
        .values(migrating_until=later(connection, SNAPSHOT_FENCE if snapshot else FENCE))
        .returning(Tenant.id, Tenant.slug, Tenant.name, Tenant.server, Tenant.database, Tenant.revision)
    )
    row = connection.execute(statement).one_or_none()
    return None if row is None else Fenced(TenantPlace(*row[:5]), row.revision, was_up)


def lower_fence(connection: Connection, tenant_id: UUID) -> None:
    """Serve the tenant again."""
    connection.execute(update(Tenant).where(Tenant.id == tenant_id).values(migrating_until=None))


def record_revision(connection: Connection, tenant_id: UUID, revision: str | None) -> None:
    """Serve it again, at another revision."""
    connection.execute(update(Tenant).where(Tenant.id == tenant_id).values(migrating_until=None, revision=revision))


def hold_fences(connection: Connection, tenant_ids: Collection[UUID], *, snapshot: bool = False) -> None:
    """Move the time on where a fence is still up."""
    up = update(Tenant).where(Tenant.id.in_(tenant_ids), Tenant.migrating_until.is_not(None))
    connection.execute(up.values(migrating_until=later(connection, SNAPSHOT_FENCE if snapshot else FENCE)))


def _is_up(connection: Connection, tenant_id: UUID) -> bool:
    is_up = select(Tenant.id).where(Tenant.id == tenant_id, Tenant.migrating_until > database_now(connection))
    return connection.execute(is_up).first() is not None
