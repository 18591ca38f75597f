"""Commands for restoring: ``tenants restore`` and ``tenants test-restore``."""

import sys
from typing import Any
from uuid import UUID

import click
from sqlalchemy.orm import Session

from tenantapp.cli.backups import tenant_id_option
from tenantapp.cli.failures import CommandFailed
from tenantapp.cli.installation import Installation, pass_installation
from tenantapp.cli.operations import detach_option, do_or_queue
from tenantapp.cli.output import ask, json_option, show_one
from tenantapp.cli.progress import counting_bar, progress_bar
from tenantapp.fleet.backups import requests as service
from tenantapp.fleet.backups.rehearsing import Rehearsal, rehearse_restore
from tenantapp.fleet.backups.selection import check_whose, find_backup, server_for
from tenantapp.fleet.backups.store import open_store
from tenantapp.identity.models import Tenant
from tenantapp.operations.models import Operation
from tenantapp.operations.queue import local_requester

backup_option = click.option("--backup", metavar="ID", help="Which backup: the newest if left out, or `latest`.")


@click.command()
@click.argument("slug")
@backup_option
@tenant_id_option
@click.option("--as", "new", metavar="NEW", help="Make a new tenant of this slug, beside the present one.")
@click.option("--name", help="With --as: shown to people; that of the backup if left out.")
@click.option("--server", help="With --as: a server of the settings; the tenant's own if left out.")
@click.option("--accept-drift", is_flag=True, help="Also if the structure is not as its revision makes it.")
@click.option("--yes", is_flag=True, help="Do not ask, if there is a terminal.")
@detach_option
@json_option
@pass_installation
def restore(
    installation: Installation,
    slug: str,
    backup: str | None,
    tenant_id: UUID | None,
    new: str | None,
    name: str | None,
    server: str | None,
    accept_drift: bool,
    yes: bool,
    detach: bool,
    as_json: bool,
) -> None:
    """Give a tenant back what is in a backup, or, with --as, make a new tenant of it.

    In place, everything since the backup is lost to the tenant; its present database is kept for fleet.delete_grace
    days.
    """
    if new is None and (tenant_id or name or server):
        raise click.UsageError("--tenant-id, --name and --server are for a new tenant, with --as.")
    if new is None and not yes and sys.stdin.isatty():
        _confirm(installation, slug, backup)
    fleet = installation.registry.fleet

    def request(session: Session, operation_id: UUID | None = None) -> Operation:
        given: dict[str, Any] = {"backup": backup, "accept_drift": accept_drift, "requested_by": local_requester()}
        if new is None:
            return service.request_restore(session, fleet, slug, operation_id=operation_id, **given)
        given |= {"name": name, "server": server, "tenant_id": tenant_id}
        return service.request_restore_as(session, fleet, slug, new, operation_id=operation_id, **given)

    with progress_bar(f"restore {slug}") as report:
        row = do_or_queue(installation, request, report, detach=detach)
    if detach and not as_json:
        click.echo(row["operation"])
    else:
        show_one({"slug": new or slug, **row}, as_json=as_json)


@click.command("test-restore")
@click.argument("slug")
@backup_option
@tenant_id_option
@click.option("--server", help="A server of the settings; the tenant's own if left out.")
@json_option
@pass_installation
def test_restore(
    installation: Installation,
    slug: str,
    backup: str | None,
    tenant_id: UUID | None,
    server: str | None,
    as_json: bool,
) -> None:
    """Restore a backup into a database that is removed again: whether it would work is known only by doing it.

    Reports the rows of each table. The status is 0 only when a restore would work.
    """
    registry, settings = installation.registry, installation.settings
    with installation.user_session(read_only=True) as session:
        of = service.source_of(session, slug, tenant_id)
        tenant = session.get(Tenant, of)
        present = None if tenant is None else tenant.slug
        place = server_for(registry.servers, tenant, server)
    store = open_store(settings)
    record = find_backup(store, of, slug, backup)
    check_whose(record, present, slug)
    with counting_bar("bytes", 2 * record.size) as bar:
        report = rehearse_restore(registry.fleet, place, record, store, bar.advance)
    show_one(_report(report), as_json=as_json)
    if report.drift:
        raise CommandFailed(f"The structure is not that of revision {report.revision}")


def _confirm(installation: Installation, slug: str, backup: str | None) -> None:
    with installation.user_session(read_only=True) as session:
        of = service.source_of(session, slug, None)
    taken = find_backup(open_store(installation.settings), of, slug, backup).created_at
    ask(f"Give {slug} back what it had at {taken:%Y-%m-%d %H:%M} UTC, for all it has now?")


def _report(report: Rehearsal) -> dict[str, Any]:
    return {
        "backup": report.record.id,
        "taken_at": report.record.created_at,
        "server": report.server,
        "backup_revision": report.record.revision,
        "revision": report.revision,
        "fingerprint": report.record.fingerprint,
        "drift": list(report.drift),
        "rows": dict(report.rows),
        "seconds": round(report.seconds, 2),
    }
