"""Copying a SQLite database in use, with the backup API: https://www.sqlite.org/backup.html"""

import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Final

from tenantapp.databases.errors import DatabaseBusy
from tenantapp.operations.checkpoints import checkpoint

LOCKED: Final = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
PAGES: Final = 2000  # pages copied between two calls of progress

Progress = Callable[[float, str], None]  # how much is done, from 0 to 1, and the same in words


def nobody(done: float, what: str) -> None:
    """Report nothing."""


@checkpoint("file.copy_pages")
def copy_pages(
    source: Path,
    target: Path,
    name: str,
    wait: float,
    progress: Progress = nobody,
    *,
    pages: int = PAGES,
    begun: Callable[[], None] = lambda: None,
) -> None:
    """Write all pages of a database, as of one moment, into another file in one transaction.

    The source is opened read-only. ``progress`` is called each time that ``pages`` pages are copied, and ``begun`` once
    the moment is fixed. ``wait`` is how many seconds to wait for a lock. Raises ``DatabaseBusy`` after that,
    ``sqlite3.Error``, and what ``progress`` raises.
    """
    until = time.monotonic() + wait

    def tell(status: int, remaining: int, total: int) -> None:
        # The backup API by itself would try forever.
        if status in LOCKED and time.monotonic() > until:
            raise DatabaseBusy(name)
        done = total - remaining
        progress(done / max(1, total), f"{done} of {total} pages")

    with closing(_opened(source, "ro", wait)) as reading, closing(_opened(target, "rwc", wait)) as writing:
        writing.execute("PRAGMA synchronous = FULL")
        # A read transaction keeps the moment. Without it, each write of another connection would restart the copy.
        reading.execute("BEGIN")
        try:
            reading.execute("SELECT 1 FROM sqlite_master").fetchone()
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF in LOCKED:
                raise DatabaseBusy(name) from error
            raise
        begun()
        reading.backup(writing, pages=pages, progress=tell)


def finish_copy(copy: Path) -> None:
    """Put all of a copy into its one file, and check it. Raises ``sqlite3.Error`` if it is damaged."""
    with closing(_opened(copy, "rw", 0)) as connection:
        connection.execute("PRAGMA journal_mode = DELETE")
        (verdict,) = connection.execute("PRAGMA quick_check").fetchone()
    if verdict != "ok":
        raise sqlite3.DatabaseError(f"the file is damaged: {verdict}")


def _opened(path: Path, mode: str, wait: float) -> sqlite3.Connection:
    # Without "c" in the mode, a missing database is an error. Otherwise SQLite would make an empty one.
    return sqlite3.connect(f"{path.absolute().as_uri()}?mode={mode}", uri=True, timeout=wait, isolation_level=None)
