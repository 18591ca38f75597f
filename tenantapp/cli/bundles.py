"""The work of ``tenants export`` and ``tenants import``."""

from functools import partial
from pathlib import Path
from typing import Any

import click

from tenantapp.cli.creating import made
from tenantapp.cli.installation import Installation
from tenantapp.cli.progress import counting_bar, progress_bar
from tenantapp.cli.queue_or_run import place_made, queue_or_run, say_missing
from tenantapp.fleet.bundles.exporting import export_bundle
from tenantapp.fleet.bundles.importing import IMPORT, check_importable, request_import
from tenantapp.fleet.querying.parallel import places
from tenantapp.identity.audit import record
from tenantapp.operations.queue import local_requester
from tenantapp.tenancy.models import TenantFile


def export(installation: Installation, slug: str, file: Path) -> None:
    """Export a tenant's data to a file."""
    (place,) = places(installation.fleet.user_db, [slug])
    with installation.user_session() as session:
        record(session, "export.write", tenant_id=place.id, slug=place.slug)
    with counting_bar("rows") as bar:
        manifest = export_bundle(installation.fleet, place, file, bar.advance)
    files = f" and {len(manifest.files)} files" if manifest.files else ""
    click.echo(f"{manifest.rows} rows{files} of {slug} are in {file}, at revision {manifest.revision}.")
    listed = sum(table.rows for table in manifest.tables if table.name == TenantFile.__tablename__)
    say_missing(listed - len(manifest.files), listed)


def import_(installation: Installation, file: Path, slug: str, detach: bool, **options: Any) -> None:
    """Make a tenant from a bundle, and print where it is. ``options`` are those of ``request_import``."""
    fleet = installation.fleet
    request = partial(
        request_import,
        fleet=fleet,
        file=file,
        slug=slug,
        manifest=check_importable(fleet.settings, file),
        requested_by=local_requester(),
        **options,
    )
    with progress_bar(slug) as report:
        row = queue_or_run(installation, {IMPORT.name: IMPORT}, request, detach=detach, report=report)
    click.echo(row["operation"] if detach else made(place_made(installation, row["operation"])))
