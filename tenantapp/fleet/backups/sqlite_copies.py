"""Copy SQLite databases, and make databases from the copies."""

import sqlite3
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from tenantapp.databases.servers.durable_files import publish, remove_unfinished, unfinished
from tenantapp.databases.servers.sqlite_pages import copy_pages, finish_copy
from tenantapp.fleet.errors import BackupFailed
from tenantapp.sql.commit_counts import forget_count, what_is_lost

WAIT: Final = 60.0  # seconds to wait for writers


def copy(source: Path, target: Path, name: str) -> None:
    """Copy a database to a new file, complete in itself (no WAL), and check it.

    Raises ``BackupFailed``, also if the database lacks commits, and ``DatabaseBusy``.
    """
    if lost := what_is_lost(source, alone=True):
        raise BackupFailed("SQLite", name, lost)
    try:
        copy_pages(source, target, name, WAIT)
        finish_copy(target)
    except sqlite3.Error as error:
        raise BackupFailed("SQLite", name, str(error)) from error


def restore(path: Path, chunks: Iterable[bytes]) -> None:
    """Make a database from a copy, completely or not at all, unless it exists already. Raises ``OSError``.

    Removes what interrupted attempts have left.
    """
    if not path.exists():
        with unfinished(path) as new:
            with new.open("wb") as stream:
                stream.writelines(chunks)
            forget_count(new)
            publish(new, path)
    remove_unfinished(path)
