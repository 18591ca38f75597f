"""The work of ``users factors``."""

import click

from tenantapp.cli.account_links import post_of
from tenantapp.cli.installation import Installation
from tenantapp.cli.output import show_rows
from tenantapp.credentials import factors
from tenantapp.identity.users import get_user


def show_factors(installation: Installation, login: str, as_json: bool) -> None:
    """Print the second factors of a person. Raises ``NotFound``."""
    with installation.user_session(read_only=True) as session:
        found = factors.factors_of(session, get_user(session, login).id)
        rows = (
            [
                {
                    "factor": "totp",
                    "name": None,
                    "created_at": found.app.confirmed_at,
                    "last_used_at": found.app.last_used_at,
                }
            ]
            if found.app
            else []
        )
        rows += [
            {"factor": "passkey", "name": each.name, "created_at": each.created_at, "last_used_at": each.last_used_at}
            for each in found.passkeys
        ]
    show_rows(rows, ("factor", "name", "created_at", "last_used_at"), as_json=as_json)


def remove_factors(installation: Installation, login: str) -> None:
    """Remove all second factors of a person, and say how many. Raises ``NotFound``."""
    with installation.user_session() as session:
        number = factors.remove_all(session, login)
        if number:
            factors.tell_of_change(session, get_user(session, login).id, post_of(installation))
    removed = f"{number} second {'factor' if number == 1 else 'factors'} removed"
    click.echo(f"{removed}. {login} signs in by the password alone.")
