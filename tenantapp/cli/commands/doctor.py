"""The command ``doctor``."""

import click

from tenantapp.cli.arguments import json_option
from tenantapp.cli.installation import Installation, pass_installation


@click.command()
@json_option
@pass_installation
def doctor(installation: Installation, as_json: bool) -> None:
    """Look whether the installation is in order, and say what to do.

    Looks at the settings, the databases and their revisions, the tenants, tools, permissions of files, clocks and the
    store for backups, and makes the application. The exit status is 1 if something is wrong; warnings alone leave it 0.
    """
    from tenantapp.cli import doctor as work

    work.doctor(installation, as_json)
