"""Commands for impersonations."""

from uuid import UUID

import click

from tenantapp.cli.arguments import json_option
from tenantapp.cli.installation import Installation, pass_installation


@click.group()
def impersonations() -> None:
    """Impersonations: operators who work as somebody else."""


@impersonations.command("list")
@json_option
@pass_installation
def list_(installation: Installation, as_json: bool) -> None:
    """List who works as whom at present, newest first."""
    from tenantapp.cli.output import show_rows
    from tenantapp.identity.impersonations import list_running
    from tenantapp.identity.web_sessions import lifetimes_of

    with installation.user_session(read_only=True) as session:
        rows = [
            {
                "id": web_session.id,
                "operator": web_session.impersonator,
                "login": user.login,
                "tenant": web_session.tenant and web_session.tenant.slug,
                "read_only": web_session.read_only,
                "expires_at": web_session.expires_at,
                "reason": web_session.impersonation_reason,
            }
            for web_session, user in list_running(session, lifetimes_of(installation.settings))
        ]
    show_rows(rows, ("id", "operator", "login", "tenant", "read_only", "expires_at", "reason"), as_json=as_json)


@impersonations.command()
@click.argument("impersonation_id", metavar="ID", type=click.UUID)
@pass_installation
def end(installation: Installation, impersonation_id: UUID) -> None:
    """End an impersonation, from the next request on."""
    from tenantapp.identity import impersonations as service

    with installation.user_session() as session:
        service.end(session, impersonation_id)
    click.echo(f"The impersonation {impersonation_id} has ended.")
