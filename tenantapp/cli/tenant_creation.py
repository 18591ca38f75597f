"""The command ``tenants create``."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from tenantapp.cli.failures import CommandFailed
from tenantapp.cli.installation import Installation, pass_installation
from tenantapp.cli.many import fail_if_any, on_each
from tenantapp.cli.operations import detach_option
from tenantapp.cli.output import json_option, show_rows
from tenantapp.cli.tenant_files import TenantLine, read_tenants
from tenantapp.databases.connections.maintenance_engines import maintenance_kept
from tenantapp.fleet.creating.create import create_tenant, request_create
from tenantapp.operations.outcomes import Report
from tenantapp.operations.queue import local_requester


@click.command()
@click.argument("slugs", metavar="[SLUG]...", nargs=-1)
@click.option("--name", help="Shown to people; the slug if left out.")
@click.option("--server", help="A server of the settings; main if left out.")
@click.option(
    "--from",
    "file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A CSV file of tenants; its first line names the columns slug, name and server.",
)
@detach_option
@json_option
@pass_installation
def create(
    installation: Installation,
    slugs: Sequence[str],
    name: str | None,
    server: str | None,
    file: Path | None,
    detach: bool,
    as_json: bool,
) -> None:
    """Make tenants, each with a database of its own.

    What fails is named, and the others are made; the status is 0 only when all were.
    """
    wanted = [TenantLine(slug, name, server, f"tenant {slug}") for slug in slugs]
    wanted += list(read_tenants(file)) if file else []
    if not wanted:
        raise click.UsageError("Name a tenant, or a file with --from.")
    if name is not None and len(wanted) > 1:
        raise click.UsageError("--name is for one tenant.")
    _create_all(installation, wanted, server, detach, as_json)


def _create_all(
    installation: Installation, wanted: Sequence[TenantLine], server: str | None, detach: bool, as_json: bool
) -> None:
    with maintenance_kept():
        rows, failures = on_each(
            wanted, lambda line, report: _create(installation, line, server, detach, report), lambda line: line.where
        )
    _show(rows, detach, as_json)
    fail_if_any(failures, len(wanted), "made")


def _create(
    installation: Installation, line: TenantLine, server: str | None, detach: bool, report: Report
) -> dict[str, Any]:
    if line.error is not None:
        raise CommandFailed(line.error)
    registry, chosen = installation.registry, line.server or server
    if detach:
        with installation.user_session() as session:
            operation = request_create(
                session, registry.fleet, line.slug, name=line.name, server=chosen, requested_by=local_requester()
            )
            return {"slug": line.slug, "operation": operation.id, "state": operation.state}
    place = create_tenant(registry.fleet, line.slug, name=line.name, server=chosen, report=report)
    return {"slug": place.slug, "id": place.id, "server": place.server, "database": place.database}


def _show(rows: Sequence[dict[str, Any]], detach: bool, as_json: bool) -> None:
    if as_json:
        show_rows(rows, (), as_json=True)
        return
    for row in rows:
        there = f"The tenant {row['slug']} is there: {row.get('database')} on {row.get('server')}."
        click.echo(row["operation"] if detach else there)
