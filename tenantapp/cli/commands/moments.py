"""Commands for the moments of SQLite databases that were shipped."""

from pathlib import Path

import click

from tenantapp.cli.arguments import json_option
from tenantapp.cli.completing import slugs as slug_names
from tenantapp.cli.installation import Installation, pass_installation

slug_argument = click.argument("slug", required=False, shell_complete=slug_names)
people_option = click.option(
    "--user-database", "people", is_flag=True, help="The user database instead of that of a tenant."
)


@click.group()
def moments() -> None:
    """Moments of SQLite databases that were shipped to backups.ship."""


@moments.command("list")
@slug_argument
@people_option
@click.option("--limit", type=click.IntRange(1, 1_000_000), default=50, show_default=True, help="The most to show.")
@json_option
@pass_installation
def list_(installation: Installation, slug: str | None, people: bool, limit: int, as_json: bool) -> None:
    """List what was shipped of a database, newest first.

    Each line is a content of the database, and the time from and until which it certainly was that. `tenants restore
    --at` takes any time: what the database had then is the newest content up to it.
    """
    from tenantapp.cli import shipped

    shipped.list_moments(installation, _named(slug, people=people), limit, as_json)


@moments.command()
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@slug_argument
@people_option
@click.option("--at", required=True, metavar="TIME", help="A time, such as 2026-11-28T10:00+00:00.")
@pass_installation
def write(installation: Installation, file: Path, slug: str | None, people: bool, at: str) -> None:
    """Write a database as it was at a time to a new SQLite file.

    A tenant is restored by `tenants restore --at`. To restore the user database, stop all processes, put the file in
    its place, without the files beside it, and run `accept-loss --user-database`.
    """
    from tenantapp.cli import shipped

    shipped.write(installation, _named(slug, people=people), at, file)


def _named(slug: str | None, *, people: bool) -> str | None:
    """Return the slug, or None for the user database. Raises ``UsageError`` unless one of both was named."""
    if (slug is not None) == people:
        raise click.UsageError("Name a tenant, or give --user-database.")
    return slug
