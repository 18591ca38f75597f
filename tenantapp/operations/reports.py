"""Say in the user database how something is at present, so that every process can show it, on every machine.

A report replaces the one before. It is only shown: no work depends on it. What is no longer reported is old after a
while, and is not shown.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Final, NamedTuple

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from tenantapp.operations.leases import database_time
from tenantapp.operations.models import Report
from tenantapp.sql.upsert import insert_for

KEPT: Final = timedelta(days=1)


class Subject(StrEnum):
    """What is reported on."""

    PROCESS = "process"
    REPLICATION = "replication"


class Reported(NamedTuple):
    """A report: whom it is on, and when it was made, by the clock of the user database."""

    name: str
    seen_at: datetime
    content: Mapping[str, Any]


def report(session: Session, subject: Subject, name: str, content: Mapping[str, Any]) -> None:
    """Replace the report on this one."""
    insert = insert_for(session, Report).values(
        subject=subject, name=name, seen_at=database_time(session), content=content
    )
    changed = {each: insert.excluded[each] for each in ("seen_at", "content")}
    session.execute(insert.on_conflict_do_update(index_elements=["subject", "name"], set_=changed))


def list_reports(session: Session, subject: Subject, within: timedelta) -> list[Reported]:
    """Return the reports of this last time, by name."""
    found = select(Report.name, Report.seen_at, Report.content).where(
        Report.subject == subject, Report.seen_at > database_time(session) - within
    )
    return [Reported(row[0], row[1], row[2]) for row in session.execute(found.order_by(Report.name))]


def forget(session: Session, subject: Subject, name: str) -> None:
    """Remove a report."""
    session.execute(delete(Report).where(Report.subject == subject, Report.name == name))
