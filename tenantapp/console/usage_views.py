"""What tenants use, and what takes long, over HTTP: for operators, and their own for administrators of a tenant."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import UUID

from pydantic import AwareDatetime, Field
from pyramid.config import Configurator

from tenantapp.answers import Page
from tenantapp.api.query import DEFAULT_LIMIT, MAX_LIMIT, NoQuery, PageQuery, bad_query, page_of
from tenantapp.api.views import api_view
from tenantapp.console.declarations import fleet_view
from tenantapp.console.usage_answers import HourOfUsage, Statement, TenantUsage
from tenantapp.identity.permissions import Permission
from tenantapp.sql.times import utcnow
from tenantapp.tenancy.request import TenantRequest
from tenantapp.usage.models import Databases
from tenantapp.usage.reading import (
    Period,
    Place,
    Sort,
    describe_hour,
    describe_tenant_total,
    list_hours,
    list_tenants_by_use,
    period_of,
    place_of,
    tenants_called,
)
from tenantapp.usage.statement_reading import StatementSort, describe_statement, list_statements

USUAL: Final = timedelta(hours=24)
LATELY: Final = timedelta(hours=1)
MOST: Final = 2**63 - 1  # of a sum in the database


class HourQuery(PageQuery):
    """The period, by default the last 24 hours."""

    since: AwareDatetime | None = None
    until: AwareDatetime | None = None

    def period(self) -> Period:
        """Return the period."""
        return period_of(self.since or utcnow() - USUAL, self.until)


class FleetHourQuery(HourQuery):
    """The period, and the tenant: by default all together."""

    slug: str | None = None


class UsageQuery(FleetHourQuery):
    """The period, the tenant, and what those with most come first of."""

    sort: Sort = Sort.REQUESTS


class StatementQuery(NoQuery):
    """The period, by default the last hour, the databases, and what the statements with most come first of."""

    since: AwareDatetime | None = None
    until: AwareDatetime | None = None
    database: Databases | None = None
    sort: StatementSort = StatementSort.MILLISECONDS
    limit: int = Field(DEFAULT_LIMIT, ge=1, le=MAX_LIMIT)


@fleet_view("fleet_usage", "GET", query=UsageQuery, answer=Page[TenantUsage], problems=("not_found",))
def list_usage(request: TenantRequest) -> dict[str, Any]:
    """Return a page of what each tenant has used in a period, those with most first."""
    query: UsageQuery = request.checked_query
    found = list_tenants_by_use(
        request.user_session,
        query.period(),
        tenants=_tenants(request, query.slug),
        sort=query.sort,
        after=_place(query.after()),
        limit=query.limit + 1,
    )
    page = page_of(found, query.limit, lambda total: "{0.amount} {0.tenant_id}".format(place_of(total, query.sort)))
    return {"items": [describe_tenant_total(total) for total in page["items"]], "next": page["next"]}


@fleet_view("fleet_usage_hours", "GET", query=FleetHourQuery, answer=Page[HourOfUsage], problems=("not_found",))
def list_usage_by_hour(request: TenantRequest) -> dict[str, Any]:
    """Return a page of what was used in each hour, the latest first: by one tenant, or by all together."""
    return _hours(request, _tenants(request, request.checked_query.slug))


@fleet_view("fleet_statements", "GET", query=StatementQuery, answer=Page[Statement])
def list_slowest_statements(request: TenantRequest) -> dict[str, Any]:
    """Return the statements of requests that took longest in a period, by all processes of all machines."""
    query: StatementQuery = request.checked_query
    found = list_statements(
        request.user_session,
        period_of(query.since or utcnow() - LATELY, query.until),
        database=query.database,
        sort=query.sort,
        limit=query.limit,
    )
    return {"items": [describe_statement(total) for total in found], "next": None}


@api_view("tenant_usage", "GET", permission=Permission.MEMBERS_MANAGE, query=HourQuery, answer=Page[HourOfUsage])
def list_own_usage(request: TenantRequest) -> dict[str, Any]:
    """Return a page of what the selected tenant has used in each hour, the latest first."""
    return _hours(request, [request.access.require_tenant().id])


def _hours(request: TenantRequest, tenants: Sequence[UUID] | None) -> dict[str, Any]:
    query: HourQuery = request.checked_query
    period, before = query.period(), _hour(query.after())
    found = list_hours(request.user_session, period, tenants=tenants, before=before, limit=query.limit + 1)
    page = page_of(found, query.limit, lambda total: str(int(total.hour.timestamp())))
    return {"items": [describe_hour(total) for total in page["items"]], "next": page["next"]}


def _tenants(request: TenantRequest, slug: str | None) -> Sequence[UUID] | None:
    return None if slug is None else tenants_called(request.user_session, slug)


def _place(after: str | None) -> Place | None:
    if after is None:
        return None
    try:
        amount, _, tenant_id = after.partition(" ")
        return Place(min(max(int(amount), 0), MOST), UUID(tenant_id))
    except ValueError:
        raise _not_of_this_list() from None


def _hour(after: str | None) -> datetime | None:
    try:
        return None if after is None else datetime.fromtimestamp(int(after), UTC)
    except (ValueError, OverflowError, OSError):
        raise _not_of_this_list() from None


def _not_of_this_list() -> Exception:
    return bad_query("cursor", "This is not a cursor of this list.")


def includeme(config: Configurator) -> None:
    """Add the routes."""
    config.add_route("fleet_usage", "/fleet/usage")
    config.add_route("fleet_usage_hours", "/fleet/usage/hours")
    config.add_route("fleet_statements", "/fleet/statements")
    config.add_route("tenant_usage", "/tenant/usage")
