"""The work of ``tenants backup`` and ``tenants backups``."""

from collections.abc import Sequence
from functools import partial
from typing import Any
from uuid import UUID

import click
from sqlalchemy import select

from tenantapp.cli.installation import Installation
from tenantapp.cli.many import fail_if_any, on_each
from tenantapp.cli.output import show_rows
from tenantapp.cli.queue_or_run import queue_or_run
from tenantapp.fleet.backups import requests as service
from tenantapp.fleet.backups.records import FinalBundle, FinalCopy, StoredFile
from tenantapp.fleet.backups.store import open_store
from tenantapp.fleet.kinds import KINDS
from tenantapp.identity.models import Tenant
from tenantapp.operations.outcomes import Report
from tenantapp.operations.queue import local_requester


def back_up(installation: Installation, slugs: Sequence[str], detach: bool, as_json: bool) -> None:
    """Back up these tenants, or all if none is named. Raises ``CommandFailed``."""
    wanted = list(dict.fromkeys(slugs)) or everybody(installation)
    rows, failures = on_each(
        wanted, lambda slug, report: _back_up(installation, slug, detach, report), lambda slug: f"tenant {slug}"
    )
    if detach and not as_json:
        click.echo("\n".join(str(row["operation"]) for row in rows))
    elif rows or as_json:
        show_rows(rows, ("slug", "backup", "size", "revision", "sha256"), as_json=as_json)
    fail_if_any(failures, len(wanted), "backed up")


def list_backups(installation: Installation, slug: str, tenant_id: UUID | None, as_json: bool) -> None:
    """Print a tenant's backups and final copies."""
    store = open_store(installation.settings)
    with installation.user_session(read_only=True) as session:
        of = service.source_of(session, slug, tenant_id)
    files: list[StoredFile] = [*store.final_copies(of), *store.final_bundles(of), *store.records(of)]
    show_rows(map(_row, files), ("id", "kind", "created_at", "size", "revision", "engine"), as_json=as_json)


def everybody(installation: Installation) -> list[str]:
    """Return the slugs of all tenants that are not deleted."""
    with installation.user_session(read_only=True) as session:
        return list(session.scalars(select(Tenant.slug).where(Tenant.is_served).order_by(Tenant.slug)))


def _back_up(installation: Installation, slug: str, detach: bool, report: Report) -> dict[str, Any]:
    request = partial(service.request_backup, fleet=installation.fleet, slug=slug, requested_by=local_requester())
    return {"slug": slug, **queue_or_run(installation, KINDS, request, detach=detach, report=report)}


def _row(record: StoredFile) -> dict[str, Any]:
    return {"id": record.id, "kind": _kind(record), **record.model_dump(exclude={"format", "version"})}


def _kind(record: StoredFile) -> str:
    if isinstance(record, FinalCopy):
        return "final copy"
    return "final bundle" if isinstance(record, FinalBundle) else "backup"
