"""Commands for roles."""

from typing import TYPE_CHECKING

import click

from tenantapp.cli.arguments import json_option
from tenantapp.cli.completing import roles as role_names
from tenantapp.cli.installation import Installation, pass_installation

if TYPE_CHECKING:
    from tenantapp.identity.models import Role

role_argument = click.argument("role", shell_complete=role_names)


@click.group()
def roles() -> None:
    """Roles: named sets of permissions, the same in every tenant."""


@roles.command("list")
@json_option
@pass_installation
def list_(installation: Installation, as_json: bool) -> None:
    """List the roles and their permissions, lowest rank first."""
    from tenantapp.cli.output import show_rows
    from tenantapp.identity import roles as service

    with installation.user_session(read_only=True) as session:
        rows = [
            {"name": role.name, "rank": role.rank, "permissions": _permissions(role)}
            for role in service.list_roles(session)
        ]
    show_rows(rows, ("name", "permissions"), as_json=as_json)


@roles.command()
@click.argument("name")
@click.option("--after", metavar="ROLE", shell_complete=role_names, help="It ranks above this role, or else lowest.")
@pass_installation
def add(installation: Installation, name: str, after: str | None) -> None:
    """Add a role without permissions.

    If a person has several roles, the one that ranks highest is shown first. The rank permits nothing.
    """
    from tenantapp.identity import roles as service

    with installation.user_session() as session:
        service.add_role(session, name, after=after)
    click.echo(f"The role {name} was added. Give it permissions: tenantapp roles allow {name} PERMISSION")


@roles.command()
@role_argument
@pass_installation
def remove(installation: Installation, role: str) -> None:
    """Remove a role that nobody has."""
    from tenantapp.identity import roles as service

    with installation.user_session() as session:
        service.remove_role(session, role)
    click.echo(f"The role {role} was removed.")


@roles.command()
@role_argument
@click.argument("permission")
@pass_installation
def allow(installation: Installation, role: str, permission: str) -> None:
    """Add a permission to a role, in all tenants.

    A permission that nothing in the application asks for or declares is refused.
    """
    from tenantapp.cli.describing import made_application
    from tenantapp.identity import roles as service

    with made_application(installation) as registry:
        known = registry.declared_rights.known
    with installation.user_session() as session:
        service.allow(session, role, permission, known=known)
    click.echo(f"The role {role} holds {permission}.")


@roles.command()
@role_argument
@click.argument("permission")
@pass_installation
def deny(installation: Installation, role: str, permission: str) -> None:
    """Remove a permission from a role, in all tenants."""
    from tenantapp.cli.failures import CommandFailed
    from tenantapp.identity import roles as service

    with installation.user_session() as session:
        # A misspelled permission must not look as if it had been removed.
        if permission not in _permissions(service.get_role(session, role)):
            raise CommandFailed(f"The role {role} does not hold {permission}")
        service.deny(session, role, permission)
    click.echo(f"The role {role} does not hold {permission} any more.")


def _permissions(role: "Role") -> list[str]:
    return [held.permission for held in role.permissions]
