"""The work of ``tenants create``."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import click

from tenantapp.cli.failures import CommandFailed
from tenantapp.cli.installation import Installation
from tenantapp.cli.many import fail_if_any, on_each
from tenantapp.cli.output import show_rows
from tenantapp.cli.queue_or_run import place_made, queue_or_run
from tenantapp.cli.tenant_files import TenantLine
from tenantapp.databases.connections.maintenance_engines import maintenance_kept
from tenantapp.fleet.creating.create import CREATE, request_create
from tenantapp.operations.outcomes import Report
from tenantapp.operations.queue import local_requester


def create_all(
    installation: Installation, wanted: Sequence[TenantLine], defaults: TenantLine, detach: bool, as_json: bool
) -> None:
    """Make tenants and print where they are. Raises ``CommandFailed``.

    The server and the administrator of ``defaults`` are for tenants that name none.
    """
    with maintenance_kept():
        rows, failures = on_each(
            wanted, lambda line, report: _create(installation, line, defaults, detach, report), lambda line: line.where
        )
    if as_json:
        show_rows(rows, (), as_json=True)
    for row in rows if not as_json else ():
        click.echo(row["operation"] if detach else made(row))
    fail_if_any(failures, len(wanted), "made")


def made(row: dict[str, Any]) -> str:
    """Return a sentence that says where a new tenant is."""
    return f"The tenant {row['slug']} is ready: {row['database']} on {row['server']}."


def _create(
    installation: Installation, line: TenantLine, defaults: TenantLine, detach: bool, report: Report
) -> dict[str, Any]:
    if line.error is not None:
        raise CommandFailed(line.error)
    request = partial(
        request_create,
        fleet=installation.fleet,
        slug=line.slug,
        name=line.name,
        server=line.server or defaults.server,
        administrator=line.administrator or defaults.administrator,
        requested_by=local_requester(),
    )
    row = queue_or_run(installation, {CREATE.name: CREATE}, request, detach=detach, report=report)
    return {"slug": line.slug, **row} if detach else place_made(installation, row["operation"]) | row
