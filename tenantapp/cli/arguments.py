"""Options and arguments that several commands share."""

import re
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

import click

from tenantapp.cli.completing import logins, operation_ids, servers, slugs

UNITS: Final = {"h": "hours", "d": "days"}


class Duration(click.ParamType[timedelta]):
    """A number of hours or days, such as ``12h`` or ``7d``."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> timedelta:
        """Return the duration. Calls ``fail`` if the text is none."""
        found = re.fullmatch(r"([0-9]{1,6})([hd])", str(value), re.ASCII)
        if found is None:
            self.fail("Give a number of hours or days, such as 12h or 7d.", param, ctx)
        return timedelta(**{UNITS[found[2]]: int(found[1])})


class Size(click.ParamType[int]):
    """A number of bytes, such as ``5GiB`` or ``500000``."""

    name = "size"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Return the bytes. Calls ``fail`` if the text is no size."""
        found = re.fullmatch(r"([0-9]{1,15})(?:([KMGT])iB)?", str(value), re.ASCII)
        if found is None or found[1].strip("0") == "":
            self.fail("Give a size such as 500MiB, 5GiB, 1TiB or a number of bytes.", param, ctx)
        return int(found[1]) << 10 * " KMGT".index(found[2] or " ")


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


def server_option(help: str, *names: str, required: bool = False) -> Any:
    """Return an option that takes the name of a server in the settings: ``--server``, or one with these ``names``."""
    return click.option(*(names or ("--server",)), required=required, shell_complete=servers, help=help)


def since_option(default: str) -> Any:
    """Return the option ``--since``, which gives a command a ``timedelta``."""
    words = "How long ago to begin: hours or days, such as 12h or 7d."
    return click.option("--since", type=Duration(), default=default, show_default=True, help=words)
