"""The kind of operation that backs a tenant up."""

from collections.abc import Collection
from typing import Any, Final
from uuid import UUID

from sqlalchemy import select

from tenantapp.fleet.backups.backing_up import backup_tenant
from tenantapp.fleet.backups.chunks import told
from tenantapp.fleet.backups.records import BackupRecord
from tenantapp.fleet.backups.restore_kinds import RESTORE, RESTORE_AS
from tenantapp.fleet.backups.retention import prune
from tenantapp.fleet.backups.store import made_for, open_store
from tenantapp.operations.fleet import Fleet
from tenantapp.operations.kinds import Context, Kind, Step
from tenantapp.operations.models import UNFINISHED, Operation
from tenantapp.sql.times import utcnow

OF_FILES: Final = ("files", "files_missing")  # only if there are some


def _dump(context: Context) -> dict[str, Any]:
    fleet, place = context.fleet, context.place()
    store = open_store(fleet.settings)
    records = store.records(place.id)
    record = made_for(records, context.operation_id)
    if record is None:
        # The size of the last backup is the best estimate.
        progress = told(context, records[0].size if records else 0)
        record = backup_tenant(fleet, place, store, progress, key=context.operation_id)
    return described(record)


def described(record: BackupRecord) -> dict[str, Any]:
    """Return what the result of an operation says about a backup."""
    return record.model_dump(mode="json", include={"file", "size", "sha256", "revision", *OF_FILES}) | {
        "backup": record.id
    }


def _prune(context: Context) -> dict[str, Any]:
    settings, of = context.fleet.settings, context.place().id
    restoring = _restoring(context.fleet)
    return {"pruned": prune(open_store(settings), of, settings.backups_keep, utcnow(), restoring)}


def _restoring(fleet: Fleet) -> Collection[UUID]:
    """Return the restores that are not finished, of any tenant: one of a moment has made a backup that it needs."""
    unfinished = Operation.kind.in_((RESTORE.name, RESTORE_AS.name)), Operation.state.in_(UNFINISHED)
    with fleet.user_db.begin(read_only=True) as session:
        return session.scalars(select(Operation.id).where(*unfinished)).all()


# Two steps: if the policy cannot be applied, the backup stays, and a retry only applies the policy.
BACKUP: Final = Kind("backup", (Step("dump", _dump), Step("retention", _prune)))
