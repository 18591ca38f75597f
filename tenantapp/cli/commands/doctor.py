"""The command ``doctor``."""

import click

from tenantapp.cli.arguments import json_option
from tenantapp.cli.installation import Installation, pass_installation


@click.command()
@json_option
@pass_installation
def doctor(installation: Installation, as_json: bool) -> None:
    """Check the installation.

    Says what to do about each problem. Checks the settings, the databases and their revisions, the tenants, the tools,
    the permissions of files, the clocks and the store for backups, and makes the application. The exit status is 1 if
    something is wrong. Warnings alone leave it 0.
    """
    from tenantapp.cli import doctor as work

    work.doctor(installation, as_json)
