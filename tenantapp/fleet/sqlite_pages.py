"""Copying a SQLite database while it is being used, by its backup API: https://www.sqlite.org/backup.html"""

import sqlite3
import time
from contextlib import closing
from pathlib import Path

from tenantapp.fleet.errors import DatabaseBusy


def copy_pages(source: Path, target: Path, name: str, wait: float) -> None:
    """Write all pages of a database, as it is at one moment, into another file in one transaction.

    ``wait`` is in seconds, for those who hold a lock. Raises ``DatabaseBusy`` after that, and ``sqlite3.Error``.
    """
    until = time.monotonic() + wait

    def progress(status: int, remaining: int, total: int) -> None:
        # The API itself would try for ever.
        if status in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED) and time.monotonic() > until:
            raise DatabaseBusy(name)

    # "rw": a database that is not there is an error, and not a new one without anything in it.
    address = f"{source.absolute().as_uri()}?mode=rw"
    with closing(sqlite3.connect(address, uri=True)) as reading, closing(sqlite3.connect(target)) as writing:
        writing.execute("PRAGMA synchronous = FULL")
        reading.backup(writing, progress=progress)
