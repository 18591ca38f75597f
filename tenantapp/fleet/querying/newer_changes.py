"""What was changed in a tenant since a time, for instance since a backup?"""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from tenantapp.fleet.querying.parallel import local_access_to
from tenantapp.tenancy.access import TenantPlace
from tenantapp.tenancy.databases import TenantDatabases
from tenantapp.tenancy.known_tables import has_table
from tenantapp.tenancy.models import Change, ChangeCounter

MOST: Final = 10_000  # changes that are looked at, the newest ones


@dataclass(frozen=True, slots=True)
class NewerChanges:
    """The number of changed rows by table. ``complete`` is false if there may be more than the log could tell."""

    tables: dict[str, int]
    last_at: datetime | None
    complete: bool


def newer_changes(databases: TenantDatabases, place: TenantPlace, since: datetime, most: int = MOST) -> NewerChanges:
    """Count the rows of ``Tracked`` models that were created, changed or deleted after a time.

    Raises what reading a tenant's database raises.
    """
    with databases.for_access(local_access_to(place)).get_session(read_only=True) as session:
        if not has_table(session, Change.__tablename__):
            return NewerChanges({}, None, complete=False)
        return _count(session, since, most)


def _count(session: Session, since: datetime, most: int) -> NewerChanges:
    counter = session.execute(select(ChangeCounter.position, ChangeCounter.removed)).one_or_none()
    last, removed = counter or (0, 0)
    begin = max(removed, last - most)
    rows = session.execute(
        select(
            Change.table_name,
            func.count(Change.row_id.distinct()),
            func.min(Change.position),
            func.max(Change.at),
        )
        .where(Change.position > begin, Change.at > since)
        .group_by(Change.table_name)
        .order_by(Change.table_name)
    ).all()
    # The change before the first newer one must be known too: otherwise there may be newer ones before it. If there is
    # no newer one, that is the last change.
    before = min((first for _, _, first, _ in rows), default=last + 1) - 1
    return NewerChanges(
        {table: count for table, count, _, _ in rows},
        max((at for *_, at in rows), default=None),
        complete=before > begin or begin == 0,
    )
