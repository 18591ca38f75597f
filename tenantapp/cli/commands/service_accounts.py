"""Commands for service accounts."""

import click

from tenantapp.cli.arguments import json_option, login_argument, slug_argument
from tenantapp.cli.completing import roles
from tenantapp.cli.installation import Installation, pass_installation


@click.group("service-accounts")
def service_accounts() -> None:
    """Service accounts: programs with an account of their own in one tenant, without a password."""


@service_accounts.command()
@click.argument("login")
@slug_argument
@click.option(
    "--role",
    "given",
    metavar="ROLE",
    multiple=True,
    required=True,
    shell_complete=roles,
    help="A role in the tenant; give the option again for more.",
)
@click.option("--name", help="The name that others see. Default: the login.")
@pass_installation
def add(installation: Installation, login: str, slug: str, given: tuple[str, ...], name: str | None) -> None:
    """Add a service account. `tenantapp tokens add` makes its tokens."""
    from tenantapp.identity import service_accounts as service
    from tenantapp.identity.tenants import get_tenant, place_of

    with installation.user_session() as session:
        place = place_of(get_tenant(session, slug))
        most = installation.settings.service_accounts_most
        account = service.create_service_account(session, place, login, given, name=name, most=most)
        normal = account.login
    click.echo(f"{normal} is a service account of {slug}.")


@service_accounts.command("list")
@slug_argument
@json_option
@pass_installation
def list_(installation: Installation, slug: str, as_json: bool) -> None:
    """List the service accounts of a tenant."""
    from tenantapp.cli.output import show_rows
    from tenantapp.identity import service_accounts as service
    from tenantapp.identity.tenants import get_tenant

    with installation.user_session(read_only=True) as session:
        rows = [
            {
                "id": account.id,
                "login": account.login,
                "name": account.name,
                "enabled": account.enabled,
                "created_at": account.created_at,
            }
            for account in service.list_service_accounts(session, get_tenant(session, slug).id)
        ]
    show_rows(rows, ("login", "name", "enabled", "created_at"), as_json=as_json)


@service_accounts.command()
@login_argument
@slug_argument
@pass_installation
def remove(installation: Installation, login: str, slug: str) -> None:
    """Remove a service account with its roles and tokens, from the next request on."""
    from tenantapp.identity import service_accounts as service
    from tenantapp.identity.tenants import get_tenant, place_of

    with installation.user_session() as session:
        place = place_of(get_tenant(session, slug))
        account = service.find_service_account(session, place.id, login)
        service.remove_service_account(session, place, account.id)
    click.echo(f"{login} is removed.")
