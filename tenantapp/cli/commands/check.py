"""The command ``check``."""

import click

from tenantapp.cli.arguments import json_option
from tenantapp.cli.installation import Installation, pass_installation


@click.command()
@json_option
@pass_installation
def check(installation: Installation, as_json: bool) -> None:
    """Check the domain: the filters and sorts of its resources, and its history.

    Names each filter and sort that has no index, on PostgreSQL and on SQLite, and each table of tenantapp that no
    revision of the tenant history makes. No database is needed. The exit status is 1 if anything is named.
    """
    from tenantapp.cli.describing import check_domain
    from tenantapp.cli.failures import CommandFailed
    from tenantapp.cli.output import show_rows

    found = check_domain(installation)
    if found or as_json:
        show_rows([{"found": sentence} for sentence in found], ("found",), as_json=as_json)
    if found:
        raise CommandFailed(f"{len(found)} to mend")
