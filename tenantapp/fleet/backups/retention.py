"""Which backups are kept, and which go."""

from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import Final
from uuid import UUID

from tenantapp.fleet.backups.records import BackupRecord
from tenantapp.fleet.backups.store import Store

# What a day, an ISO week, a month and a year are called.
PERIODS: Final[Mapping[str, Callable[[datetime], object]]] = {
    "daily": lambda moment: moment.date(),
    "weekly": lambda moment: moment.isocalendar()[:2],
    "monthly": lambda moment: (moment.year, moment.month),
    "yearly": lambda moment: moment.year,
}


def kept(records: Iterable[BackupRecord], policy: Mapping[str, int]) -> set[str]:
    """The files of the backups to be kept: the newest of each of the last so many days, weeks, months, in UTC.

    Only periods that have a backup count, so that nothing goes because no backups were made. The newest is always kept.
    """
    newest_first = sorted(records, key=lambda record: (record.created_at, record.file), reverse=True)
    keep = {record.file for record in newest_first[:1]}
    for word, count in policy.items():
        periods: dict[object, str] = {}
        for record in newest_first:
            periods.setdefault(PERIODS[word](record.created_at.astimezone(UTC)), record.file)
        keep |= set(list(periods.values())[:count])
    return keep


def prune(store: Store, tenant_id: UUID, policy: Mapping[str, int], now: datetime) -> list[str]:
    """Remove a tenant's backups that the policy does not keep, and what killed ones have left. Returns their files."""
    records = store.records(tenant_id)
    keep = kept(records, policy)
    gone = [record for record in records if record.file not in keep]
    for record in gone:
        store.remove(record)
    return [record.file for record in gone] + store.remove_abandoned(tenant_id, now)
