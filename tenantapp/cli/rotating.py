"""The work of ``secrets rotate``."""

import click

from tenantapp.cli.failures import CommandFailed
from tenantapp.cli.installation import Installation
from tenantapp.cli.output import show_rows
from tenantapp.cli.progress import counting_bar
from tenantapp.fleet.rotating.rotation import rotate


def rotate_secret(installation: Installation, as_json: bool) -> None:
    """Change what depends on the secret, and print what was changed. Raises ``CommandFailed`` if something is left."""
    with counting_bar("changed") as bar:
        results = rotate(installation.fleet, bar.advance)
    columns = ("what", "where", "changed", "error")
    rows = [{column: getattr(result, column) for column in columns} for result in results]
    if rows or as_json:
        show_rows(rows, columns, as_json=as_json)
    else:
        click.echo("Nothing here depends on tenancy.secret.")
    failed = [result.where for result in results if result.error is not None]
    if failed:
        left = ", ".join(dict.fromkeys(failed))
        raise CommandFailed(f"Something depends on another secret still, on {left}: see the errors, and run it again")
