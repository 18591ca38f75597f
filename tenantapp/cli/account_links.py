"""The work of ``users`` that sends links to people, or prints them for an operator to pass on."""

import click

from tenantapp.cli.failures import CommandFailed
from tenantapp.cli.installation import Installation
from tenantapp.credentials.addresses import check_address, request_address
from tenantapp.credentials.one_time_links import LIFETIMES, Purpose, address_of
from tenantapp.credentials.password_changes import send_first_link
from tenantapp.credentials.post import Post
from tenantapp.identity.users import create_user, get_user


def add_with_link(
    installation: Installation, login: str, name: str | None, operator: bool, address: str | None
) -> None:
    """Make a person who sets their password by a link. It is mailed to the address, or else printed."""
    post = None if address is None else _post(installation)
    checked = None if address is None else check_address(address)
    with installation.user_session() as session:
        user = create_user(session, login, name=name, operator=operator)
        token = send_first_link(session, user, checked, post)
        normal = user.login
    _tell(installation, normal, token, checked)


def send_password_link(installation: Installation, login: str) -> None:
    """Make a link by which a person sets a password. It is mailed to their confirmed address, or else printed."""
    with installation.user_session() as session:
        user = get_user(session, login)
        if user.service_tenant_id is not None:
            raise CommandFailed(f"{user.login} is a service account, which has no password")
        address = user.mail_address if installation.settings.mail_url and installation.settings.web_address else None
        token = send_first_link(session, user, address, None if address is None else _post(installation))
        normal = user.login
    _tell(installation, normal, token, address)


def send_address_link(installation: Installation, login: str, address: str) -> None:
    """Send a link to an address, by which it becomes that of a person."""
    post = _post(installation)
    with installation.user_session() as session:
        request_address(session, get_user(session, login).id, address, post)
    click.echo(f"A link is sent to {address}. The address counts once it was opened.")


def post_of(installation: Installation) -> Post:
    """Return how letters are written by a command. Without the settings that they need, none are."""
    settings = installation.settings
    lacking = settings.mail_url is None or settings.web_address is None
    return Post(settings.web_address or "", "set mail.url, mail.from and web.address" if lacking else None)


def _post(installation: Installation) -> Post:
    """Return how letters with links are written. Raises ``CommandFailed`` if they cannot be."""
    post = post_of(installation)
    if post.lacking is not None:
        raise CommandFailed(f"To send a link, {post.lacking}")
    return post


def _tell(installation: Installation, login: str, token: str, address: str | None) -> None:
    days = LIFETIMES[Purpose.FIRST_PASSWORD].days
    if address is not None:
        click.echo(f"A link to set a password is sent to {address}. It works once, within {days} days.")
        return
    page = installation.settings.web_address
    if page is None:
        page = f"http://localhost:{installation.http_port or 6543}"
        click.echo(f"web.address is not set, so the link leads to {page}. Set it to the address of the page.", err=True)
    click.echo(f"{login} sets a password by this link, which works once, within {days} days:")
    click.echo(address_of(page, Purpose.FIRST_PASSWORD, token))
