"""Copies of SQLite files by its backup API, which takes one that is being written to as it is at one moment.

https://www.sqlite.org/backup.html
"""

import os
import sqlite3
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

from tenantapp.fleet.errors import BackupFailed

CHUNK: Final = 2**20
BUSY_TIMEOUT: Final = 60.0  # seconds


def copy(source: Path, target: Path, name: str) -> None:
    """Copy a database to a new file that needs no other file beside it, and check it. Raises ``BackupFailed``."""
    try:
        reading = sqlite3.connect(f"{source.absolute().as_uri()}?mode=rw", uri=True, timeout=BUSY_TIMEOUT)
        writing = sqlite3.connect(target)
        try:
            reading.backup(writing)
            writing.execute("PRAGMA journal_mode = DELETE")
            (verdict,) = writing.execute("PRAGMA quick_check").fetchone()
        finally:
            reading.close()
            writing.close()
    except sqlite3.Error as error:
        raise BackupFailed("SQLite", name, str(error)) from error
    if verdict != "ok":
        raise BackupFailed("SQLite", name, f"the file is damaged: {verdict}")


def chunks_of(file: Path) -> Iterator[bytes]:
    """The content of a file."""
    with file.open("rb") as stream:
        while chunk := stream.read(CHUNK):
            yield chunk


def restore(path: Path, chunks: Iterable[bytes]) -> None:
    """Put a copy in the place of an empty database; it is there whole or not at all. Raises ``OSError``."""
    part = path.with_name(f"{path.name}.part")
    try:
        with part.open("wb") as stream:
            for chunk in chunks:
                stream.write(chunk)
            stream.flush()
            os.fsync(stream.fileno())
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
