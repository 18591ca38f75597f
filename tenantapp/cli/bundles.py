"""Commands for a tenant in a file: ``tenants export`` and ``tenants import``."""

from pathlib import Path

import click

from tenantapp.cli.installation import Installation, pass_installation
from tenantapp.cli.operations import detach_option
from tenantapp.cli.progress import counting_bar, progress_bar
from tenantapp.fleet.bundles.exporting import export_bundle
from tenantapp.fleet.bundles.importing import check_importable, import_tenant, request_import
from tenantapp.fleet.querying.parallel import places
from tenantapp.operations.queue import local_requester

file_argument = click.argument("file", type=click.Path(dir_okay=False, path_type=Path))


@click.command("export")
@click.argument("slug")
@file_argument
@pass_installation
def export(installation: Installation, slug: str, file: Path) -> None:
    """Write a tenant's data to a file that both SQLite and PostgreSQL can load.

    It is the data of one moment; the tenant may be used meanwhile.
    """
    registry = installation.registry
    (place,) = places(registry.user_db, [slug])
    with counting_bar("rows") as bar:
        manifest = export_bundle(registry.fleet, place, file, bar.advance)
    click.echo(f"{manifest.rows} rows of {slug} are in {file}, at revision {manifest.revision}.")


@click.command("import")
@file_argument
@click.argument("slug")
@click.option("--name", help="Shown to people; that of the file if left out.")
@click.option("--server", help="A server of the settings; main if left out.")
@detach_option
@pass_installation
def import_(
    installation: Installation, file: Path, slug: str, name: str | None, server: str | None, detach: bool
) -> None:
    """Make a tenant of a file that was exported, on this or another engine.

    The whole file is checked before anything is made. A worker has to find it at the same path.
    """
    registry = installation.registry
    if detach:
        manifest = check_importable(registry.app_settings, file)
        with installation.user_session() as session:
            operation = request_import(
                session,
                registry.fleet,
                file,
                slug,
                manifest=manifest,
                requested_by=local_requester(),
                name=name,
                server=server,
            )
            click.echo(operation.id)
        return
    with progress_bar(slug) as report:
        place = import_tenant(registry.fleet, file, slug, name=name, server=server, report=report)
    click.echo(f"The tenant {place.slug} is there: {place.database} on {place.server}.")
