"""The commands ``tenants delete`` and ``tenants undelete``."""

import sys
from datetime import timedelta
from uuid import UUID

import click
from sqlalchemy import select
from sqlalchemy.orm import Session

from tenantapp.cli.failures import KNOWN_ERRORS, CommandFailed, sentence
from tenantapp.cli.installation import Installation, pass_installation
from tenantapp.cli.operations import detach_option
from tenantapp.cli.output import ask, json_option, show_one
from tenantapp.cli.progress import progress_bar
from tenantapp.fleet.kinds import KINDS
from tenantapp.fleet.removing import deletion as service
from tenantapp.identity.models import Tenant, TenantState
from tenantapp.identity.tenants import get_tenant
from tenantapp.operations.foreground import run_now
from tenantapp.operations.models import Operation
from tenantapp.operations.queue import get_operation, local_requester


@click.command()
@click.argument("slug")
@click.option("--now", is_flag=True, help="Remove everything at once; it cannot be brought back.")
@click.option("--without-bundle", is_flag=True, help="With --now: keep no bundle of it in the store of backups.")
@click.option("--yes", is_flag=True, help="With --now: do not ask.")
@detach_option
@json_option
@pass_installation
def delete(
    installation: Installation, slug: str, now: bool, without_bundle: bool, yes: bool, detach: bool, as_json: bool
) -> None:
    """Delete a tenant: nobody is served from the next request on.

    For a while it can be brought back with `tenants undelete`; then a worker removes the database and all else. Where
    backups.store is set, a final bundle goes there first.
    """
    if (yes or detach or without_bundle) and not now:
        raise click.UsageError("--yes, --detach and --without-bundle are for --now.")
    if not now:
        _delete_later(installation, slug, as_json)
        return
    with installation.user_session(read_only=True) as session:
        name = get_tenant(session, slug).name
    if not yes and sys.stdin.isatty():
        ask(f"Remove {name} ({slug}) and all its data for good?")
    _delete_now(installation, slug, detach, as_json, bundle=not without_bundle)


@click.command()
@click.argument("slug")
@pass_installation
def undelete(installation: Installation, slug: str) -> None:
    """Bring back a deleted tenant, as it was, before it is removed for good."""
    with installation.user_session() as session:
        state = service.undelete(session, slug, KINDS).state
    click.echo(f"The tenant {slug} is {state} again.")


def _delete_later(installation: Installation, slug: str, as_json: bool) -> None:
    grace = timedelta(days=installation.settings.fleet_delete_grace)
    with installation.user_session() as session:
        tenant = service.delete_later(session, slug, grace)
        row = {"slug": slug, "state": tenant.state, "purge_after": tenant.purge_after}
    if as_json:
        show_one(row, as_json=True)
    else:
        click.echo(f"The tenant {slug} is deleted; until {row['purge_after']:%Y-%m-%d %H:%M} it can be undeleted.")


def _what_is_left(installation: Installation, slug: str) -> str:
    """The end of a sentence on a removal that failed."""
    with installation.user_session(read_only=True) as session:
        tenant = session.scalar(select(Tenant).where(Tenant.slug == slug))
        if tenant is None or tenant.state != TenantState.DELETED:
            return ""
    return (
        f". {slug} is deleted, and its data is not removed: `tenants undelete` brings it back, unless that has begun, "
        "and `operations retry` goes on"
    )


def _delete_now(installation: Installation, slug: str, detach: bool, as_json: bool, *, bundle: bool) -> None:
    def request(session: Session, operation_id: UUID | None = None) -> Operation:
        service.delete_later(session, slug, timedelta(0))
        return service.request_purge(
            session, slug, requested_by=local_requester(), bundle=bundle, operation_id=operation_id
        )

    if detach:
        with installation.user_session() as session:
            click.echo(request(session).id)
        return
    try:
        with progress_bar(f"delete {slug}") as report:
            operation_id = run_now(installation.registry.fleet, KINDS, request, report=report)
    except KNOWN_ERRORS as error:
        raise CommandFailed(f"{sentence(error).rstrip('.')}{_what_is_left(installation, slug)}") from error
    with installation.user_session(read_only=True) as session:
        show_one({"slug": slug, **get_operation(session, operation_id).result}, as_json=as_json)
