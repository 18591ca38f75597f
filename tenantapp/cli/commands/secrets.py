"""Commands for the secrets of the settings."""

import click

from tenantapp.cli.arguments import json_option
from tenantapp.cli.installation import Installation, pass_installation


@click.group()
def secrets() -> None:
    """Replace the secrets of the settings."""


@secrets.command()
@json_option
@pass_installation
def rotate(installation: Installation, as_json: bool) -> None:
    """Change what depends on tenancy.secret.

    Gives each tenant's PostgreSQL role the password that is derived from tenancy.secret, encrypts the secrets of
    authenticator apps and identity providers again, and signs the audit trail again. First set the new secret, and the
    one before as tenancy.former_secret, and reload all processes: they accept both. Nobody is kept out meanwhile. What
    cannot be changed is named, and the rest is changed. Run it again if it was interrupted or a server did not answer.
    The exit status is 0 if nothing depends on the former secret any more.
    """
    from tenantapp.cli import rotating

    rotating.rotate_secret(installation, as_json)
