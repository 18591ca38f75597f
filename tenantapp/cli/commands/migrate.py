"""The command ``migrate``."""

import re
from typing import Any, Final

import click

from tenantapp.cli.arguments import json_option
from tenantapp.cli.completing import slugs
from tenantapp.cli.installation import Installation, pass_installation

NUMBER: Final = re.compile(r" *0*[1-9][0-9]{0,8} *")


def _numbers(context: click.Context, parameter: click.Parameter, given: str | None) -> list[int]:
    """Return the numbers of tenants in a text like ``5,50``. Raises ``BadParameter``."""
    # An empty text is refused as well: `--waves "$WAVES"` must not migrate all at once for want of a variable.
    parts = [] if given is None else given.split(",")
    if not all(NUMBER.fullmatch(part) for part in parts):
        raise click.BadParameter("Give numbers of tenants, separated by commas, such as 5,50.")
    return [int(part) for part in parts]


@click.command()
@click.option("--to", "revision", default="head", show_default=True, help="The revision to migrate to.")
@click.option(
    "--jobs", type=click.IntRange(1, 64), default=2, show_default=True, help="How many tenants to migrate at once."
)
@click.option(
    "--canary",
    type=click.IntRange(0),
    default=0,
    help="How many tenants to migrate first. If one of them fails, the others are left alone.",
)
@click.option(
    "--waves",
    callback=_numbers,
    metavar="N,N,...",
    help="How many tenants to migrate first, then next, and so on. The rest follows if none of them fails.",
)
@click.option(
    "--rehearse",
    type=click.IntRange(1),
    metavar="N",
    help="First try it on branches of N tenants: the largest, and some at random. If that fails, migrate nobody.",
)
@click.option("--stop-after", type=click.IntRange(1), help="Start no more tenants after this many failures.")
@click.option(
    "--only",
    "slugs",
    multiple=True,
    metavar="SLUG",
    shell_complete=slugs,
    help="Migrate only this tenant. Repeat it for more tenants.",
)
@click.option(
    "--except",
    "left_out",
    multiple=True,
    metavar="SLUG",
    shell_complete=slugs,
    help="Neither rehearse on this tenant nor migrate it. Repeat it for more tenants.",
)
@click.option("--retry-failed", is_flag=True, help="Migrate only tenants whose last migration failed.")
@click.option(
    "--snapshot", is_flag=True, help="Copy each database first, and put the copy back if the migration fails."
)
@click.option("--no-verify", is_flag=True, help="Do not compare the migrated databases with their revision.")
@click.option("--downgrade", "down", is_flag=True, help="Migrate the tenant of --only down to an older revision.")
@click.option("--dry-run", is_flag=True, help="Only show what would be done. With --rehearse, also rehearse it.")
@click.option("--status", is_flag=True, help="Only show the revisions of the fleet.")
@json_option
@pass_installation
def migrate(
    installation: Installation,
    /,
    no_verify: bool,
    status: bool,
    as_json: bool,
    canary: int,
    waves: list[int],
    **wanted: Any,
) -> None:
    """Migrate the tenant databases.

    Tenants already at this revision are skipped. If the command is interrupted, run it again to resume. Afterwards the
    migrated databases are compared with the structure of their revision. With --json, each tenant is one line, and the
    last line is a summary. The exit status is 0 only if all wanted tenants are at the revision and none has another
    structure.
    """
    from tenantapp.cli import migrating

    if wanted["down"] and wanted["revision"] == "head":
        raise click.UsageError("--downgrade needs --to, the older revision.")
    if wanted["down"] and wanted["rehearse"]:
        raise click.UsageError("--rehearse is for a migration up: it does not go with --downgrade.")
    if canary and waves:
        raise click.UsageError("Use --canary or --waves: one canary is the first of several waves.")
    if status:
        migrating.show_progress(installation.fleet, as_json)
    else:
        migrating.migrate(installation, verify=not no_verify, as_json=as_json, waves=waves or [canary], **wanted)
