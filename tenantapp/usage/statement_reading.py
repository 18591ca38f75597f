"""Sum up how long statements took in a period."""

from enum import StrEnum
from typing import Any, NamedTuple

from sqlalchemy import BigInteger, cast, func, select
from sqlalchemy.orm import Session

from tenantapp.usage.models import Databases, StatementUsage
from tenantapp.usage.reading import MICROSECONDS, Period


class StatementSort(StrEnum):
    """By what statements are sorted, the greatest first."""

    MILLISECONDS = "milliseconds"
    WORST_MILLISECONDS = "worst_milliseconds"
    CALLS = "calls"


class StatementTotal(NamedTuple):
    """How often a statement was executed in a period, and how long that took. Its text has no values."""

    database: str
    text: str
    calls: int
    microseconds: int
    worst_microseconds: int


def list_statements(
    session: Session,
    period: Period,
    *,
    database: Databases | None = None,
    sort: StatementSort = StatementSort.MILLISECONDS,
    limit: int = 50,
) -> list[StatementTotal]:
    """Return the statements of requests in a period, those with most first."""
    sums = {
        StatementSort.CALLS: cast(func.sum(StatementUsage.calls), BigInteger),
        StatementSort.MILLISECONDS: cast(func.sum(StatementUsage.microseconds), BigInteger),
        StatementSort.WORST_MILLISECONDS: func.max(StatementUsage.worst_microseconds),
    }
    statement = (
        select(StatementUsage.database, func.max(StatementUsage.text), *sums.values())
        .where(StatementUsage.hour >= period.since)
        .group_by(StatementUsage.database, StatementUsage.digest)
        .order_by(sums[sort].desc(), StatementUsage.database, StatementUsage.digest)
        .limit(limit)
    )
    if period.until is not None:
        statement = statement.where(StatementUsage.hour < period.until)
    if database is not None:
        statement = statement.where(StatementUsage.database == database)
    return [StatementTotal(row[0], row[1], row[2], row[3], row[4]) for row in session.execute(statement)]


def describe_statement(total: StatementTotal) -> dict[str, Any]:
    """Return a statement as operators see it, over HTTP and on the command line."""
    return {
        "database": total.database,
        "statement": total.text,
        "calls": total.calls,
        "milliseconds": total.microseconds / MICROSECONDS,
        "worst_milliseconds": total.worst_microseconds / MICROSECONDS,
    }
