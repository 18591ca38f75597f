"""Copies of SQLite files, page by page, by the backup API (https://www.sqlite.org/backup.html)."""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Final

from tenantapp.fleet.copying.errors import CopyFailed
from tenantapp.tenancy.models import TenantIdentity

PAGES: Final = 2000  # copied between two looks at whether to go on
BUSY_TIMEOUT: Final = 60.0  # seconds
IDENTITY: Final = TenantIdentity.__tablename__

Progress = Callable[[float, str], None]


def copy_pages(source: Path, target: Path, name: str, progress: Progress) -> None:
    """Copy a database, as it is at one moment, to a new file, and check the copy, which is nobody's.

    Raises ``CopyFailed``, and what ``progress`` raises.
    """
    try:
        with closing(_opened(source, "ro")) as reading, closing(_opened(target, "rwc")) as writing:
            # In a transaction of its own: otherwise whoever writes meanwhile would let the copying begin anew.
            reading.execute("BEGIN")
            reading.execute("SELECT 1 FROM sqlite_master").fetchone()
            reading.backup(writing, pages=PAGES, progress=lambda *state: _tell(progress, *state))
            # All of it in the one file.
            writing.execute("PRAGMA journal_mode = DELETE")
            if writing.execute("SELECT 1 FROM sqlite_master WHERE name = ?", (IDENTITY,)).fetchone():
                writing.execute(f"DELETE FROM {IDENTITY}")  # noqa: S608
            (verdict,) = writing.execute("PRAGMA quick_check").fetchone()
    except sqlite3.Error as error:
        raise CopyFailed(name, str(error)) from error
    if verdict != "ok":
        raise CopyFailed(name, f"the file is damaged: {verdict}")


def _opened(path: Path, mode: str) -> sqlite3.Connection:
    address = f"{path.absolute().as_uri()}?mode={mode}"
    return sqlite3.connect(address, uri=True, timeout=BUSY_TIMEOUT, isolation_level=None)


def _tell(progress: Progress, status: int, remaining: int, total: int) -> None:
    done = total - remaining
    progress(done / max(1, total), f"{done} of {total} pages")
