"""How much storage a tenant may use: a quota of its own, or the default of the settings.

Storage is measured now and then, not in requests. ``storage_full`` says what follows from the last measurement, and is
read with each access.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final, NamedTuple
from uuid import UUID

from sqlalchemy import BigInteger, ColumnElement, bindparam, func, or_, select, update
from sqlalchemy.orm import Session

from tenantapp.identity.audit import record
from tenantapp.identity.errors import InvalidValue
from tenantapp.identity.models import Tenant
from tenantapp.identity.tenants import served_tenant
from tenantapp.sql.times import utcnow

NEAR: Final = 0.8  # of the quota: from there on, operators are told
SMALLEST: Final = 1
LARGEST: Final = 2**60  # bytes


class Filling(NamedTuple):
    """A tenant, the bytes that it uses, and its quota."""

    slug: str
    used: int
    quota: int

    @property
    def part(self) -> float:
        """Return which part of the quota is used."""
        return self.used / self.quota


def set_storage_quota(session: Session, slug: str, quota: int | None, default: int | None) -> Tenant:
    """Give a tenant a quota, in bytes, or with None that of the settings, ``default``, from the next request on.

    What counts until the next measurement is the last one. Raises ``NotFound``, ``TenantUnfinished``,
    ``TenantDeleted`` and ``InvalidValue``.
    """
    if quota is not None and not SMALLEST <= quota <= LARGEST:
        raise InvalidValue("storage_quota", f"A quota has from {SMALLEST} to {LARGEST} bytes.")
    tenant = served_tenant(session, slug, for_update=True)
    tenant.storage_quota = quota
    bound = default if quota is None else quota
    tenant.storage_full = bound is not None and tenant.storage_used is not None and tenant.storage_used >= bound
    record(session, "tenant.quota", tenant_id=tenant.id, slug=tenant.slug, detail={"storage_quota": quota})
    session.flush()
    return tenant


def tenants_to_measure(session: Session, default: int | None, before: datetime, most: int) -> list[Tenant]:
    """Return tenants with a quota that were last measured before a time, the longest ago first."""
    statement = (
        select(Tenant)
        .where(Tenant.is_served)
        .where(or_(Tenant.storage_measured_at.is_(None), Tenant.storage_measured_at < before))
        .order_by(Tenant.storage_measured_at.asc().nulls_first(), Tenant.id)
        .limit(most)
    )
    if default is None:
        # Those that have lost their quota are measured once more, so that they are not full for ever.
        statement = statement.where(or_(Tenant.storage_quota.is_not(None), Tenant.storage_full))
    return list(session.scalars(statement))


def note_storage(session: Session, used: Mapping[UUID, int | None], default: int | None) -> list[Filling]:
    """Note what tenants use, in bytes, or with None only that they could not be measured.

    Return those that have reached ``NEAR`` of their quota, or all of it, since they were measured before.
    """
    rows = session.execute(
        select(Tenant.id, Tenant.slug, Tenant.storage_used, _quota(default))
        .where(Tenant.id.in_(used))
        .order_by(Tenant.id)  # two workers that measure at once lock the rows in one order
    ).all()
    measured = update(Tenant).where(Tenant.id == bindparam("tenant_id"))
    now = utcnow()
    reached = []
    for tenant_id, slug, before, quota in rows:
        bytes_used = used[tenant_id]
        values: dict[str, Any] = {"storage_measured_at": now}
        if bytes_used is not None:
            # The quota of the row as it is then: an operator may change it at the same moment.
            full = func.coalesce(_quota(default) <= bytes_used, False)
            values |= {"storage_used": bytes_used, "storage_full": full}
            if quota is not None and _step(bytes_used, quota) > _step(before or 0, quota):
                reached.append(Filling(slug, bytes_used, quota))
        session.execute(measured.values(values), {"tenant_id": tenant_id})
    return reached


def count_filled(session: Session, default: int | None) -> tuple[int, int]:
    """Return how many tenants use ``NEAR`` of their quota or more, and how many of these all of it."""
    near = Tenant.storage_used >= _quota(default) * NEAR
    statement = select(func.count().filter(near), func.count().filter(Tenant.storage_full)).where(Tenant.is_served)
    found = session.execute(statement).one()
    return int(found[0]), int(found[1])


def _step(used: int, quota: int) -> int:
    return (used >= NEAR * quota) + (used >= quota)


def _quota(default: int | None) -> ColumnElement[int | None]:
    return func.coalesce(Tenant.storage_quota, bindparam(None, default, type_=BigInteger))
