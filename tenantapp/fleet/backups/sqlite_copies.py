"""Copies of SQLite files, and databases made of them."""

import sqlite3
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from tenantapp.databases.servers.durable_files import publish, remove_unfinished, unfinished
from tenantapp.databases.servers.sqlite_pages import copy_pages, finish_copy
from tenantapp.fleet.errors import BackupFailed

WAIT: Final = 60.0  # seconds for those who write


def copy(source: Path, target: Path, name: str) -> None:
    """Copy a database to a new file that needs no other file beside it, and check it.

    Raises ``BackupFailed`` and ``DatabaseBusy``.
    """
    try:
        copy_pages(source, target, name, WAIT)
        finish_copy(target)
    except sqlite3.Error as error:
        raise BackupFailed("SQLite", name, str(error)) from error


def restore(path: Path, chunks: Iterable[bytes]) -> None:
    """Make a database of a copy, unless there is one of this name; it is there whole or not at all. Raises ``OSError``.

    What an attempt that was cut short has left is removed.
    """
    if not path.exists():
        with unfinished(path) as new:
            with new.open("wb") as stream:
                stream.writelines(chunks)
            publish(new, path)
    remove_unfinished(path)
