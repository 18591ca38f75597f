"""Decide which backups to keep, and remove the others."""

from collections.abc import Callable, Collection, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Final
from uuid import UUID

from tenantapp.fleet.backups.file_names import begun, is_under
from tenantapp.fleet.backups.records import BackupRecord
from tenantapp.fleet.backups.store import Store
from tenantapp.operations.checkpoints import checkpoint

# The key of the day, the ISO week, the month and the year of a moment.
PERIODS: Final[Mapping[str, Callable[[datetime], object]]] = {
    "daily": lambda moment: moment.date(),
    "weekly": lambda moment: moment.isocalendar()[:2],
    "monthly": lambda moment: (moment.year, moment.month),
    "yearly": lambda moment: moment.year,
}

MOMENTS_KEPT: Final = timedelta(days=7)


def kept(records: Iterable[BackupRecord], policy: Mapping[str, int]) -> set[str]:
    """Return the files of the backups to keep: the newest of each of the last days, weeks, months and years, in UTC.

    ``policy`` says how many of each. Only periods with a backup count, so backups do not disappear because newer ones
    are missing. The newest backup is always kept. Those made to restore a moment do not count: ``moments_kept``.
    """
    ordinary = [record for record in records if not record.moment]
    newest_first = sorted(ordinary, key=lambda record: (record.created_at, record.file), reverse=True)
    keep = {record.file for record in newest_first[:1]}
    for word, count in policy.items():
        periods: dict[object, str] = {}
        for record in newest_first:
            periods.setdefault(PERIODS[word](record.created_at.astimezone(UTC)), record.file)
        keep |= set(list(periods.values())[:count])
    return keep


def moments_kept(records: Iterable[BackupRecord], now: datetime, restoring: Collection[UUID]) -> set[str]:
    """Return the files of the backups of moments to keep: those made in the last days, or by one of these operations.

    How long ago the moment was does not matter.
    """
    return {
        record.file
        for record in records
        if record.moment
        and (begun(record.file) > now - MOMENTS_KEPT or any(is_under(key, record.file) for key in restoring))
    }


@checkpoint("backup.prune")
def prune(
    store: Store, tenant_id: UUID, policy: Mapping[str, int], now: datetime, restoring: Collection[UUID] = ()
) -> list[str]:
    """Remove a tenant's backups that the policy does not keep, and what killed backups have left. Returns the files.

    ``restoring`` are the operations that still need the backup of a moment that they have made.
    """
    records = store.records(tenant_id)
    keep = kept(records, policy) | moments_kept(records, now, restoring)
    gone = [record for record in records if record.file not in keep]
    for record in gone:
        store.remove(record)
    store.remove_unlisted_files(tenant_id, now)
    return [record.file for record in gone] + store.remove_abandoned(tenant_id, now)
