"""Commands for backups: ``tenants backup`` and ``tenants backups``."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

import click
from sqlalchemy import select
from sqlalchemy.orm import Session

from tenantapp.cli.installation import Installation, pass_installation
from tenantapp.cli.many import fail_if_any, on_each
from tenantapp.cli.operations import detach_option, do_or_queue
from tenantapp.cli.output import json_option, show_rows
from tenantapp.fleet.backups import requests as service
from tenantapp.fleet.backups.records import FinalBundle, StoredFile
from tenantapp.fleet.backups.store import open_store
from tenantapp.identity.models import Tenant
from tenantapp.operations.models import Operation
from tenantapp.operations.outcomes import Report
from tenantapp.operations.queue import local_requester

tenant_id_option = click.option("--tenant-id", type=click.UUID, help="The id of a tenant that is gone, for SLUG.")


@click.command()
@click.argument("slugs", metavar="[SLUG]...", nargs=-1)
@click.option("--all", "everybody", is_flag=True, help="All tenants that are made and not deleted.")
@detach_option
@json_option
@pass_installation
def backup(installation: Installation, slugs: Sequence[str], everybody: bool, detach: bool, as_json: bool) -> None:
    """Back tenants up, each as it is at one moment, and remove the backups that backups.keep does not keep.

    The tenants may be used meanwhile. What fails is named, and the others are backed up; the status is 0 only when all
    were.
    """
    if bool(slugs) == everybody:
        raise click.UsageError("Name tenants, or all of them with --all.")
    wanted = list(dict.fromkeys(slugs)) or _everybody(installation)
    rows, failures = on_each(
        wanted, lambda slug, report: _back_up(installation, slug, detach, report), lambda slug: f"tenant {slug}"
    )
    if detach and not as_json:
        click.echo("\n".join(str(row["operation"]) for row in rows))
    elif rows or as_json:
        show_rows(rows, ("slug", "backup", "size", "revision", "sha256"), as_json=as_json)
    fail_if_any(failures, len(wanted), "backed up")


@click.command()
@click.argument("slug")
@tenant_id_option
@json_option
@pass_installation
def backups(installation: Installation, slug: str, tenant_id: UUID | None, as_json: bool) -> None:
    """List a tenant's backups, and its final bundle if it was removed: the newest first."""
    store = open_store(installation.settings)
    with installation.user_session(read_only=True) as session:
        of = service.source_of(session, slug, tenant_id)
    files: list[StoredFile] = [*store.final_bundles(of), *store.records(of)]
    show_rows(map(_row, files), ("id", "kind", "created_at", "size", "revision", "engine"), as_json=as_json)


def _everybody(installation: Installation) -> list[str]:
    with installation.user_session(read_only=True) as session:
        return list(session.scalars(select(Tenant.slug).where(Tenant.is_served).order_by(Tenant.slug)))


def _back_up(installation: Installation, slug: str, detach: bool, report: Report) -> dict[str, Any]:
    fleet = installation.registry.fleet

    def request(session: Session, operation_id: UUID | None = None) -> Operation:
        return service.request_backup(session, fleet, slug, requested_by=local_requester(), operation_id=operation_id)

    return {"slug": slug, **do_or_queue(installation, request, report, detach=detach)}


def _row(record: StoredFile) -> dict[str, Any]:
    kind = "final bundle" if isinstance(record, FinalBundle) else "backup"
    return {"id": record.id, "kind": kind, **record.model_dump(exclude={"format", "version"})}
