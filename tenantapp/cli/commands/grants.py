"""Commands for grants."""

from typing import TYPE_CHECKING, Any

import click

from tenantapp.cli.arguments import json_option, slug_argument
from tenantapp.cli.completing import grantees, roles
from tenantapp.cli.installation import Installation, pass_installation

if TYPE_CHECKING:
    from tenantapp.identity.models import Grant

grantee_argument = click.argument("grantee", metavar="LOGIN|@GROUP", shell_complete=grantees)


@click.group()
def grants() -> None:
    """Grants: who has which roles in which tenant."""


@grants.command()
@grantee_argument
@slug_argument
@click.option("--role", required=True, shell_complete=roles, help="A role; `tenantapp roles list` shows them.")
@pass_installation
def add(installation: Installation, grantee: str, slug: str, role: str) -> None:
    """Give a person or a group a role in a tenant, beside the roles that they have."""
    from tenantapp.identity import grants as service
    from tenantapp.identity.tenants import get_tenant

    with installation.user_session() as session:
        service.add_grant(session, get_tenant(session, slug).id, role, **_grantee(grantee))
    click.echo(f"{grantee} has the role {role} in {slug}.")


@grants.command()
@grantee_argument
@slug_argument
@click.option("--role", shell_complete=roles, help="Remove this role and keep the others. Default: remove all.")
@pass_installation
def remove(installation: Installation, grantee: str, slug: str, role: str | None) -> None:
    """Remove the roles of a person or a group in a tenant.

    It does so even for the last administrator.
    """
    from tenantapp.identity import grants as service
    from tenantapp.identity.tenants import get_tenant

    with installation.user_session() as session:
        tenant_id, who = get_tenant(session, slug).id, _grantee(grantee)
        found = service.find_grants(session, tenant_id, **who)
        for grant in [service.find_grant(session, tenant_id, role, **who)] if role else found:
            service.remove_grant(session, grant)
    lost = f"does not have the role {role}" if role else "has no role"
    click.echo(f"{grantee} {lost} in {slug} any more.")


@grants.command("list")
@slug_argument
@json_option
@pass_installation
def list_(installation: Installation, slug: str, as_json: bool) -> None:
    """List who has which roles in a tenant."""
    from tenantapp.cli.output import show_rows
    from tenantapp.identity import grants as service
    from tenantapp.identity.tenants import get_tenant

    with installation.user_session(read_only=True) as session:
        rows = [_row(grant) for grant in service.list_grants(session, get_tenant(session, slug).id)]
    show_rows(rows, ("grantee", "name", "role"), as_json=as_json)


def _grantee(text: str) -> dict[str, str]:
    """Return the keyword of a service: ``group`` if the text begins with ``@``, as no login does, else ``login``."""
    return {"group": text[1:]} if text.startswith("@") else {"login": text}


def _row(grant: "Grant") -> dict[str, Any]:
    grantee, name = (f"@{grant.group.name}", None) if grant.group else ("", None)
    if grant.user is not None:
        grantee, name = grant.user.login, grant.user.name
    return {"id": grant.id, "grantee": grantee, "name": name, "role": grant.role}
