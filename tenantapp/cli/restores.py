"""The work of ``tenants restore`` and ``tenants test-restore``."""

import sys
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from sqlalchemy.orm import Session

from tenantapp.cli.failures import CommandFailed
from tenantapp.cli.installation import Installation
from tenantapp.cli.output import ask, show_one
from tenantapp.cli.progress import counting_bar, progress_bar
from tenantapp.cli.queue_or_run import queue_or_run, show_asked
from tenantapp.fleet.backups import requests as service
from tenantapp.fleet.backups.moments import Moment
from tenantapp.fleet.backups.rehearsing import Rehearsal, rehearse_restore
from tenantapp.fleet.backups.selection import check_whose, find_backup, server_for
from tenantapp.fleet.backups.store import open_store
from tenantapp.fleet.kinds import KINDS
from tenantapp.identity import audit
from tenantapp.identity.models import Tenant
from tenantapp.operations.models import Operation
from tenantapp.operations.queue import local_requester


def restore(
    installation: Installation,
    slug: str,
    new: str | None,
    *,
    backup: str | None,
    at: str | None,
    database: str | None,
    accept_drift: bool,
    confirmed: bool,
    detach: bool,
    as_json: bool,
    **options_of_new: Any,
) -> None:
    """Restore a tenant in place, or as a new tenant; ``options_of_new`` are those of ``request_restore_as``.

    ``at`` is the text of a time, at which the tenant had the ``database``. On a terminal, ask before data is replaced,
    unless ``confirmed``. Raises ``CommandFailed`` if the time is not one.
    """
    moment = None if at is None else Moment(time_of(at), database)
    if new is None and not confirmed and sys.stdin.isatty():
        _confirm(installation, slug, backup, moment)
    fleet = installation.fleet

    def request(session: Session, operation_id: UUID | None = None) -> Operation:
        given: dict[str, Any] = {"backup": backup, "at": moment, "accept_drift": accept_drift}
        given["requested_by"] = local_requester()
        if new is None:
            return service.request_restore(session, fleet, slug, operation_id=operation_id, **given)
        return service.request_restore_as(
            session, fleet, slug, new, operation_id=operation_id, **given, **options_of_new
        )

    with progress_bar(f"restore {slug}") as report:
        row = queue_or_run(installation, KINDS, request, detach=detach, report=report)
    show_asked({"slug": new or slug, **row}, detach=detach, as_json=as_json)


def test_restore(
    installation: Installation,
    slug: str,
    backup: str | None,
    tenant_id: UUID | None,
    server: str | None,
    as_json: bool,
) -> None:
    """Restore a backup into a scratch database. Raises ``CommandFailed`` if the structure is wrong."""
    fleet = installation.fleet
    with installation.user_session(read_only=True) as session:
        of = service.source_of(session, slug, tenant_id)
        tenant = session.get(Tenant, of)
        present = None if tenant is None else tenant.slug
        place = server_for(fleet.servers, tenant, server)
    store = open_store(fleet.settings)
    record = find_backup(store, of, slug, backup)
    check_whose(record, present, slug)
    with installation.user_session() as session:
        audit.record(session, "restore.test", tenant_id=of, slug=slug, detail={"backup": record.id})
    with counting_bar("bytes", 2 * record.size) as bar:
        report = rehearse_restore(fleet, place, record, store, bar.advance)
    show_one(_report(report), as_json=as_json)
    if report.drift:
        raise CommandFailed(f"The restored structure is not that of revision {report.revision}")


def time_of(text: str) -> datetime:
    """Return the time that an option gives. It needs an offset: without one, two machines would read different times.

    Raises ``CommandFailed``.
    """
    try:
        found = datetime.fromisoformat(text)
        if found.tzinfo is None:
            raise CommandFailed(f"The time {text} has no offset from UTC; add one, such as +00:00")
        return found.astimezone(UTC)
    except (ValueError, OverflowError):
        raise CommandFailed(f"{text} is no time such as 2026-11-28T10:00+00:00") from None


def _confirm(installation: Installation, slug: str, backup: str | None, moment: Moment | None) -> None:
    if moment is not None:
        ask(f"Replace all data of {slug} by what it had at {moment.at:%Y-%m-%d %H:%M:%S} UTC?")
        return
    with installation.user_session(read_only=True) as session:
        of = service.source_of(session, slug, None)
    taken = find_backup(open_store(installation.settings), of, slug, backup).created_at
    ask(f"Replace all data of {slug} by the backup of {taken:%Y-%m-%d %H:%M} UTC?")


def _report(report: Rehearsal) -> dict[str, Any]:
    return {
        "backup": report.record.id,
        "taken_at": report.record.created_at,
        "server": report.server,
        "backup_revision": report.record.revision,
        "revision": report.revision,
        "fingerprint": report.record.fingerprint,
        "drift": list(report.drift),
        "rows": None if report.rows is None else dict(report.rows),
        "seconds": round(report.seconds, 2),
    }
