"""The work of ``fleet usage`` and ``fleet slowest``."""

from datetime import timedelta
from typing import Final

from tenantapp.cli.installation import Installation
from tenantapp.cli.output import show_rows
from tenantapp.sql.times import utcnow
from tenantapp.usage.reading import (
    LONGEST,
    Sort,
    describe_hour,
    describe_tenant_total,
    list_hours,
    list_tenants_by_use,
    period_of,
    tenants_called,
)
from tenantapp.usage.statement_reading import StatementSort, describe_statement, list_statements

SUMS: Final = ("requests", "milliseconds", "database_milliseconds", "bytes_sent", "rows_written")
STATEMENT: Final = ("milliseconds", "worst_milliseconds", "calls", "database", "statement")


def show_hours(installation: Installation, slug: str | None, since: timedelta, limit: int, as_json: bool) -> None:
    """Print what was used in each hour, the latest first: by one tenant, or by all together.

    Raises ``NotFound`` if there is no such tenant and none was removed that has left any use.
    """
    with installation.user_session(read_only=True) as session:
        tenants = None if slug is None else tenants_called(session, slug)
        found = list_hours(session, period_of(utcnow() - min(since, LONGEST)), tenants=tenants, limit=limit)
    show_rows(map(describe_hour, found), ("hour", *SUMS), as_json=as_json)


def show_tenants(
    installation: Installation, slug: str | None, since: timedelta, sort: str, limit: int, as_json: bool
) -> None:
    """Print what each tenant has used, those with most first. Raises ``NotFound`` as ``show_hours`` does."""
    with installation.user_session(read_only=True) as session:
        tenants = None if slug is None else tenants_called(session, slug)
        found = list_tenants_by_use(
            session, period_of(utcnow() - min(since, LONGEST)), tenants=tenants, sort=Sort(sort), limit=limit
        )
    show_rows(map(describe_tenant_total, found), ("slug", *SUMS, "hour"), as_json=as_json)


def show_statements(installation: Installation, since: timedelta, sort: str, limit: int, as_json: bool) -> None:
    """Print the statements of requests that took longest."""
    with installation.user_session(read_only=True) as session:
        period = period_of(utcnow() - min(since, LONGEST))
        found = list_statements(session, period, sort=StatementSort(sort), limit=limit)
    show_rows(map(describe_statement, found), STATEMENT, as_json=as_json)
