"""Commands for tenants."""

from typing import Any

import click

from tenantapp.cli import backups, bundles, restores, tenant_copies
from tenantapp.cli.failures import CommandFailed
from tenantapp.cli.installation import Installation, pass_installation
from tenantapp.cli.output import json_option, show_one, show_rows
from tenantapp.cli.tenant_creation import create
from tenantapp.cli.tenant_deletion import delete, undelete
from tenantapp.identity import tenants as service
from tenantapp.identity.models import Tenant, TenantState


@click.group()
def tenants() -> None:
    """Tenants: customers, each with a database of its own."""


for command in (
    create,
    delete,
    undelete,
    bundles.export,
    bundles.import_,
    tenant_copies.clone,
    tenant_copies.move,
    tenant_copies.adopt,
    backups.backup,
    backups.backups,
    restores.restore,
    restores.test_restore,
):
    tenants.add_command(command)


@tenants.command("list")
@json_option
@pass_installation
def list_(installation: Installation, as_json: bool) -> None:
    """List the tenants."""
    with installation.user_session(read_only=True) as session:
        rows = [_row(tenant) for tenant in service.list_tenants(session)]
    show_rows(rows, ("slug", "name", "state", "server", "revision", "created_at"), as_json=as_json)


@tenants.command()
@click.argument("slug")
@json_option
@pass_installation
def show(installation: Installation, slug: str, as_json: bool) -> None:
    """Show one tenant."""
    with installation.user_session(read_only=True) as session:
        row = _row(service.get_tenant(session, slug))
    show_one(row, as_json=as_json)


@tenants.command()
@click.argument("slug")
@click.option("--reason", required=True, help="Shown to the tenant's people.")
@pass_installation
def suspend(installation: Installation, slug: str, reason: str) -> None:
    """Serve nobody of the tenant from the next request on."""
    with installation.user_session() as session:
        service.suspend_tenant(session, slug, reason)
    click.echo(f"The tenant {slug} is suspended.")


@tenants.command()
@click.argument("slug")
@pass_installation
def resume(installation: Installation, slug: str) -> None:
    """Serve a suspended tenant again."""
    with installation.user_session() as session:
        tenant = service.resume_tenant(session, slug)
        if tenant.state != TenantState.ACTIVE:
            raise CommandFailed(f"The tenant {slug} is not suspended, it is {tenant.state}")
    click.echo(f"The tenant {slug} is served.")


@tenants.command()
@click.argument("slug")
@click.argument("new")
@click.option("--name", help="A new name for people; the old one stays if left out.")
@pass_installation
def rename(installation: Installation, slug: str, new: str, name: str | None) -> None:
    """Give a tenant another slug; its database stays where it is."""
    with installation.user_session() as session:
        service.rename_tenant(session, slug, new, name=name)
    click.echo(f"The tenant {slug} is called {new} now.")


def _row(tenant: Tenant) -> dict[str, Any]:
    return {
        "id": tenant.id,
        "slug": tenant.slug,
        "name": tenant.name,
        "state": tenant.state,
        "state_reason": tenant.state_reason,
        "server": tenant.server,
        "database": tenant.database,
        "revision": tenant.revision,
        "purge_after": tenant.purge_after,
        "created_at": tenant.created_at,
    }
