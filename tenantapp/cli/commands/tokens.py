"""Commands for API tokens."""

from uuid import UUID

import click

from tenantapp.cli.arguments import json_option, login_argument, slug_argument
from tenantapp.cli.installation import Installation, pass_installation


@click.group()
def tokens() -> None:
    """API tokens: with one, a program works in a tenant for a person or a service account."""


@tokens.command()
@login_argument
@slug_argument
@click.option("--name", required=True, help="What the token is for.")
@click.option(
    "--permission",
    "permissions",
    metavar="NAME",
    multiple=True,
    help="A permission of the token; give the option again for more. Default: all that LOGIN has in the tenant.",
)
@click.option("--days", type=int, default=30, show_default=True, help="How many days the token works.")
@pass_installation
def add(installation: Installation, login: str, slug: str, name: str, permissions: tuple[str, ...], days: int) -> None:
    """Make a token, and print its text, which is shown this once."""
    from tenantapp.identity import api_tokens as service
    from tenantapp.identity.effective import effective_permissions
    from tenantapp.identity.errors import NotFound
    from tenantapp.identity.service_accounts import find_service_account
    from tenantapp.identity.tenants import get_tenant, place_of
    from tenantapp.identity.users import get_user

    limits = service.limits_of(installation.settings)
    with installation.user_session() as session:
        tenant = place_of(get_tenant(session, slug))
        try:
            user = get_user(session, login)
        except NotFound:
            user = find_service_account(session, tenant.id, login)
        held = effective_permissions(session, user.id, tenant.id).permissions
        _, text = service.create_token(
            session,
            tenant,
            user,
            held,
            name=name,
            permissions=permissions or sorted(held),
            days=days,
            limits=limits,
        )
    click.echo(text)


@tokens.command("list")
@slug_argument
@json_option
@pass_installation
def list_(installation: Installation, slug: str, as_json: bool) -> None:
    """List the tokens of a tenant, without their texts, which are not stored."""
    from tenantapp.cli.output import show_rows
    from tenantapp.identity import api_tokens as service
    from tenantapp.identity.tenants import get_tenant

    with installation.user_session(read_only=True) as session:
        rows = [
            {
                "id": token.id,
                "name": token.name,
                "login": token.user.login,
                "permissions": token.permissions.split(),
                "created_at": token.created_at,
                "expires_at": token.expires_at,
                "last_used_at": token.last_used_at,
            }
            for token in service.list_tokens(session, get_tenant(session, slug).id)
        ]
    columns = ("id", "name", "login", "permissions", "expires_at", "last_used_at")
    show_rows(rows, columns, as_json=as_json)


@tokens.command()
@click.argument("token_id", metavar="ID", type=click.UUID)
@pass_installation
def revoke(installation: Installation, token_id: UUID) -> None:
    """Revoke a token, from the next request on."""
    from tenantapp.identity import api_tokens as service

    with installation.user_session() as session:
        service.revoke_token(session, token_id)
    click.echo(f"The token {token_id} is revoked.")
