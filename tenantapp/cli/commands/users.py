"""Commands for people."""

import sys

import click

from tenantapp.cli.arguments import json_option, login_argument
from tenantapp.cli.installation import Installation, pass_installation

password_option = click.option(
    "--password-stdin",
    is_flag=True,
    help="Take the password from standard input, for scripts.",
)

initial_option = click.option(
    "--initial-password", is_flag=True, help="Print a password that the person has to change at the first sign-in."
)


@click.group()
def users() -> None:
    """People: who may sign in."""


@users.command()
@click.argument("login")
@click.option("--name", help="The name that others see. Default: the login.")
@click.option(
    "--operator", is_flag=True, help="Let this person work on the whole fleet. Operators gain no rights inside tenants."
)
@click.option("--address", help="The person's mail address. The link is sent there, and confirms it.")
@initial_option
@password_option
@pass_installation
def add(
    installation: Installation,
    login: str,
    name: str | None,
    operator: bool,
    address: str | None,
    initial_password: bool,
    password_stdin: bool,
) -> None:
    """Add a person.

    They set their password by a link, which is sent to their address or else printed. It works once, for three days.
    """
    _check_options(initial_password, password_stdin, address)
    if initial_password or password_stdin:
        from tenantapp.cli.passwords import add_with_password

        add_with_password(installation, login, name, operator, password_stdin=password_stdin)
    else:
        from tenantapp.cli.account_links import add_with_link

        add_with_link(installation, login, name, operator, address)


@users.command()
@login_argument
@click.option("--yes", "confirmed", is_flag=True, help="Do not ask for confirmation.")
@pass_installation
def forget(installation: Installation, login: str, confirmed: bool) -> None:
    """Forget a person for good.

    The account goes, with its address, sessions, tokens and roles. The audit trail keeps an id where it named the
    person. If the command is stopped, run it again. What the person wrote in tenants' databases stays there.
    """
    from tenantapp.audit.forgetting import forget_person
    from tenantapp.cli.output import ask

    if not confirmed and sys.stdin.isatty():
        ask(f"Forget {login} for good?")
    found = forget_person(installation.fleet.user_db, login)
    entries = "1 entry" if found.entries == 1 else f"{found.entries} entries"
    click.echo(f"{login} is forgotten. {entries} of the audit trail had the name, and {found.user_id} now.")


@users.command("list")
@json_option
@pass_installation
def list_(installation: Installation, as_json: bool) -> None:
    """List all people and service accounts."""
    from tenantapp.cli.output import show_rows
    from tenantapp.identity import users as service

    with installation.user_session(read_only=True) as session:
        rows = [
            {
                "id": user.id,
                "login": user.login,
                "name": user.name,
                "enabled": user.enabled,
                "operator": user.operator,
                "service_account": user.service_tenant_id is not None,
                "created_at": user.created_at,
            }
            for user in service.list_users(session)
        ]
    show_rows(rows, ("login", "name", "enabled", "operator", "service_account", "created_at"), as_json=as_json)


@users.command()
@login_argument
@pass_installation
def disable(installation: Installation, login: str) -> None:
    """Stop a person from signing in. Their web sessions end at once."""
    from tenantapp.identity import users as service

    with installation.user_session() as session:
        service.set_enabled(session, login, False)
    click.echo(f"{login} may not sign in any more.")


@users.command()
@login_argument
@pass_installation
def enable(installation: Installation, login: str) -> None:
    """Let a disabled person sign in again."""
    from tenantapp.identity import users as service

    with installation.user_session() as session:
        service.set_enabled(session, login, True)
    click.echo(f"{login} may sign in.")


@users.command()
@login_argument
@initial_option
@password_option
@pass_installation
def passwd(installation: Installation, login: str, initial_password: bool, password_stdin: bool) -> None:
    """Let a person set a new password, by a link.

    It is sent to their confirmed address or else printed. It works once, for three days, and their web sessions end
    when they use it. With a password from you, they end at once.
    """
    _check_options(initial_password, password_stdin, None)
    if initial_password or password_stdin:
        from tenantapp.cli.passwords import set_password

        set_password(installation, login, password_stdin=password_stdin)
    else:
        from tenantapp.cli.account_links import send_password_link

        send_password_link(installation, login)


def _check_options(initial_password: bool, password_stdin: bool, address: str | None) -> None:
    """Raise ``UsageError`` if the person would get a password in two ways."""
    if initial_password + password_stdin + (address is not None) > 1:
        raise click.UsageError("Give one of --address, --initial-password and --password-stdin at most.")


@users.command()
@login_argument
@pass_installation
def unlock(installation: Installation, login: str) -> None:
    """Forget a person's failed sign-ins, so that they need not wait on a new device.

    On a device in which they have signed in before they never wait for what others guess.
    """
    from tenantapp.credentials.counters import counters_of
    from tenantapp.credentials.throttling import throttle_of
    from tenantapp.identity import audit
    from tenantapp.identity import users as service
    from tenantapp.tenancy.user_database import user_database

    settings = installation.settings
    counting = user_database(settings.user_db_url, pgbouncer=settings.user_db_pgbouncer, autocommit=True)
    throttle = throttle_of(settings, counters_of(settings.throttle_store, lambda: counting))
    with installation.user_session() as session:
        user = service.get_user(session, login)
        audit.record(session, "user.unlock", detail={"login": user.login})
        names = (user.login, str(user.id))
    try:
        for name in names:
            throttle.forget(name)
    finally:
        counting.dispose()
    click.echo(f"{names[0]} need not wait for failed sign-ins.")


@users.command()
@login_argument
@click.option("--remove", is_flag=True, help="Remove them all, for a person who has lost them. Their web sessions end.")
@json_option
@pass_installation
def factors(installation: Installation, login: str, remove: bool, as_json: bool) -> None:
    """List or remove the second factors of a person."""
    from tenantapp.cli.second_factors import remove_factors, show_factors

    if remove:
        remove_factors(installation, login)
    else:
        show_factors(installation, login, as_json)


@users.command()
@login_argument
@click.argument("address")
@pass_installation
def address(installation: Installation, login: str, address: str) -> None:
    """Send a link to a mail address, by which it becomes that of a person."""
    from tenantapp.cli.account_links import send_address_link

    send_address_link(installation, login, address)
