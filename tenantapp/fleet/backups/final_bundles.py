"""The bundle that is kept of a tenant before it is removed: no policy ever removes it."""

from typing import Any

from tenantapp.databases.servers.working_directories import working_directory
from tenantapp.fleet.backups.chunks import chunks_of
from tenantapp.fleet.backups.file_names import new_file
from tenantapp.fleet.backups.records import BUNDLE_FORMAT, BUNDLE_SUFFIX, VERSION, FinalBundle
from tenantapp.fleet.backups.store import Store, made_for, open_store
from tenantapp.fleet.bundles.exporting import Progress, check_bundle, export_bundle
from tenantapp.fleet.bundles.manifest import Manifest
from tenantapp.operations.kinds import Context
from tenantapp.sql.times import utcnow
from tenantapp.tenancy.access import TenantPlace


def final_bundle(context: Context, place: TenantPlace) -> dict[str, Any] | None:
    """Keep a tenant's data for good in the store of the settings, and describe the file; None if there is no store.

    May be killed anywhere and called again. Raises what ``export_bundle`` and ``Store.write`` do.
    """
    fleet = context.fleet
    if fleet.settings.backups_store is None:
        return None
    store, rows = open_store(fleet.settings), 0

    def progress(count: int) -> None:
        nonlocal rows
        rows += count
        context.progress(0.0, f"{rows} rows")

    record = made_for(store.final_bundles(place.id), context.operation_id)
    if record is None:
        record = _write(context, place, store, progress)
    # Nobody else would do it: a tenant that is removed is not backed up any more.
    store.remove_abandoned(place.id, utcnow(), context.operation_id)
    return record.model_dump(mode="json", include={"file", "size", "sha256", "revision", "rows"})


def _write(context: Context, place: TenantPlace, store: Store, progress: Progress) -> FinalBundle:
    """Write a tenant's data to the store, read it once more, and record it. ``progress`` is told of so many rows."""
    with working_directory("final_bundle") as directory:
        file = directory / f"{place.slug}.{BUNDLE_SUFFIX}"
        export_bundle(context.fleet, place, file, progress)
        manifest = check_bundle(file)
        name = new_file(place.id, manifest.created_at, BUNDLE_SUFFIX, context.operation_id)
        size, sha256 = store.write(name, chunks_of(file))
    record = _record(place, manifest, name, size, sha256)
    # What is removed next is not to be had again.
    store.check(record)
    # One who was paused would record a second one, of a file that whoever took over has removed.
    context.check()
    store.add(record)
    return record


def _record(place: TenantPlace, manifest: Manifest, file: str, size: int, sha256: str) -> FinalBundle:
    return FinalBundle.model_validate(
        {
            "format": BUNDLE_FORMAT,
            "version": VERSION,
            "tenant_id": place.id,
            "slug": place.slug,
            "name": place.name,
            "created_at": manifest.created_at,
            "engine": manifest.engine,
            "revision": manifest.revision,
            "file": file,
            "size": size,
            "sha256": sha256,
            "rows": manifest.rows,
        }
    )
