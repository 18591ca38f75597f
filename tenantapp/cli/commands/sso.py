"""Commands for single sign-on, for operators whose customer is locked out."""

import click

from tenantapp.cli.arguments import json_option
from tenantapp.cli.completing import slugs
from tenantapp.cli.installation import Installation, pass_installation


@click.group()
def sso() -> None:
    """Single sign-on: the identity providers of tenants."""


@sso.command("list")
@json_option
@pass_installation
def list_(installation: Installation, as_json: bool) -> None:
    """List the tenants that have an identity provider, and whether they require it."""
    from tenantapp.cli.output import show_rows
    from tenantapp.federation.providers import list_providers

    with installation.user_session(read_only=True) as session:
        rows = [
            {
                "tenant": tenant.slug,
                "issuer": provider.issuer,
                "client_id": provider.client_id,
                "required": tenant.single_sign_on_required,
                "since": provider.created_at,
            }
            for tenant, provider in list_providers(session)
        ]
    show_rows(rows, ("tenant", "issuer", "required", "since"), as_json=as_json)


@sso.command()
@click.argument("slug", shell_complete=slugs)
@click.option("--reason", required=True, help="Why, for the audit trail of the tenant.")
@pass_installation
def disable(installation: Installation, slug: str, reason: str) -> None:
    """Stop a tenant from requiring its identity provider, when the provider is down or lost.

    From the next request on, people work there by their passwords too. The provider stays configured.
    """
    from tenantapp.federation.providers import release

    with installation.user_session() as session:
        was_required = release(session, slug, reason)
    state = "no longer requires" if was_required else "does not require"
    click.echo(f"The tenant {slug} {state} single sign-on.")


@sso.command("domains")
@json_option
@pass_installation
def list_domains(installation: Installation, as_json: bool) -> None:
    """List the domains of mail addresses that tenants claim, and since when they are verified."""
    from tenantapp.cli.output import show_rows
    from tenantapp.federation.domains import list_all

    with installation.user_session(read_only=True) as session:
        rows = [
            {
                "domain": domain.name,
                "tenant": slug,
                "verified": domain.verified_at,
                "capture": domain.capture,
                "missing_since": domain.missing_since,
            }
            for slug, domain in list_all(session)
        ]
    show_rows(rows, ("domain", "tenant", "verified", "capture", "missing_since"), as_json=as_json)


@sso.command()
@click.argument("slug", shell_complete=slugs)
@click.argument("domain")
@click.option("--reason", required=True, help="Why, for the audit trail of the tenant.")
@pass_installation
def remove_domain(installation: Installation, slug: str, domain: str, reason: str) -> None:
    """Take a domain of mail addresses from a tenant. It is free for others at once."""
    from tenantapp.federation.domains import remove_by_operator

    with installation.user_session() as session:
        name = remove_by_operator(session, slug, domain, reason)
    click.echo(f"The domain {name} is no longer of the tenant {slug}.")
