"""Notice that a SQLite file lacks commits that were confirmed.

The newest commits are in the write-ahead log, ``FILE-wal``. If it is removed while nobody has the file open, or if a
copy is made of the file alone, SQLite serves older content and says nothing. If another log lies there, SQLite mixes
its pages with those of the file.

So commits are counted. The number is in the file's header, by ``PRAGMA user_version``: it belongs to the transaction,
whether it is in the log or in the file, and whoever moves it there. After the commit, the number is written to
``FILE-count``, without waiting for the disk: a killed process leaves it, and a power cut leaves an older one at most.
A file whose number is lower, or far from it, lacks commits.

A count begins at a random number, so the log of another file does not fit. Numbers are negative in ``user_version``; a
domain may use the others until its file is counted. ``FILE-count`` has the number and, until the count has begun, what
``user_version`` is before.
"""

import os
import secrets
import sqlite3
import zlib
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Final, NamedTuple
from urllib.parse import quote

SUFFIX: Final = "-count"
HIGHEST: Final = 2**31  # numbers are counted below this
# How far a file may be ahead: a power cut loses what was noted in the last half minute.
AHEAD: Final = 2**18
STEP: Final = 4096  # what a put-back adds, so that it is ahead of writers that were let in before
VERSION_AT: Final = 60  # where user_version is in the file: https://www.sqlite.org/fileformat2.html
LENGTH: Final = 34  # bytes of FILE-count
LOCK_WAIT: Final = 60.0  # seconds
# Not for child processes; on Windows, where the application starts as well, without translating the ends of lines.
OPENED: Final = getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0) | getattr(os, "O_NOINHERIT", 0)


class CommitsLost(sqlite3.DatabaseError):
    """The file lacks commits that were confirmed, or holds what is not its own."""


class Count(NamedTuple):
    """What ``FILE-count`` says: the number of a confirmed commit, and another ``user_version`` that is right too."""

    number: int
    otherwise: int

    @property
    def has_begun(self) -> bool:
        """Return whether a commit was counted."""
        return self.otherwise == self.number - HIGHEST

    def fits(self, version: int) -> bool:
        """Return whether a file with this ``user_version`` has all that was confirmed."""
        return version == self.otherwise or (version < 0 and (version - self.number) % HIGHEST < AHEAD)


class Counted:
    """A commit that is about to be made. ``confirm`` notes it, and ``close`` ends the work in any case."""

    def __init__(self, descriptor: int, number: int) -> None:
        self._descriptor, self._number = descriptor, number

    def confirm(self) -> None:
        """Note that the commit was made. If that fails, an older number stays, which is right too."""
        with suppress(OSError):
            _advance(self._descriptor, self._number)

    def close(self) -> None:
        """Close the file."""
        os.close(self._descriptor)


def check_count(connection: sqlite3.Connection, path: str, *, alone: bool = False) -> None:
    """Raise ``CommitsLost`` if the file of a connection lacks commits.

    With ``alone``, a file that was counted, and is here without its count, is accepted.
    """
    # In this order: a commit in between makes the file newer than what was noted.
    try:
        noted = read_count(path)
    except OSError:
        return  # whoever may not read it cannot know
    version = _version(connection)
    if noted is None:
        if version < 0 and not alone and not os.path.exists(path + SUFFIX):
            raise CommitsLost(
                f"{path} is here without {os.path.basename(path)}{SUFFIX}: it was copied alone, and may lack the"
                " commits that were in its write-ahead log"
            )
    elif not noted.fits(version):
        raise CommitsLost(_what_is_lost(path, noted, version))


def check_or_close(connection: sqlite3.Connection, path: str, *, alone: bool = False) -> None:
    """Do what ``check_count`` does, and close a connection that cannot be used. The log is left as it is."""
    try:
        check_count(connection, path, alone=alone)
    except CommitsLost:
        # Closed alone, the last connection would move what is in the log now into the file, and then remove the log.
        reading = _spare_log(path)
        connection.close()
        if reading is not None:
            reading.close()
        raise
    except BaseException:
        connection.close()
        raise


def what_is_lost(path: Path, *, alone: bool = False) -> str | None:
    """Return what a file lacks, or None if it lacks nothing, is missing or cannot be read. See ``check_count``."""
    if not path.exists():
        return None
    path = _real(path)
    try:
        with closing(_reading(path)) as connection:
            check_count(connection, str(path), alone=alone)
    except CommitsLost as error:
        return str(error)
    except sqlite3.Error:
        return None
    return None


def count_commit(connection: sqlite3.Connection, path: str, version: int | None = None) -> Counted | None:
    """Count the transaction of a connection, which has the write lock. Call this right before COMMIT.

    ``version`` is the ``user_version`` at the beginning of the transaction, if it may have changed it. Returns None if
    the count cannot be noted. Raises ``CommitsLost`` and ``sqlite3.Error``.
    """
    cursor = sqlite3.Cursor(connection)  # without the waits of our own cursors: nobody else has the lock
    if version is None:
        (version,) = cursor.execute("PRAGMA user_version").fetchone()
    try:
        descriptor = _opened(path, version)
    except OSError:
        return None
    try:
        # Another process may be in the middle of its note: that is read once more.
        noted = _read(descriptor) or _read(descriptor) or _begin(descriptor, path, version)
        if not noted.fits(version):
            raise CommitsLost(_what_is_lost(path, noted, version))
        begins = version == noted.otherwise and not noted.has_begun
        number = noted.number if begins else (version + 1) % HIGHEST
        cursor.execute(f"PRAGMA user_version = {number - HIGHEST}")
    except OSError:
        os.close(descriptor)
        return None
    except BaseException:
        os.close(descriptor)
        raise
    return Counted(descriptor, number)


def is_counted(path: str) -> bool:
    """Return whether the commits of a file are counted."""
    return os.path.exists(path + SUFFIX)


def read_count(path: str) -> Count | None:
    """Return what is noted about a file, or None if nothing is, or nothing legible. Raises ``OSError``."""
    try:
        descriptor = os.open(path + SUFFIX, os.O_RDONLY | OPENED)
    except FileNotFoundError:
        return None
    try:
        return _read(descriptor)
    finally:
        os.close(descriptor)


def forget_count(new: Path) -> None:
    """Let a new file, which nobody has open and which has no log, begin a count of its own. Raises ``OSError``."""
    with new.open("rb") as stream:
        stream.seek(VERSION_AT)
        is_counted = stream.read(1) >= b"\x80"
    if is_counted:
        _write_version(new, 0)


def lift_count(path: Path, copy: Path) -> int | None:
    """Count on in a copy that will replace the content of a file. Returns the number, to be noted after that.

    Nobody has the copy open, and it has no log. Raises ``OSError``.
    """
    path = _real(path)
    noted = read_count(str(path))
    if noted is None:
        return None
    with closing(_reading(path)) as connection:
        version = _version(connection)
    last = version % HIGHEST if version < 0 and noted.fits(version) else noted.number
    number = (last + STEP) % HIGHEST
    _write_version(copy, number - HIGHEST)
    return number


def note_count(path: Path, number: int) -> None:
    """Note a number that the file has. Raises ``OSError``."""
    descriptor = os.open(f"{_real(path)}{SUFFIX}", os.O_RDWR | OPENED)
    try:
        _advance(descriptor, number)
    finally:
        os.close(descriptor)


@contextmanager
def accepting(path: Path) -> Iterator[str | None]:
    """Yield what a file lacks, or None, and take what it has for complete after the block, with a new count.

    Nobody writes to the file meanwhile. Raises ``sqlite3.Error``, also if the file is damaged, and ``OSError``.
    """
    path = _real(path)
    address = f"file:{quote(str(path))}?mode=rw"
    with closing(sqlite3.connect(address, uri=True, timeout=LOCK_WAIT, isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        lost = None
        try:
            check_count(connection, str(path))
        except CommitsLost as error:
            lost = str(error)
            _check_sound(connection)
        yield lost
        if lost is not None:
            _note_anew(path, _version(connection))


def _real(path: Path) -> Path:
    """Return the path that SQLite uses, beside which the count lies: links to files are followed."""
    return Path(os.path.realpath(path))


def _spare_log(path: str) -> sqlite3.Connection | None:
    """Return a connection that reads. While it is open, no other one is the last, and closing it moves nothing."""
    connection = None
    try:
        connection = _reading(Path(path))
        connection.execute("BEGIN")
        connection.execute("SELECT 1 FROM sqlite_master").fetchone()
    except sqlite3.Error:
        if connection is not None:
            connection.close()
        return None
    return connection


def _reading(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(f"file:{quote(str(path))}?mode=ro", uri=True, timeout=LOCK_WAIT, isolation_level=None)


def _version(connection: sqlite3.Connection) -> int:
    # A cursor that a traceback holds would keep the files of a closed connection open.
    with closing(connection.cursor()) as cursor:
        version: int = cursor.execute("PRAGMA user_version").fetchone()[0]
        return version


def _what_is_lost(path: str, noted: Count, version: int) -> str:
    log = f"{path}-wal is missing, was emptied or was replaced, or {os.path.basename(path)} is an older copy"
    behind = (noted.number - version) % HIGHEST
    if version < 0 and behind < HIGHEST // 2:
        return f"its last {f'{behind} commits are' if behind > 1 else 'commit is'} lost: {log}"
    return f"commits are lost: {log}"


def _check_sound(connection: sqlite3.Connection) -> None:
    """Raise ``sqlite3.DatabaseError`` if the file is damaged, for example by the pages of another one's log."""
    (verdict,) = connection.execute("PRAGMA integrity_check(1)").fetchone()
    if verdict != "ok":
        raise sqlite3.DatabaseError(f"the file is damaged: {verdict}")
    broken = connection.execute("PRAGMA foreign_key_check").fetchone()
    if broken is not None:
        raise sqlite3.DatabaseError(f"a row of {broken[0]} refers to a row of {broken[2]} that is not there")


def _opened(path: str, version: int) -> int:
    """Open ``FILE-count``, and make it if it is missing: with the mode of the file and, for root, its owner."""
    try:
        return os.open(path + SUFFIX, os.O_RDWR | OPENED)
    except FileNotFoundError:
        if version < 0:
            raise  # somebody has just removed it; a new connection says so
    status = os.stat(path)
    descriptor = os.open(path + SUFFIX, os.O_RDWR | os.O_CREAT | OPENED, status.st_mode & 0o666)
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        os.fchown(descriptor, status.st_uid, status.st_gid)
    return descriptor


def _begin(descriptor: int, path: str, version: int) -> Count:
    """Note where the count begins, on the disk: a power cut must not keep the commit alone."""
    count = Count(secrets.randbelow(HIGHEST), version)
    _write(descriptor, count)
    os.fsync(descriptor)
    _sync_directory(path)
    return count


def _note_anew(path: Path, version: int) -> None:
    descriptor = os.open(f"{path}{SUFFIX}", os.O_RDWR | os.O_CREAT | OPENED, path.stat().st_mode & 0o666)
    try:
        _begin(descriptor, str(path), version)
    finally:
        os.close(descriptor)


def _sync_directory(path: str) -> None:
    if os.name != "posix":
        return  # Windows opens no directories
    descriptor = os.open(os.path.dirname(path) or ".", os.O_RDONLY | OPENED)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _advance(descriptor: int, number: int) -> None:
    """Note a number, unless a later one is noted: another process may have been quicker."""
    noted = _read(descriptor)
    if noted is None or not noted.has_begun or (number - noted.number) % HIGHEST < HIGHEST // 2:
        _write(descriptor, Count(number, number - HIGHEST))


def _read(descriptor: int) -> Count | None:
    os.lseek(descriptor, 0, os.SEEK_SET)
    text = os.read(descriptor, LENGTH)
    try:
        number, otherwise, sum_ = text.split()
        return Count(int(number), int(otherwise)) if int(sum_, 16) == zlib.crc32(text[:24]) else None
    except ValueError:
        return None


def _write(descriptor: int, count: Count) -> None:
    text = f"{count.number:011d} {count.otherwise:+011d} ".encode()
    os.lseek(descriptor, 0, os.SEEK_SET)
    os.write(descriptor, text + f"{zlib.crc32(text):08x} \n".encode())


def _write_version(file: Path, version: int) -> None:
    with file.open("r+b") as stream:
        stream.seek(VERSION_AT)
        stream.write(version.to_bytes(4, "big", signed=True))
