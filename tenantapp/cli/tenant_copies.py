"""Commands for tenants in other places: ``tenants clone``, ``tenants move`` and ``tenants adopt``."""

from uuid import UUID

import click
from sqlalchemy.orm import Session

from tenantapp.cli.installation import Installation, pass_installation
from tenantapp.cli.operations import detach_option
from tenantapp.cli.output import json_option, show_one
from tenantapp.cli.progress import progress_bar
from tenantapp.fleet.copying import requests as service
from tenantapp.fleet.kinds import KINDS
from tenantapp.identity.tenants import get_tenant
from tenantapp.operations.foreground import Request, run_now
from tenantapp.operations.models import Operation
from tenantapp.operations.queue import get_operation, local_requester


@click.command()
@click.argument("slug")
@click.argument("new")
@click.option("--name", help="Shown to people; the new slug if left out.")
@click.option("--server", help="A server of the settings, of whatever engine; the tenant's if left out.")
@click.option("--without-people", is_flag=True, help="Have the domain remove what is private.")
@detach_option
@json_option
@pass_installation
def clone(
    installation: Installation,
    slug: str,
    new: str,
    name: str | None,
    server: str | None,
    without_people: bool,
    detach: bool,
    as_json: bool,
) -> None:
    """Make a tenant of another one's data, as it is at one moment.

    The other may be used meanwhile. Nobody is granted anything in the new one.
    """
    fleet, requester = installation.registry.fleet, local_requester()

    def request(session: Session, operation_id: UUID | None = None) -> Operation:
        return service.request_clone(
            session,
            fleet,
            slug,
            new,
            name=name,
            server=server,
            without_people=without_people,
            requested_by=requester,
            operation_id=operation_id,
        )

    _work(installation, new, request, detach, as_json)


@click.command()
@click.argument("slug")
@click.option("--server", required=True, help="A server of the settings, of whatever engine.")
@detach_option
@json_option
@pass_installation
def move(installation: Installation, slug: str, server: str, detach: bool, as_json: bool) -> None:
    """Move a tenant to another server.

    Its people are asked to wait while nobody may write. The database it had is kept for a while, closed, and then
    removed by a worker.
    """
    fleet, requester = installation.registry.fleet, local_requester()

    def request(session: Session, operation_id: UUID | None = None) -> Operation:
        return service.request_move(session, fleet, slug, server, requested_by=requester, operation_id=operation_id)

    _work(installation, slug, request, detach, as_json)


@click.command()
@click.argument("slug")
@click.option("--database", required=True, help="Its name on a PostgreSQL server, or the path of a SQLite file.")
@click.option(
    "--server", help="The server of the settings that it is on, and the tenant is to be on; main if left out."
)
@click.option("--name", help="Shown to people; the slug if left out.")
@click.option("--revision", help="What it is taken to be at if it does not say so; the newest if left out.")
@detach_option
@json_option
@pass_installation
def adopt(
    installation: Installation,
    slug: str,
    database: str,
    server: str | None,
    name: str | None,
    revision: str | None,
    detach: bool,
    as_json: bool,
) -> None:
    """Make a tenant of a database that is there already and has the structure of a tenant's.

    It is copied, and itself left alone. A structure that differs is refused before anything is made.
    """
    fleet, requester = installation.registry.fleet, local_requester()

    def request(session: Session, operation_id: UUID | None = None) -> Operation:
        return service.request_adopt(
            session,
            fleet,
            slug,
            database,
            server=server,
            name=name,
            revision=revision,
            requested_by=requester,
            operation_id=operation_id,
        )

    _work(installation, slug, request, detach, as_json)


def _work(installation: Installation, slug: str, request: Request, detach: bool, as_json: bool) -> None:
    """Queue it, or work on it and say where the tenant is now."""
    if detach:
        with installation.user_session() as session:
            operation_id = request(session).id
        click.echo(operation_id)
        return
    with progress_bar(slug) as report:
        operation_id = run_now(installation.registry.fleet, KINDS, request, report=report)
    with installation.user_session(read_only=True) as session:
        tenant, result = get_tenant(session, slug), get_operation(session, operation_id).result
        row = {"slug": slug, "id": tenant.id, "server": tenant.server, "database": tenant.database, **result}
    if as_json:
        show_one(row, as_json=True)
    else:
        click.echo(f"The tenant {slug} is there: {row['database']} on {row['server']} ({row['method']}).")
