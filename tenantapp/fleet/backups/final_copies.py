"""The final copy of a tenant, made before the tenant is removed. It is proved, and no policy removes it."""

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
SAID = ("file", "size", "sha256", "revision", "rows", "files", "files_missing")  # the last two only if there are files


def final_copy(context: Context, place: TenantPlace) -> dict[str, Any]:
    """Copy a tenant's database to the store, prove the copy, and return its description.

    If the process dies, the function can be called again. Raises ``CopyNotProved``, and what ``open_store``,
    ``write_dump`` and ``prove_copy`` raise.
    """
    store = open_store(context.fleet.settings)
    record = _proved_before(context, place, store) or _make(context, place, store)
    # Usually the next backup does this, but a removed tenant has no next backup.
    store.remove_abandoned(place.id, utcnow(), context.operation_id)
    described = record.model_dump(mode="json", include={*SAID})
    return described | {"backup": record.id}


def _proved_before(context: Context, place: TenantPlace, store: Store) -> FinalCopy | None:
    """Return the copy of a killed attempt, if it is still equal: the tenant may have been brought back meanwhile."""
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
    # A worker that stalled would record a file that the worker that took over has removed.
    context.check()
    store.add(record)
    return record


def _prove(context: Context, place: TenantPlace, store: Store, record: BackupRecord) -> int:
    restored, compared = _told(context, "restored", MIB, "MiB"), _told(context, "compared", 1, "rows")
    return prove_copy(context.fleet, place, record, store, context.operation_id, restored, compared)


def _told(context: Context, verb: str, unit: int, name: str) -> Callable[[int], None]:
    """Return a function that adds to a number of bytes or rows, and reports the sum as the step's progress."""
    done = 0

    def progress(more: int) -> None:
        nonlocal done
        done += more
        context.progress(0.0, f"{done / unit:.0f} {name} {verb}")

    return progress
