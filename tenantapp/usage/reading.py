"""Sum up what tenants have used: of each tenant, or of each hour."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any, Final, NamedTuple
from uuid import UUID

from sqlalchemy import BigInteger, ColumnElement, Label, Select, and_, cast, func, or_, select
from sqlalchemy.orm import Session

from tenantapp.identity.errors import NotFound
from tenantapp.identity.models import Tenant
from tenantapp.sql.times import utcnow
from tenantapp.usage.models import TenantUsage

MICROSECONDS: Final = 1000  # of a millisecond
LONGEST: Final = timedelta(days=36_500)


class Sort(StrEnum):
    """By which sum tenants are sorted, the greatest first."""

    REQUESTS = "requests"
    MILLISECONDS = "milliseconds"
    DATABASE_MILLISECONDS = "database_milliseconds"
    BYTES_SENT = "bytes_sent"
    ROWS_WRITTEN = "rows_written"


class Period(NamedTuple):
    """The hours that begin at ``since`` or later, and before ``until`` if that is given. Both are in UTC."""

    since: datetime
    until: datetime | None = None


def period_of(since: datetime, until: datetime | None = None) -> Period:
    """Return the period of these aware times. It begins with the whole hour that ``since`` is in.

    Times that are a hundred years away are brought nearer: in UTC they might be none.
    """
    begins = _brought_near(since).replace(minute=0, second=0, microsecond=0)
    return Period(begins, None if until is None else _brought_near(until))


def _brought_near(time: datetime) -> datetime:
    now = utcnow()
    return min(max(time, now - LONGEST), now + LONGEST).astimezone(UTC)


class _Sums(NamedTuple):
    requests: int
    microseconds: int
    database_microseconds: int
    bytes_sent: int
    rows_written: int


class TenantTotal(NamedTuple):
    """What a tenant has used in a period. ``slug`` is its present one, or the last one of a tenant that was removed.

    ``hour`` is the last hour of the period in which it was used.
    """

    tenant_id: UUID
    slug: str
    hour: datetime
    sums: _Sums


class HourTotal(NamedTuple):
    """What was used in an hour."""

    hour: datetime
    sums: _Sums


def _sum(column: Any) -> ColumnElement[int]:
    # PostgreSQL makes numbers without a bound of sums of large ones.
    return cast(func.sum(column), BigInteger)


_SUMS: Final[dict[str, Label[int]]] = {name: _sum(getattr(TenantUsage, name)).label(name) for name in _Sums._fields}
_SORTED_BY: Final[dict[Sort, str]] = {
    Sort.REQUESTS: "requests",
    Sort.MILLISECONDS: "microseconds",
    Sort.DATABASE_MILLISECONDS: "database_microseconds",
    Sort.BYTES_SENT: "bytes_sent",
    Sort.ROWS_WRITTEN: "rows_written",
}


class Place(NamedTuple):
    """The place of a tenant in a list: the sum that it is sorted by, and its id."""

    amount: int
    tenant_id: UUID


def place_of(total: TenantTotal, sort: Sort) -> Place:
    """Return the place of a tenant in a list that is sorted so."""
    return Place(getattr(total.sums, _SORTED_BY[sort]), total.tenant_id)


def list_tenants_by_use(
    session: Session,
    period: Period,
    *,
    tenants: Sequence[UUID] | None = None,
    sort: Sort = Sort.REQUESTS,
    after: Place | None = None,
    limit: int = 50,
) -> list[TenantTotal]:
    """Return what tenants have used in a period, those with most first. ``after`` continues a list.

    While tenants are used their sums grow, so the next page may have a tenant again.
    """
    amount = _SUMS[_SORTED_BY[sort]]
    statement = (
        select(TenantUsage.tenant_id, func.max(TenantUsage.hour).label("hour"), *_SUMS.values())
        .where(*_within(period, tenants))
        .group_by(TenantUsage.tenant_id)
        .order_by(amount.desc(), TenantUsage.tenant_id)
        .limit(limit)
    )
    if after is not None:
        total = _sum(getattr(TenantUsage, _SORTED_BY[sort]))
        same = and_(total == after.amount, TenantUsage.tenant_id > after.tenant_id)
        statement = statement.having(or_(total < after.amount, same))
    found = session.execute(_named(statement, amount.name))
    return [TenantTotal(row[0], row[1], row[2], _Sums._make(row[3:])) for row in found]


def _named(statement: Select[*tuple[Any, ...]], amount: str) -> Select[*tuple[Any, ...]]:
    """Return the statement with the slugs of its tenants. They are looked up for the rows of the page alone."""
    page = statement.subquery()
    last_slug = select(TenantUsage.slug).where(TenantUsage.tenant_id == page.c.tenant_id)
    slug = func.coalesce(Tenant.slug, last_slug.order_by(TenantUsage.hour.desc()).limit(1).scalar_subquery())
    return (
        select(page.c.tenant_id, slug, page.c.hour, *(page.c[name] for name in _SUMS))
        .outerjoin_from(page, Tenant, Tenant.id == page.c.tenant_id)
        .order_by(page.c[amount].desc(), page.c.tenant_id)
    )


def list_hours(
    session: Session,
    period: Period,
    *,
    tenants: Sequence[UUID] | None = None,
    before: datetime | None = None,
    limit: int = 50,
) -> list[HourTotal]:
    """Return what was used in each hour of a period, the latest first, without hours in which nothing was.

    ``before`` continues a list.
    """
    statement = (
        select(TenantUsage.hour, *_SUMS.values())
        .where(*_within(period, tenants))
        .group_by(TenantUsage.hour)
        .order_by(TenantUsage.hour.desc())
        .limit(limit)
    )
    if before is not None:
        statement = statement.where(TenantUsage.hour < before)
    return [HourTotal(row[0], _Sums._make(row[1:])) for row in session.execute(statement)]


def tenants_called(session: Session, slug: str) -> list[UUID]:
    """Return the id of the tenant with this slug, or those of removed tenants that had it last. Raises ``NotFound``."""
    if (present := session.scalar(select(Tenant.id).where(Tenant.slug == slug))) is not None:
        return [present]
    removed = select(TenantUsage.tenant_id).where(TenantUsage.slug == slug).distinct()
    if not (found := list(session.scalars(removed.where(~TenantUsage.tenant_id.in_(select(Tenant.id)))))):
        raise NotFound("tenant", slug)
    return found


def describe_tenant_total(total: TenantTotal) -> dict[str, Any]:
    """Return what a tenant has used, as operators see it, over HTTP and on the command line."""
    return {"tenant_id": total.tenant_id, "slug": total.slug, **_described(total.sums), "hour": total.hour}


def describe_hour(total: HourTotal) -> dict[str, Any]:
    """Return what was used in an hour."""
    return {"hour": total.hour, **_described(total.sums)}


def _described(sums: _Sums) -> dict[str, int]:
    return {
        "requests": sums.requests,
        "milliseconds": round(sums.microseconds / MICROSECONDS),
        "database_milliseconds": round(sums.database_microseconds / MICROSECONDS),
        "bytes_sent": sums.bytes_sent,
        "rows_written": sums.rows_written,
    }


def _within(period: Period, tenants: Sequence[UUID] | None) -> list[ColumnElement[bool]]:
    conditions = [TenantUsage.hour >= period.since]
    if period.until is not None:
        conditions.append(TenantUsage.hour < period.until)
    if tenants is not None:
        conditions.append(TenantUsage.tenant_id.in_(tenants))
    return conditions
