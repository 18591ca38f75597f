"""The command ``migrate``."""

from typing import Any

import click

from tenantapp.cli.arguments import json_option
from tenantapp.cli.completing import slugs
from tenantapp.cli.installation import Installation, pass_installation


@click.command()
@click.option("--to", "revision", default="head", show_default=True, help="The revision to arrive at.")
@click.option("--jobs", type=click.IntRange(1, 64), default=2, show_default=True, help="Tenants at once.")
@click.option("--canary", type=click.IntRange(0), default=0, help="So many first; if one fails, no others.")
@click.option("--stop-after", type=click.IntRange(1), help="Begin no more tenants after so many failures.")
@click.option(
    "--only",
    "slugs",
    multiple=True,
    metavar="SLUG",
    shell_complete=slugs,
    help="Only this tenant; may be given more than once.",
)
@click.option("--retry-failed", is_flag=True, help="Only tenants whose last migration failed.")
@click.option("--snapshot", is_flag=True, help="Copy each database first; put the copy back if its migration fails.")
@click.option("--no-verify", is_flag=True, help="Do not compare the migrated databases with their revision.")
@click.option("--downgrade", "down", is_flag=True, help="Move the tenant of --only down to an older revision.")
@click.option("--dry-run", is_flag=True, help="Only say what would be done.")
@click.option("--status", is_flag=True, help="Only say how far the fleet is.")
@json_option
@pass_installation
def migrate(
    installation: Installation,
    /,
    no_verify: bool,
    status: bool,
    as_json: bool,
    **wanted: Any,
) -> None:
    """Migrate the tenants' databases, each by itself.

    What is there already is not connected to, and what was interrupted is gone on with when this is started again.
    Afterwards the structure of those that were migrated is compared with what the revision makes. With --json there is
    a line for each tenant, and one for all of them. The exit status is 0 only if all of the tenants that were asked for
    are at the revision, and none has another structure.
    """
    from tenantapp.cli import migrating

    if wanted["down"] and wanted["revision"] == "head":
        raise click.UsageError("--downgrade needs --to, the older revision to arrive at.")
    if status:
        migrating.show_progress(installation.fleet, as_json)
    else:
        migrating.migrate(installation, verify=not no_verify, as_json=as_json, **wanted)
