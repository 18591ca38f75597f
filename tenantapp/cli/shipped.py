"""The work of ``moments``: what was shipped of a SQLite database."""

from pathlib import Path

import click

from tenantapp.cli.failures import CommandFailed
from tenantapp.cli.installation import Installation
from tenantapp.cli.output import show_rows
from tenantapp.cli.restores import time_of
from tenantapp.fleet.archives.archives import check_archived
from tenantapp.fleet.archives.ship_directory import archive_directory, directory_of, directory_of_people, shipped_of
from tenantapp.fleet.archives.shipped_pages import build, content_at
from tenantapp.fleet.errors import MomentRefused
from tenantapp.identity.tenants import get_tenant
from tenantapp.tenancy.servers import SqliteServer


def list_moments(installation: Installation, slug: str | None, limit: int, as_json: bool) -> None:
    """Print what was shipped of a tenant's database, or for None of the user database, newest first.

    Raises ``NotFound``, ``MomentRefused``, ``ShippedDamaged`` and ``OSError``.
    """
    root, directory = _directory(installation, slug)
    rows = [
        {"at": content.at, "until": content.until, "size": content.size, "file": content.file}
        for content in reversed(shipped_of(root, directory)[-limit:])
    ]
    show_rows(rows, ("at", "until", "size", "file"), as_json=as_json)


def write(installation: Installation, slug: str | None, at: str, file: Path) -> None:
    """Write a database as it was at a time to a new file.

    Raises ``CommandFailed``, and what ``list_moments`` raises.
    """
    moment = time_of(at)
    root, directory = _directory(installation, slug)
    content = content_at(shipped_of(root, directory), moment)
    if file.exists():
        raise CommandFailed(f"{file} exists already")
    try:
        build(directory, content.at, file)
    except BaseException:
        file.unlink(missing_ok=True)
        raise
    click.echo(f"{file} has what the database had at {min(moment, content.until).isoformat()}.")


def _directory(installation: Installation, slug: str | None) -> tuple[Path, Path]:
    fleet = installation.fleet
    if slug is None:
        if fleet.settings.user_db_url.get_backend_name() != "sqlite":
            raise MomentRefused("the user database is not a SQLite file")
        if fleet.settings.backups_ship is None:
            raise MomentRefused("the setting backups.ship is missing: it says where SQLite databases are shipped")
        root = archive_directory(fleet.settings)
        return root, directory_of_people(root)
    with installation.user_session(read_only=True) as session:
        tenant = get_tenant(session, slug)
        server, database = fleet.servers[tenant.server], tenant.database
    if not isinstance(server, SqliteServer):
        raise MomentRefused(f"the server {server.name} has no SQLite files; `tenantapp doctor` tells of its archive")
    check_archived(fleet.settings, server)
    root = archive_directory(fleet.settings)
    return root, directory_of(root, server.name, database)
