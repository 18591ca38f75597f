"""The copy that is kept of a tenant before it is removed: proved, and never removed by a policy."""

from collections.abc import Callable
from typing import Any

from tenantapp.fleet.backups.backing_up import write_dump
from tenantapp.fleet.backups.file_names import is_under
from tenantapp.fleet.backups.proving import prove_copy
from tenantapp.fleet.backups.records import FINAL_FORMAT, BackupRecord, FinalCopy
from tenantapp.fleet.backups.store import Store, open_store
from tenantapp.fleet.errors import CopyNotProved
from tenantapp.operations.kinds import Context
from tenantapp.sql.times import utcnow
from tenantapp.tenancy.access import TenantPlace

MIB = 2**20


def final_copy(context: Context, place: TenantPlace) -> dict[str, Any]:
    """Keep a tenant's database for good in the store of the settings, prove the copy, and describe it.

    May be killed anywhere and called again. Raises ``CopyNotProved``, and what ``open_store``, ``write_dump`` and
    ``prove_copy`` raise.
    """
    store = open_store(context.fleet.settings)
    record = _proved_before(context, place, store) or _make(context, place, store)
    # Nobody else would do it: a tenant that is removed is not backed up any more.
    store.remove_abandoned(place.id, utcnow(), context.operation_id)
    described = record.model_dump(mode="json", include={"file", "size", "sha256", "revision", "rows"})
    return described | {"backup": record.id}


def _proved_before(context: Context, place: TenantPlace, store: Store) -> FinalCopy | None:
    """The copy of an attempt that was killed, if it still is one: the tenant may have been brought back meanwhile."""
    for record in store.final_copies(place.id):
        if is_under(context.operation_id, record.file):
            try:
                _prove(context, place, store, record)
            except CopyNotProved:
                continue
            return record
    return None


def _make(context: Context, place: TenantPlace, store: Store) -> FinalCopy:
    copied = _told(context, "copied", MIB, "MiB")
    dumped = write_dump(context.fleet, place, store, copied, key=context.operation_id, final=True)
    rows = _prove(context, place, store, dumped)
    record = FinalCopy.model_validate(dumped.model_dump() | {"format": FINAL_FORMAT, "rows": rows})
    # One who was paused would record a second one, of a file that whoever took over has removed.
    context.check()
    store.add(record)
    return record


def _prove(context: Context, place: TenantPlace, store: Store, record: BackupRecord) -> int:
    restored, compared = _told(context, "restored", MIB, "MiB"), _told(context, "compared", 1, "rows")
    return prove_copy(context.fleet, place, record, store, context.operation_id, restored, compared)


def _told(context: Context, verb: str, unit: int, name: str) -> Callable[[int], None]:
    """Tells of a step's progress: so many MiB, or rows, are done."""
    done = 0

    def progress(more: int) -> None:
        nonlocal done
        done += more
        context.progress(0.0, f"{done / unit:.0f} {name} {verb}")

    return progress
