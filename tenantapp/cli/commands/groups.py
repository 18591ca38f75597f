"""Commands for groups."""

import click

from tenantapp.cli.arguments import json_option, login_argument
from tenantapp.cli.completing import groups as group_names
from tenantapp.cli.installation import Installation, pass_installation

group_argument = click.argument("group", shell_complete=group_names)


@click.group()
def groups() -> None:
    """Groups: people who get roles together."""


@groups.command()
@click.argument("name")
@pass_installation
def add(installation: Installation, name: str) -> None:
    """Add a group."""
    from tenantapp.identity import groups as service

    with installation.user_session() as session:
        service.create_group(session, name)
    click.echo(f"The group {name} is added.")


@groups.command("list")
@json_option
@pass_installation
def list_(installation: Installation, as_json: bool) -> None:
    """List the groups and their members."""
    from tenantapp.cli.output import show_rows
    from tenantapp.identity import groups as service

    with installation.user_session(read_only=True) as session:
        rows = [
            {"id": group.id, "name": group.name, "members": [user.login for user in group.members]}
            for group in service.list_groups(session)
        ]
    show_rows(rows, ("name", "members"), as_json=as_json)


@groups.command()
@login_argument
@group_argument
@pass_installation
def join(installation: Installation, login: str, group: str) -> None:
    """Add a person to a group."""
    from tenantapp.identity import groups as service

    with installation.user_session() as session:
        service.join_group(session, login, group)
    click.echo(f"{login} is in {group}.")


@groups.command()
@login_argument
@group_argument
@pass_installation
def leave(installation: Installation, login: str, group: str) -> None:
    """Remove a person from a group."""
    from tenantapp.identity import groups as service

    with installation.user_session() as session:
        service.leave_group(session, login, group)
    click.echo(f"{login} is not in {group}.")
