"""The work of ``tenants delete``."""

import sys
from datetime import timedelta
from uuid import UUID

import click
from sqlalchemy import select
from sqlalchemy.orm import Session

from tenantapp.cli.failures import KNOWN_ERRORS, CommandFailed, explained
from tenantapp.cli.installation import Installation
from tenantapp.cli.output import ask, show_one
from tenantapp.cli.progress import progress_bar
from tenantapp.cli.queue_or_run import queue_or_run, show_asked
from tenantapp.fleet.kinds import KINDS
from tenantapp.fleet.removing import deletion as service
from tenantapp.identity.models import Tenant, TenantState
from tenantapp.identity.tenants import get_tenant
from tenantapp.operations.models import Operation
from tenantapp.operations.queue import local_requester


def delete_later(installation: Installation, slug: str, as_json: bool) -> None:
    """Delete a tenant. It can be brought back for ``fleet.delete_grace`` days."""
    grace = timedelta(days=installation.settings.fleet_delete_grace)
    with installation.user_session() as session:
        tenant = service.delete_later(session, slug, grace)
        row = {"slug": slug, "state": tenant.state, "purge_after": tenant.purge_after}
    if as_json:
        show_one(row, as_json=True)
    else:
        until = f"{row['purge_after']:%Y-%m-%d %H:%M} UTC"
        click.echo(f"The tenant {slug} is deleted. Until {until}, `tenants undelete` brings it back.")


def delete_now(
    installation: Installation, slug: str, detach: bool, as_json: bool, *, copy: bool, confirmed: bool
) -> None:
    """Remove a tenant with all its data. On a terminal, ask first unless ``confirmed``. Raises ``CommandFailed``."""
    with installation.user_session(read_only=True) as session:
        name = get_tenant(session, slug).name
    if not confirmed and sys.stdin.isatty():
        ask(f"Remove {name} ({slug}) and all its data for good?")

    def request(session: Session, operation_id: UUID | None = None) -> Operation:
        service.delete_later(session, slug, timedelta(0))
        fleet, by = installation.fleet, local_requester()
        return service.request_purge(session, fleet, slug, requested_by=by, copy=copy, operation_id=operation_id)

    try:
        with progress_bar(f"delete {slug}") as report:
            row = queue_or_run(installation, KINDS, request, detach=detach, report=report)
    except KNOWN_ERRORS as error:
        raise CommandFailed(f"{explained(error).rstrip('.')}{_what_is_left(installation, slug)}") from error
    show_asked({"slug": slug, **row}, detach=detach, as_json=as_json)


def _what_is_left(installation: Installation, slug: str) -> str:
    """Return the end of a message about a failed removal: what is left, and what to do."""
    with installation.user_session(read_only=True) as session:
        tenant = session.scalar(select(Tenant).where(Tenant.slug == slug))
        if tenant is None or tenant.state != TenantState.DELETED:
            return ""
    return (
        f". {slug} is deleted, but its data is not removed: `operations retry` resumes the removal, `tenants undelete` "
        "brings the tenant back if nothing was removed yet, `tenants delete --now --without-copy` removes it without a "
        "copy"
    )
