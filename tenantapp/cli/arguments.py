"""Options and arguments that several commands share."""

from pathlib import Path
from typing import Any

import click

from tenantapp.cli.completing import logins, operation_ids, servers, slugs

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
detach_option = click.option(
    "--detach", is_flag=True, help="Queue the work for a worker, and print the operation's id."
)
jobs_option = click.option(
    "--jobs",
    type=click.IntRange(1, 64),
    default=8,
    show_default=True,
    help="How many tenants to work on at once, and how many connections to open to each server at most.",
)
tenant_id_option = click.option("--tenant-id", type=click.UUID, help="The id of a removed tenant that was called SLUG.")
backup_option = click.option("--backup", metavar="ID", help="The backup's id, or `latest`, the newest (default).")
slug_argument = click.argument("slug", shell_complete=slugs)
slugs_argument = click.argument("slugs", metavar="[SLUG]...", nargs=-1, shell_complete=slugs)
login_argument = click.argument("login", shell_complete=logins)
administrator_option = click.option(
    "--administrator", metavar="LOGIN", shell_complete=logins, help="A person who gets the role admin in the tenant."
)
operation_argument = click.argument("operation_id", metavar="ID", type=click.UUID, shell_complete=operation_ids)
file_argument = click.argument("file", type=click.Path(dir_okay=False, path_type=Path))


def server_option(help: str, *, required: bool = False) -> Any:
    """Return the option ``--server``, the name of a server in the settings."""
    return click.option("--server", required=required, shell_complete=servers, help=help)
