"""Whose database it is that was shipped: a file beside the pages says so."""

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Final

from tenantapp.databases.servers.sqlite_databases import CLOSED, IDENTITY
from tenantapp.databases.servers.working_directories import working_directory
from tenantapp.fleet.archives.ship_directory import write_atomically
from tenantapp.fleet.archives.shipped_pages import build, moment_of, shipped_files

OWNER: Final = "tenant"  # the file with the id of the tenant, in 32 hexadecimal digits


def note_owner(directory: Path, copy: Path) -> None:
    """Note whose database this copy is, unless it is noted. Raises ``OSError`` and ``sqlite3.Error``."""
    owner, file = _owner_in(copy), directory / OWNER
    if owner is not None and not (file.exists() and file.read_text() == owner):
        write_atomically(file, owner.encode())


def owner_of(directory: Path) -> str | None:
    """Return the id of the tenant whose database was shipped. None if it was nobody's yet.

    If it is not noted, because an earlier version has shipped it, the newest content says so. Raises ``OSError``,
    ``sqlite3.Error``, and ``ShippedDamaged``.
    """
    try:
        return (directory / OWNER).read_text()
    except FileNotFoundError:
        names = shipped_files(directory)
    if not names:
        return None
    with working_directory("owner") as place:
        build(directory, moment_of(names[-1]), place / "newest.sqlite")
        return _owner_in(place / "newest.sqlite")


def _owner_in(copy: Path) -> str | None:
    """Return the id in a database that nobody has open, also of a closed tenant's. None if there is none."""
    with closing(sqlite3.connect(f"{copy.absolute().as_uri()}?mode=ro&immutable=1", uri=True)) as connection:
        tables = "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?"
        if connection.execute(tables, (IDENTITY,)).fetchone() is None:
            return None
        found = connection.execute(f"SELECT tenant_id FROM {IDENTITY}").fetchone()  # noqa: S608
    return str(found[0]).removeprefix(CLOSED) if found else None
